"""The clocks of all connections in one task, and the news of their sockets in another.

Each socket is entered into one epoll, once, when it is accepted (`EPOLLET`): a request costs no call to say that
one waits for it, and many that come together are one piece of news. The kernel tells of peers that closed their side
(`EPOLLRDHUP`) even while unread bytes are in front. Where there is no epoll, who reads waits by Trio's own means, and
sockets are looked at every few milliseconds.
"""

import select
import socket
from contextlib import suppress
from typing import Any, NoReturn

import structlog
import trio

from host.http.lane.http1 import Connection
from host.http.lane.shared import Shared

log: structlog.stdlib.BoundLogger = structlog.get_logger("quartet.http")

# The shortest and longest time between two looks at the clocks.
TICK_S_MIN, TICK_S_MAX = 0.02, 0.5
# Connections that are looked at before others have their turn.
_LOOKS_PER_TURN = 256


async def run_clocks(shared: Shared) -> None:
    """Hold every connection to its deadlines, and keep the date, for ever."""
    limits = shared.limits
    waits = (limits.header_read_s, limits.keep_alive_s, limits.write_stall_s, limits.websocket_ping_s or TICK_S_MAX)
    shortest_s = min(*waits, limits.websocket_pong_s, limits.websocket_close_s)
    while True:
        shared.note_time()
        for count, (number, connection) in enumerate(list(shared.connections.items()), 1):
            if not count % _LOOKS_PER_TURN:
                await trio.lowlevel.checkpoint()
            if shared.connections.get(number) is not connection:
                # It has ended meanwhile, and another may have its number.
                continue
            try:
                connection.tick(shared.now_s)
            except Exception:
                log.exception("the clock of a connection failed")
                connection.cut("its clock failed")
        await trio.sleep(min(TICK_S_MAX, max(TICK_S_MIN, shortest_s / 4)))


class Watch:
    """Wakes who waits for bytes, and tells who has left. Each connection is added once; closing it takes it out."""

    def __init__(self, shared: Shared) -> None:
        self._connections = shared.connections
        self._epoll: Any = select.epoll() if hasattr(select, "epoll") else None

    def add(self, connection: Connection) -> None:
        """Watch a connection."""
        # The kernel limits how many sockets a user may have watched; who is beyond waits by Trio's means.
        with suppress(OSError):
            if self._epoll is not None:
                self._epoll.register(connection.wire.sock.fileno(), select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)
                connection.wire.is_watched = True

    async def run(self) -> None:
        """Watch for ever. Closes the epoll."""
        if self._epoll is None:
            await self._look_for_leavers()
        gone = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
        with self._epoll as epoll:
            while True:
                await trio.lowlevel.wait_readable(epoll.fileno())
                for number, event in epoll.poll(0):
                    connection = self._connections.get(number)
                    if connection is not None:
                        wire = connection.wire
                        wire.is_readable = True
                        if event & gone:
                            wire.has_ended = True
                            connection.peer_left()
                        wire.wake()

    async def _look_for_leavers(self) -> NoReturn:
        while True:
            await trio.sleep(TICK_S_MIN)
            for connection in list(self._connections.values()):
                wire = connection.wire
                if connection.exchange is not None and not wire.has_ended and _has_left(wire.sock):
                    wire.has_ended = True
                    connection.peer_left()


def _has_left(sock: socket.socket) -> bool:
    try:
        return not sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
