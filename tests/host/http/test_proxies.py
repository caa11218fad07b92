"""Caddy and nginx as `docs/serving.md` configures them, in front of both engines, by TCP and by a unix socket."""

import os
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trio_websocket

from host.api import WebSocket
from host.asgi import EventStream, json_response
from host.descriptors import Mount, Receive, Scope, Send
from host.http.dispatcher import Dispatcher
from host.http.forwarded import TrustedProxies
from host.http.security import Policy
from tests.host.http.serving import read_all, serving
from tests.host.http.test_hypercorn_engine import CERTIFICATE
from tests.needs import needed

SERVING = Path(__file__).parents[3].joinpath("docs/serving.md").read_text(encoding="utf-8")
START_TIMEOUT_S = 60
BODY = os.urandom(300_000)


class App:
    """Echoes bodies and messages, says who asks, and holds an event back until `go_on`."""

    def __init__(self) -> None:
        self.go_on = trio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            async with WebSocket(scope, receive, send) as websocket:
                async for text in websocket:
                    assert isinstance(text, str)
                    await websocket.send(f"{scope['scheme']} {text}")
        elif scope["path"] == "/app/events":
            async with EventStream(scope, receive, send, trio.Event()) as stream:
                await stream.send("first")
                await self.go_on.wait()
                await stream.send("second")
        elif scope["method"] == "POST":
            size = 0
            while (message := await receive())["type"] != "http.disconnect":
                size += len(message["body"])
                if not message["more_body"]:
                    await json_response(size).send(send)
                    return
        else:
            await read_all(receive)
            host = dict(scope["headers"])[b"host"].decode()
            await json_response([scope["client"][0], scope["scheme"], host]).send(send)


def documented(proxy: str) -> str:
    """The configuration of the proxy in the documentation."""
    found = re.search(rf"^{proxy} \(.*?^```\n(.*?)^```$", SERVING, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """The text with each old part replaced by the new one. Every old part is there."""
    for old, new in pairs:
        assert old in text, f"the documentation says nothing of {old!r}"
        text = text.replace(old, new)
    return text


def caddyfile(folder: Path, port: int, upstream: str) -> list[str]:
    """The command that runs Caddy as documented, but for addresses and certificate."""
    site = replaced(
        documented("Caddy"),
        ("quartet.example {", f"https://localhost:{port} {{\n tls {CERTIFICATE.certfile} {CERTIFICATE.keyfile}"),
        ("127.0.0.1:8000", upstream.replace("unix:", "unix/")),
    )
    path = folder / "Caddyfile"
    path.write_text("{\n admin off\n auto_https disable_redirects\n}\n" + site)
    return ["caddy", "run", "--config", str(path), "--adapter", "caddyfile"]


def nginx_conf(folder: Path, port: int, upstream: str) -> list[str]:
    """The same for nginx."""
    site = replaced(
        documented("nginx"),
        ("listen 443", f"listen 127.0.0.1:{port}"),
        ("quartet.example;", "localhost;"),
        ("/etc/ssl/quartet.example/fullchain.pem", str(CERTIFICATE.certfile)),
        ("/etc/ssl/quartet.example/key.pem", str(CERTIFICATE.keyfile)),
        ("127.0.0.1:8000", upstream),
    )
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    path = folder / "nginx.conf"
    path.write_text(
        f"daemon off;\nuser root;\nworker_processes 1;\npid {folder}/pid;\nerror_log stderr;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{folders}{site}}}\n"
    )
    return ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(path)]


@asynccontextmanager
async def running(command: list[str], port: int, folder: Path) -> AsyncIterator[None]:
    """The proxy for the block, once it listens; what it keeps, it keeps in the folder."""
    environment = {**os.environ, "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    start = partial(trio.run_process, command, capture_stderr=True, check=False, env=environment)
    async with trio.open_nursery() as nursery:
        process = await nursery.start(start)
        with trio.fail_after(START_TIMEOUT_S):
            while True:
                assert process.poll() is None, f"{command[0]} ended: {process.returncode}"
                try:
                    await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
                    break
                except OSError:
                    await trio.sleep(0.02)
        try:
            yield
        finally:
            process.terminate()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        return int(reserved.getsockname()[1])


@pytest.mark.parametrize("engine_name", ["native", "hypercorn"])
@pytest.mark.parametrize("by", ["tcp", "unix"])
@pytest.mark.parametrize(("proxy", "configure"), [("caddy", caddyfile), ("nginx", nginx_conf)])
async def test_a_proxy_as_documented(proxy: str, configure: Any, by: str, engine_name: str, tmp_path: Path) -> None:
    needed(proxy, "apt install caddy nginx-light")
    app = App()
    dispatcher = Dispatcher(policy=Policy(loopback=False, hsts_max_age_s=3600))
    dispatcher.mount("plugin", [Mount("/app", app, content_types=())])
    address, trusted = (f"unix:{tmp_path}/s", "unix") if by == "unix" else ("127.0.0.1", "127.0.0.1/32")
    port = free_port()
    # Two, for httpx makes its own offer HTTP/2.
    context, plain_context = (ssl.create_default_context(cafile=CERTIFICATE.certfile) for _ in range(2))
    async with (
        serving(TrustedProxies(dispatcher, [trusted]), engine_name=engine_name, address=address) as server,
        running(configure(tmp_path, port, address if by == "unix" else f"127.0.0.1:{server.port}"), port, tmp_path),
        httpx.AsyncClient(verify=context, http2=True, timeout=30, base_url=f"https://localhost:{port}/app") as client,
    ):
        forged = {"Forwarded": "for=9.9.9.9;proto=http", "X-Forwarded-Proto": "http"}
        answer = await client.get("/", headers=forged)
        assert answer.http_version == "HTTP/2"
        assert answer.json() == ["127.0.0.1", "https", f"localhost:{port}"]
        assert (await client.post("/", content=BODY)).json() == len(BODY)
        async with client.stream("GET", "/events") as events:
            lines = events.aiter_lines()
            while await anext(lines) != "data: first":
                pass
            app.go_on.set()
            assert "data: second" in [line async for line in lines]
        with trio.fail_after(30):
            url = f"wss://localhost:{port}/app/socket"
            async with trio_websocket.open_websocket_url(url, ssl_context=plain_context) as websocket:
                for text in ("one", "x" * 70_000):
                    await websocket.send_message(text)
                    assert await websocket.get_message() == f"wss {text}"
