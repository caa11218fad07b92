"""Server-sent events (WHATWG HTML §9.2): one answer that stays open until client, app or drain end it."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any

import trio
from pydantic_core import to_json

from host.asgi.request import header
from host.descriptors import Receive, Scope, Send

# Below the idle time-outs of common proxies (nginx 60 s, AWS 60 s, Heroku 55 s).
HEARTBEAT_S = 15.0
# How long a client told to leave should wait before it comes back.
RETRY_MS = 1000

_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    # Tells nginx not to collect the stream.
    (b"x-accel-buffering", b"no"),
]
_COMMENT = b":\n\n"


def encode_event(data: Any, *, event: str = "", id: str | None = None, retry_ms: int | None = None) -> bytes:
    """One event in the stream's format. `data` that is neither str nor bytes becomes JSON.

    Raises:
        ValueError: `event` or `id` holds a line break or a NUL, which would forge another field.
    """
    for name, value in (("event", event), ("id", id or "")):
        if any(character in value for character in "\r\n\0"):
            raise ValueError(f"the {name} of a server-sent event may not hold line breaks or NUL: {value!r}")
    lines = []
    if event:
        lines.append(b"event: " + event.encode())
    if id is not None:
        lines.append(b"id: " + id.encode())
    if retry_ms is not None:
        lines.append(b"retry: %d" % retry_ms)
    if isinstance(data, str):
        data = data.encode()
    elif not isinstance(data, bytes):
        data = to_json(data, inf_nan_mode="null")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    lines += [b"data: " + line for line in data.split(b"\n")]
    return b"\n".join(lines) + b"\n\n"


class EventStream:
    """A stream of server-sent events: `async with EventStream(scope, receive, send, ctx.draining) as stream:`.

    Entering begins the answer. The block ends early, as if it had returned, once the client leaves (within the loop's
    next turn; what it awaits is cancelled) or when `draining` is set: then the client first gets
    `event: bye` with a `retry` hint, so that it comes back to whoever serves next. After the block `ended_by` says
    "app", "client" or "drain". An exception out of the block passes unchanged, and the answer stays unfinished.

    There is no queue: `send` waits for the client to take the bytes, and the server cuts a client that has stopped
    reading after its `write_stall_s`. A producer that must not wait keeps a bounded channel in front and decides
    there what "full" means. Silence longer than `heartbeat_s` is filled with comments, which also find dead peers.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        draining: trio.Event,
        *,
        heartbeat_s: float = HEARTBEAT_S,
        retry_ms: int = RETRY_MS,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        self.scope = scope
        self.ended_by = ""
        self._receive = receive
        self._send = send
        self._draining = draining
        self._heartbeat_s = heartbeat_s
        self._retry_ms = retry_ms
        self._headers = [*_HEADERS, *headers]
        # Heartbeats and the farewell come from other tasks than the events.
        self._turn = trio.Lock()
        self._last_sent = 0.0

    @property
    def last_event_id(self) -> str:
        """The id of the last event that a returning client has seen, "" for a new one."""
        return (header(self.scope, b"last-event-id") or b"").decode("utf-8", "replace")

    async def send(self, data: Any, *, event: str = "", id: str | None = None) -> None:
        """Send one event; waits while the client is slow. May be called from several tasks.

        A cancellation in the middle leaves it to the engine to finish the event or close the connection: no client
        ever reads half an event and then the next.
        """
        await self._write(encode_event(data, event=event, id=id))

    async def send_encoded(self, events: bytes) -> None:
        """As `send`, of what `encode_event` has made: encoded once, for any number of clients."""
        await self._write(events)

    async def comment(self, text: str = "") -> None:
        """Send a comment, which clients ignore."""
        await self._write(b": " + text.replace("\r", " ").replace("\n", " ").encode() + b"\n\n")

    async def __aenter__(self) -> "EventStream":
        await self._send({"type": "http.response.start", "status": 200, "headers": self._headers})
        # The headers leave with the first bytes of the body; a quiet stream should open at once.
        await self._write(b"retry: %d\n\n" % self._retry_ms)
        self._manager = trio.open_nursery()
        self._nursery = await self._manager.__aenter__()
        self._nursery.start_soon(self._watch_client)
        self._nursery.start_soon(self._keep_alive)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._nursery.cancel_scope.cancel(reason="the block of the event stream has ended")
        if isinstance(error, Exception) and not isinstance(error, BaseExceptionGroup):
            # Closing the nursery around it would wrap the error, and the app could no longer catch it by its type.
            await self._manager.__aexit__(None, None, None)
            return False
        is_absorbed = bool(await self._manager.__aexit__(kind, error, trace))
        if error is None and not self.ended_by:
            self.ended_by = "app"
            await self._send({"type": "http.response.body", "body": b""})
        return is_absorbed

    async def _write(self, data: bytes) -> None:
        # The turn is free as a rule, and then taken without a pass through the scheduler for each event.
        try:
            self._turn.acquire_nowait()
        except trio.WouldBlock:
            await self._turn.acquire()
        try:
            if self.ended_by:
                # The client is gone; the block's cancellation is on its way.
                await trio.lowlevel.checkpoint()
                return
            self._last_sent = trio.current_time()
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
        finally:
            self._turn.release()

    async def _watch_client(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        # An answer that is complete reads as a disconnect too; the farewell is not to be cut by its own end.
        if not self.ended_by:
            self._end("client")

    async def _keep_alive(self) -> None:
        while not self._draining.is_set():
            quiet_s = trio.current_time() - self._last_sent
            if quiet_s >= self._heartbeat_s:
                await self._write(_COMMENT)
                continue
            with trio.move_on_after(self._heartbeat_s - quiet_s):
                await self._draining.wait()
        farewell = encode_event({"reason": "draining"}, event="bye", retry_ms=self._retry_ms)
        async with self._turn:
            if self.ended_by:
                return
            self.ended_by = "drain"
            await self._send({"type": "http.response.body", "body": farewell})
            self._end("drain")

    def _end(self, by: str) -> None:
        self.ended_by = self.ended_by or by
        self._nursery.cancel_scope.cancel(reason=f"event stream ended by the {by}")
