"""One WebSocket (RFC 6455): handshake, messages both ways, pings, the close handshake.

The app runs in the connection's task; one task beside it reads, since pings and closes come unasked.
"""

import base64
import binascii
import math
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import structlog
import trio
from websockets.exceptions import InvalidHeader, NegotiationError
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.headers import build_extension, parse_extension
from websockets.typing import ExtensionName
from websockets.utils import accept_key

from host.descriptors import Message, Scope, WebSocketPolicy
from host.http.lane import frames
from host.http.lane.outbox import Outbox
from host.http.lane.request import Refusal, Request
from host.http.lane.response import Exchange, checked_head
from host.http.lane.shared import run_guarded, status_line

if TYPE_CHECKING:
    from host.http.lane.http1 import Connection

log: structlog.stdlib.BoundLogger = structlog.get_logger("quartet.http")

# How long an app may work on after it could read that its peer is gone.
LEAVE_S = 2.0
_DEFLATE = ServerPerMessageDeflateFactory(
    server_max_window_bits=12, client_max_window_bits=12, compress_settings={"memLevel": 5}
)
_DEFAULT_POLICY = WebSocketPolicy()


class WebSocket:
    """A WebSocket from its handshake to its end. `run` is the connection's task; `receive` and `send` are ASGI's.

    The extension `quartet.websocket` of its scope holds `send_nowait` and `send`, which take the bytes of frames that
    `host.api.WebSocketFrame` built.
    """

    def __init__(self, connection: "Connection", scope: Scope, request: Request, rest: bytes) -> None:
        self._connection = connection
        self._limits = connection.shared.limits
        self._scope = scope
        self._request = request
        self._rest = rest
        self._state: Literal["handshake", "open", "closing", "closed"] = "handshake"
        self._policy = _DEFAULT_POLICY
        self._outbox = Outbox(connection.shared, connection.wire, self._overflow)
        self._deflate: PerMessageDeflate | None = None
        self._denial: Exchange | None = None
        self._nursery: trio.Nursery
        self._has_connected = False
        self._inbox: deque[Message] = deque()
        self._inbox_bytes = 0
        self._news = trio.Event()
        self._room: trio.Event | None = None
        self._disconnect: Message | None = None
        self._ended = trio.Event()
        self._ping_at = self._pong_by = math.inf

    async def run(self) -> None:
        """Serve until both sides have ended."""
        refusal = self._refusal()
        if refusal is not None:
            await self._connection.refuse(refusal)
            return
        self._connection.wire.on_lost = self._lost
        scope = self._scope
        del scope["method"]
        scope["scheme"] = "ws"
        scope["subprotocols"] = [name.decode("latin-1") for name in self._request.values(b"sec-websocket-protocol")]
        sends = {"send_nowait": self._outbox.send_nowait, "send": self._outbox.send}
        scope["extensions"] = {"websocket.http.response": {}, "quartet.websocket": sends}
        async with trio.open_nursery() as self._nursery:
            is_done = await run_guarded(self._connection.shared.app, scope, self.receive, self.send)
            await self._finish(frames.NORMAL if is_done else frames.CRASHED)
            self._outbox.has_ended = True
            self._nursery.cancel_scope.cancel(reason="the WebSocket has ended")
        await self._connection.linger()

    def tick(self, now_s: float) -> None:
        """The engine's clock: ping, and see whether the last one was answered."""
        if self._state != "open":
            return
        if now_s >= self._pong_by and self._connection.wire.holds_bytes:
            # The ping is behind what a slow peer has still to take; whether it takes any, the wire knows.
            self._pong_by = now_s + self._limits.websocket_pong_s
        elif now_s >= self._pong_by and self._room is None:
            log.info("WebSocket cut: its peer answered no ping", websocket_pong_s=self._limits.websocket_pong_s)
            self._connection.shared.counts["silent_connections_total"] += 1
            self._connection.wire.cut()
        elif now_s >= self._ping_at:
            self._ping_at = now_s + (self._limits.websocket_ping_s or math.inf)
            self._pong_by = min(self._pong_by, now_s + self._limits.websocket_pong_s)
            self._outbox.post(frames.encode_frame(frames.PING, b""))

    def expire(self) -> None:
        """The connection's deadline has passed: the peer did not answer our close, or the app does not end."""
        if self._state == "closed":
            self._connection.scope.cancel(reason="the WebSocket has ended")
        else:
            self._lost()

    def peer_left(self) -> None:
        """The peer has closed its side; what it sent before may still be on its way to the app."""
        if self._state == "handshake":
            self._lost()
        elif self._state != "closed":
            self._connection.set_deadline(self._limits.websocket_pong_s)

    def restart(self) -> None:
        """Close with 1012, and have the app read the disconnect without waiting for the peer's consent."""
        if self._state == "open":
            self._close(frames.RESTART, "restarting")
            self._tell(frames.RESTART, "restarting")

    # The app's side.

    async def receive(self) -> Message:
        """ASGI's `receive`. Messages that came before a disconnect are received before it."""
        if not self._has_connected:
            self._has_connected = True
            return {"type": "websocket.connect"}
        while not self._inbox:
            if self._disconnect is not None:
                await trio.lowlevel.checkpoint()
                return self._disconnect
            if self._news.is_set():
                self._news = trio.Event()
            await self._news.wait()
        message = self._inbox.popleft()
        if self._room is not None and not self._inbox:
            self._inbox_bytes = 0
            self._room.set()
        return message

    async def send(self, message: Message) -> None:
        """ASGI's `send`. After the end it does nothing. Raises RuntimeError when messages are out of order."""
        kind, state = message["type"], self._state
        if kind == "websocket.send" and state == "open":
            await self._outbox.send(self._encoded(message))
        elif self._denial is not None:
            await self._denial.send({**message, "type": kind.removeprefix("websocket.")})
        elif state in ("closing", "closed"):
            await trio.lowlevel.checkpoint()
        elif kind == "websocket.accept" and state == "handshake":
            await self._accept(message)
        elif kind == "websocket.close" and state == "open":
            self._close(message.get("code") or frames.NORMAL, message.get("reason") or "")
        elif kind == "websocket.http.response.start" and state == "handshake":
            await self._deny(message["status"], message.get("headers", ()))
        elif kind == "websocket.close":
            await self._deny(403, ())
            await self.send({"type": "websocket.http.response.body"})
        else:
            raise RuntimeError(f"{kind} does not fit a WebSocket in the state {state!r}")

    def _encoded(self, message: Message) -> bytes:
        text = message.get("text")
        opcode, payload = (frames.TEXT, text.encode()) if text is not None else (frames.BINARY, bytes(message["bytes"]))
        if self._deflate is None:
            return frames.encode_frame(opcode, payload)
        frame = self._deflate.encode(Frame(Opcode(opcode), payload))
        return frames.encode_frame(opcode, bytes(frame.data), is_compressed=frame.rsv1)

    # The handshake (RFC 6455 §4.2).

    def _refusal(self) -> Refusal | None:
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
        connection, limits = self._connection, self._limits
        key = dict(self._request.headers)[b"sec-websocket-key"]
        lines = [status_line(101), connection.shared.date_line, b"upgrade: websocket\r\n", b"connection: Upgrade\r\n"]
        lines.append(b"sec-websocket-accept: %b\r\n" % accept_key(key.decode("ascii")).encode("ascii"))
        self._policy = self._scope.get("quartet.websocket") or _DEFAULT_POLICY
        if self._policy.deflate:
            lines.extend(self._agreed_extensions())
        subprotocol = message.get("subprotocol")
        if subprotocol is not None:
            if subprotocol not in self._scope["subprotocols"]:
                raise ValueError(f"the client did not offer the subprotocol {subprotocol!r}")
            lines.append(b"sec-websocket-protocol: %b\r\n" % subprotocol.encode("latin-1"))
        lines.extend(b"%b: %b\r\n" % (name, value) for name, value in message.get("headers") or ())
        head = checked_head([*lines, b"\r\n"])
        self._state = "open"
        self._outbox.open(self._policy, self._nursery)
        self._ping_at = trio.current_time() + (limits.websocket_ping_s or math.inf)
        await connection.wire.send(head)
        self._nursery.start_soon(self._read, frames.MessageReader(limits.websocket_message_bytes_max, self._deflate))
        if connection.shared.is_draining:
            self.restart()

    def _agreed_extensions(self) -> Iterator[bytes]:
        """Agree on permessage-deflate (RFC 7692) when the client offers it in a form that we can keep."""
        offers = b", ".join(self._request.values(b"sec-websocket-extensions")).decode("latin-1")
        for extension, params in parse_extension(offers) if offers else ():
            if extension == "permessage-deflate" and self._deflate is None:
                try:
                    agreed, self._deflate = _DEFLATE.process_request_params(params, [])
                except (InvalidHeader, NegotiationError):
                    continue
                answer = build_extension([(ExtensionName(extension), agreed)])
                yield b"sec-websocket-extensions: %b\r\n" % answer.encode("ascii")

    async def _deny(self, status: int, headers: object) -> None:
        self._denial = Exchange(self._connection, self._request)
        self._denial.keep_alive = False
        self._tell(frames.ABNORMAL)
        await self._denial.send({"type": "http.response.start", "status": status, "headers": headers})

    # The peer's side.

    async def _read(self, reader: frames.MessageReader) -> None:
        try:
            reader.feed(self._rest)
            while True:
                while (event := reader.next()) is not None:
                    self._take(*event)
                    if self._state == "closed":
                        return
                    if (
                        len(self._inbox) >= self._limits.receive_queue_messages
                        or self._inbox_bytes >= self._limits.websocket_message_bytes_max
                    ):
                        await self._wait_for_app()
                data = await self._connection.wire.receive()
                self._pong_by = math.inf
                if not data:
                    self._lost()
                    return
                reader.feed(data)
        except frames.FrameError as error:
            # What came before it is still answered.
            await self._wait_for_app()
            self._outbox.close()
            self._outbox.post(frames.encode_close(error.code, str(error)))
            self._end(error.code, str(error))

    async def _wait_for_app(self) -> None:
        """Wait until the app has taken everything. Its peer waits, too: nobody would read its pongs."""
        if self._inbox and self._state == "open":
            self._room = trio.Event()
            await self._room.wait()
            self._room = None
            self._pong_by = math.inf

    def _take(self, opcode: int, payload: str | bytes) -> None:
        if opcode in (frames.TEXT, frames.BINARY):
            if self._state == "open":
                key = "text" if opcode == frames.TEXT else "bytes"
                self._inbox.append({"type": "websocket.receive", key: payload})
                self._inbox_bytes += len(payload)
                self._news.set()
            return
        assert isinstance(payload, bytes)
        if opcode == frames.CLOSE:
            code, reason = frames.decode_close(payload)
            if self._state == "open":
                self._outbox.post(frames.encode_close(code))
            self._end(code, reason)
        elif opcode == frames.PING and self._state == "open":
            self._outbox.post(frames.encode_frame(frames.PONG, payload))

    # The end.

    def _overflow(self) -> None:
        self._close(self._policy.close_code, "too slow")
        self._end(self._policy.close_code, "too slow")

    def _lost(self) -> None:
        self._end(frames.ABNORMAL, "")

    def _close(self, code: int, reason: str) -> None:
        """Begin the close handshake from our side."""
        self._state = "closing"
        self._outbox.close()
        self._outbox.post(frames.encode_close(code, reason))
        self._connection.set_deadline(self._limits.websocket_close_s)

    def _end(self, code: int, reason: str) -> None:
        """Both sides have ended, or the peer is gone: the app reads the disconnect, and has a little time left."""
        if self._state != "closed":
            self._state = "closed"
            self._tell(code, reason)
            self._ended.set()
            if self._room is not None:
                self._room.set()
            self._outbox.close()
            self._outbox.end()
            self._connection.set_deadline(LEAVE_S)

    def _tell(self, code: int, reason: str = "") -> None:
        self._disconnect = self._disconnect or {"type": "websocket.disconnect", "code": code, "reason": reason}
        self._news.set()

    async def _finish(self, code: int) -> None:
        """The app has ended: end what it left open."""
        if self._denial is not None:
            await self._connection.wire.flush()
        elif self._state == "handshake":
            await self._connection.refuse(Refusal(500, "the app neither accepted nor refused"))
        else:
            if self._state == "open":
                self._close(code, "")
            await self._ended.wait()
            await self._outbox.flush()
