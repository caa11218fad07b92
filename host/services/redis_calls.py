"""Who waits for which reply on one Redis connection: a queue without I/O, clock or tasks of its own.

Redis answers a connection's commands in the order in which they were written, and replies carry no name: only their
place says whose they are. So the queue keeps one place per reply until that reply has come, whatever became of its
caller. A caller that is cancelled leaves its place behind, marked, and the reply that comes for it is thrown away
(redis-py#2624 is what happens otherwise: every later caller is given its neighbour's reply).

A call moves one way: queued (nothing written) → awaiting (at least one byte written) → answered. A caller that is
cancelled while queued takes its call with it: nothing is sent. What is queued when the connection is lost was surely
not carried out; what is awaiting may have been.
"""

from collections import deque
from collections.abc import Callable
from itertools import takewhile
from math import inf
from typing import Any, Final

import hiredis
from outcome import Error, Outcome, Value
from redis._parsers.base import BaseParser
from trio.lowlevel import Abort, RaiseCancelT, Task

# One `send` of at most about this much, so that a long queue is not copied whole for a socket that takes 200 KiB.
BATCH_BYTES_MAX = 256 * 1024

NOT_ENOUGH_DATA: Final = object()
# One command in RESP; TypeError for what is no str, bytes, memoryview, int or float. The stub of hiredis knows less.
pack_words: Callable[[tuple[Any, ...]], bytes] = hiredis.pack_command
Wake = Callable[[Task, Outcome[Any]], None]


class ConnectionLost(Exception):
    """The connection cannot be used any more; the message says why. Never leaves the Redis service."""


class Call:
    """One command, or several written as one, and the task that waits for what comes back.

    `task` is None once the caller is gone. `due` counts the replies still to come; `replies` gathers them where there
    are more than one, None means that the single reply is handed over as it is.
    """

    __slots__ = ("due", "expires_at_s", "packed", "replies", "task")

    def __init__(
        self,
        task: Task | None,
        packed: bytes,
        expires_at_s: float,
        due: int = 1,
        replies: list[Any] | None = None,
    ) -> None:
        self.task = task
        self.packed = packed
        self.expires_at_s = expires_at_s
        self.due = due
        self.replies = replies

    def abort(self, _: RaiseCancelT) -> Abort:
        """Let the caller go at once; the place of its reply stays. An abort function for `wait_task_rescheduled`."""
        self.task = None
        return Abort.SUCCEEDED


class CallQueue:
    """The calls of one connection, first in, first out. Not to be used after `lose`.

    At most `in_flight_max` calls are awaiting at a time; when that is full the others stay queued, unsent.
    `wake` is `trio.lowlevel.reschedule`: it is called once for each call whose caller has not gone.
    """

    __slots__ = (
        "_in_flight_max",
        "_reader",
        "_rest",
        "_wake",
        "awaiting",
        "bytes_received",
        "bytes_sent",
        "calls_sent",
        "in_flight_peak",
        "queued",
        "queued_bytes",
        "replies_discarded",
        "window_full",
    )

    def __init__(self, wake: Wake, in_flight_max: int) -> None:
        assert in_flight_max > 0, "a connection that may carry nothing"
        self._wake = wake
        self._in_flight_max = in_flight_max
        self._reader = hiredis.Reader(replyError=BaseParser.parse_error, notEnoughData=NOT_ENOUGH_DATA)
        self._rest: memoryview | None = None
        self.queued: deque[Call] = deque()
        self.queued_bytes = 0
        self.awaiting: deque[Call] = deque()
        self.bytes_received = self.bytes_sent = self.calls_sent = 0
        self.in_flight_peak = self.replies_discarded = self.window_full = 0

    @property
    def has_output(self) -> bool:
        """Whether anything is to be written now: the rest of a call begun, or queued calls that the window admits."""
        return self._rest is not None or bool(self.queued and len(self.awaiting) < self._in_flight_max)

    def add(self, call: Call) -> None:
        """Queue a call behind all others."""
        self.queued.append(call)
        self.queued_bytes += len(call.packed)

    def write(self, send: Callable[[bytes | memoryview], int]) -> bool:
        """Hand what may be sent to `send`, which returns how many bytes it took, 0 when it can take none now.

        Returns False when `send` would not take everything, True when all that the window admits is written.

        Raises:
            OSError: from `send`, which then took nothing: the calls concerned are still queued.
        """
        if self._rest is not None:
            sent = send(self._rest)
            self.bytes_sent += sent
            if sent < len(self._rest):
                self._rest = self._rest[sent:]
                return False
            self._rest = None
        while batch := self._next_batch():
            data = b"".join([call.packed for call in batch])
            try:
                sent = send(data)
            except OSError:
                self._put_back(batch)
                raise
            self.bytes_sent += sent
            if sent < len(data):
                self._wrote_part(batch, sent)
                return False
            self._wrote(batch)
        return True

    def take(self) -> bytes:
        """The next bytes to write, for a stream that cannot be asked how much it took; their calls count as sent."""
        batch = self._next_batch()
        self._wrote(batch)
        data = b"".join([call.packed for call in batch])
        self.bytes_sent += len(data)
        return data

    def feed(self, data: bytes) -> None:
        """Give the replies in `data`, and those it completes, to the callers that wait for them.

        Raises:
            ConnectionLost: a reply that nobody has asked for, or bytes that are not RESP: no later place can be
                trusted.
        """
        gets, awaiting, wake = self._reader.gets, self.awaiting, self._wake
        self.bytes_received += len(data)
        try:
            self._reader.feed(data)
            while (reply := gets()) is not NOT_ENOUGH_DATA:
                if not awaiting:
                    # What it says may be somebody's data, which is not for the logs; an error's text is.
                    text = str(reply) if isinstance(reply, Exception) else type(reply).__name__
                    raise ConnectionLost(f"Redis sent a reply that nobody asked for: {text}")
                call = awaiting[0]
                if call.replies is not None:
                    call.replies.append(reply)
                    if call.due > 1:
                        call.due -= 1
                        continue
                    reply = call.replies
                awaiting.popleft()
                if call.task is not None:
                    wake(call.task, Value(reply))
                else:
                    self.replies_discarded += 1
        except hiredis.ProtocolError as error:
            raise ConnectionLost(f"Redis sent what is not RESP: {error}") from error

    def next_expiry_s(self) -> float:
        """When the first caller that still waits runs out of time; infinity when none waits.

        Calls are added in the order of their expiry, so that it is the first of one queue or the first of the other.
        """
        firsts = (
            next((call.expires_at_s for call in calls if call.task is not None), inf)
            for calls in (self.awaiting, self.queued)
        )
        return min(firsts)

    def expire(
        self, now_s: float, unknown: Callable[[], Exception], unsent: Callable[[], Exception]
    ) -> tuple[int, int]:
        """Fail the calls whose time is up, as `lose` does, and return how many of each; the connection goes on.

        Those awaiting leave their places behind for the replies that may yet come.
        """
        expired = list(takewhile(lambda call: call.expires_at_s <= now_s, self.awaiting))
        failed = 0
        for call in expired:
            if call.task is not None:
                self._wake(call.task, Error(unknown()))
                call.task = None
                failed += 1
        dropped = 0
        while self.queued and (self.queued[0].task is None or self.queued[0].expires_at_s <= now_s):
            call = self.queued.popleft()
            self.queued_bytes -= len(call.packed)
            if call.task is not None:
                self._wake(call.task, Error(unsent()))
                dropped += 1
        return failed, dropped

    def lose(self, unknown: Callable[[], Exception], unsent: Callable[[], Exception]) -> tuple[int, int]:
        """Fail every call: those awaiting with `unknown()`, those queued with `unsent()`; return how many of each."""
        counts = []
        for calls, error in ((self.awaiting, unknown), (self.queued, unsent)):
            waiting = [call.task for call in calls if call.task is not None]
            calls.clear()
            for task in waiting:
                self._wake(task, Error(error()))
            counts.append(len(waiting))
        self.queued_bytes = 0
        self._rest = None
        return counts[0], counts[1]

    def _next_batch(self) -> list[Call]:
        queued = self.queued
        if not queued:
            return []
        room = self._in_flight_max - len(self.awaiting)
        if len(queued) <= room and self.queued_bytes <= BATCH_BYTES_MAX:
            batch = [call for call in queued if call.task is not None]
            queued.clear()
            self.queued_bytes = 0
            return batch
        batch = []
        batch_bytes = 0
        while queued and len(batch) < room and batch_bytes < BATCH_BYTES_MAX:
            call = queued.popleft()
            self.queued_bytes -= len(call.packed)
            if call.task is not None:
                batch.append(call)
                batch_bytes += len(call.packed)
        if queued and len(batch) == room:
            self.window_full += 1
        return batch

    def _put_back(self, calls: list[Call]) -> None:
        self.queued.extendleft(reversed(calls))
        self.queued_bytes += sum(len(call.packed) for call in calls)

    def _wrote(self, batch: list[Call]) -> None:
        self.awaiting.extend(batch)
        self.calls_sent += len(batch)
        if len(self.awaiting) > self.in_flight_peak:
            self.in_flight_peak = len(self.awaiting)

    def _wrote_part(self, batch: list[Call], sent: int) -> None:
        """Of `batch`, `sent` bytes are out: the call cut in two is awaiting, and its other part goes first now."""
        for place, call in enumerate(batch):
            if sent <= 0:
                self._put_back(batch[place:])
                self._wrote(batch[:place])
                return
            if sent < len(call.packed):
                self._rest = memoryview(call.packed)[sent:]
            sent -= len(call.packed)
        self._wrote(batch)
