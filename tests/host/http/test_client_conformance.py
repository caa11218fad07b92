"""The table of responses over real sockets, through httpx: what arrives, and what becomes of the connection."""

import httpx
import pytest
import trio

from host.http.client import TrioTransport
from tests.host.http.client_cases import CASES, Case
from tests.host.http.client_peers import OK, Listening, open_sockets, read_request, serving


def speaking(case: Case, step: int):
    async def handler(stream: Listening, number: int) -> None:
        await read_request(stream)
        for at in range(0, len(case.sent), step):
            await stream.send_all(case.sent[at : at + step])
            if step < len(case.sent):
                await trio.testing.wait_all_tasks_blocked()
        if case.hangs_up:
            return
        while await read_request(stream) is not None:
            await stream.send_all(OK)

    return handler


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_response_of_the_table_through_httpx(case: Case) -> None:
    before = open_sockets()
    async with serving(speaking(case, len(case.sent) + 1)) as peer:
        transport = TrioTransport()
        async with httpx.AsyncClient(transport=transport, timeout=5) as client:
            got = b""
            if case.whole:
                response = await client.request(case.method, peer.url)
                assert (response.status_code, response.content) == (case.status, case.body)
            else:
                with pytest.raises(httpx.RemoteProtocolError):  # noqa: PT012
                    async with client.stream(case.method, peer.url) as response:
                        async for part in response.aiter_raw():
                            got += part
                assert got == case.body
            statistics = transport.statistics()
            assert (statistics.open, statistics.idle, statistics.active) == (int(case.kept), int(case.kept), 0)
            if case.kept:
                assert (await client.get(peer.url)).content == b"ok"
                assert peer.connections == 1
    assert open_sockets() <= before


@pytest.mark.parametrize("step", [1, 5])
async def test_response_arriving_in_small_pieces_is_the_same(step: int) -> None:
    names = {"chunked-with-trailers", "103-twice", "bare-lf-after-header", "body-truncated", "head-with-length"}
    for case in CASES:
        if case.name not in names:
            continue
        async with serving(speaking(case, step)) as peer, httpx.AsyncClient(transport=TrioTransport()) as client:
            if case.whole:
                response = await client.request(case.method, peer.url)
                assert (response.status_code, response.content) == (case.status, case.body)
            else:
                with pytest.raises(httpx.RemoteProtocolError):
                    await client.request(case.method, peer.url)


async def test_broken_body_stays_broken_when_it_is_asked_again() -> None:
    case = next(case for case in CASES if case.name == "body-truncated")
    async with serving(speaking(case, 1000)) as peer, TrioTransport() as transport:
        response = await transport.handle_async_request(httpx.Request("GET", peer.url))
        parts = aiter(response.stream)
        assert await anext(parts) == b"ab"
        for _ in range(2):
            with pytest.raises(httpx.RemoteProtocolError, match="2 of 5"):
                await anext(parts)


async def test_reset_within_a_close_delimited_body_is_an_error() -> None:
    async def handler(stream: Listening, number: int) -> None:
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\npart")
        await read.wait()
        # A linger of zero makes the close a reset.
        stream.inner.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    read = trio.Event()
    async with (
        serving(handler) as peer,
        httpx.AsyncClient(transport=TrioTransport()) as client,
        client.stream("GET", peer.url) as response,
    ):
        parts = response.aiter_raw()
        assert await anext(parts) == b"part"
        read.set()
        with pytest.raises(httpx.ReadError):
            await anext(parts)
