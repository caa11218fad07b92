"""One WebSocket (RFC 6455): handshake, messages both ways, pings, the close handshake.

The app runs in the connection's task; one task beside it reads, since pings and closes come unasked. Nobody writes but
by the queue: `write_out` hands over as much of it as goes in one call. The engine's flusher calls it for all sockets
that were sent something, and only while a peer is slow does a socket have a task that waits for it.
"""

import base64
import binascii
import hashlib
import math
import socket
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import structlog
import trio
from websockets.exceptions import InvalidHeader, NegotiationError
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import Frame as DeflateFrame
from websockets.frames import Opcode
from websockets.headers import build_extension, parse_extension
from websockets.typing import ExtensionName

from host.descriptors import Message, Scope, WebSocketPolicy
from host.http.lane.frames import (
    ABNORMAL,
    BINARY,
    CLOSE,
    CRASHED,
    NORMAL,
    PING,
    PONG,
    RESTART,
    TEXT,
    FrameError,
    MessageReader,
    decode_close,
    encode_close,
    encode_frame,
)
from host.http.lane.request import Refusal, Request
from host.http.lane.response import Exchange
from host.http.lane.shared import run_guarded
from host.http.limits import KIB

if TYPE_CHECKING:
    from host.http.lane.http1 import Connection

log: structlog.stdlib.BoundLogger = structlog.get_logger("quartet.http")

# RFC 6455 §1.3.
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
# How long an app may work on after it read that its peer is gone.
LEAVE_S = 2.0
# What is handed to the kernel at a time; what stays in the queue may still be dropped by the policy.
WRITE_BYTES_MAX = 128 * KIB
# Sends that went at once before others get their turn.
_SENDS_PER_TURN = 32

_DEFLATE = ServerPerMessageDeflateFactory(
    server_max_window_bits=12, client_max_window_bits=12, compress_settings={"memLevel": 5}
)
_DEFAULT_POLICY = WebSocketPolicy()

State = Literal["handshake", "open", "closing", "closed"]


class WebSocket:
    """A WebSocket from its handshake to its end. `run` is the connection's task; `receive` and `send` are ASGI's.

    `send_nowait` and `send_frame` are the extension `quartet.websocket`: they take the bytes of frames built by
    `host.api.WebSocketFrame`. May be called by any task.
    """

    def __init__(self, connection: "Connection", scope: Scope, request: Request, rest: bytes) -> None:
        limits = connection.shared.limits
        self._connection = connection
        self._shared = connection.shared
        self._wire = connection.wire
        self._scope = scope
        self._request = request
        self._rest = rest
        self._state: State = "handshake"
        self._disconnect: Message | None = None
        self._denial: Exchange | None = None
        self._nursery: trio.Nursery
        self._policy = _DEFAULT_POLICY
        self._deflate: PerMessageDeflate | None = None
        self._is_announced = False
        self._inbox: deque[Message] = deque()
        self._inbox_bytes = 0
        self._inbox_max = limits.receive_queue_messages
        self._inbox_bytes_max = limits.websocket_message_bytes_max
        self._news = trio.Event()
        self._room: trio.Event | None = None
        self._queue: deque[tuple[bytes, str]] = deque()
        self._queued_bytes = 0
        self._high_water_bytes = limits.websocket_queue_bytes_max
        self._lowered: trio.Event | None = None
        self._is_dirty = False
        self._has_writer = False
        self._is_over = False
        self._sends = 0
        self._ended = trio.Event()
        self._ping_at = math.inf
        self._pong_by = math.inf

    async def run(self) -> None:
        """Serve until both sides have ended."""
        refusal = self._refusal()
        if refusal is not None:
            await self._connection.refuse(refusal)
            return
        scope = self._scope
        offered = b",".join(value for name, value in self._request.headers if name == b"sec-websocket-protocol")
        scope["subprotocols"] = [name.strip().decode("latin-1") for name in offered.split(b",") if name.strip()]
        scope["extensions"] = {
            "websocket.http.response": {},
            "quartet.websocket": {"send_nowait": self.send_nowait, "send_frame": self.send_frame},
        }
        self._wire.on_lost = self._lost
        try:
            async with trio.open_nursery() as self._nursery:
                is_done = await run_guarded(self._shared.app, scope, self.receive, self.send)
                await self._finish(crashed=not is_done)
                self._is_over = True
                self._nursery.cancel_scope.cancel(reason="the WebSocket has ended")
        finally:
            self._is_over = True
        await self._connection.linger()

    def tick(self, now_s: float) -> None:
        """The engine's clock: ping, and see whether the last one was answered."""
        if self._state != "open":
            return
        if now_s >= self._pong_by and self._room is None:
            log.info("WebSocket cut: its peer answered no ping", websocket_pong_s=self._shared.limits.websocket_pong_s)
            self._shared.counts.stalled += 1
            self._wire.cut()
        elif now_s >= self._ping_at:
            self._ping_at = now_s + (self._shared.limits.websocket_ping_s or math.inf)
            self._pong_by = min(self._pong_by, now_s + self._shared.limits.websocket_pong_s)
            self._post(encode_frame(PING, b""))

    def expire(self) -> None:
        """The connection's deadline has passed: the peer did not answer our close, or the app does not end."""
        if self._state == "closed":
            self._connection.scope.cancel(reason="the WebSocket has ended")
        else:
            self._end(ABNORMAL)

    def peer_left(self) -> None:
        """The peer has closed its side; what it sent before may still be on its way to the app."""
        if self._state == "handshake":
            self._end(ABNORMAL)
        else:
            self._connection.set_deadline(self._shared.limits.websocket_pong_s)

    def restart(self) -> None:
        """Close with 1012, and have the app read the disconnect without waiting for the peer's consent."""
        if self._state == "open":
            self._close(RESTART, "restarting")
            self._tell({"type": "websocket.disconnect", "code": RESTART, "reason": "restarting"})

    # The app's side.

    async def receive(self) -> Message:
        """ASGI's `receive`. Messages that came before a disconnect are received before it."""
        if not self._is_announced:
            self._is_announced = True
            return {"type": "websocket.connect"}
        while not self._inbox:
            if self._disconnect is not None:
                await trio.lowlevel.checkpoint()
                return self._disconnect
            if self._news.is_set():
                self._news = trio.Event()
            await self._news.wait()
        message = self._inbox.popleft()
        self._inbox_bytes -= _size(message)
        if self._room is not None and len(self._inbox) <= self._inbox_max // 2:
            self._room.set()
        return message

    async def send(self, message: Message) -> None:
        """ASGI's `send`. After the end it does nothing. Raises RuntimeError when messages are out of order."""
        kind = message["type"]
        if kind == "websocket.send" and self._state == "open":
            await self.send_frame(self._encoded(message))
        elif self._state in ("closing", "closed"):
            if self._denial is not None:
                await self._denial.send({**message, "type": kind.removeprefix("websocket.")})
            else:
                await trio.lowlevel.checkpoint()
        elif kind == "websocket.close":
            if self._state == "open":
                self._close(message.get("code") or NORMAL, message.get("reason") or "")
            else:
                await self._deny({"type": "http.response.start", "status": 403, "headers": []})
                await self.send({"type": "websocket.http.response.body"})
        elif kind == "websocket.accept" and self._state == "handshake":
            await self._accept(message)
        elif kind == "websocket.http.response.start" and self._state == "handshake":
            await self._deny({**message, "type": "http.response.start"})
        else:
            raise RuntimeError(f"{kind} does not fit a WebSocket in the state {self._state!r}")

    def send_nowait(self, frame: bytes, kind: str = "") -> bool:
        """Put a frame in line; whether it will be sent. What happens when the line is full is the mount's policy.

        Raises:
            trio.WouldBlock: the line is full, and the policy is to wait.
        """
        if self._state != "open":
            return False
        size = len(frame)
        if self._queued_bytes + size > self._high_water_bytes and self._queue and not self._make_room(size):
            return False
        self._queue.append((frame, kind))
        self._queued_bytes += size
        if not self._is_dirty:
            self._is_dirty = True
            self._shared.flush_soon(self)
        return True

    async def send_frame(self, frame: bytes, kind: str = "") -> None:
        """Send a frame after all that was sent before; waits while the line is full.

        A cancellation leaves the frame in line when it was put there, and otherwise unsent: never a part of it.
        """
        if self._policy.when_full == "wait":
            while self._queue and self._queued_bytes + len(frame) > self._high_water_bytes and self._state == "open":
                self._lowered = self._lowered or trio.Event()
                await self._lowered.wait()
        if self._state == "open" and not self._queue and not self._wire.unsent:
            # There is nothing to send it with.
            self._wire.send_now(frame)
            self._help_writing()
        elif not self.send_nowait(frame, kind):
            await trio.lowlevel.checkpoint()
            return
        self._sends += 1
        if self._wire.unsent or self._sends % _SENDS_PER_TURN == 0:
            await trio.lowlevel.checkpoint()

    def write_out(self) -> None:
        """Hand over to the kernel what it takes of the queue."""
        self._is_dirty = False
        wire, queue = self._wire, self._queue
        while queue and not wire.unsent:
            data = queue.popleft()[0] if len(queue) == 1 else b"".join(self._chunk())
            self._queued_bytes -= len(data)
            wire.send_now(data)
        if self._lowered is not None and self._queued_bytes <= self._high_water_bytes // 2:
            self._lowered.set()
            self._lowered = None
        self._help_writing()
        if self._state == "closed" and self._denial is None and not queue and not wire.unsent:
            wire.end(socket.SHUT_WR)

    def _chunk(self) -> Iterator[bytes]:
        size = 0
        while self._queue and size < WRITE_BYTES_MAX:
            frame = self._queue.popleft()[0]
            size += len(frame)
            yield frame

    def _help_writing(self) -> None:
        """Have a task wait for a peer that did not take everything."""
        if self._wire.unsent and not self._has_writer and not self._is_over:
            self._has_writer = True
            self._nursery.start_soon(self._write_when_possible)

    async def _write_when_possible(self) -> None:
        """The peer is slow: wait for it, until it has caught up."""
        try:
            while self._wire.unsent:
                await self._wire.flush()
                self.write_out()
        finally:
            self._has_writer = False

    def _make_room(self, size: int) -> bool:
        """The line is full: do what the policy says; whether the frame may be put in line now."""
        policy = self._policy
        if policy.when_full == "wait":
            raise trio.WouldBlock
        if policy.when_full == "drop_oldest":
            self._drop(self._high_water_bytes // 2)
            if self._queued_bytes + size <= self._high_water_bytes:
                return True
        self._queue.clear()
        self._queued_bytes = 0
        self._close(policy.close_code, "too slow")
        self._end(policy.close_code)
        return False

    def _drop(self, until_bytes: int) -> None:
        """Take the oldest frames of the droppable kinds out of the line, more than one at a time: it is long."""
        kept: deque[tuple[bytes, str]] = deque()
        while self._queue and self._queued_bytes > until_bytes:
            entry = self._queue.popleft()
            if entry[1] in self._policy.droppable:
                self._queued_bytes -= len(entry[0])
                self._shared.counts.dropped_frames += 1
            else:
                kept.append(entry)
        kept.extend(self._queue)
        self._queue = kept

    def _post(self, frame: bytes) -> None:
        """Put a control frame in line, however full it is: there are few of them, and they are small."""
        self._queue.append((frame, ""))
        self._queued_bytes += len(frame)
        if not self._is_dirty:
            self._is_dirty = True
            self._shared.flush_soon(self)

    def _encoded(self, message: Message) -> bytes:
        text = message.get("text")
        opcode, payload = (TEXT, text.encode()) if text is not None else (BINARY, bytes(message["bytes"]))
        if self._deflate is None:
            return encode_frame(opcode, payload)
        frame = self._deflate.encode(DeflateFrame(Opcode(opcode), payload))
        return encode_frame(opcode, bytes(frame.data), is_compressed=frame.rsv1)

    # The handshake.

    def _refusal(self) -> Refusal | None:
        """What is wrong with the handshake (RFC 6455 §4.2.1)."""
        request = self._request
        headers = dict(request.headers)
        if request.method != "GET" or request.content_length or request.is_chunked:
            return Refusal(400, "a WebSocket begins with a GET without a body")
        if headers.get(b"sec-websocket-version") != b"13":
            return Refusal(426, "only version 13 of WebSocket is spoken", b"sec-websocket-version: 13\r\n")
        try:
            key = base64.b64decode(headers.get(b"sec-websocket-key", b""), validate=True)
        except binascii.Error:
            key = b""
        return None if len(key) == 16 else Refusal(400, "Sec-WebSocket-Key is not 16 bytes in base64")

    async def _accept(self, message: Message) -> None:
        headers = dict(self._request.headers)
        accept = base64.b64encode(hashlib.sha1(headers[b"sec-websocket-key"] + _GUID, usedforsecurity=False).digest())
        self._policy = self._scope.get("quartet.websocket") or _DEFAULT_POLICY
        if self._policy.high_water_bytes is not None:
            self._high_water_bytes = self._policy.high_water_bytes
        lines = [
            self._shared.head_for(101),
            b"upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: %b\r\n" % accept,
        ]
        subprotocol = message.get("subprotocol")
        if subprotocol is not None:
            if subprotocol not in self._scope["subprotocols"]:
                raise ValueError(f"the client did not offer the subprotocol {subprotocol!r}")
            lines.append(b"sec-websocket-protocol: %b\r\n" % subprotocol.encode("latin-1"))
        if self._policy.deflate:
            lines.extend(self._negotiated())
        for name, value in message.get("headers") or ():
            if b"\n" in name + value or b"\r" in name + value or b"\0" in name + value:
                raise ValueError("a header holds a line break or NUL, which would forge another header")
            lines.append(b"%b: %b\r\n" % (name, value))
        self._state = "open"
        limits = self._shared.limits
        self._ping_at = trio.current_time() + (limits.websocket_ping_s or math.inf)
        self._nursery.start_soon(self._read, MessageReader(limits.websocket_message_bytes_max, self._deflate))
        await self._wire.send(b"".join([*lines, b"\r\n"]))
        if self._shared.is_draining:
            self.restart()

    def _negotiated(self) -> Iterator[bytes]:
        """Agree on permessage-deflate (RFC 7692) when the client offers it in a form that we can keep."""
        offers = [value for name, value in self._request.headers if name == b"sec-websocket-extensions"]
        try:
            for extension, params in parse_extension(b", ".join(offers).decode("latin-1")) if offers else ():
                if extension == "permessage-deflate" and self._deflate is None:
                    agreed, self._deflate = _DEFLATE.process_request_params(params, [])
                    answer = build_extension([(ExtensionName(extension), agreed)])
                    yield b"sec-websocket-extensions: %b\r\n" % answer.encode("ascii")
        except (InvalidHeader, NegotiationError):
            return

    async def _deny(self, start: Message) -> None:
        self._denial = Exchange(self._connection, self._request)
        self._denial.keep_alive = False
        self._end(ABNORMAL)
        await self._denial.send(start)

    # The peer's side.

    async def _read(self, reader: MessageReader) -> None:
        try:
            reader.feed(self._rest)
            while True:
                while (event := reader.next()) is not None:
                    self._take(*event)
                    if self._state == "closed":
                        return
                    if len(self._inbox) >= self._inbox_max or self._inbox_bytes >= self._inbox_bytes_max:
                        await self._wait_for_room()
                data = await self._wire.receive()
                self._pong_by = math.inf
                if not data:
                    self._lost()
                    return
                reader.feed(data)
        except FrameError as error:
            self._post(encode_close(error.code, error.reason))
            self._end(error.code, error.reason)

    async def _wait_for_room(self) -> None:
        """The app is behind: its peer has to wait, and need not answer pings that nobody would read."""
        self._room = trio.Event()
        await self._room.wait()
        self._room = None
        self._pong_by = math.inf

    def _take(self, opcode: int, payload: str | bytes) -> None:
        if opcode == PING:
            if self._state == "open":
                self._post(encode_frame(PONG, bytes(payload)))  # type: ignore[arg-type]
        elif opcode == CLOSE:
            code, reason = decode_close(payload)  # type: ignore[arg-type]
            if self._state == "open":
                self._post(encode_close(code))
            self._end(code, reason)
        elif opcode != PONG and self._state == "open":
            self._inbox.append({"type": "websocket.receive", "text" if opcode == TEXT else "bytes": payload})
            self._inbox_bytes += len(payload)
            self._news.set()

    def _close(self, code: int, reason: str) -> None:
        """Begin the close handshake from our side."""
        self._state = "closing"
        self._post(encode_close(code, reason))
        self._connection.set_deadline(self._shared.limits.websocket_close_s)

    def _lost(self) -> None:
        self._end(ABNORMAL)

    def _end(self, code: int, reason: str = "") -> None:
        """Both sides have ended, or the peer is gone: the app reads the disconnect, and has a little time left."""
        if self._state == "closed":
            return
        self._state = "closed"
        self._tell({"type": "websocket.disconnect", "code": code, "reason": reason})
        self._ended.set()
        for waiting in (self._room, self._lowered):
            if waiting is not None:
                waiting.set()
        self._connection.set_deadline(LEAVE_S)
        self._shared.flush_soon(self)

    def _tell(self, disconnect: Message) -> None:
        if self._disconnect is None:
            self._disconnect = disconnect
        self._news.set()

    async def _finish(self, *, crashed: bool) -> None:
        """The app has ended: end what it left open."""
        if self._denial is not None:
            if self._denial.is_complete:
                await self._wire.flush()
            return
        if self._state == "handshake":
            self._state = "closed"
            await self._connection.refuse(Refusal(500, "the app neither accepted nor refused"))
            return
        if self._state == "open":
            self._close(CRASHED if crashed else NORMAL, "")
        await self._ended.wait()
        while (self._queue or self._wire.unsent) and not self._wire.is_lost:
            self.write_out()
            await self._wire.flush()


def _size(message: Message) -> int:
    text: str | None = message.get("text")
    return len(text) if text is not None else len(message["bytes"])
