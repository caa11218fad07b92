"""What all connections of one `serve` have in common: the app, the limits, the counts, the date."""

import socket
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING
from wsgiref.handlers import format_date_time

import structlog
import trio

from host.descriptors import ASGIApp, Receive, Scope, Send
from host.http.engine import AnswerAborted
from host.http.limits import Limits

if TYPE_CHECKING:
    from host.http.lane.http1 import Connection
    from host.http.lane.websocket import WebSocket

log: structlog.stdlib.BoundLogger = structlog.get_logger("quartet.http")

# WebSockets written to in one go before others have their turn.
_WRITES_PER_TURN = 64

Address = tuple[str, int] | None

_STATUS_LINES = {status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}


@dataclass(slots=True)
class Counts:
    """What connections report of their ends."""

    accepted: int = 0
    stalled: int = 0
    crashed: int = 0
    cut: int = 0
    dropped_frames: int = 0


@dataclass(slots=True)
class Shared:
    """`connections` maps the number of a socket to its connection while it is open."""

    app: ASGIApp
    limits: Limits
    counts: Counts = field(default_factory=Counts)
    connections: "dict[int, Connection]" = field(default_factory=dict)
    is_draining: bool = False
    _date_s: int = 0
    _heads: dict[int, bytes] = field(default_factory=dict)
    _unwritten: "list[WebSocket]" = field(default_factory=list)
    _news: trio.Event = field(default_factory=trio.Event)

    def head_for(self, status: int) -> bytes:
        """The status line and the Date of an answer."""
        head = self._heads.get(status)
        if head is None:
            line = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
            date = format_date_time(self._date_s or time.time()).encode("ascii")
            head = self._heads[status] = b"%bdate: %b\r\n" % (line, date)
        return head

    def note_time(self) -> None:
        """Keep the date right to the second; called a few times a second."""
        now_s = int(time.time())
        if now_s != self._date_s:
            self._date_s = now_s
            self._heads.clear()

    def flush_soon(self, websocket: "WebSocket") -> None:
        """Have the flusher write out a WebSocket's queue in its next turn."""
        if not self._unwritten:
            self._news.set()
        self._unwritten.append(websocket)

    async def run_flusher(self) -> None:
        """Write out WebSockets' queues, for ever: one turn takes all that was sent to all of them meanwhile."""
        while True:
            if not self._unwritten:
                self._news = trio.Event()
                await self._news.wait()
            batch, self._unwritten = self._unwritten, []
            for count, websocket in enumerate(batch, 1):
                try:
                    websocket.write_out()
                except Exception:
                    log.exception("a WebSocket could not be written to")
                    websocket.expire()
                if not count % _WRITES_PER_TURN:
                    await trio.lowlevel.checkpoint()


async def run_guarded(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> bool:
    """Run the app; whether it came to its end by itself. Its errors are logged, and end its own exchange alone."""
    try:
        await app(scope, receive, send)
    except AnswerAborted:
        return False
    except Exception:
        log.exception("an error left the app", path=scope["path"])
        return False
    except BaseExceptionGroup as group:
        crash, rest = group.split(Exception)
        if crash is not None:
            log.error("an error left the app", path=scope["path"], exc_info=crash)
        if rest is not None:
            raise rest from None
        return False
    return True


def address(name: object) -> Address:
    """A socket's name as ASGI wants it: host and port, None for a unix socket."""
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else None


def peer_of(sock: socket.socket) -> Address:
    """The peer's address. Raises OSError when it is gone already."""
    return address(sock.getpeername())
