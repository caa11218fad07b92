"""What the native engine does where something runs out or is not there: descriptors, epoll, sendfile."""

import errno
import os
import resource
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import trio
import trio.testing

from host.descriptors import Receive, Scope, Send
from host.http.engine import bind, engine_named
from host.http.lane import watch
from host.http.limits import KIB, Limits
from tests.host.http.serving import GET, answer, close_code, serving
from tests.host.http.test_conformance import connected, frame, websocket_echo
from tests.host.http.test_hypercorn_engine import Left

DESCRIPTORS = 64


def serve_with_few_descriptors() -> None:
    """The process under test: says its port, serves its engine's counts, and ends when it is told to."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    engine, drain = engine_named("native"), trio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        counts = engine.statistics()
        await answer(send, b"%04d %04d" % (counts.open_connections, counts.accept_failures_total))
        if scope["path"] == "/end":
            drain.set()

    sockets = bind("127.0.0.1", 0)
    print(sockets[0].getsockname()[1], flush=True)
    trio.run(lambda: engine.serve(app, sockets, Limits(), drain=drain))


def ask(sock: socket.socket, path: bytes = b"") -> list[int]:
    """The connections that are open, and how often one could not be accepted."""
    sock.sendall(GET % path)
    received = b""
    while len(received.partition(b"\r\n\r\n")[2]) < len(b"0000 0000"):
        data = sock.recv(64 * KIB)
        assert data
        received += data
    return [int(number) for number in received.partition(b"\r\n\r\n")[2].split()]


@pytest.mark.skipif(sys.platform != "linux", reason="accept is refused otherwise elsewhere")
def test_descriptors_that_run_out_are_waited_for_and_those_inside_go_on() -> None:
    command = [sys.executable, "-c", f"import {__name__} as it; it.serve_with_few_descriptors()"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, ExitStack() as stack:
        stack.callback(server.kill)
        assert server.stdout is not None
        address = ("127.0.0.1", int(server.stdout.readline()))
        sockets = [stack.enter_context(socket.create_connection(address, 60)) for _ in range(2 * DESCRIPTORS)]
        deadline = time.monotonic() + 60
        while (counts := ask(sockets[0]))[1] < 3:
            assert time.monotonic() < deadline
        inside = counts[0]
        assert DESCRIPTORS // 2 < inside < DESCRIPTORS
        # Their places are those of the next in line.
        for sock in sockets[1:inside]:
            sock.close()
        assert all(ask(sock) for sock in sockets[inside : 2 * inside - 2])
        for sock in sockets[inside : 2 * inside - 2]:
            sock.close()
        ask(sockets[-1], b"end")
        log = server.communicate(timeout=60)[0]
    assert server.returncode == 0
    assert log.count("no connection can be accepted for now") == 1
    assert log.count("connections are accepted again") == 1


@pytest.fixture
def no_epoll(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS. Trio's own epoll is not touched."""

    class Select:
        pass

    monkeypatch.setattr(watch, "select", Select)


@pytest.mark.usefixtures("no_epoll")
@pytest.mark.parametrize("path", [b"stream", b"wait", b"disconnect"])
async def test_without_epoll_a_client_that_leaves_cancels_its_handler(path: bytes) -> None:
    app = Left()
    async with serving(app, engine_name="native") as server:
        async with await server.connect() as peer:
            await peer.send(GET % path)
            with trio.fail_after(60):
                await app.began.wait()
        with trio.fail_after(60):
            await app.cancelled.wait()
        await server.until(lambda counts: counts.open_connections == 0)


@pytest.mark.usefixtures("no_epoll")
async def test_without_epoll_requests_sockets_and_the_drain_work() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await websocket_echo(scope, receive, send)
        else:
            body = b""
            while (message := await receive())["more_body"]:
                body += message["body"]
            await answer(send, b"got %d" % len(body + message["body"]))

    async with serving(app, Limits(keep_alive_s=60, websocket_close_s=0.1), engine_name="native") as server:
        async with await server.connect() as idle, connected(server) as websocket:
            for size in (1, 100_000):
                await idle.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
                await idle.until(b"got %d" % size)
            await websocket.send(frame(b"echo"))
            await websocket.until(b"\x82\x04echo")
            server.drain.set()
            await idle.to_end()
            assert close_code((await websocket.to_end()).replace(b"\x82\x04echo", b"")) == 1012
        with trio.fail_after(60):
            await server.drained.wait()
        assert server.engine.statistics().cut_connections_total == 0


@pytest.mark.usefixtures("no_epoll")
async def test_without_epoll_an_idle_connection_ends_in_time() -> None:
    async with serving(Left(), Limits(header_read_s=0.1), engine_name="native") as server:
        async with await server.connect() as peer:
            await peer.to_end()
        counts = await server.until(lambda counts: counts.open_connections == 0)
        assert counts.expired_connections_total == 1


async def test_without_sendfile_a_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EINVAL, "this file system cannot")

    monkeypatch.setattr(os, "sendfile", refuse)
    content = bytes(range(256)) * 8 * KIB
    (tmp_path / "file").write_bytes(content)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.pathsend", "path": str(tmp_path / "file")})

    async with serving(app, engine_name="native") as server, await server.connect() as peer:
        await peer.send(GET % b"" + GET % b"")
        received = await peer.until(content[-256:] + b"HTTP/1.1 200")
        while len(received) < 2 * len(content):
            received += bytes(await peer.stream.receive_some(64 * KIB))
        assert received.count(content) == 2
