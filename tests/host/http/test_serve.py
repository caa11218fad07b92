"""An app of one's own on the host's engine, for commands that are servers."""

import socket

import httpx
import trio

from host.api import Request, Response, Router, open_client, serve, text_response


def listening() -> socket.socket:
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


async def test_app_is_served_until_drained_and_what_is_under_way_is_finished() -> None:
    router = Router()
    arrived, go_on = trio.Event(), trio.Event()

    @router.get("/slow")
    async def slow(request: Request) -> Response:
        arrived.set()
        await go_on.wait()
        return text_response("done")

    @router.get("/fault")
    async def fault(request: Request) -> Response:
        raise RuntimeError("a programmer's mistake")

    drain, sock = trio.Event(), listening()
    url = f"http://127.0.0.1:{sock.getsockname()[1]}"
    answers: list[httpx.Response] = []
    with trio.fail_after(30):
        async with open_client() as client, trio.open_nursery() as outer:

            async def ask_slowly() -> None:
                answers.append(await client.get(f"{url}/slow"))

            async with trio.open_nursery() as serving:
                await serving.start(lambda *, task_status: serve(router, [sock], drain=drain, task_status=task_status))
                assert (await client.get(f"{url}/nowhere")).status_code == 404
                assert (await client.get(f"{url}/fault")).status_code == 500
                outer.start_soon(ask_slowly)
                await arrived.wait()
                drain.set()
                go_on.set()
    assert [answer.text for answer in answers] == ["done"]
