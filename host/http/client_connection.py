"""One connection: a request goes out, its response comes in, then the next.

The task that makes the request does both. A second task exists only while a body is being uploaded that the socket does
not take at once, to notice a server that answers before it has heard everything (RFC 9112 section 9.5). Reading happens
only when the reader of the body asks, so that a slow reader slows the server down.

An exchange that is cancelled or fails leaves the connection in an unknown place: its owner must `abandon` it.
"""

import contextlib
import math
from collections.abc import AsyncIterator
from typing import Any

import httpx
import trio

from host.http.client_clocks import Timer
from host.http.client_connect import Connector, Origin
from host.http.client_pool import Pool
from host.http.client_request import LAST_CHUNK, EncodedRequest, frame_chunk
from host.http.client_response import ResponseParser
from host.http.client_wire import LOST, RaggedEof, Wire, reason_of

# A body up to this size goes out in one piece with the headers; copying it costs less than a second system call.
_JOINED_BYTES_MAX = 65536
# Reads in a row that found data waiting before other tasks get their turn.
_READS_PER_TURN = 16
# A server's idle limit counts from its last byte, ours from its arrival: be gone this much earlier.
_IDLE_MARGIN_S = 1.0


class _SendFailed(Exception):
    """The connection was lost while sending; `_write_error` has the loss."""


class Connection:
    """A slot of the pool, with a wire once it has been opened.

    Lent to one request at a time. `parser` holds the response that `exchange` received.
    """

    __slots__ = (
        "_closes",
        "_is_sent",
        "_opening",
        "_pool",
        "_read_error",
        "_reads",
        "_sent_bytes",
        "_wire",
        "_write_error",
        "expires_at",
        "is_closed",
        "origin",
        "parser",
        "served",
    )

    def __init__(self, origin: Origin, pool: "Pool[Connection]", header_bytes_max: int) -> None:
        self.origin = origin
        self.expires_at = math.inf
        self.parser = ResponseParser(header_bytes_max)
        self.served = 0
        self.is_closed = self._closes = self._is_sent = False
        self._pool = pool
        self._wire: Wire | None = None
        self._opening: trio.CancelScope | None = None
        self._reads = 0
        self._sent_bytes = 0
        self._read_error: BaseException | None = None
        self._write_error: BaseException | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a wire to the peer."""
        return self._wire is not None

    async def open(self, connector: Connector, timer: Timer) -> None:
        """Connect.

        Raises:
            httpx.ConnectTimeout, httpx.ConnectError: Nothing has been sent.

        A cancellation leaves no socket open.
        """
        seconds = timer.clocks.connect_s
        with trio.CancelScope(deadline=timer.deadline(seconds)) as scope:
            self._opening = scope
            try:
                self._wire = await connector.open(self.origin)
            finally:
                self._opening = None
        if self.is_closed:
            self._close_wire()
            raise httpx.ConnectError("The transport is closed")
        if scope.cancelled_caught:
            raise timer.expired(httpx.ConnectTimeout, "connect", seconds, f"connecting to {self.origin}")

    async def exchange(self, request: EncodedRequest, timer: Timer) -> None:
        """Send a request and receive the response up to the end of its header section; `parser` has it then.

        Raises:
            httpx.WriteTimeout, httpx.ReadTimeout: A clock ran out.
            httpx.WriteError, httpx.ReadError: The connection was lost.
            httpx.RemoteProtocolError: The peer broke HTTP, or hung up.
            httpx.LocalProtocolError: The body had another length than the headers declared.
            Exception: Whatever the stream of the body raises.
        """
        wire = self._wire
        assert wire is not None, "open the connection first"
        self.parser.begin(is_head=request.is_head)
        self._closes = request.closes
        self._is_sent = False
        self._read_error = self._write_error = None
        body = request.body
        first, rest = request.head, None
        if body is not None:
            if len(body) <= _JOINED_BYTES_MAX:
                first += body
            else:
                rest = memoryview(body)
        try:
            self._sent_bytes = wire.send_now(first)
        except LOST as error:
            self._sent_bytes = 0
            self._write_error = error
        else:
            more = rest is not None or request.stream is not None
            if not more and self._sent_bytes == len(first):
                self._is_sent = True
            else:
                left = memoryview(first)[self._sent_bytes :]
                await (
                    self._upload(left, rest, request, timer)
                    if more or not wire.is_tls
                    else self._send_head(left, timer)
                )
        await self._receive_head(timer)

    def died_idle(self, request: EncodedRequest) -> bool:
        """Whether the exchange that just failed may be made once more, on a new connection, without asking the caller.

        A server may close a connection that lies idle at any time, also while a request is on its way to it. That is
        taken to have happened when the connection had served before and not one byte of response came. The request
        may then be repeated if its body is still there and either nothing of it was sent, or repeating it does no
        harm: its method is idempotent or it has an Idempotency-Key (RFC 9112 section 9.3.1, RFC 9110 section 9.2.2).
        """
        if not self.served or self.parser.received_bytes or not request.is_replayable:
            return False
        return request.is_idempotent or not self._sent_bytes

    async def receive_body(self, timer: Timer) -> bytes:
        """The next bytes of the body as they arrive, b"" after the last. Ends the exchange by itself at its end.

        Raises:
            httpx.ReadTimeout: `between_chunks` or `total` ran out.
            httpx.ReadError, httpx.RemoteProtocolError: The body is not whole.
        """
        parser = self.parser
        while not parser.parts:
            if parser.complete:
                return b""
            if parser.fault:
                raise self._failure()
            await self._receive_more(timer)
            if parser.complete:
                data = parser.take()  # type: ignore[unreachable]  # mypy cannot see that receiving feeds the parser
                self.finish()
                return data
        return parser.take()

    def finish(self) -> None:
        """The response is complete: give the connection back, for another request if both sides want that."""
        self.served += 1
        parser = self.parser
        if parser.keep_alive and self._is_sent and not self._closes:
            hint = parser.idle_hint_s
            self._pool.release(self, None if hint is None else hint - _IDLE_MARGIN_S)
        else:
            self.abandon()

    def abandon(self) -> None:
        """Close the connection and give its slot back."""
        self.close()
        self._pool.discard(self)

    def reset(self) -> None:
        """Close the wire and keep the slot: `open` makes a new connection of it."""
        self._close_wire()
        self.served = 0
        self.parser.close()

    def close(self) -> None:
        """Close at once; an exchange under way fails. The slot stays with its owner."""
        self.is_closed = True
        self._close_wire()
        self.parser.close()
        if self._opening is not None:
            self._opening.cancel()

    def is_dead(self) -> bool:
        """Whether an idle connection is of no more use: the peer has closed it, or says what nobody asked."""
        return self._wire is None or self._wire.is_readable()

    async def has_surplus(self) -> bool:
        """Whether bytes lie in the wire before a request has been sent. A checkpoint on TLS only."""
        return self._wire is not None and await self._wire.has_surplus()

    def get_extra_info(self, name: str) -> Any:
        """For `response.extensions["network_stream"]`: client_addr, server_addr, socket, ssl_object; else None."""
        return self._wire.extra_info(name) if self._wire is not None else None

    def _close_wire(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    async def _upload(self, first: memoryview, rest: memoryview | None, request: EncodedRequest, timer: Timer) -> None:
        """Send what the socket did not take at once, listening meanwhile.

        A response with an error or a redirect ends the upload: the connection is not used again and the response is
        delivered (RFC 9110 section 10.1.1 lets a client stop there). After an early 2xx the rest is still sent.
        """
        failure: BaseException | None = None
        async with trio.open_nursery() as nursery:
            scope = nursery.cancel_scope
            scope.deadline = timer.total_at
            nursery.start_soon(self._listen, scope)
            try:
                await self._send(first, timer)
                if rest is not None:
                    await self._send(rest, timer)
                if request.stream is not None:
                    await self._send_stream(request.stream, request.length, timer)
                self._is_sent = True
            except _SendFailed:
                pass  # a response may have come before the loss
            except trio.Cancelled:
                raise
            except BaseException as error:
                failure = error
            scope.cancel()
        if failure is not None:
            raise failure
        parser = self.parser
        if not (self._is_sent or self._write_error or parser.head_complete or parser.fault):
            raise timer.expired(httpx.WriteTimeout, "total", None, "sending the request")

    async def _send_head(self, data: memoryview, timer: Timer) -> None:
        """Send a little over TLS, which the socket below has room for: nobody listens meanwhile."""
        with contextlib.suppress(_SendFailed):
            await self._send(data, timer)
            self._is_sent = True

    async def _listen(self, upload: trio.CancelScope) -> None:
        parser = self.parser
        while not (parser.head_complete or parser.fault):
            await self._receive()
        if parser.fault or parser.status >= 300:
            upload.cancel()

    async def _send(self, data: bytes | memoryview, timer: Timer) -> None:
        seconds = timer.clocks.write_s
        left = memoryview(data)
        while left:
            try:
                sent = self._wire.send_now(left) if self._wire is not None else 0
                if not sent:
                    with trio.CancelScope(deadline=timer.deadline(seconds)) as scope:
                        sent = await self._send_some(left)
                    if scope.cancelled_caught:
                        raise timer.expired(httpx.WriteTimeout, "write", seconds, "sending the request")
            except LOST as error:
                self._write_error = error
                raise _SendFailed from error
            self._sent_bytes += sent
            left = left[sent:]
            if left:
                await trio.lowlevel.checkpoint()  # a peer that takes all at once must not keep other tasks waiting

    async def _send_some(self, data: memoryview) -> int:
        if self._wire is None:
            raise trio.ClosedResourceError("The transport is closed")
        return await self._wire.send_some(data)

    async def _send_stream(self, stream: httpx.AsyncByteStream, length: int | None, timer: Timer) -> None:
        count = 0
        parts: AsyncIterator[bytes] = stream.__aiter__()
        try:
            async for part in parts:
                count += len(part)
                if length is not None and count > length:
                    raise httpx.LocalProtocolError(f"The body is longer than the {length} bytes that it declares")
                if part:
                    await self._send(part if length is not None else frame_chunk(part), timer)
                await trio.lowlevel.checkpoint()  # neither a ready socket nor a ready body waits for anything
        finally:
            close = getattr(parts, "aclose", None)
            if close is not None:
                await close()
        if length is None:
            await self._send(LAST_CHUNK, timer)
        elif count < length:
            raise httpx.LocalProtocolError(f"The body has {count} bytes, the headers declare {length}")

    async def _receive_head(self, timer: Timer) -> None:
        parser = self.parser
        if not (parser.head_complete or parser.fault):
            seconds = timer.clocks.first_byte_s
            deadline = timer.deadline(seconds)
            try:
                while not (parser.head_complete or parser.fault):
                    await self._receive(deadline)
            except trio.TooSlowError:
                raise timer.expired(httpx.ReadTimeout, "first_byte", seconds, "waiting for the response") from None
        if not parser.head_complete:
            raise self._failure()

    async def _receive_more(self, timer: Timer) -> None:
        wire = self._wire
        if wire is not None and wire.may_have_bytes:
            try:
                data = wire.receive_now()
            except LOST as error:
                self._note_loss(error)
                return
            if data is not None:
                await self._take_turn(timer)
                self._feed(data)
                return
        seconds = timer.clocks.between_chunks_s
        try:
            await self._receive(timer.deadline(seconds))
        except trio.TooSlowError:
            waiting = "waiting for more of the body"
            raise timer.expired(httpx.ReadTimeout, "between_chunks", seconds, waiting) from None

    async def _take_turn(self, timer: Timer) -> None:
        """What waiting would have done: let others run now and then, notice a cancellation and the total's end."""
        self._reads += 1
        if self._reads % _READS_PER_TURN:
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            await trio.lowlevel.checkpoint()
        if timer.total_at != math.inf and trio.current_time() >= timer.total_at:
            raise timer.expired(httpx.ReadTimeout, "total", None, "receiving the body")

    async def _receive(self, deadline: float = math.inf) -> None:
        wire = self._wire
        if wire is None:
            self._note_loss(trio.ClosedResourceError("The transport is closed"))
            return
        try:
            data = await wire.receive(deadline)
        except RaggedEof:
            self.parser.feed_reset("TLS ended without close_notify: the response may have been cut.")
        except LOST as error:
            self._note_loss(error)
        else:
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        if self.is_closed:
            self._note_loss(trio.ClosedResourceError("The transport is closed"))
        elif data:
            self.parser.feed(data)
        else:
            self.parser.feed_eof()

    def _note_loss(self, error: BaseException) -> None:
        self._read_error = error
        self.parser.feed_reset(reason_of(error))

    def _failure(self) -> httpx.TransportError:
        """Why there is no response, or no more of it, as httpx calls it."""
        parser = self.parser
        error: httpx.TransportError
        if self._write_error is not None and not parser.received_bytes:
            error = httpx.WriteError(f"Connection to {self.origin} lost while sending: {reason_of(self._write_error)}")
            error.__cause__ = self._write_error
        elif self._read_error is not None:
            error = httpx.ReadError(f"Connection to {self.origin} lost: {reason_of(self._read_error)}")
            error.__cause__ = self._read_error
        else:
            error = httpx.RemoteProtocolError(parser.fault)
        return error
