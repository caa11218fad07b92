"""The apps of one connection under hypercorn's protocols: how they are run, what they receive, how they send.

In place of hypercorn's `TaskGroup`, whose apps can end the server by an exception, and wait for ever for room in their
own queue.
"""

import contextlib
import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
import trio
from hypercorn.config import Config
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream

from host.descriptors import ASGIApp, Message, Scope
from host.http.engine import AnswerAborted
from host.http.hypercorn_websocket import handle_events, run_pings
from host.http.limits import KIB

if TYPE_CHECKING:
    from host.http.hypercorn_connection import Connection

log: structlog.stdlib.BoundLogger = structlog.get_logger("quartet.http")

AppSend = Callable[[Any], Awaitable[None]]

# The write deadline is renewed after each part that was taken.
SEND_PART_BYTES = 64 * KIB


class Apps:
    """The tasks of one connection, in place of hypercorn's `TaskGroup`: no error of an app reaches the nursery."""

    def __init__(self, connection: "Connection", nursery: trio.Nursery) -> None:
        # `SingleTask` of hypercorn reaches for it by this name.
        self._nursery = nursery
        self._connection = connection
        self._shields: set[trio.CancelScope] = set()
        self._ended = trio.Event()
        self.running = 0
        self.has_websocket = False

    def spawn(self, run: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        """Start a task of the connection; hypercorn's protocols and our own code do."""
        self._nursery.start_soon(run, *arguments)

    async def spawn_app(self, app: Any, config: Config, scope: Any, send: AppSend) -> Callable[[Any], Awaitable[None]]:
        """Run the app on one request. Returns what puts messages into its `receive`."""
        inbox = _Inbox(self._connection.shared.limits.receive_queue_messages, scope["type"])
        if scope["type"] == "websocket":
            self.has_websocket = True
            stream = send.__self__  # type: ignore[attr-defined]
            # Hypercorn offers permessage-deflate to all and inflates without a limit (hypercorn#307).
            stream.handshake.extensions = None
            stream._handle_events = partial(handle_events, stream)
            stream._send_pings = partial(run_pings, stream, self._connection)
        if not self.running:
            self._ended = trio.Event()
        self.running += 1
        self._nursery.start_soon(self._run_app, app, scope, inbox, send)
        return inbox.put

    def cancel(self, reason: str) -> None:
        """Cancel everything that runs for this connection."""
        self._nursery.cancel_scope.cancel(reason=reason)
        for shield in self._shields:
            shield.cancel(reason=reason)

    async def wait_ended(self) -> None:
        """Wait until no app runs."""
        if self.running:
            await self._ended.wait()

    async def _run_app(self, app: ASGIApp, scope: Scope, inbox: "_Inbox", send: AppSend) -> None:
        connection = self._connection
        guarded_send = self._guarded(send, is_http2=scope["http_version"] == "2")
        try:
            await app(scope, inbox.receive, guarded_send)
        except* AnswerAborted:
            await connection.reset(send)
        except* Exception:
            log.exception("an error left the app", path=scope["path"])
            await connection.reset(send)
        finally:
            inbox.close()
            self.running -= 1
            if not self.running:
                self._ended.set()
            if not connection.is_broken:
                await self._finish(send)

    async def _finish(self, send: AppSend) -> None:
        """Tell hypercorn that the app has ended; it ends what the app left open."""
        try:
            await send(None)
        except Exception as error:
            # h11 refuses to go on after an answer that broke its rules (hypercorn lets that end the server).
            log.debug("an answer could not be ended", error=repr(error))
            self._connection.end()

    def _guarded(self, send: AppSend, *, is_http2: bool) -> AppSend:
        """What an app is given as `send`.

        Shielded: hypercorn's protocols do several steps for one message, and a cancellation between two of them (an app
        with a deadline of its own) would leave a connection that neither ends nor goes on. It is bounded all the same:
        every write has its deadline, and HTTP/2, whose flow control can stall one stream while the connection
        moves, gets one here, renewed for each part.
        """
        connection = self._connection
        stall_s = connection.shared.limits.write_stall_s if is_http2 else math.inf

        async def guarded_send(message: Message) -> None:
            if connection.is_broken or _is_closed_websocket(send):
                await trio.lowlevel.checkpoint()
                return
            for part in _parts(message) if is_http2 else (message,):
                with trio.CancelScope(shield=True, deadline=trio.current_time() + stall_s) as shield:
                    self._shields.add(shield)
                    try:
                        await send(part)
                    finally:
                        self._shields.discard(shield)
                if shield.cancelled_caught and trio.current_time() >= shield.deadline:
                    connection.shared.counts.stalled += 1
                    raise AnswerAborted("the client stopped reading this stream")

        return guarded_send


class _Inbox:
    """What an app receives, bounded: parts wait for the app to take them, the disconnect waits for nobody."""

    def __init__(self, messages_max: int, kind: str) -> None:
        self._put, self._receive = trio.open_memory_channel[Message](messages_max)
        self._disconnect: Message = {"type": f"{kind}.disconnect"}
        self._is_disconnected = False

    async def put(self, message: Message) -> None:
        """Hand a message on. After the app's end, or a disconnect, nobody wants it any more."""
        if message["type"] == self._disconnect["type"]:
            # It may be the app's own task that ends its answer: were it to wait for room, it would wait for itself.
            if not self._is_disconnected:
                self._is_disconnected, self._disconnect = True, message
            self._put.close()
            return
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._put.send(message)

    async def receive(self) -> Message:
        """The app's `receive`. Once disconnected, it says so as often as it is asked."""
        try:
            return await self._receive.receive()
        except trio.EndOfChannel:
            return self._disconnect

    def close(self) -> None:
        """The app has ended; whoever waits to put something is let go."""
        self._receive.close()


class _Gone:
    """Takes the rest of a request whose answer is complete."""

    idle = True

    async def handle(self, event: Any) -> None:
        await trio.lowlevel.checkpoint()


class Streams(dict[int, Any]):
    """The open streams of an HTTP/2 connection; hypercorn indexes it with those it has closed, too."""

    def __missing__(self, stream_id: int) -> _Gone:
        return _Gone()


def _parts(message: Message) -> list[Message]:
    """Split a long body, so that a deadline for each part means progress, not size."""
    body = message.get("body", b"")
    if message["type"] != "http.response.body" or len(body) <= SEND_PART_BYTES:
        return [message]
    starts = range(0, len(body), SEND_PART_BYTES)
    parts: list[Message] = [
        {"type": "http.response.body", "body": body[start : start + SEND_PART_BYTES], "more_body": True}
        for start in starts
    ]
    parts[-1]["more_body"] = message.get("more_body", False)
    return parts


def _is_closed_websocket(send: AppSend) -> bool:
    """Whether the engine closed this WebSocket already, which its app may not know yet."""
    stream = getattr(send, "__self__", None)
    return isinstance(stream, WSStream) and stream.state is ASGIWebsocketState.CLOSED
