"""A proxy for tests between a client and a real server, which can stall, cut, refuse, and act on what passes.

async with open_proxy("/run/.s.PGSQL.5432") as proxy:
    client = await connect("127.0.0.1", proxy.port)
    proxy.on_request = lambda data: Fate.SWALLOW_ANSWER if b"COMMIT" in data else Fate.PASS
"""

import enum
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import trio

CHUNK_BYTES = 65536


class Fate(enum.Enum):
    """What becomes of bytes that a client sent."""

    PASS = "pass"
    DROP = "lose them, as a dead link does"
    CUT = "cut the connection, the server gets nothing of this"
    SWALLOW_ANSWER = "pass them on, then cut the connection as soon as the server answers"
    STALL = "pass them on, then stall everything until resume()"


class Proxy:
    """The handle of a running proxy. `on_request` decides over each chunk from a client; all pass by default."""

    def __init__(self, target: str | tuple[str, int]) -> None:
        self.target = target
        self.port = 0
        self.on_request: Callable[[bytes], Fate] = lambda data: Fate.PASS
        self.accepted_total = 0
        self._pairs: set[trio.CancelScope] = set()
        self._one_closed = trio.Event()
        self._refusing = False
        self._flowing = trio.Event()
        self._flowing.set()

    def stall(self) -> None:
        """Hold back everything in both directions, also of connections made from now on."""
        if self._flowing.is_set():
            self._flowing = trio.Event()

    def resume(self) -> None:
        """Let everything flow that `stall` held back."""
        self._flowing.set()

    def refuse(self) -> None:
        """Reset connections as soon as they are made."""
        self._refusing = True

    def accept(self) -> None:
        """End `refuse`."""
        self._refusing = False

    def cut(self) -> None:
        """Reset all connections."""
        for scope in list(self._pairs):
            scope.cancel()

    async def until_all_closed(self) -> None:
        """Return once no connection is open."""
        while self._pairs:
            self._one_closed = trio.Event()
            await self._one_closed.wait()

    async def serve(self, client: trio.SocketStream) -> None:
        """Carry one connection to its end."""
        self.accepted_total += 1
        with trio.CancelScope() as scope:
            self._pairs.add(scope)
            try:
                if not self._refusing:
                    with suppress(OSError):
                        await self._carry(client, scope)
            finally:
                # A reset, not an orderly end: what a dead machine or a dropped link looks like.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.socket.close()
                self._pairs.discard(scope)
                self._one_closed.set()

    async def _carry(self, client: trio.SocketStream, scope: trio.CancelScope) -> None:
        server = await self._connect()
        cut_at_answer = trio.Event()

        async def requests() -> None:
            while data := await _receive(client):
                await self._flowing.wait()
                fate = self.on_request(data)
                if fate is Fate.DROP:
                    continue
                if fate is Fate.CUT:
                    break
                if fate is Fate.SWALLOW_ANSWER:
                    cut_at_answer.set()
                if fate is Fate.STALL:
                    self.stall()
                if not await _send(server, data):
                    break
            scope.cancel()

        async def answers() -> None:
            while data := await _receive(server):
                await self._flowing.wait()
                if cut_at_answer.is_set() or not await _send(client, data):
                    break
            scope.cancel()

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(requests)
                nursery.start_soon(answers)
        finally:
            await trio.aclose_forcefully(server)

    async def _connect(self) -> trio.SocketStream:
        if isinstance(self.target, str):
            return await trio.open_unix_socket(self.target)
        return await trio.open_tcp_stream(*self.target)


@asynccontextmanager
async def open_proxy(target: str | tuple[str, int]) -> AsyncIterator[Proxy]:
    """Run a proxy to a unix socket's path or a (host, port), on a port of loopback, for the block."""
    proxy = Proxy(target)
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, proxy.serve, 0, host="127.0.0.1"))
        proxy.port = listeners[0].socket.getsockname()[1]
        yield proxy
        nursery.cancel_scope.cancel()


async def _receive(stream: trio.SocketStream) -> bytes:
    """The next bytes, empty at the end however it came."""
    try:
        return bytes(await stream.receive_some(CHUNK_BYTES))
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return b""


async def _send(stream: trio.SocketStream, data: bytes) -> bool:
    """Send; False when the other side is gone."""
    try:
        await stream.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return False
    return True
