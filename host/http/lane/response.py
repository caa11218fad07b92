"""One exchange: what an app receives of its request, and its messages to bytes, framed as the request calls for.

RFC 9112 §6.3 decides the framing: none after HEAD, 204 and 304; by length where the app gave it, or all of the body is
there at once; in chunks for HTTP/1.1; by the connection's end for HTTP/1.0.
"""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import trio

from host.descriptors import Message
from host.http.lane.request import Request
from host.http.lane.shared import status_line
from host.http.limits import KIB

if TYPE_CHECKING:
    from host.http.lane.http1 import Connection

# Up to this size head and body are joined: copying costs less than a second packet.
_JOINED_BYTES_MAX = 64 * KIB
# After so many parts of a body others have their turn, whether the kernel takes them or not.
_TURN_EVERY = 16
# So much of a body that the app did not want is read to keep the connection.
DISCARDED_BYTES_MAX = 256 * KIB

# Headers that say how the answer is sent. The framing is not the app's (ASGI's HTTP spec).
_SERVERS_OWN = frozenset({b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"upgrade", b"date"})
_BY_LENGTH, _CHUNKED, _BY_END, _NONE = range(4)


class Exchange:
    """A request and its answer. `receive` and `send` are the app's; any of its tasks may call them."""

    is_client_gone = has_begun = is_complete = False
    _has_continued = _is_body_read = False
    _framing = _NONE
    _left_bytes = _read_bytes = _parts_sent = 0
    _start: Message | None = None
    _end: trio.Event | None = None

    def __init__(self, connection: "Connection", request: Request) -> None:
        self.request = request
        self.keep_alive = request.keep_alive
        self._connection = connection
        self._wire = connection.wire

    async def receive(self) -> Message:
        """ASGI's `receive`: reads on as the app asks, so that a slow app slows its client down."""
        request = self.request
        if not self._is_body_read:
            if request.parts or request.is_complete or await self._read():
                parts = request.parts
                body = parts[0] if len(parts) == 1 else b"".join(parts)
                parts.clear()
                self._read_bytes += len(body)
                self._is_body_read = request.is_complete
                return {"type": "http.request", "body": body, "more_body": not request.is_complete}
            self._is_body_read = True
            self.client_left()
        if not self.is_client_gone and not self.is_complete:
            if self._end is None:
                self._end = trio.Event()
            await self._end.wait()
        await trio.lowlevel.checkpoint()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """ASGI's `send`. What it could not hand over when it is cancelled goes before the next bytes.

        Raises:
            RuntimeError: messages out of order, or a body that is not what the headers promised.
            ValueError: a header or status that cannot be sent.
        """
        kind = message["type"]
        if kind == "http.response.body" and self._start is not None and not self.is_complete:
            await self._send_body(message.get("body", b""), message.get("more_body", False))
        elif kind == "http.response.start" and self._start is None:
            if not 200 <= message["status"] <= 999:
                raise ValueError(f"{message['status']} is no status of a final answer")
            self._start = message
        elif kind == "http.response.pathsend" and self._start is not None and not self.is_complete:
            await self._send_file(message["path"])
        else:
            raise RuntimeError(f"{kind} is not known to this server, or not in its place")

    def client_left(self) -> None:
        """The client has closed its side: whoever waits for that is told."""
        self.is_client_gone = True
        self._tell()

    def abort(self) -> None:
        """The answer has begun and will not be finished: its client must see that."""
        if self._framing == _BY_END:
            self._wire.cut()

    async def _read(self) -> bool:
        if self.request.expects_continue and not self._has_continued and not self.has_begun:
            self._has_continued = True
            await self._wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        return await self._connection.read_body(self.request)

    async def _send_body(self, body: bytes, more: bool) -> None:
        head = b"" if self.has_begun else self._begin(None if more else len(body))
        framing = self._framing
        if framing == _BY_LENGTH:
            self._left_bytes -= len(body)
            if self._left_bytes < 0 or (self._left_bytes and not more):
                raise RuntimeError("the body has another length than its Content-Length says")
        elif framing == _CHUNKED:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if not more:
                body += b"0\r\n\r\n"
        elif framing == _NONE:
            body = b""
        self.has_begun = True
        self.is_complete = not more
        wire = self._wire
        if len(body) <= _JOINED_BYTES_MAX:
            wire.send_now(head + body)
        else:
            wire.send_now(head)
            wire.send_now(bytes(body))
        if wire.unsent:
            await wire.flush()
        if not more:
            self._tell()
            return
        # A producer that is never made to wait must still let others have their turn, now and then.
        self._parts_sent += 1
        if self._parts_sent % _TURN_EVERY:
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            await trio.lowlevel.checkpoint()

    async def _send_file(self, path: str) -> None:
        # Opening what was just looked at costs less than a thread.
        with open(path, "rb", buffering=0) as file:  # noqa: ASYNC230
            size = os.fstat(file.fileno()).st_size
            head = b"" if self.has_begun else self._begin(size)
            if self._framing not in (_BY_LENGTH, _NONE):
                raise RuntimeError("http.response.pathsend is for answers with a length")
            self.has_begun = True
            await self._wire.send(head)
            if self._framing == _BY_LENGTH and not await self._wire.send_file(file.fileno(), self._left_bytes):
                raise RuntimeError("the file is shorter than its Content-Length")
        self.is_complete = True
        self._tell()

    def _tell(self) -> None:
        if self._end is not None:
            self._end.set()

    def _begin(self, body_bytes: int | None) -> bytes:
        """The head of the answer, and with it the framing. `body_bytes` None: more is to come than is known."""
        assert self._start is not None
        status: int = self._start["status"]
        lines, length = self._given_headers(status, self._start.get("headers", ()))
        is_1_1 = self.request.http_version == "1.1"
        if self.request.method == "HEAD" or status in (204, 304):
            if length is None and body_bytes and status not in (204, 304):
                lines.append(b"content-length: %d\r\n" % body_bytes)
        elif length is not None:
            self._framing, self._left_bytes = _BY_LENGTH, length
        elif body_bytes is not None:
            self._framing, self._left_bytes = _BY_LENGTH, body_bytes
            lines.append(b"content-length: %d\r\n" % body_bytes)
        elif is_1_1:
            self._framing = _CHUNKED
            lines.append(b"transfer-encoding: chunked\r\n")
        else:
            self._framing = _BY_END
            self.keep_alive = False
        if self._connection.shared.is_draining or (not self.request.is_complete and self._will_leave_body_unread()):
            self.keep_alive = False
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        elif not is_1_1:
            lines.append(b"connection: keep-alive\r\n")
        lines.append(b"\r\n")
        return checked_head(lines)

    def _given_headers(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> tuple[list[bytes], int | None]:
        """The status line and the app's headers without those that are the server's to set; the length among them."""
        shared = self._connection.shared
        known, date_line = shared.header_lines, shared.date_line
        lines = [status_line(status)]
        length: int | None = None
        for name, value in headers:
            line = known.get((name, value))
            if line is not None:
                lines.append(line)
                continue
            own = name.lower()
            if own not in _SERVERS_OWN:
                lines.append(known.make(name, value))
            elif own == b"content-length":
                if length is not None or not value.isdigit():
                    raise ValueError("an answer has at most one Content-Length, which is a number")
                length = int(value)
                if status != 204:
                    # RFC 9110 §8.6 forbids it with a 204.
                    lines.append(b"content-length: %b\r\n" % value)
            elif own == b"date":
                date_line = b"date: %b\r\n" % value
            elif own == b"connection" and b"close" in value.lower():
                self.keep_alive = False
        lines.append(date_line)
        return lines, length

    def _will_leave_body_unread(self) -> bool:
        """Whether the rest of the request will not be read, so that the connection cannot go on."""
        if self.request.expects_continue and not self._has_continued:
            # The client may send its body all the same, or not: nobody could tell it from the next request.
            return True
        return self.request.content_length - self._read_bytes > DISCARDED_BYTES_MAX


def checked_head(lines: list[bytes]) -> bytes:
    """The lines of a head in one, if each is one line. Raises ValueError."""
    head = b"".join(lines)
    # One pass over the bytes; looking for each of the three takes four times as long.
    if len(head) - len(head.translate(None, b"\r\n\0")) != 2 * len(lines):
        raise ValueError("a header holds a line break or NUL, which would forge another header")
    return head
