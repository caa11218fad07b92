"""As much of HTTP/1.1 as a simulated provider needs: requests in, answers out, connections cut on command."""

import socket

import httptools
import trio


class Cut(Exception):
    """The connection is to be cut now."""


class Request:
    """One request off the wire."""

    def __init__(self) -> None:
        self.path = ""
        self.is_complete = False
        self._parts: list[bytes] = []
        self._parser = httptools.HttpRequestParser(self)

    @property
    def body(self) -> bytes:
        return b"".join(self._parts)

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.path += url.decode("latin-1")

    def on_body(self, data: bytes) -> None:
        self._parts.append(data)

    def on_message_complete(self) -> None:
        self.path = self.path.partition("?")[0]
        self.is_complete = True


class Answer:
    """One answer on its way out."""

    def __init__(self, connection: trio.socket.SocketType) -> None:
        self.is_complete = False
        self.is_cut = False
        self.sent_bytes = 0
        self._stream = trio.SocketStream(connection)

    async def whole(
        self,
        body: bytes,
        status: int = 200,
        headers: list[tuple[bytes, bytes]] | None = None,
        kind: bytes = b"application/json",
    ) -> None:
        extra = b"".join(b"%s: %s\r\n" % pair for pair in headers or ())
        await self._send(
            b"HTTP/1.1 %d Simulated\r\ncontent-type: %s\r\nx-simulated: true\r\n%s"
            b"content-length: %d\r\n\r\n%s" % (status, kind, extra, len(body), body)
        )
        self.is_complete = True

    async def part_of(self, body: bytes, cut_bytes: int | None) -> None:
        """Promise the whole body, and send the beginning of it."""
        size = len(body) // 2 if cut_bytes is None else min(cut_bytes, len(body) - 1)
        head = b"HTTP/1.1 200 Simulated\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        await self._send(head + body[:size])

    async def begin_stream(self, kind: bytes = b"text/event-stream") -> None:
        await self._send(
            b"HTTP/1.1 200 Simulated\r\ncontent-type: %s\r\nx-simulated: true\r\n"
            b"transfer-encoding: chunked\r\n\r\n" % kind
        )

    async def chunk(self, data: bytes) -> None:
        if data:
            self.sent_bytes += len(data)
            await self._send(b"%x\r\n%s\r\n" % (len(data), data))

    async def end(self) -> None:
        await self._send(b"0\r\n\r\n")
        self.is_complete = True

    async def _send(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise Cut from error


def listen(port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(1024)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
