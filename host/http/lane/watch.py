"""The clocks of all connections in one task, and the news that a peer has left in another.

The kernel tells of peers that closed their side (`EPOLLRDHUP`) even while unread bytes are in front of that news; each
socket is entered once, when it is accepted. Where there is no epoll, sockets are looked at with the clock.
"""

import select
import socket
from typing import Any

import structlog
import trio

from host.http.lane.http1 import LEAVE_S, Connection
from host.http.lane.shared import Shared

log: structlog.stdlib.BoundLogger = structlog.get_logger("quartet.http")

# The shortest and longest time between two looks at the clocks.
TICK_S_MIN, TICK_S_MAX = 0.02, 0.5


async def run_clocks(shared: Shared) -> None:
    """Hold every connection to its deadlines, and keep the date, for ever."""
    limits = shared.limits
    waits = (limits.header_read_s, limits.keep_alive_s, limits.write_stall_s, limits.websocket_ping_s or TICK_S_MAX)
    shortest_s = min(*waits, limits.websocket_pong_s, limits.websocket_close_s)
    while True:
        shared.note_time()
        for connection in list(shared.connections.values()):
            try:
                connection.tick(shared.now_s)
            except Exception:
                log.exception("the clock of a connection failed")
                connection.cut("its clock failed")
        await trio.sleep(min(TICK_S_MAX, max(TICK_S_MIN, shortest_s / 4)))


class Leavers:
    """Finds out who has left. `add` each socket once; closing it takes it out."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._epoll: Any = select.epoll() if hasattr(select, "epoll") else None

    def add(self, sock: socket.socket) -> None:
        """Watch a socket."""
        if self._epoll is not None:
            self._epoll.register(sock.fileno(), select.EPOLLRDHUP | select.EPOLLET)

    async def run(self) -> None:
        """Tell connections that their peer has left, and cut those whose app goes on regardless. Closes the epoll."""
        try:
            async with trio.open_nursery() as nursery:
                while True:
                    leavers = [connection for connection in await self._wait() if connection.peer_left()]
                    if leavers:
                        nursery.start_soon(_lose_after, LEAVE_S, leavers)
        finally:
            if self._epoll is not None:
                self._epoll.close()

    async def _wait(self) -> list[Connection]:
        connections = self._shared.connections
        if self._epoll is None:
            await trio.sleep(TICK_S_MIN)
            return [found for found in connections.values() if found.exchange is not None and _has_left(found)]
        await trio.lowlevel.wait_readable(self._epoll.fileno())
        numbers = [number for number, _ in self._epoll.poll(0)]
        return [connections[number] for number in numbers if number in connections]


async def _lose_after(patience_s: float, connections: list[Connection]) -> None:
    await trio.sleep(patience_s)
    for connection in connections:
        connection.wire.lose()


def _has_left(connection: Connection) -> bool:
    try:
        return not connection.wire.sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
