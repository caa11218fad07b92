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
from host.http.lane.shared import Address, Shared, run_guarded
from host.http.lane.websocket import WebSocket
from host.http.lane.wire import Wire

log: structlog.stdlib.BoundLogger = structlog.get_logger("quartet.http")

# How long the rest of a request is read after our last byte, so that the peer gets it before a reset.
LINGER_S = 1.0
# A client that has closed its side may have done so right behind its request, still waiting for the answer.
LEAVE_HTTP_S = 0.025

_ASGI = {"version": "3.0", "spec_version": "2.5"}
_EXTENSIONS: dict[str, dict[str, Any]] = {"http.response.pathsend": {}}


class Connection:
    """A connection from its acceptance to its end. `run` is its task.

    `deadline` is the time at which it must have got on with what it waits for; the engine's clock calls `expire`.
    """

    __slots__ = (
        "_client",
        "_exchange",
        "_is_idle",
        "_parser",
        "_scheme",
        "_server",
        "_websocket",
        "deadline",
        "has_expired",
        "scope",
        "shared",
        "wire",
    )

    def __init__(self, shared: Shared, sock: socket.socket, client: Address, server: Address) -> None:
        self.shared = shared
        self.scope = trio.CancelScope()
        self.wire = Wire(sock, self._lost, shared.limits.write_stall_s)
        self.deadline = math.inf
        self.has_expired = False
        self._client = client
        self._server = server
        self._is_idle = False
        self._parser = RequestParser(shared.limits)
        self._exchange: Exchange | None = None
        self._websocket: WebSocket | None = None

    @property
    def is_busy(self) -> bool:
        """Whether an app runs for this connection."""
        return self._exchange is not None

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
            self.shared.counts.crashed += 1
            log.exception("connection ended by an error in the HTTP protocol")
        finally:
            del self.shared.connections[number]
            self.wire.close()

    def peer_left(self) -> float | None:
        """The kernel says that the peer has closed its side. How long the app may go on; None when there is none."""
        if self._websocket is not None:
            self._websocket.peer_left()
            return None
        if self._exchange is None:
            # Whoever reads will read the end.
            return None
        self._exchange.client_left()
        return LEAVE_HTTP_S

    def expire(self) -> None:
        """The deadline has passed."""
        self.deadline = math.inf
        if self._websocket is not None:
            self._websocket.expire()
            return
        self.has_expired = True
        self.wire.wake_reader()

    def tick(self, now_s: float) -> None:
        """The engine's clock."""
        if now_s > self.deadline:
            self.expire()
        elif now_s > self.wire.stalls_at:
            self.shared.counts.stalled += 1
            log.info("connection cut: its peer stopped reading", write_stall_s=self.shared.limits.write_stall_s)
            self.wire.cut()
        elif self._websocket is not None:
            self._websocket.tick(now_s)

    def set_deadline(self, after_s: float) -> None:
        """Have the clock call `expire` so much later."""
        self.deadline = trio.current_time() + after_s

    def cut(self, reason: str) -> None:
        """End the connection at once, whatever runs for it."""
        self.wire.cut()
        self.scope.cancel(reason=reason)

    def tell_restart(self) -> None:
        """Begin the drain of this connection: it ends now when it idles, else with its answer."""
        if self._websocket is not None:
            self._websocket.restart()
        elif self._is_idle and self._parser.is_between_requests:
            self.wire.wake_reader()

    async def read_body(self, request: Request) -> bool:
        """Wait until more of the body is there, or all of it; False when it will never be."""
        parser = self._parser
        while not request.parts and not request.is_complete:
            if parser.has_pending:
                parser.advance()
            elif parser.fault is not None:
                return False
            elif data := await self.wire.receive():
                parser.feed(data)
            else:
                return False
        # What came with it is of the same read.
        while parser.has_pending and not request.is_complete:
            parser.advance()
        return True

    def _lost(self) -> None:
        self.scope.cancel(reason="the client has left")

    async def _serve(self) -> None:
        limits = self.shared.limits
        self.set_deadline(limits.header_read_s)
        while (request := await self._next_request()) is not None:
            self.deadline = math.inf
            if request.has_upgrade:
                if self._is_websocket(request):
                    await self._run_websocket(request)
                    return
                self._parser.ignore_upgrade(request)
            exchange = Exchange(self, request)
            self._exchange = exchange
            try:
                await run_guarded(self.shared.app, self._scope(request, "http"), exchange.receive, exchange.send)
                if not await self._finish(exchange):
                    return
            finally:
                self._exchange = None
            self.deadline = trio.current_time() + limits.keep_alive_s
        if self._parser.fault is not None:
            await self.refuse(self._parser.fault)

    async def _next_request(self) -> Request | None:
        """The next request with a complete head; None when there is none, and then perhaps a fault."""
        parser = self._parser
        if parser.ready:
            # Pipelined ones take turns with everybody else's.
            await trio.lowlevel.checkpoint()
        while not parser.ready:
            if parser.has_pending:
                parser.advance()
                continue
            if parser.fault is not None:
                return None
            if self.shared.is_draining and parser.is_between_requests:
                return None
            self._is_idle = True
            data = await self.wire.receive()
            self._is_idle = False
            if data:
                parser.feed(data)
                continue
            if self.has_expired and not parser.is_between_requests:
                parser.fault = Refusal(408, "the headers took too long")
            return None
        return parser.ready.popleft()

    async def _finish(self, exchange: Exchange) -> bool:
        """End the exchange as its app left it; whether the connection can go on with the next."""
        wire, request = self.wire, exchange.request
        if wire.has_unsent:
            await wire.flush()
        if not exchange.has_begun:
            fault = self._parser.fault
            if not request.is_complete and fault is not None:
                await self.refuse(fault)
                return False
            if exchange.is_client_gone and not request.is_complete:
                return False
            await self.refuse(Refusal(500, "the app gave no answer"))
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

    async def refuse(self, refusal: Refusal) -> None:
        """Answer for the app, and end the connection."""
        problem = HttpProblem(refusal.status, refusal.detail)
        body = to_json(problem.body())
        head = b"%b%bcontent-type: application/problem+json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        await self.wire.send(head % (self.shared.head_for(refusal.status), refusal.header, len(body)) + body)
        await self.linger()

    async def linger(self) -> None:
        """Say that nothing more comes, and read what the peer still sends, for a bounded moment.

        A close with unread bytes makes the kernel send a reset, which can destroy an answer on its way.
        """
        if self.wire.is_lost:
            return
        self.wire.send_end()
        self.deadline = ends_at = trio.current_time() + LINGER_S
        while trio.current_time() < ends_at and await self.wire.receive():
            pass

    def _scope(self, request: Request, kind: str) -> Scope:
        target, _, query = request.target.partition("?")
        return {
            "type": kind,
            "asgi": _ASGI,
            "http_version": request.http_version,
            "method": request.method,
            "scheme": "http",
            "path": unquote(target) if "%" in target else target,
            "raw_path": target.encode("ascii"),
            "query_string": query.encode("ascii"),
            "root_path": "",
            "headers": request.headers,
            "client": self._client,
            "server": self._server,
            "extensions": _EXTENSIONS.copy(),
        }

    @staticmethod
    def _is_websocket(request: Request) -> bool:
        # RFC 9110 §7.8: Upgrade is to be ignored in HTTP/1.0.
        return request.http_version == "1.1" and b"websocket" in request.values(b"upgrade")

    async def _run_websocket(self, request: Request) -> None:
        scope = self._scope(request, "websocket")
        del scope["method"]
        scope["scheme"] = "ws"
        self._websocket = WebSocket(self, scope, request, self._parser.take_rest())
        await self._websocket.run()
