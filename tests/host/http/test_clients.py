"""Clients that nobody here wrote, against both engines. Chromium is in `tests/browser/test_engines.py`.

What is not installed is skipped aloud, and in CI fails; `.ci/run` installs it.
"""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trio_websocket

from host.api import WebSocket
from host.descriptors import Receive, Scope, Send
from tests.host.http.serving import every_engine, serving
from tests.needs import missing, needed

BODY = os.urandom(300_000)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Echoes: bodies in parts, as they come, and WebSocket messages."""
    if scope["type"] == "websocket":
        async with WebSocket(scope, receive, send) as socket:
            async for text in socket:
                await socket.send(text)
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-method", scope["method"].encode())]})
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message["more_body"]
        await send({"type": "http.response.body", "body": message["body"], "more_body": more})


async def run(*command: str, stdin: bytes = b"") -> bytes:
    with trio.fail_after(60):
        done = await trio.run_process(command, stdin=stdin, capture_stdout=True, capture_stderr=True, check=False)
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    return bytes(done.stdout)


@every_engine
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-H", "Transfer-Encoding: chunked"),
        ("-H", "Expect: 100-continue"),
        ("--http2",),
        ("-H", "Connection: close"),
    ],
    ids=" ".join,
)
async def test_curl(engine_name: str, options: tuple[str, ...]) -> None:
    needed("curl", "apt install curl")
    # Hypercorn takes the upgrade of a request with a body to HTTP/2, and forgets the body.
    body = b"" if options == ("--http2",) and engine_name == "hypercorn" else BODY
    async with serving(app, engine_name=engine_name) as server:
        url = f"http://127.0.0.1:{server.port}/"
        assert await run("curl", "-sS", "--fail", *options, "--data-binary", "@-", url, url, stdin=body) == body * 2


NODE_FETCH = """
const body = Buffer.alloc(300000, 7);
for (let count = 0; count < 20; count++) {
  const answer = await fetch(process.argv[1], { method: "POST", body });
  const got = Buffer.from(await answer.arrayBuffer());
  if (answer.status !== 200 || !got.equals(body)) throw new Error("not the same");
}
const leaving = new AbortController();
const streamed = await fetch(process.argv[1], {
  method: "POST", duplex: "half", signal: leaving.signal,
  body: new ReadableStream({ start(controller) { controller.enqueue(Buffer.from("first")); } }),
});
const reader = streamed.body.getReader();
const part = await reader.read();
console.log(Buffer.from(part.value).toString());
leaving.abort();
"""

NODE_WEBSOCKET = """
const { createRequire } = await import("node:module");
const { WebSocket } = createRequire(process.argv[2] + "/")("ws");
const socket = new WebSocket(process.argv[1]);
const sent = ["one", "zwölf", "x".repeat(70000)];
let count = 0;
socket.on("open", () => { sent.forEach((text) => socket.send(text)); socket.ping(); });
socket.on("pong", () => console.log("pong"));
socket.on("message", (data) => {
  if (data.toString() !== sent[count++]) throw new Error("not the same");
  if (count === sent.length) socket.close(3001);
});
socket.on("close", (code) => console.log(code));
"""


@every_engine
async def test_nodes_fetch_which_is_undici(engine_name: str) -> None:
    needed("node", "apt install nodejs")
    async with serving(app, engine_name=engine_name) as server:
        script = ["node", "--input-type=module", "-e", NODE_FETCH]
        assert await run(*script, f"http://127.0.0.1:{server.port}/") == b"first\n"
        await server.until(lambda counts: counts.open_connections == 0)


@every_engine
async def test_nodes_ws(engine_name: str) -> None:
    from benchmarks.fanout import PEERS, install_ws

    reason = await trio.to_thread.run_sync(install_ws)
    if reason:
        missing(reason)
    async with serving(app, engine_name=engine_name) as server:
        script = ["node", "--input-type=module", "-e", NODE_WEBSOCKET]
        out = await run(*script, f"ws://127.0.0.1:{server.port}/", str(PEERS))
        assert sorted(out.split()) == [b"3001", b"pong"]


PYTHON_WEBSOCKETS = """
import sys
from websockets.sync.client import connect
with connect(sys.argv[1], max_size=None) as socket:
    for message in ("one", "zw\\u00f6lf", b"\\0" * 70_000):
        socket.send(message)
        assert socket.recv() == message
    socket.send(["in ", "three ", "parts"])
    assert socket.recv() == "in three parts"
    assert socket.ping().wait(10)
"""


@every_engine
async def test_pythons_websockets(engine_name: str) -> None:
    async with serving(app, engine_name=engine_name) as server:
        await run(sys.executable, "-c", PYTHON_WEBSOCKETS, f"ws://127.0.0.1:{server.port}/")


@every_engine
async def test_httpx(engine_name: str) -> None:
    # httpx reads no answer before its request is out, so what is echoed meanwhile has to fit into the sockets.
    sent = BODY[:50_000]
    async with serving(app, engine_name=engine_name) as server, httpx.AsyncClient() as client:
        url = f"http://127.0.0.1:{server.port}/"
        for _ in range(3):
            answer = await client.put(url, content=sent)
            assert (answer.status_code, answer.headers["x-method"], answer.content) == (200, "PUT", sent)

        async def parts() -> Any:
            yield sent[:10]
            yield sent[10:]

        assert (await client.post(url, content=parts())).content == sent


@every_engine
async def test_trio_websocket(engine_name: str) -> None:
    async with (
        serving(app, engine_name=engine_name) as server,
        trio_websocket.open_websocket_url(f"ws://127.0.0.1:{server.port}/") as socket,
    ):
        for message in ("one", "zwölf", BODY):
            await socket.send_message(message)
            assert await socket.get_message() == message
        with trio.fail_after(5):
            await socket.ping(b"mark")


AIOHTTP = """
import asyncio, json, sys, aiohttp
async def main():
    async with aiohttp.ClientSession() as session:
        body = bytes(300_000)
        async with session.post(sys.argv[1], data=body) as answer:
            assert await answer.read() == body
        async with session.ws_connect(sys.argv[1]) as socket:
            await socket.send_str("one")
            print(json.dumps(await socket.receive_str()))
asyncio.run(main())
"""


@every_engine
async def test_aiohttp(engine_name: str) -> None:
    async with serving(app, engine_name=engine_name) as server:
        assert json.loads(await run(sys.executable, "-c", AIOHTTP, f"http://127.0.0.1:{server.port}/")) == "one"


WRK = """
local threads = {}
setup = function(thread) table.insert(threads, thread) end
wrk.method, wrk.body = "POST", string.rep("x", 1000)
bad = 0
response = function(status, headers, body) if status ~= 200 or #body ~= 1000 then bad = bad + 1 end end
done = function() for _, thread in ipairs(threads) do print("bad answers: " .. thread:get("bad")) end end
"""


@every_engine
async def test_wrk(engine_name: str, tmp_path: Path) -> None:
    needed("wrk", "apt install wrk")
    script = tmp_path / "echo.lua"
    script.write_text(WRK)
    async with serving(app, engine_name=engine_name) as server:
        url = f"http://127.0.0.1:{server.port}/"
        out = (await run("wrk", "-t1", "-c16", "-d1s", "--timeout", "30s", "-s", str(script), url)).decode()
        # Its own words for whatever went wrong are "Socket errors" and "Non-2xx".
        assert "rrors" not in out
        assert "Non-2xx" not in out
        asked = re.search(r"(\d+) requests in", out)
        assert asked is not None
        assert int(asked[1]) > 0, out
        assert "bad answers: 0\n" in out
        await server.until(lambda counts: counts.open_connections == 0)
