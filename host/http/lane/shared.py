"""What all connections of one `serve` have in common: the app, the limits, the counts, the date, the flusher."""

import time
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING
from wsgiref.handlers import format_date_time

import structlog
import trio

from host.descriptors import ASGIApp, Receive, Scope, Send
from host.http.engine import AnswerAborted
from host.http.lane.header_lines import HeaderLines
from host.http.limits import Limits

if TYPE_CHECKING:
    from host.http.lane.http1 import Connection
    from host.http.lane.outbox import Outbox

log: structlog.stdlib.BoundLogger = structlog.get_logger("quartet.http")

# WebSockets written to in one go before others have their turn.
_WRITES_PER_TURN = 64
_STATUS_LINES = {found.value: b"HTTP/1.1 %d %b\r\n" % (found, found.phrase.encode()) for found in HTTPStatus}


@dataclass(slots=True)
class Shared:
    """`connections` maps the number of a socket to its open connection; `counts` has names of `EngineStatistics`."""

    app: ASGIApp
    limits: Limits
    # Where what serves all connections runs.
    house: trio.Nursery
    counts: Counter[str] = field(default_factory=Counter)
    header_lines: HeaderLines = field(default_factory=HeaderLines)
    connections: "dict[int, Connection]" = field(default_factory=dict)
    is_draining: bool = False
    # Trio's time at the last look at the clocks.
    now_s: float = 0.0
    date_line: bytes = b""
    _date_s: int = 0
    _unwritten: "list[Outbox]" = field(default_factory=list)
    _news: trio.Event = field(default_factory=trio.Event)

    def note_time(self) -> None:
        """Keep the time, and the date right to the second; called a few times a second."""
        self.now_s = trio.current_time()
        date_s = int(time.time())
        if date_s != self._date_s:
            self._date_s = date_s
            self.date_line = b"date: %b\r\n" % format_date_time(date_s).encode("ascii")

    def flush_soon(self, outbox: "Outbox") -> None:
        """Have the flusher write out a WebSocket's line in its next turn."""
        self._unwritten.append(outbox)
        self._news.set()

    async def run_flusher(self) -> None:
        """Write out WebSockets' lines, for ever: one turn takes all that was sent to all of them meanwhile."""
        while True:
            await self._news.wait()
            self._news = trio.Event()
            batch, self._unwritten = self._unwritten, []
            for count, outbox in enumerate(batch, 1):
                outbox.write_out()
                if not count % _WRITES_PER_TURN:
                    await trio.lowlevel.checkpoint()


def status_line(status: int) -> bytes:
    """The first line of an answer."""
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


async def run_guarded(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> bool:
    """Run the app; whether it came to its end by itself. Its errors are logged, and end its own exchange alone."""
    try:
        await app(scope, receive, send)
        return True
    except* AnswerAborted:
        pass
    except* Exception:
        log.exception("an error left the app", path=scope["path"])
    return False
