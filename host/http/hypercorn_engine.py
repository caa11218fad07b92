"""The engine that stands on hypercorn: HTTP/1.1, HTTP/2, WebSocket and TLS, all with its protocols and our own care.

It composes hypercorn's parts instead of calling `hypercorn.trio.serve`, whose accept loop knows no limits and whose
connections have no guard; see `hypercorn_connection` for what is replaced and why. There is no ASGI lifespan: the
host's supervisor owns every task.
"""

import socket
import time
from collections.abc import Sequence
from functools import partial
from ssl import SSLContext, SSLError
from typing import Any
from wsgiref.handlers import format_date_time

import structlog
import trio
from hypercorn.config import Config

from host.descriptors import ASGIApp
from host.errors import HostError
from host.http.engine import FULL_ANSWER, TLS, EngineStatistics
from host.http.hypercorn_connection import AnyStream, Connection, Shared
from host.http.limits import ConnectionGate, Limits
from host.http.stalls import LOOKS

log: structlog.stdlib.BoundLogger = structlog.get_logger("quartet.http")


class HypercornEngine:
    """See `host.http.engine.Engine`."""

    def __init__(self, *, tls: TLS | None = None) -> None:
        self._tls = tls
        self._gate: ConnectionGate | None = None
        self._shared: Shared | None = None

    async def serve(
        self,
        app: ASGIApp,
        sockets: Sequence[socket.socket],
        limits: Limits,
        *,
        drain: trio.Event,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """See `Engine.serve`."""
        config = _ServerConfig(limits, self._tls)
        shared = self._shared = Shared(app, config, limits)
        self._gate = ConnectionGate(limits)
        context = _ssl_context(config)
        listeners = [_listener(sock, context) for sock in sockets]
        async with trio.open_nursery() as guard:
            guard.start_soon(self._abort_all_when_cancelled, shared)
            guard.start_soon(_run_stall_clocks, shared)
            async with trio.open_nursery() as connections:
                await self._accept(listeners, connections, drain, task_status)
                config.is_draining = True
                guard.cancel_scope.deadline = trio.current_time() + limits.grace_s
                for connection in shared.connections:
                    connection.tell_restart()
                await shared.context.terminated.set()
            guard.cancel_scope.cancel(reason="drained")

    def statistics(self) -> EngineStatistics:
        """See `Engine.statistics`."""
        if self._gate is None or self._shared is None:
            return EngineStatistics()
        counts = self._shared.counts
        return EngineStatistics(
            open_connections=self._gate.open_connections,
            accepted_connections_total=counts.accepted,
            refused_connections_total=self._gate.refused_connections,
            stalled_connections_total=counts.stalled,
            silent_connections_total=counts.silent,
            expired_connections_total=counts.expired,
            crashed_connections_total=counts.crashed,
            cut_connections_total=counts.cut,
        )

    async def _accept(
        self,
        listeners: list[Any],
        connections: trio.Nursery,
        drain: trio.Event,
        task_status: trio.TaskStatus[None],
    ) -> None:
        """Take connections in until the drain; closes the listeners."""
        async with trio.open_nursery() as acceptors:
            await acceptors.start(
                partial(trio.serve_listeners, self._serve_one, listeners, handler_nursery=connections)
            )
            task_status.started()
            await drain.wait()
            acceptors.cancel_scope.cancel(reason="draining")

    async def _serve_one(self, stream: AnyStream) -> None:
        assert self._gate is not None
        assert self._shared is not None
        gate, shared = self._gate, self._shared
        peer = _peer(stream)
        if not gate.enter(peer):
            await _refuse(stream)
            return
        shared.counts.accepted += 1
        try:
            await Connection(shared, stream).run()
        finally:
            gate.leave(peer)

    @staticmethod
    async def _abort_all_when_cancelled(shared: Shared) -> None:
        """Sends are shielded, so a cancellation of the nursery alone would wait for stalled peers."""
        try:
            await trio.sleep_forever()
        finally:
            shared.counts.cut += len(shared.connections)
            for connection in list(shared.connections):
                connection.abort()


async def _run_stall_clocks(shared: Shared) -> None:
    """Look for peers that have stopped reading, for ever."""
    while True:
        await trio.sleep(shared.limits.write_stall_s / LOOKS)
        for connection in list(shared.connections):
            connection.tick(trio.current_time())


class _ServerConfig(Config):
    """Hypercorn's configuration, made of ours."""

    def __init__(self, limits: Limits, tls: TLS | None) -> None:
        super().__init__()
        self.is_draining = False
        self._date = b""
        self._date_s = 0
        self.errorlog = None
        self.h11_max_incomplete_size = limits.header_bytes_max
        self.h2_max_header_list_size = limits.header_bytes_max
        # A browser reconnects without a pause, so the count of requests is no reason to close.
        self.keep_alive_max_requests = 2**62
        self.websocket_max_message_size = limits.websocket_message_bytes_max
        self.websocket_ping_interval = limits.websocket_ping_s
        if tls is not None:
            self.certfile = str(tls.certfile)
            self.keyfile = str(tls.keyfile)
            self.keyfile_password = tls.keyfile_password

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:
        """What every answer carries: the date, and during the drain HTTP/1.1's notice that it is the last."""
        now_s = int(time.time())
        if now_s != self._date_s:
            self._date_s, self._date = now_s, format_date_time(now_s).encode("ascii")
        headers = [(b"date", self._date)]
        if self.is_draining and protocol == "h11":
            headers.append((b"connection", b"close"))
        return headers


def _ssl_context(config: Config) -> SSLContext | None:
    try:
        return config.create_ssl_context()
    except (OSError, SSLError) as error:
        raise HostError(f"the certificate cannot be used: {error} — check server.certfile, keyfile") from error


def _listener(sock: socket.socket, tls: SSLContext | None) -> trio.SocketListener | trio.SSLListener[trio.SocketStream]:
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
    return listener if tls is None else trio.SSLListener(listener, tls, https_compatible=True)


def _peer(stream: AnyStream) -> str:
    plain = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    try:
        name = plain.socket.getpeername()
    except OSError:
        return ""
    return str(name[0]) if isinstance(name, tuple) else ""


async def _refuse(stream: AnyStream) -> None:
    """Answer 503 if the kernel takes it at once, and close: whoever is one too many gets no task that waits."""
    with trio.move_on_after(0.1):
        try:
            if isinstance(stream, trio.SocketStream):
                await stream.send_all(FULL_ANSWER)
                await stream.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
    await trio.aclose_forcefully(stream)
