"""WebSockets for authors of apps: messages in, frames out, and frames that are built once for many sockets.

ASGI's own messages work as everywhere; what is here is for boards and feeds, where one message goes to hundreds.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import trio

from host.descriptors import Message, Receive, Scope, Send, WebSocketPolicy
from host.http.lane.frames import BINARY, TEXT, encode_frame

# What waits to be sent to one WebSocket, on an engine that keeps no line of its own, unless its mount says otherwise.
HIGH_WATER_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class WebSocketFrame:
    """A message in the form in which it is sent: build it once, send it to as many sockets as you like.

    `kind` is a word of yours for what a mount's policy may drop ("cursor", "presence"), "" for what it may not.
    """

    payload: str | bytes
    encoded: bytes
    kind: str = ""

    @classmethod
    def text(cls, payload: str, kind: str = "") -> "WebSocketFrame":
        """A text message."""
        return cls(payload, encode_frame(TEXT, payload.encode()), kind)

    @classmethod
    def binary(cls, payload: bytes, kind: str = "") -> "WebSocketFrame":
        """A binary message."""
        return cls(payload, encode_frame(BINARY, payload), kind)


class WebSocketClosed(Exception):
    """The peer has left, or either side has closed; `code` says how (RFC 6455 §7.4)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the WebSocket was closed with {code}" + (f": {reason}" if reason else ""))
        self.code = code
        self.reason = reason


class WebSocket:
    """One WebSocket: `async with WebSocket(scope, receive, send) as socket: async for message in socket: ...`.

    Entering accepts the handshake; leaving the block closes with 1000, or with 1011 after an exception. Iteration ends
    when the peer leaves or closes, or the host drains (the peer gets 1012). Afterwards `close_code` says how it ended.

    `send` and `send_nowait` keep their order, whichever tasks they are called by. What happens when the peer takes
    less than it is sent is the mount's `WebSocketPolicy`. On the native engine they cost next to nothing for each
    socket; on another engine a task of this block does the sending.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        subprotocol: str | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        self.scope = scope
        self.close_code: int | None = None
        self._receive = receive
        self._send = send
        self._accept: Message = {"type": "websocket.accept", "subprotocol": subprotocol, "headers": list(headers)}
        self._extension: dict[str, Any] | None = (scope.get("extensions") or {}).get("quartet.websocket")
        self._line: _Line | None = None

    async def __aenter__(self) -> "WebSocket":
        message = await self._receive()
        if message["type"] != "websocket.connect":
            self._note_end(message)
        await self._send(self._accept)
        if self._extension is None:
            self._line = _Line(self._send, self.scope.get("quartet.websocket") or WebSocketPolicy())
            await self._line.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None or isinstance(error, Exception):
                await self.close(1000 if error is None else 1011)
        finally:
            if self._line is not None:
                await self._line.__aexit__(kind, error, trace)

    def __aiter__(self) -> Self:
        # No generator: the handler may leave its loop by an exception, and nobody would end the generator then.
        return self

    async def __anext__(self) -> str | bytes:
        try:
            return await self.receive()
        except WebSocketClosed:
            raise StopAsyncIteration from None

    async def receive(self) -> str | bytes:
        """The next message. Raises `WebSocketClosed` once there will be none."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._note_end(message)
            raise WebSocketClosed(message.get("code") or 1005, message.get("reason") or "")
        text: str | None = message.get("text")
        return text if text is not None else bytes(message["bytes"])

    async def send(self, frame: WebSocketFrame | str | bytes) -> None:
        """Send a message; waits while the line is full, when that is the policy. After the end it does nothing.

        A cancellation leaves the message sent whole, in its place, or not at all.
        """
        if self._extension is not None:
            if isinstance(frame, WebSocketFrame):
                await self._extension["send"](frame.encoded, frame.kind)
            else:
                await self._send(_message(frame))
        elif self._line is not None:
            await self._line.send(_framed(frame))

    def send_nowait(self, frame: WebSocketFrame | str | bytes) -> bool:
        """Put a message in line, without waiting; whether it will be sent if the socket stays open.

        Raises:
            trio.WouldBlock: the line is full and the mount's policy is "wait".
        """
        frame = _framed(frame)
        if self._extension is not None:
            return bool(self._extension["send_nowait"](frame.encoded, frame.kind))
        return self._line is not None and self._line.send_nowait(frame)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close after what is in line; does nothing when the socket is closed already."""
        if self.close_code is None:
            self.close_code = code
            if self._line is not None:
                await self._line.finish()
            await self._send({"type": "websocket.close", "code": code, "reason": reason})

    def _note_end(self, message: Message) -> None:
        self.close_code = self.close_code or message.get("code") or 1005


class _Line:
    """The line of one WebSocket on an engine that has none: bounded, with one task that sends."""

    def __init__(self, send: Send, policy: WebSocketPolicy) -> None:
        self._send = send
        self._policy = policy
        self._high_water_bytes = policy.high_water_bytes or HIGH_WATER_BYTES
        self._frames: deque[WebSocketFrame] = deque()
        self._bytes = 0
        self._is_open = True
        self._has_overflowed = False
        self._changed = trio.Event()

    async def __aenter__(self) -> None:
        self._manager = trio.open_nursery()
        self._nursery = await self._manager.__aenter__()
        self._nursery.start_soon(self._run)

    async def __aexit__(self, *error: Any) -> None:
        self._is_open = False
        self._nursery.cancel_scope.cancel(reason="the WebSocket's block has ended")
        # The error goes its own way: closing the nursery around it would wrap it.
        await self._manager.__aexit__(None, None, None)

    async def send(self, frame: WebSocketFrame) -> None:
        while self._policy.when_full == "wait" and self._is_open and self._is_full(frame):
            await self._changed.wait()
        self.send_nowait(frame)
        await trio.lowlevel.checkpoint()

    def send_nowait(self, frame: WebSocketFrame) -> bool:
        if not self._is_open or (self._is_full(frame) and not self._make_room(frame)):
            return False
        self._frames.append(frame)
        self._bytes += len(frame.encoded)
        self._tell()
        return True

    async def finish(self) -> None:
        """Wait until the line is empty."""
        self._is_open = False
        while self._frames:
            await self._changed.wait()

    def _is_full(self, frame: WebSocketFrame) -> bool:
        return bool(self._frames) and self._bytes + len(frame.encoded) > self._high_water_bytes

    def _make_room(self, frame: WebSocketFrame) -> bool:
        policy = self._policy
        if policy.when_full == "wait":
            raise trio.WouldBlock
        if policy.when_full == "drop_oldest":
            kept: deque[WebSocketFrame] = deque()
            while self._frames and self._bytes > self._high_water_bytes // 2:
                oldest = self._frames.popleft()
                if oldest.kind in policy.droppable:
                    self._bytes -= len(oldest.encoded)
                else:
                    kept.append(oldest)
            kept.extend(self._frames)
            self._frames = kept
            if not self._is_full(frame):
                return True
        self._frames.clear()
        self._bytes = 0
        self._is_open = False
        self._has_overflowed = True
        self._tell()
        return False

    async def _run(self) -> None:
        while self._is_open or self._frames:
            if not self._frames:
                await self._changed.wait()
                continue
            frame = self._frames[0]
            await self._send(_message(frame.payload))
            if self._frames and self._frames[0] is frame:
                self._frames.popleft()
                self._bytes -= len(frame.encoded)
            self._tell()
        if self._has_overflowed:
            await self._send({"type": "websocket.close", "code": self._policy.close_code, "reason": "too slow"})

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


def _framed(frame: WebSocketFrame | str | bytes) -> WebSocketFrame:
    if isinstance(frame, WebSocketFrame):
        return frame
    return WebSocketFrame.text(frame) if isinstance(frame, str) else WebSocketFrame.binary(frame)


def _message(payload: WebSocketFrame | str | bytes) -> Message:
    if isinstance(payload, WebSocketFrame):
        payload = payload.payload
    return {"type": "websocket.send", "text" if isinstance(payload, str) else "bytes": payload}
