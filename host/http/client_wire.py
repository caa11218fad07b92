"""What carries the bytes of a connection: a bare socket, or Trio's TLS over one.

A bare socket is driven with `trio.lowlevel` waits rather than through `trio.SocketStream`, whose every call is a
checkpoint, even when the data is there; where a `ReadWatch` runs, its reader waits for that. Closing is synchronous for
both kinds, so that a cancelled exchange can always let go of its socket.
"""

import math
import select
import socket
import ssl
from typing import Any, ClassVar, Protocol, cast

import outcome
import trio

from host.http.client_watch import ReadWatch

# One read; also what a response may hold in memory before its reader takes it.
READ_BYTES = 65536
# One TLS write: encrypting happens before sending, so a large body goes piece by piece.
_TLS_WRITE_BYTES = 65536

# What a lost connection looks like, from either kind of wire.
LOST = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


def reason_of(error: BaseException) -> str:
    """The cause of an error of a wire in words: Trio itself says no more than that something failed."""
    cause = error.__cause__ or error
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    return str(cause) or type(cause).__name__


class RaggedEof(Exception):
    """TLS ended without close_notify: somebody may have cut the stream (RFC 9112 section 9.8)."""


class Wire(Protocol):
    """A connected byte stream. One task may send while another receives."""

    is_tls: ClassVar[bool]

    def send_now(self, data: bytes | memoryview) -> int:
        """Hand over what goes without waiting; the number of bytes taken, 0 for none. Raises `LOST`."""

    async def send_some(self, data: bytes | memoryview) -> int:
        """Wait until some bytes are taken; how many. Raises `LOST`. Cancelled: unknown how many, close the wire."""

    @property
    def may_have_bytes(self) -> bool:
        """Whether `receive_now` is worth its call."""

    def receive_now(self) -> bytes | None:
        """Bytes that are there already; None when there are none; b"" at the end. Raises `LOST`."""

    async def receive(self, deadline: float = math.inf) -> bytes:
        """Wait for bytes; b"" at the end. Raises `LOST`, `RaggedEof`, and `trio.TooSlowError` when the deadline came
        first. A cancellation loses nothing.
        """

    def is_readable(self) -> bool:
        """Whether something has come, or the end: an idle connection on which it has is of no more use."""

    async def has_surplus(self) -> bool:
        """Whether decrypted bytes, or the end, wait inside the wire where `is_readable` cannot see them."""

    def close(self) -> None:
        """Close at once; whoever waits on the wire gets one of `LOST`. May be called again."""

    def extra_info(self, name: str) -> Any:
        """httpx's `network_stream.get_extra_info`: client_addr, server_addr, socket, ssl_object; else None."""


class PlainWire:
    """TCP or a unix socket. One task may receive at a time."""

    __slots__ = (
        "_deadline",
        "_has_ended",
        "_is_watched",
        "_number",
        "_poll",
        "_reader",
        "_sock",
        "_watch",
        "may_have_bytes",
    )
    is_tls: ClassVar[bool] = False

    def __init__(self, stream: trio.SocketStream, watch: ReadWatch) -> None:
        """Takes the socket over from `stream`, which must not be used again."""
        self._sock = socket.socket(fileno=stream.socket.detach())
        self._sock.setblocking(False)
        self._number = self._sock.fileno()
        self._poll = _poll_for_input(self._sock)
        self.may_have_bytes = self._has_ended = False
        self._reader: trio.lowlevel.Task | None = None
        self._deadline = math.inf
        self._watch = watch
        self._is_watched = watch.add(self._number, self)

    def send_now(self, data: bytes | memoryview) -> int:
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0

    async def send_some(self, data: bytes | memoryview) -> int:
        while True:
            await trio.lowlevel.wait_writable(self._sock)
            if sent := self.send_now(data):
                return sent

    def receive_now(self) -> bytes | None:
        try:
            data = self._sock.recv(READ_BYTES)
        except BlockingIOError:
            self.may_have_bytes = False
            return None
        # A short read has emptied the socket (epoll(7)): what comes later is news again, but for the end.
        self.may_have_bytes = self._has_ended or len(data) == READ_BYTES
        return data

    async def receive(self, deadline: float = math.inf) -> bytes:
        while True:
            if self._is_watched:
                if not self.may_have_bytes:
                    if self._reader is not None:
                        raise trio.BusyResourceError("another task receives from this connection")
                    self._reader = trio.lowlevel.current_task()
                    self._deadline = deadline
                    await trio.lowlevel.wait_task_rescheduled(self._forget_reader)
            elif deadline == math.inf:
                await trio.lowlevel.wait_readable(self._sock)
            else:
                with trio.CancelScope(deadline=deadline) as scope:
                    await trio.lowlevel.wait_readable(self._sock)
                if scope.cancelled_caught:
                    raise trio.TooSlowError
            data = self.receive_now()
            if data is not None:
                return data

    def is_readable(self) -> bool:
        return bool(self._poll.poll(0))

    async def has_surplus(self) -> bool:
        return False

    def close(self) -> None:
        if self._sock.fileno() >= 0:
            if self._is_watched:
                self._watch.discard(self._number)
                self._wake(outcome.Error(trio.ClosedResourceError("this connection was closed")))
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()

    def extra_info(self, name: str) -> Any:
        return None if name == "ssl_object" else _socket_info(self._sock, name)

    # As its watch sees it.

    def note(self, *, has_ended: bool) -> None:
        self.may_have_bytes = True
        if has_ended:
            self._has_ended = True
        self._wake()

    def expire(self, now_s: float) -> None:
        if now_s >= self._deadline:
            self._wake(outcome.Error(trio.TooSlowError()))

    def unwatch(self) -> None:
        self._is_watched = False
        self._wake()

    def _wake(self, result: "outcome.Outcome[None] | None" = None) -> None:
        reader = self._reader
        if reader is not None:
            self._reader, self._deadline = None, math.inf
            if result is None:
                trio.lowlevel.reschedule(reader)
            else:
                trio.lowlevel.reschedule(reader, result)

    def _forget_reader(self, _: object) -> trio.lowlevel.Abort:
        self._reader, self._deadline = None, math.inf
        return trio.lowlevel.Abort.SUCCEEDED


class TlsWire:
    """TLS by `trio.SSLStream`; the handshake is done."""

    __slots__ = ("_poll", "_stream", "_transport")
    is_tls: ClassVar[bool] = True

    def __init__(self, stream: "trio.SSLStream[NotingStream]") -> None:
        self._stream = stream
        self._transport = stream.transport_stream
        self._poll = _poll_for_input(self._transport.socket)

    def send_now(self, data: bytes | memoryview) -> int:
        return 0

    async def send_some(self, data: bytes | memoryview) -> int:
        piece = data[:_TLS_WRITE_BYTES]
        await self._stream.send_all(piece)
        return len(piece)

    @property
    def may_have_bytes(self) -> bool:
        return False

    def receive_now(self) -> bytes | None:
        return None

    async def receive(self, deadline: float = math.inf) -> bytes:
        try:
            with trio.fail_at(deadline):
                data = await self._stream.receive_some(READ_BYTES)
        except trio.BrokenResourceError as error:
            if isinstance(error.__cause__, ssl.SSLEOFError):
                raise RaggedEof from error
            raise
        # A context with OP_IGNORE_UNEXPECTED_EOF makes a cut stream look like a closed one; but after a close_notify
        # the TLS layer has no reason to read on to the end of the socket.
        if not data and self._transport.has_ended:
            raise RaggedEof
        return bytes(data)

    def is_readable(self) -> bool:
        return bool(self._poll.poll(0))

    async def has_surplus(self) -> bool:
        """Reads with the socket held shut: what comes was inside already. Surplus bytes are lost; close the wire."""
        self._transport.is_shut = True
        try:
            await self._stream.receive_some(1)
        except _WouldWait:
            return False
        except LOST:
            return True
        finally:
            self._transport.is_shut = False
        return True

    def close(self) -> None:
        self._transport.socket.close()

    def extra_info(self, name: str) -> Any:
        return self._stream._ssl_object if name == "ssl_object" else _socket_info(self._transport.socket, name)


class _WouldWait(Exception):
    """TLS asked for more bytes from a socket that is held shut."""


class NotingStream(trio.abc.Stream):
    """The stream under TLS. Notes the end of the socket, and can be held shut to see what TLS has inside."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self.socket = stream.socket
        self.has_ended = False
        self.is_shut = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self.is_shut:
            raise _WouldWait
        data = await self._stream.receive_some(READ_BYTES)
        if not data:
            self.has_ended = True
        return bytes(data)

    async def aclose(self) -> None:
        self.socket.close()


class _Poll(Protocol):
    def poll(self, timeout: float) -> list[Any]: ...


class _SelectPoll:
    """`select.poll` where there is none."""

    def __init__(self, sock: "socket.socket | trio.socket.SocketType") -> None:
        self._sock = sock

    def poll(self, timeout: float) -> list[Any]:
        if self._sock.fileno() < 0:
            return [self._sock]
        return select.select([self._sock.fileno()], [], [], timeout)[0]


def _poll_for_input(sock: "socket.socket | trio.socket.SocketType") -> _Poll:
    if not hasattr(select, "poll"):
        return _SelectPoll(sock)
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return cast(_Poll, poll)


def _socket_info(sock: "socket.socket | trio.socket.SocketType", name: str) -> Any:
    if name == "socket":
        return sock
    if sock.fileno() < 0:
        return None
    if name == "client_addr":
        return sock.getsockname()
    if name == "server_addr":
        return sock.getpeername()
    return None
