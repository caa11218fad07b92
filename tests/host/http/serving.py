"""Serving an app in a test: a real engine on a free port of loopback, and a peer that speaks raw bytes."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio

from host.descriptors import ASGIApp, Message, Receive, Scope, Send
from host.http.engine import TLS, Engine, EngineStatistics, bind, engine_named
from host.http.limits import Limits

# Every engine passes the same tests.
ENGINES = ["hypercorn", "native"]
every_engine = pytest.mark.parametrize("engine_name", ENGINES)

GET = b"GET /%b HTTP/1.1\r\nHost: localhost\r\n\r\n"
UPGRADE = (
    b"GET /%b HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%b\r\n"
)


@dataclass
class Server:
    """A served app. `drained` is set when `serve` has returned."""

    engine: Engine
    port: int
    drain: trio.Event
    drained: trio.Event = field(default_factory=trio.Event)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    async def connect(self, *, receive_buffer_bytes: int | None = None) -> "Peer":
        sock = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        try:
            await sock.connect(("127.0.0.1", self.port))
        except OSError:
            sock.close()
            raise
        return Peer(trio.SocketStream(sock))

    async def ask(self, path: bytes = b"") -> bytes:
        """One GET on its own connection; the whole answer, until a moment of silence or the end."""
        async with await self.connect() as peer:
            await peer.send(GET % path)
            return await peer.until(b"\r\n\r\n")

    async def until(self, condition: Callable[[EngineStatistics], bool]) -> EngineStatistics:
        """Wait until the engine's counts satisfy the condition."""
        with trio.fail_after(60):
            while not condition(self.engine.statistics()):  # noqa: ASYNC110  Counts have no event.
                await trio.sleep(0.005)
        return self.engine.statistics()


class Peer:
    """A client that sends and reads bytes."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.received = b""
        self.was_reset = False

    async def __aenter__(self) -> "Peer":
        return self

    async def __aexit__(self, *error: object) -> None:
        await trio.aclose_forcefully(self.stream)

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def until(self, mark: bytes) -> bytes:
        """Read until the mark came; all that was read since the beginning."""
        received = bytearray(self.received)
        has_come = mark in received
        try:
            with trio.fail_after(60):
                while not has_come:
                    data = await self.stream.receive_some(65536)
                    assert data, f"the server closed after {bytes(received)!r}"
                    # Megabytes may come a thousand bytes at a time: only what is new is searched.
                    searched = max(0, len(received) - len(mark))
                    received += data
                    has_come = received.find(mark, searched) >= 0
        finally:
            self.received = bytes(received)
        return self.received

    async def to_end(self) -> bytes:
        """Read until the server closes or resets; all that was read since the beginning."""
        with trio.fail_after(60):
            try:
                while data := await self.stream.receive_some(65536):
                    self.received += bytes(data)
            except trio.BrokenResourceError:
                self.was_reset = True
        return self.received


@asynccontextmanager
async def serving(
    app: ASGIApp,
    limits: Limits | None = None,
    *,
    engine_name: str = "hypercorn",
    tls: TLS | None = None,
    address: str = "127.0.0.1",
) -> AsyncIterator[Server]:
    sockets = bind(address, 0)
    port = 0 if address.startswith("unix:") else sockets[0].getsockname()[1]
    server = Server(engine_named(engine_name, tls=tls), port, trio.Event())

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        with server.scope:
            await server.engine.serve(app, sockets, limits or Limits(), drain=server.drain, task_status=task_status)
        server.drained.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        yield server
        server.scope.cancel()


def frames_in(data: bytes) -> list[tuple[int, bytes]]:
    """The opcodes and payloads of the whole frames at the beginning of what a server sent after the handshake."""
    found: list[tuple[int, bytes]] = []
    while len(data) >= 2:
        size, start = data[1], 2
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start], "big")
        if len(data) < start + size:
            break
        found.append((data[0] & 0x0F, data[start : start + size]))
        data = data[start + size :]
    return found


def close_code(received: bytes) -> int | None:
    """The code of the first close frame after a WebSocket's handshake, None when there is none."""
    frames = frames_in(received.partition(b"\r\n\r\n")[2])
    return next((int.from_bytes(payload[:2], "big") for opcode, payload in frames if opcode == 8), None)


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers everything."""
    await answer(send, b"hello")


async def answer(send: Send, body: bytes, status: int = 200) -> None:
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def read_all(receive: Receive) -> Message:
    """Read the request to its end; the last message."""
    while (message := await receive()).get("more_body"):
        pass
    return message
