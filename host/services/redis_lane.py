"""The connection that all callers of a `Redis` share: it writes whatever is waiting at once, and hands out the replies.

Three tasks and none per call: a writer, a reader, and a watch that holds every call to its deadline. A call that
finds the connection idle is written in its caller's own step (no pass through the scheduler before the server sees
it); any other joins the queue, which the writer empties once per scheduler pass, and callers themselves each time
it has grown to `FLUSH_BYTES`, so that the server works while later callers are still being run.
"""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

import trio
from trio.lowlevel import Abort, RaiseCancelT, Task, current_task, reschedule, wait_task_rescheduled

from host.errors import OutcomeUnknown, ServiceUnavailable
from host.services.redis_calls import Call, CallQueue, ConnectionLost
from host.services.redis_connection import BROKEN, Connection, describe

# About a hundred short commands: enough to make a system call worth it, early enough to keep the server busy.
FLUSH_BYTES: Final = 8192
# A reply may lie unread because this process itself was held up; the reader gets this long before the server is
# blamed.
GRACE_S: Final = 0.02


class Lane:
    """One connection from its introduction to its loss. `start` may be called by any number of tasks at once."""

    __slots__ = (
        "_broken",
        "_connection",
        "_heard_at_s",
        "_is_blocked",
        "_timeout_s",
        "_transport",
        "_writer",
        "calls",
        "timeouts",
        "unknown",
        "unsent",
    )

    def __init__(self, connection: Connection, *, timeout_s: float, in_flight_max: int) -> None:
        self._connection = connection
        self._transport = connection.transport
        self._timeout_s = timeout_s
        self._broken = ""
        self._writer: Task | None = None
        # While the writer waits for a socket that is full, or for TLS, callers leave the writing to it.
        self._is_blocked = not self._transport.sends_now
        self.calls = CallQueue(reschedule, in_flight_max)
        # When Redis was last heard of; while no reply is due, when the next call was made.
        self._heard_at_s = 0.0
        self.timeouts = self.unknown = self.unsent = 0

    def start(self, call: Call) -> None:
        """Queue `call` and see that it is written; its caller then waits with `wait_task_rescheduled(call.abort)`.

        The caller is woken exactly once: with the reply or replies, `OutcomeUnknown`, or `ServiceUnavailable`.
        """
        calls = self.calls
        if calls.queued_bytes >= FLUSH_BYTES and not self._is_blocked:
            self._flush()
        calls.add(call)
        if not calls.awaiting:
            self._heard_at_s = call.expires_at_s - self._timeout_s
            if not self._is_blocked:
                self._flush()
                return
        if (writer := self._writer) is not None:
            self._writer = None
            reschedule(writer)

    async def run(self) -> str:
        """Serve calls until the connection is lost; returns why. However it ends, no caller is left waiting."""
        try:
            async with trio.open_nursery() as nursery:
                for part in (self._run_writer, self._run_reader, self._run_watch):
                    nursery.start_soon(self._until_broken, part, nursery.cancel_scope)
        finally:
            reason = self._broken or "it was closed"
            self._connection.close()
            unknown, unsent = self.calls.lose(
                lambda: OutcomeUnknown(f"the connection to Redis was lost before the reply came: {reason}"),
                lambda: ServiceUnavailable(f"the connection to Redis was lost before anything was sent: {reason}"),
            )
            self.unknown += unknown
            self.unsent += unsent
        return reason

    async def _until_broken(self, part: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
        try:
            await part()
        except BROKEN as error:
            self._broken = self._broken or describe(error)
            scope.cancel(reason=self._broken)

    def _flush(self) -> None:
        """Write from a caller's step. What goes wrong is the connection's to deal with, not the caller's."""
        try:
            if self.calls.write(self._transport.send_now):
                return
            self._is_blocked = True
        except OSError as error:
            self._broken = describe(error)
        self._wake_writer()

    def _wake_writer(self) -> None:
        if (writer := self._writer) is not None:
            self._writer = None
            reschedule(writer)

    async def _run_writer(self) -> None:
        calls, transport = self.calls, self._transport
        while not self._broken:
            if not transport.sends_now:
                while data := calls.take():
                    await transport.send_all(data)
            elif not calls.write(transport.send_now):
                self._is_blocked = True
                await transport.wait_writable()
                continue
            else:
                self._is_blocked = False
            self._writer = current_task()
            await wait_task_rescheduled(self._abort_writer)
        raise ConnectionLost(self._broken)

    def _abort_writer(self, _: RaiseCancelT) -> Abort:
        self._writer = None
        return Abort.SUCCEEDED

    async def _run_reader(self) -> None:
        calls, receive, feed = self.calls, self._transport.receive, self.calls.feed
        while data := await receive():
            self._heard_at_s = monotonic()
            feed(data)
            if calls.queued:
                self._wake_writer()
        raise ConnectionLost("Redis closed the connection")

    async def _run_watch(self) -> None:
        """Fail calls whose time is up, and the connection when nothing at all has come for as long as a call may take.

        A server that is merely behind keeps its connection: closing it would fail those whose replies are on the way.
        """
        calls = self.calls
        while True:
            now_s = monotonic()
            stalled_at_s = self._heard_at_s + self._timeout_s if calls.awaiting else now_s + self._timeout_s
            due_s = min(stalled_at_s, calls.next_expiry_s())
            if due_s > now_s:
                await trio.sleep(due_s - now_s)
                continue
            await trio.sleep(GRACE_S)
            unknown, unsent = calls.expire(now_s, self._overdue, self._no_room)
            self.unknown += unknown
            self.unsent += unsent
            self.timeouts += unknown + unsent
            if calls.awaiting and self._heard_at_s + self._timeout_s <= now_s:
                raise ConnectionLost(f"Redis has said nothing for {self._timeout_s:g} s")

    def _overdue(self) -> OutcomeUnknown:
        return OutcomeUnknown(f"Redis did not answer within {self._timeout_s:g} s")

    def _no_room(self) -> ServiceUnavailable:
        return ServiceUnavailable(f"not sent within {self._timeout_s:g} s: Redis is behind with the commands before it")
