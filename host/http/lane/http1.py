"""One connection: request after request in one task, each with its app, until either side ends."""

import math
import socket
from typing import Any
from urllib.parse import unquote

import structlog
import trio
from pydantic_core import to_json

from host.descriptors import Scope
from host.errors import HttpProblem
from host.http.lane.request import Refusal, Request, RequestParser
from host.http.lane.response import DISCARDED_BYTES_MAX, Exchange
from host.http.lane.shared import Shared, run_guarded, status_line
from host.http.lane.websocket import WebSocket
from host.http.lane.wire import Wire

log: structlog.stdlib.BoundLogger = structlog.get_logger("quartet.http")

# How long the rest of a request is read after our last byte, so that the peer gets it before a reset.
LINGER_S = 1.0
# A client that has closed its side may have done so right behind its request, and still wait for the answer.
LEAVE_S = 0.02

Address = tuple[str, int] | None
_ASGI = {"version": "3.0", "spec_version": "2.5"}
_EXTENSIONS: dict[str, dict[str, Any]] = {"http.response.pathsend": {}}


class Connection:
    """A connection from its acceptance to its end. `run` is its task.

    `deadline` is the time by which it must have got on with what it waits for; the engine's clock looks at it.
    """

    def __init__(self, shared: Shared, sock: socket.socket, client: Address, server: Address) -> None:
        self.shared = shared
        self.scope = trio.CancelScope()
        self.wire = Wire(sock, self._lost, shared.limits.write_stall_s)
        self.deadline = math.inf
        # The exchange whose app runs.
        self.exchange: Exchange | None = None
        self._has_expired = False
        self.client = client
        self._server = server
        self._parser = RequestParser(shared.limits)
        self._websocket: WebSocket | None = None

    async def run(self) -> None:
        """Serve until either side ends. Never raises an `Exception`: what goes wrong goes wrong for this peer alone.

        A cancellation closes the socket without ceremony.
        """
        number = self.wire.sock.fileno()
        self.shared.connections[number] = self
        try:
            with self.scope:
                await self._serve()
        except Exception:
            self.shared.counts["crashed_connections_total"] += 1
            log.exception("connection ended by an error in the HTTP protocol")
        finally:
            del self.shared.connections[number]
            self.wire.sock.close()

    def tick(self, now_s: float) -> None:
        """The engine's clock."""
        if now_s > self.deadline:
            self.deadline = math.inf
            if self._websocket is not None:
                self._websocket.expire()
            else:
                self._has_expired = True
                self.wire.stop_receiving()
        if self.wire.has_stalled(now_s):
            self.shared.counts["stalled_connections_total"] += 1
            log.info("connection cut: its peer stopped reading", write_stall_s=self.shared.limits.write_stall_s)
            self.wire.cut()
        elif self._websocket is not None:
            self._websocket.tick(now_s)

    def set_deadline(self, after_s: float) -> None:
        """Give it so long to get on."""
        self.deadline = trio.current_time() + after_s

    def peer_left(self) -> None:
        """The peer has closed its side. Where nothing runs for it, whoever reads will read the end."""
        if self._websocket is not None:
            self._websocket.peer_left()
        elif self.exchange is not None:
            self.exchange.client_left()
            self.shared.house.start_soon(self._lose_soon)

    def tell_restart(self) -> None:
        """Begin the drain of this connection: it ends now when it idles, else with its answer."""
        if self._websocket is not None:
            self._websocket.restart()
        elif self.exchange is None and self._parser.is_between_requests:
            self.wire.stop_receiving()

    def cut(self, reason: str) -> None:
        """End the connection at once, whatever runs for it."""
        self.wire.cut()
        self.scope.cancel(reason=reason)

    async def read_body(self, request: Request) -> bool:
        """Wait until more of the body is there, or all of it; False when it will never be."""
        parser = self._parser
        while not request.parts and not request.is_complete:
            data = b""
            if not parser.pending and (parser.fault is not None or not (data := await self.wire.receive())):
                return False
            parser.advance(data)
        # What came with it is of the same read.
        while parser.pending and not request.is_complete:
            parser.advance()
        return True

    async def refuse(self, refusal: Refusal) -> None:
        """Answer in the app's place, and end the connection."""
        body = to_json(HttpProblem(refusal.status, refusal.detail).body())
        head = status_line(refusal.status) + self.shared.date_line + refusal.header
        rest = b"content-type: application/problem+json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
        await self.wire.send(head + rest % (len(body), body))
        await self.linger()

    async def linger(self) -> None:
        """Say that nothing more comes, and read what the peer still sends, for a bounded moment.

        A close with unread bytes makes the kernel send a reset, which can destroy an answer on its way.
        """
        if not self.wire.is_lost:
            self.wire.end()
            self.deadline = ends_at = trio.current_time() + LINGER_S
            while trio.current_time() < ends_at and await self.wire.receive():
                pass

    async def _lose_soon(self) -> None:
        await trio.sleep(LEAVE_S)
        self.wire.lose()

    def _lost(self) -> None:
        self.scope.cancel(reason="the client has left")

    async def _serve(self) -> None:
        shared = self.shared
        keep_alive_s = shared.limits.keep_alive_s
        self.set_deadline(shared.limits.header_read_s)
        while (request := await self._next_request()) is not None:
            self.deadline = math.inf
            if request.has_upgrade:
                if b"websocket" in [protocol.lower() for protocol in request.values(b"upgrade")]:
                    rest, self._parser.pending = bytes(self._parser.pending), b""
                    self._websocket = WebSocket(self, self._scope(request, "websocket"), request, rest)
                    if self.wire.has_ended:
                        self.peer_left()
                    await self._websocket.run()
                    return
                self._parser.ignore_upgrade(request)
            exchange = self.exchange = Exchange(self, request)
            if self.wire.has_ended:
                self.peer_left()
            await run_guarded(shared.app, self._scope(request, "http"), exchange.receive, exchange.send)
            is_whole = exchange.is_complete and exchange.keep_alive and request.is_complete
            if (not is_whole or self.wire.unsent) and not await self._finish(exchange):
                return
            self.exchange = None
            self.deadline = shared.now_s + keep_alive_s
        if self._parser.fault is not None:
            await self.refuse(self._parser.fault)

    async def _next_request(self) -> Request | None:
        """The next request with a complete head; None when there is none, and then perhaps a fault."""
        parser = self._parser
        if parser.ready or parser.pending:
            # Pipelined ones take turns with everybody else's.
            await trio.lowlevel.checkpoint()
        while not parser.ready:
            data = b""
            if not parser.pending:
                if parser.fault is not None or (self.shared.is_draining and parser.is_between_requests):
                    return None
                data = await self.wire.receive()
                if not data:
                    if self._has_expired:
                        self.shared.counts["expired_connections_total"] += 1
                        if not parser.is_between_requests:
                            parser.fault = Refusal(408, "the headers took too long")
                    return None
            parser.advance(data)
        return parser.ready.popleft()

    async def _finish(self, exchange: Exchange) -> bool:
        """End the exchange as its app left it; whether the connection can go on with the next."""
        wire, request = self.wire, exchange.request
        if wire.unsent:
            await wire.flush()
        if not exchange.has_begun:
            if request.is_complete or self._parser.fault is not None or not exchange.is_client_gone:
                await self.refuse(self._parser.fault or Refusal(500, "the app gave no answer"))
            return False
        if not exchange.is_complete:
            exchange.abort()
            return False
        if exchange.keep_alive and (request.is_complete or await self._discard(request)):
            return True
        if not request.is_complete or self.shared.is_draining:
            await self.linger()
        return False

    async def _discard(self, request: Request) -> bool:
        """Read the rest of a body that nobody wants; False when it is too much of it."""
        self.set_deadline(LINGER_S)
        discarded_bytes = 0
        while not request.is_complete:
            if discarded_bytes > DISCARDED_BYTES_MAX or not await self.read_body(request):
                return False
            discarded_bytes += sum(map(len, request.parts))
            request.parts.clear()
        return True

    def _scope(self, request: Request, kind: str) -> Scope:
        raw_path, _, query = request.target.partition(b"?")
        path = raw_path.decode("ascii")
        return {
            "type": kind,
            "asgi": _ASGI,
            "http_version": request.http_version,
            "method": request.method,
            "scheme": "http",
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": request.headers,
            "client": self.client,
            "server": self._server,
            "extensions": _EXTENSIONS,
        }
