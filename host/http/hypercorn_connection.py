"""One connection served by hypercorn's protocols, with what hypercorn leaves out around them.

Hypercorn's own `TCPServer` has faults that this one closes (each has a test that shows it on plain hypercorn):

- An exception of a connection ends the whole server (hypercorn#225). Here it ends in the guard around `run`.
- `send_all` is shielded without a deadline, so a peer that does not read holds its task, and the shutdown, for ever.
  Here a clock looks for peers that take nothing any more, and cuts them.
- Parts of a body, and the disconnect, are put to an app that has ended, or that is itself the one who puts, and nobody
  ever wakes. Here `_Inbox` lets nobody wait in vain, and a broken connection cancels its app.
- A connection whose WebSocket handshake was refused stays open, and what its client sent too early is an error that
  ends the connection without a word. Here it ends in order.
- HTTP/2 data for a stream that was answered early is a KeyError that ends the connection. Here it is dropped.
- Closing with unread bytes makes the kernel send a reset, which can destroy an early answer (413) on its way. Here the
  rest is read for a moment first.

The events `RawData`, `Closed` and `Updated`, the `ProtocolWrapper` and the `WorkerContext` are hypercorn's; their use
follows `hypercorn/trio/tcp_server.py` of 0.18.
"""

import contextlib
import socket
import struct
from dataclasses import dataclass, field
from typing import Any

import h2.exceptions
import h11
import structlog
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.http_stream import ASGIHTTPState
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState, LifespanState
from hypercorn.utils import parse_socket_addr

from host.descriptors import ASGIApp
from host.http.hypercorn_apps import SEND_PART_BYTES, Apps, AppSend, Streams
from host.http.limits import KIB, Limits
from host.http.stalls import StallClock, unacknowledged_bytes

log: structlog.stdlib.BoundLogger = structlog.get_logger("quartet.http")

RECEIVE_BYTES_MAX = 64 * KIB
# How long the rest of a request is read after our last byte, so that the peer gets it before a reset.
LINGER_S = 1.0
# How long a handler may work on after its answer's end, or after it read that its WebSocket's peer is gone.
LEAVE_S = 2.0
# How long the news that an HTTP client has left may wait for room in its app's queue, before the cancellation tells it.
NEWS_S = 0.05
# RFC 6455 §7.4 / IANA: 1012 "Service Restart".
CLOSE_RESTART = 1012
_H2_INTERNAL_ERROR = 0x2

AnyStream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


@dataclass(slots=True)
class Counts:
    """What connections report of their ends."""

    accepted: int = 0
    stalled: int = 0
    silent: int = 0
    expired: int = 0
    crashed: int = 0
    cut: int = 0


@dataclass(slots=True)
class Shared:
    """What all connections of one `serve` have in common."""

    app: ASGIApp
    config: Config
    limits: Limits
    context: WorkerContext = field(default_factory=lambda: WorkerContext(None))
    counts: Counts = field(default_factory=Counts)
    connections: "set[Connection]" = field(default_factory=set)


class Connection:
    """A connection from its handshake to its end. `run` is its task; all else belongs to that task's children."""

    def __init__(self, shared: Shared, stream: AnyStream) -> None:
        self.shared = shared
        self._stream = stream
        self._idle = shared.context.single_task_class()
        self._idle_s = shared.limits.header_read_s
        self._send_lock = trio.Lock()
        self._sending: trio.CancelScope | None = None
        self._sent_bytes = 0
        self._stall_clock = StallClock(_socket_of(stream).fileno(), shared.limits.write_stall_s)
        self._reading = trio.CancelScope()
        # How often something came, and whether nothing more is read because the app is behind.
        self._reads = 0
        self._is_handling = False
        self._apps: Any = None
        self._protocol: ProtocolWrapper
        # The peer can no longer be talked to: sends are dropped.
        self.is_broken = False
        # We said the last word: nothing but the peer's leave-taking is read.
        self.is_ending = False

    async def run(self) -> None:
        """Serve until either side ends. Never raises an `Exception`: what goes wrong goes wrong for this peer alone.

        A cancellation closes the stream without ceremony.
        """
        self.shared.connections.add(self)
        try:
            await self._serve()
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # The peer left in the middle of something.
        except* Exception:
            self.shared.counts.crashed += 1
            log.exception("connection ended by an error in the HTTP protocol")
        finally:
            self.shared.connections.discard(self)
            await trio.aclose_forcefully(self._stream)

    def abort(self) -> None:
        """Cut the connection now, even in the middle of a shielded send. Synchronous, and may be called twice."""
        self._break()
        if self._apps is not None:
            self._apps.cancel("the connection is cut")

    def tell_restart(self) -> None:
        """Begin the drain of this connection: its WebSockets are closed with 1012. The rest follows from `context`."""
        for stream in self._open_websockets():
            self._apps.spawn(self._close_websocket, stream)

    def tick(self, now_s: float) -> None:
        """The engine's clock: cut a peer that has stopped reading."""
        is_blocked = self._sending is not None
        if not self.is_broken and self._stall_clock.has_stalled(now_s, self._sent_bytes, is_blocked=is_blocked):
            self.shared.counts.stalled += 1
            log.info("connection cut: its peer stopped reading", write_stall_s=self.shared.limits.write_stall_s)
            self._break()

    def expect_a_sign(self) -> None:
        """A ping was sent: cut the peer when nothing at all comes within `websocket_pong_s`."""
        self._apps.spawn(self._cut_when_silent, self._reads)

    async def _cut_when_silent(self, reads: int) -> None:
        await trio.sleep(self.shared.limits.websocket_pong_s)
        # A slow peer, or one whose app is slow, has the ping or its answer behind much else; stalls are `tick`'s.
        is_behind = self._is_handling or bool(unacknowledged_bytes(_socket_of(self._stream).fileno()))
        if reads == self._reads and not (is_behind or self.is_ending or self.is_broken):
            self.shared.counts.silent += 1
            log.info("WebSocket cut: its peer answered no ping", websocket_pong_s=self.shared.limits.websocket_pong_s)
            self._break()

    async def _serve(self) -> None:
        shared, config = self.shared, self.shared.config
        is_tls = isinstance(self._stream, trio.SSLStream)
        alpn = await self._handshake()
        if alpn is None:
            return
        sock = _socket_of(self._stream)
        client = parse_socket_addr(sock.family, sock.getpeername())
        server = parse_socket_addr(sock.family, sock.getsockname())
        async with trio.open_nursery() as nursery:
            self._apps = Apps(self, nursery)
            self._protocol = ProtocolWrapper(
                shared.app,  # type: ignore[arg-type]  # Only handed to our own spawn_app.
                config,
                shared.context,
                self._apps,
                ConnectionState(LifespanState({})),
                is_tls,
                client,
                server,
                self._on_event,
                alpn,
            )
            self._mend_streams()
            await self._protocol.initiate()
            await self._idle.restart(self._apps, self._watch_idle)
            with self._reading:
                await self._read()
            await self._leave()

    async def _handshake(self) -> str | None:
        """Shake hands; the protocol agreed upon, None when that failed."""
        if not isinstance(self._stream, trio.SSLStream):
            return "http/1.1"
        with trio.move_on_after(self.shared.limits.tls_handshake_s):
            try:
                await self._stream.do_handshake()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return None
            return self._stream.selected_alpn_protocol() or "http/1.1"
        return None

    async def _read(self) -> None:
        while True:
            try:
                data = await self._stream.receive_some(RECEIVE_BYTES_MAX)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self.is_broken = True
                return
            if not data:
                return
            self._reads += 1
            self._is_handling = True
            try:
                await self._protocol.handle(RawData(bytes(data)))
            except h11.LocalProtocolError:
                # The peer went on where it had to wait (frames behind a handshake), and hypercorn answered it twice.
                self.end()
            self._is_handling = False
            self._mend_streams()

    async def _leave(self) -> None:
        """Tell the apps that the peer is gone, give them their time, and close."""
        has_time = self.is_ending or self._apps.has_websocket
        with trio.move_on_after(LEAVE_S if has_time else NEWS_S):
            await self._idle.stop()
            await self._protocol.handle(Closed())
        if self.is_ending:
            await self._linger()
        if has_time:
            with trio.move_on_after(LEAVE_S):
                await self._apps.wait_ended()
        self._apps.cancel("the client has left")

    async def _linger(self) -> None:
        """Say that nothing more comes, and read what the peer still sends, for a bounded moment."""
        with trio.move_on_after(LINGER_S):
            try:
                if isinstance(self._stream, trio.SSLStream):
                    await self._stream.aclose()
                    return
                await self._stream.send_eof()
                while await self._stream.receive_some(RECEIVE_BYTES_MAX):
                    pass
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError):
                pass

    async def _watch_idle(self) -> None:
        with trio.move_on_after(self._idle_s) as patience:
            await self.shared.context.terminated.wait()
        self.shared.counts.expired += patience.cancelled_caught
        self._reading.cancel(reason="the connection idles")

    async def _on_event(self, event: Event) -> None:
        """Hypercorn's protocols act on the connection by these events."""
        if isinstance(event, RawData):
            await self._send(event.data)
        elif isinstance(event, Closed):
            self.end()
        elif isinstance(event, Updated):
            self._idle_s = self.shared.limits.keep_alive_s
            if event.idle:
                await self._idle.restart(self._apps, self._watch_idle)
            else:
                await self._idle.stop()

    async def _send(self, data: bytes) -> None:
        """Send all of it, or cut the connection: never a part, whoever is cancelled meanwhile."""
        async with self._send_lock:
            if self.is_broken:
                return
            view = memoryview(data)
            # Shielded, because half a frame would spoil all that follows on this connection.
            with trio.CancelScope(shield=True) as self._sending:
                try:
                    for start in range(0, len(view), SEND_PART_BYTES):
                        await self._stream.send_all(view[start : start + SEND_PART_BYTES])
                        self._sent_bytes += len(view[start : start + SEND_PART_BYTES])
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    self._break()
            self._sending = None

    def end(self) -> None:
        """Have the connection end from our side."""
        self.is_ending = True
        self._reading.cancel(reason="the connection ends")

    def _break(self) -> None:
        """Stop talking at once; the kernel throws away what the peer never took."""
        if not self.is_broken:
            self.is_broken = True
            _reset_on_close(self._stream)
        self.is_ending = False
        if self._sending is not None:
            self._sending.cancel(reason="the connection is broken")
        self._reading.cancel(reason="the connection is broken")

    def _mend_streams(self) -> None:
        """Have HTTP/2 tolerate data for streams it has closed. Anew after each read: an upgrade swaps the protocol.

        And end a connection whose WebSocket handshake was refused before any app saw it, which hypercorn leaves open.
        """
        inner = self._protocol.protocol
        stream = getattr(inner, "stream", None)
        if isinstance(stream, WSStream) and stream.closed and stream.app_put is None:
            self.end()
        if isinstance(inner, H2Protocol) and not isinstance(inner.streams, Streams):
            inner.streams = Streams(inner.streams)

    def _open_websockets(self) -> list[WSStream]:
        inner = self._protocol.protocol if hasattr(self, "_protocol") else None
        streams = list(inner.streams.values()) if isinstance(inner, H2Protocol) else [getattr(inner, "stream", None)]
        return [
            stream
            for stream in streams
            if isinstance(stream, WSStream) and stream.state is ASGIWebsocketState.CONNECTED
        ]

    async def _close_websocket(self, stream: WSStream) -> None:
        """Close with 1012, and have its app read the disconnect without waiting for the peer's consent."""
        await stream.app_send({"type": "websocket.close", "code": CLOSE_RESTART, "reason": "restarting"})
        with trio.move_on_after(LEAVE_S):
            if stream.app_put is not None:
                await stream.app_put({"type": "websocket.disconnect", "code": CLOSE_RESTART})
            await self._apps.wait_ended()
        if not isinstance(self._protocol.protocol, H2Protocol):
            # HTTP/2 has other streams to finish, and ends by itself when it is idle.
            self.end()

    async def reset(self, send: AppSend) -> None:
        """End an HTTP/2 stream whose answer cannot be finished, so that its client stops waiting for the rest."""
        inner = self._protocol.protocol
        stream = getattr(send, "__self__", None)
        if not isinstance(inner, H2Protocol) or getattr(stream, "state", None) is not ASGIHTTPState.RESPONSE:
            return
        stream_id = stream.stream_id  # type: ignore[union-attr]
        with contextlib.suppress(h2.exceptions.ProtocolError):
            inner.connection.reset_stream(stream_id, error_code=_H2_INTERNAL_ERROR)
        if stream_id in inner.stream_buffers:
            await inner.stream_buffers[stream_id].close()
        await inner._flush()


def _socket_of(stream: AnyStream) -> trio.socket.SocketType:
    return stream.transport_stream.socket if isinstance(stream, trio.SSLStream) else stream.socket


def _reset_on_close(stream: AnyStream) -> None:
    """Make the coming close a reset: a stalled peer's unread bytes are not kept for it by the kernel."""
    with contextlib.suppress(OSError):
        _socket_of(stream).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
