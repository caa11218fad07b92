"""Servers for the client's tests: they say what they are told to, byte for byte, and no more."""

import contextlib
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import trio

Handler = Callable[[trio.abc.Stream, int], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Peer:
    """A listening server. `connections` counts those accepted, `received` holds what each has sent."""

    def __init__(self, port: int, scheme: str) -> None:
        self.port = port
        self.connections = 0
        self.received: list[bytearray] = []
        self.url = f"{scheme}://127.0.0.1:{port}"


class Listening(trio.abc.Stream):
    """A stream that keeps a copy of what it receives."""

    def __init__(self, stream: trio.abc.Stream, copy: bytearray) -> None:
        self.inner = stream
        self.copy = copy
        self.unread = b""

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data = bytes(await self.inner.receive_some(max_bytes))
        self.copy += data
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self.inner.aclose()


@contextlib.asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    """Serve on a free port. `handler(stream, number)` has the connection with that number, from 0."""
    peer: Peer

    async def serve(stream: trio.abc.Stream) -> None:
        number = peer.connections
        peer.connections += 1
        copy = bytearray()
        peer.received.append(copy)
        listening = Listening(stream, copy)
        try:
            await handler(listening, number)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client may hang up whenever it likes
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        listeners: list[trio.abc.Listener]
        if tls is None:
            listeners = list(await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=1024))
            port = listeners[0].socket.getsockname()[1]
        else:
            listeners = list(await trio.open_ssl_over_tcp_listeners(0, tls, host="127.0.0.1", https_compatible=True))
            port = listeners[0].transport_listener.socket.getsockname()[1]
        peer = Peer(port, "http" if tls is None else "https")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield peer
        nursery.cancel_scope.cancel()


async def read_request(stream: Listening) -> bytes | None:
    """One request off the stream, its body included; None when the client has gone."""
    data = stream.unread
    while b"\r\n\r\n" not in data:
        more = await stream.receive_some(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        while not (body.endswith(b"0\r\n\r\n")):
            more = await stream.receive_some(65536)
            if not more:
                return None
            body += more
        stream.unread = b""
    else:
        length = 0
        for line in lower.split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line[15:])
        while len(body) < length:
            more = await stream.receive_some(65536)
            if not more:
                return None
            body += more
        stream.unread = body[length:]
        body = body[:length]
    return head + b"\r\n\r\n" + body


def answering(*answers: bytes, close: bool = False) -> Handler:
    """Answer each request of a connection with the next of `answers`, the last one for all further; then hang up
    after the first when `close`."""

    async def handler(stream: Listening, number: int) -> None:
        count = 0
        while await read_request(stream) is not None:
            await stream.send_all(answers[min(count, len(answers) - 1)])
            count += 1
            if close:
                return

    return handler


def open_sockets() -> set[str]:
    """The sockets that this process has open."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{fd}")
            if target.startswith("socket:"):
                found.add(target)
    return found
