"""The native engine: accepts, guards, drains, counts."""

import errno
import socket
from collections.abc import Sequence
from contextlib import suppress

import structlog
import trio

from host.descriptors import ASGIApp
from host.http.engine import FULL_ANSWER, TLS, EngineStatistics
from host.http.lane.http1 import Address, Connection
from host.http.lane.shared import Shared
from host.http.lane.watch import Watch, run_clocks
from host.http.limits import KIB, ConnectionGate, Limits

log: structlog.stdlib.BoundLogger = structlog.get_logger("quartet.http")

# Accepted in one go before others have their turn.
_ACCEPTS_PER_TURN = 64
# The process has no room for another socket: accepting again at once would only spin (as in `trio.serve_listeners`).
_FULL_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_FULL_PAUSE_S = 0.1


class NativeEngine:
    """See `host.http.engine.Engine`. Speaks no TLS: `engine_named` hands that to hypercorn."""

    def __init__(self, *, tls: TLS | None = None) -> None:
        assert tls is None, "TLS goes through hypercorn"
        self._gate: ConnectionGate
        self._shared: Shared | None = None
        self._watch: Watch

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
        self._gate = ConnectionGate(limits)
        async with trio.open_nursery() as house:
            shared = self._shared = Shared(app, limits, house)
            shared.note_time()
            self._watch = Watch(shared)
            house.start_soon(run_clocks, shared)
            house.start_soon(self._watch.run)
            house.start_soon(shared.run_flusher)
            async with trio.open_nursery() as connections:
                async with trio.open_nursery() as acceptors:
                    for sock in sockets:
                        acceptors.start_soon(self._accept, sock, shared, connections)
                    task_status.started()
                    await drain.wait()
                    acceptors.cancel_scope.cancel(reason="draining")
                shared.is_draining = True
                house.start_soon(_cut_after_grace, shared)
                for connection in list(shared.connections.values()):
                    connection.tell_restart()
            house.cancel_scope.cancel(reason="drained")

    def statistics(self) -> EngineStatistics:
        """See `Engine.statistics`."""
        if self._shared is None:
            return EngineStatistics()
        gate = self._gate
        return EngineStatistics(
            gate.open_connections, refused_connections_total=gate.refused_connections, **self._shared.counts
        )

    async def _accept(self, listener: socket.socket, shared: Shared, connections: trio.Nursery) -> None:
        """Take connections in until cancelled; closes the listener."""
        server = _address(listener.getsockname())
        is_full = False
        with listener:
            while True:
                await trio.lowlevel.wait_readable(listener)
                for _ in range(_ACCEPTS_PER_TURN):
                    try:
                        sock, name = listener.accept()
                    except BlockingIOError:
                        if is_full:
                            log.info("connections are accepted again")
                        is_full = False
                        break
                    except OSError as error:
                        if error.errno in _FULL_ERRNOS:
                            shared.counts["accept_failures_total"] += 1
                            if not is_full:
                                log.error("no connection can be accepted for now", reason=error.strerror)
                            is_full = True
                            await trio.sleep(_FULL_PAUSE_S)
                        # Else the client has left again before it was its turn.
                        break
                    sock.setblocking(False)
                    client = _address(name)
                    if self._gate.enter(client[0] if client is not None else ""):
                        connections.start_soon(self._guard, Connection(shared, sock, client, server))
                    else:
                        _refuse(sock)

    async def _guard(self, connection: Connection) -> None:
        self._watch.add(connection)
        connection.shared.counts["accepted_connections_total"] += 1
        try:
            await connection.run()
        finally:
            self._gate.leave(connection.client[0] if connection.client is not None else "")


def _address(name: object) -> Address:
    """A socket's name as ASGI wants it: host and port, None for a unix socket."""
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else None


async def _cut_after_grace(shared: Shared) -> None:
    await trio.sleep(shared.limits.grace_s)
    shared.counts["cut_connections_total"] += len(shared.connections)
    for connection in list(shared.connections.values()):
        connection.cut("the grace period is over")


def _refuse(sock: socket.socket) -> None:
    """Answer 503 if the kernel takes it at once, and close: whoever is one too many gets no task that waits."""
    with sock, suppress(OSError):
        sock.send(FULL_ANSWER)
        # Unread bytes would make the close a reset, which could destroy the answer.
        sock.recv(64 * KIB)
