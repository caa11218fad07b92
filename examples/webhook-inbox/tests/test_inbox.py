"""The whole plugin inside a real host, over HTTP."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from host.testing import RunningHost, running_host

API = "/api/webhook-inbox"


@pytest.fixture
def hosts(postgres_url: str, tmp_path: Path) -> Any:
    """Starts a host with the plugin; all of a test's hosts share a database."""

    @asynccontextmanager
    async def start(**config: Any) -> AsyncIterator[RunningHost]:
        section = {"webhook_inbox": config}
        async with running_host(section, postgres_url=postgres_url, data_dir=tmp_path) as host:
            yield host

    return start


async def calls(host: RunningHost, inbox: str) -> list[dict[str, Any]]:
    answer = await host.http.get(f"{API}/inboxes/{inbox}")
    found: list[dict[str, Any]] = answer.json()["calls"]
    return found


@asynccontextmanager
async def tailing(host: RunningHost, inbox: str, last_id: str = "") -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    """Follow a tail for the block; what it yields waits for the next call.

    A task reads it and is cancelled: a loop over httpx's lines that is left half-way leaves its generators behind.
    """
    send, receive = trio.open_memory_channel[dict[str, Any]](100)

    async def read() -> None:
        headers = {"last-event-id": last_id} if last_id else {}
        async with host.http.stream("GET", f"{API}/inboxes/{inbox}/events", headers=headers) as answer:
            assert answer.status_code == 200
            async for line in answer.aiter_lines():
                if line.startswith("data: {"):
                    # Without a checkpoint: cancelled here, the loop would be left half-way.
                    send.send_nowait(json.loads(line.removeprefix("data: ")))

    async def next_call() -> dict[str, Any]:
        with trio.fail_after(60):
            return await receive.receive()

    async with send, receive, trio.open_nursery() as nursery:
        nursery.start_soon(read)
        yield next_call
        nursery.cancel_scope.cancel()


async def test_any_call_is_kept_and_its_secrets_are_not(hosts: Any) -> None:
    async with hosts() as host:
        sent = await host.http.put(
            "/hooks/shop/orders/7?token=hunter2&a=1",
            json={"order": 7, "secret": "hunter2"},
            headers={"authorization": "Bearer hunter2", "x-event": "paid"},
        )
        assert sent.status_code == 202
        binary = await host.http.post("/hooks/shop", content=b"\xff\0", headers={"content-type": "image/x"})
        assert binary.status_code == 202
        first, second = await calls(host, "shop")
        metrics = (await host.http.get("/metrics")).text
    assert (first["method"], first["path"]) == ("PUT", "/hooks/shop/orders/7")
    assert ["x-event", "paid"] in first["headers"]
    assert json.loads(first["body"])["order"] == 7
    assert "hunter2" not in json.dumps(first)
    assert (second["body"], second["body_bytes"]) == (None, 2)
    assert "webhook_inbox_received_total 2.0" in metrics


async def test_limits_hold(hosts: Any) -> None:
    async with hosts(inboxes_max=1, calls_max=3, body_bytes_max=10) as host:
        for number in range(5):
            assert (await host.http.post("/hooks/a", content=str(number))).status_code == 202
        assert [call["body"] for call in await calls(host, "a")] == ["2", "3", "4"]
        assert (await host.http.post("/hooks/a", content="x" * 11)).status_code == 413
        assert (await host.http.post("/hooks/b")).status_code == 507
        assert (await host.http.post("/hooks/A%00")).status_code == 404
        assert (await host.http.delete(f"{API}/inboxes/a")).status_code == 204
        assert (await host.http.post("/hooks/b")).status_code == 202


async def test_reading_needs_the_admin_token_and_calling_does_not(hosts: Any) -> None:
    stranger = {"x-forwarded-for": "203.0.113.7"}
    async with hosts() as host:
        assert (await host.http.post("/hooks/a", headers=stranger)).status_code == 202
        for path in (f"{API}/inboxes", f"{API}/inboxes/a", f"{API}/inboxes/a/events"):
            assert (await host.http.get(path, headers=stranger)).status_code == 403
        assert (await host.http.delete(f"{API}/inboxes/a", headers=stranger)).status_code == 403


async def test_tail_shows_what_is_there_and_what_arrives_at_either_host(hosts: Any) -> None:
    async with hosts(tail_interval="50ms", tails_max=1) as one, hosts() as other:
        await one.http.post("/hooks/a", content="before")
        async with tailing(one, "a") as next_call:
            shown = await next_call()
            assert shown["body"] == "before"
            await other.http.post("/hooks/a", content="elsewhere")
            assert (await next_call())["body"] == "elsewhere"
            await one.http.post("/hooks/a", content="here")
            assert (await next_call())["body"] == "here"
            assert (await one.http.get(f"{API}/inboxes/a/events")).status_code == 503
        async with tailing(other, "a", last_id=str(shown["id"])) as next_call:
            assert (await next_call())["body"] == "elsewhere"


async def test_replay_reaches_a_named_target_and_no_other(hosts: Any) -> None:
    async with hosts() as target, hosts(replay_targets=[target.url]) as host:
        await host.http.post("/hooks/a", content="again", headers={"authorization": "x", "x-event": "paid"})
        (call,) = await calls(host, "a")
        replay = f"{API}/calls/{call['id']}/replay"
        answer = await host.http.post(replay, json={"target": f"{target.url}/hooks/b"})
        assert answer.json()["status"] == 202, answer.text
        (arrived,) = await calls(host, "b")
        assert arrived["body"] == "again"
        assert ["x-event", "paid"] in arrived["headers"]
        assert "authorization" not in dict(arrived["headers"])
        refused = await host.http.post(replay, json={"target": f"{host.url}/hooks/b"})
        assert refused.status_code == 403
        assert (await host.http.post(f"{API}/calls/0/replay", json={"target": target.url})).status_code == 404


async def test_page_is_there(hosts: Any) -> None:
    async with hosts() as host:
        page: httpx.Response = await host.http.get("/webhooks", headers={"accept": "text/html"})
        script = await host.http.get("/webhooks/inbox.js")
    assert "<h1>Webhooks</h1>" in page.text
    assert script.status_code == 200


async def test_one_call_more_than_may_arrive_at_once_is_sent_back(hosts: Any) -> None:
    release = trio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"half"
        await release.wait()
        yield b" and half"

    async with hosts(receiving_max=1) as host, trio.open_nursery() as nursery:

        async def held() -> None:
            assert (await host.http.post("/hooks/a", content=body())).status_code == 202

        nursery.start_soon(held)
        with trio.fail_after(60):
            while "webhook_inbox_receiving 1.0" not in (await host.http.get("/metrics")).text:  # noqa: ASYNC110
                await trio.sleep(0.01)
        refused = await host.http.post("/hooks/b")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        release.set()
    async with hosts() as host:
        (call,) = await calls(host, "a")
        assert call["body"] == "half and half"
