"""Chromium as a client of the engines themselves: fetch, streams, events and WebSockets, without any plugin."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trio
from playwright.sync_api import Browser

from host.api import WebSocket
from host.asgi import EventStream, Response
from host.descriptors import Receive, Scope, Send
from tests.browser.conftest import TIMEOUT_MS, Visit, watch
from tests.host.http.serving import Server, every_engine, serving

pytestmark = pytest.mark.browser
START_TIMEOUT_S = 60


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """A page, an echo of bodies in parts and of WebSocket messages, three events, and a stream that never ends."""
    if scope["type"] == "websocket":
        async with WebSocket(scope, receive, send) as socket:
            async for text in socket:
                await socket.send(text)
        return
    if scope["path"] == "/events":
        async with EventStream(scope, receive, send, trio.Event()) as stream:
            for number in range(3):
                await stream.send(f"event {number}", id=str(number))
            await trio.sleep_forever()
    if scope["method"] == "GET" and scope["path"] != "/endless":
        page = b"<!doctype html><html lang=en><link rel=icon href=data:,><title>Engines</title></html>"
        await Response(200, page, [(b"content-type", b"text/html")]).send(send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/endless":
        while True:
            await send({"type": "http.response.body", "body": b"more ", "more_body": True})
            await trio.sleep(0.01)
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message["more_body"]
        await send({"type": "http.response.body", "body": message["body"], "more_body": more})


@contextmanager
def served(engine_name: str) -> Iterator[tuple[Server, trio.lowlevel.TrioToken]]:
    """The app on an engine in a thread of its own, for Playwright's loop has this one."""
    started = threading.Event()
    found: list[Any] = []

    async def serve() -> None:
        async with serving(app, engine_name=engine_name) as server:
            stop = trio.Event()
            found.extend((server, trio.lowlevel.current_trio_token(), stop))
            started.set()
            await stop.wait()

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    try:
        assert started.wait(START_TIMEOUT_S)
        server, token, stop = found
        yield server, token
        token.run_sync_soon(stop.set)
    finally:
        thread.join(START_TIMEOUT_S)


UPLOADS = """async () => {
  const body = new Uint8Array(300000).fill(7);
  for (let count = 0; count < 10; count++) {
    const answer = await fetch("/echo", { method: "POST", body });
    const got = new Uint8Array(await answer.arrayBuffer());
    if (got.length !== body.length || got.some((byte) => byte !== 7)) throw new Error("not the same");
  }
  const many = await Promise.all([...Array(40).keys()].map((n) => fetch("/echo", { method: "PUT", body: `n${n}` })));
  return Promise.all(many.map((answer) => answer.text()));
}"""
EVENTS = """() => new Promise((resolve, reject) => {
  const source = new EventSource("/events");
  const got = [];
  source.onerror = () => reject(new Error("the stream broke"));
  source.onmessage = (event) => {
    got.push([event.lastEventId, event.data]);
    if (got.length === 3) { source.close(); resolve(got); }
  };
})"""
LEAVES = """async () => {
  const leaving = new AbortController();
  const reader = (await fetch("/endless", { signal: leaving.signal })).body.getReader();
  const first = new TextDecoder().decode((await reader.read()).value);
  leaving.abort();
  return first.slice(0, 5);
}"""
SOCKET = """() => new Promise((resolve, reject) => {
  const socket = new WebSocket(`ws://${location.host}/`);
  socket.binaryType = "arraybuffer";
  const sent = ["one", "zw\\u00f6lf", "x".repeat(70000), new Uint8Array(70000).fill(9)];
  const got = [];
  socket.onerror = () => reject(new Error("the socket broke"));
  socket.onopen = () => sent.forEach((message) => socket.send(message));
  socket.onmessage = ({ data }) => {
    got.push(typeof data === "string" ? data.slice(0, 10) : new Uint8Array(data).length);
    if (got.length === sent.length) socket.close(3001, "enough");
  };
  socket.onclose = ({ code, wasClean }) => resolve([got, code, wasClean]);
})"""


@every_engine
def test_chromium(browser: Browser, engine_name: str) -> None:
    with served(engine_name) as (server, token):
        context = browser.new_context(base_url=f"http://127.0.0.1:{server.port}")
        context.set_default_timeout(TIMEOUT_MS)
        visit = Visit(context.new_page())
        watch(visit)
        visit.page.goto("/")
        assert visit.page.evaluate(UPLOADS) == [f"n{number}" for number in range(40)]
        assert visit.page.evaluate(EVENTS) == [[str(number), f"event {number}"] for number in range(3)]
        assert visit.page.evaluate(LEAVES) == "more "
        assert visit.page.evaluate(SOCKET) == [["one", "zwölf", "x" * 10, 70000], 3001, True]
        assert visit.faults == []
        context.close()
        trio.from_thread.run(server.until, lambda counts: counts.open_connections == 0, trio_token=token)
        assert server.engine.statistics().crashed_connections_total == 0
