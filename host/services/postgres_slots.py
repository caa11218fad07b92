"""The slots of a pool of connections: who holds one, who waits for one, which are idle, and which must be closed.

Invariants, each of them tested:
- A connection is lent, idle or closed; a slot is never lost, whatever is cancelled when.
- While callers wait, no connection is idle: one that comes back goes to the caller who waits longest.
- Only a connection that is open, outside any transaction and not busy is lent again; any other is closed.

The last returned is the first lent, so that in quiet times the surplus goes unused and grows too old. Nothing here runs
between calls: there is no background task to supervise, and the first connection is opened at the first call.
"""

import random
import select
from collections import OrderedDict
from dataclasses import dataclass
from math import inf
from typing import Any

import outcome
import psycopg
import trio
from psycopg import IsolationLevel, pq
from psycopg.rows import AsyncRowFactory, TupleRow, tuple_row

from host.errors import HostError, ServiceUnavailable
from host.services.postgres import SETTLE_TIMEOUT_S, TrioConnection

IDLE_CHECK_S = 30.0
"""A connection idle for longer is asked for a sign of life first: a firewall may have dropped it in silence."""

IDLE_CHECK_TIMEOUT_S = 1.0
"""How long that sign may take."""

LIFETIME_MAX_S = 1800.0
"""A connection is closed at this age (less up to a tenth), which frees what its server process has gathered."""

WAITERS_MAX = 10_000
"""Callers that may wait for a connection; one more is refused at once."""

_ISOLATION = "SET default_transaction_isolation TO 'read committed'"
_SET_UP = f"{_ISOLATION}; SHOW default_transaction_isolation"
# What a session can carry from one borrower to the next; prepared statements stay, psycopg keeps the books on them.
_RESET = f"CLOSE ALL; UNLISTEN *; SELECT pg_advisory_unlock_all(); RESET ALL; {_ISOLATION}"

_CHARACTERISTICS = (IsolationLevel.READ_COMMITTED, None, None)
_IDLE = pq.TransactionStatus.IDLE
_OK = pq.ConnStatus.OK


@dataclass(frozen=True, slots=True)
class PostgresStatistics:
    """The state of a pool. `size` counts connections that are open or being opened: `in_use` + `idle`.

    Totals are since the pool was made. `cancelled_total` counts callers that were cancelled while they waited for a
    connection or held one, `timeouts_total` those that got none in time, `refused_total` those beyond `waiters_max`,
    `lost_total` connections that broke, `closed_total` all that were closed, for age, damage or at the end.
    """

    name: str
    connections_max: int
    size: int
    in_use: int
    idle: int
    waiting: int
    waiting_peak: int
    acquired_total: int
    opened_total: int
    closed_total: int
    lost_total: int
    connect_failures_total: int
    timeouts_total: int
    refused_total: int
    cancelled_total: int


class PooledConnection(TrioConnection[TupleRow]):
    """A connection of a pool. `expires_at_s` and `check_at_s` are times of Trio's clock."""

    expires_at_s: float = inf
    check_at_s: float = inf

    def __init__(
        self,
        pgconn: pq.abc.PGconn,
        row_factory: AsyncRowFactory[TupleRow] = tuple_row,
    ) -> None:
        super().__init__(pgconn, row_factory)
        self._news = select.poll()
        self._news.register(pgconn.socket, select.POLLIN)

    def is_quiet(self) -> bool:
        """Whether the server has said nothing since the last answer; a goodbye or a broken link is something."""
        return not self._news.poll(0)

    def is_clean(self) -> bool:
        """Whether the next borrower finds nothing of the last one's: no transaction, no pipeline, no answer due."""
        pgconn = self.pgconn
        return (
            pgconn.status == _OK
            and pgconn.transaction_status == _IDLE
            and self._pipeline is None
            and self._num_transactions == 0
            and not self.lock.locked()
        )


class ConnectionSlots:
    """At most `connections_max` connections to one server. `Postgres` explains the parameters."""

    def __init__(
        self,
        parameters: dict[str, Any],
        *,
        name: str,
        connections_max: int,
        acquire_timeout_s: float,
        response_timeout_s: float,
        waiters_max: int,
        lifetime_max_s: float,
        idle_check_s: float,
        prepare_threshold: int | None,
    ) -> None:
        assert connections_max >= 1
        self._parameters = parameters
        self.name = name
        self._connections_max = connections_max
        self._acquire_timeout_s = acquire_timeout_s
        self._response_timeout_s = response_timeout_s
        self._waiters_max = waiters_max
        self._lifetime_max_s = lifetime_max_s
        self._idle_check_s = idle_check_s
        self._prepare_threshold = prepare_threshold
        self._idle: list[PooledConnection] = []
        # Insertion order is the order of the queue; a cancelled waiter leaves it in O(1).
        self._waiting: OrderedDict[trio.lowlevel.Task, None] = OrderedDict()
        self._size = 0
        self._is_closed = False
        self._waiting_peak = 0
        self._acquired = self._opened = self._closed = self._lost = 0
        self._connect_failures = self._timeouts = self._refused = 0
        self.cancelled_total = 0

    def take(self) -> PooledConnection | None:
        """The connection used last, when it can be lent without waiting: most calls need no more than this."""
        if not self._idle:
            return None
        connection = self._idle[-1]
        if trio.current_time() >= connection.check_at_s or not connection.is_quiet():
            return None
        self._acquired += 1
        return self._idle.pop()

    async def acquire(self) -> PooledConnection:
        """A connection, waited for or opened. There is no checkpoint between having it and returning it."""
        if self._is_closed:
            raise self._closed_error()
        try:
            with trio.CancelScope(deadline=trio.current_time() + self._acquire_timeout_s):
                connection = await self._checked_idle() if self._idle else None
                if connection is None and self._size < self._connections_max:
                    self._size += 1
                    connection = await self._open()
                elif connection is None:
                    # What comes is a connection, or None: the slot of one that was closed.
                    connection = await self._queue() or await self._open()
                self._acquired += 1
                return connection
        except trio.Cancelled:
            self.cancelled_total += 1
            raise
        self._timeouts += 1
        raise ServiceUnavailable(
            f"postgres {self.name!r}: no connection within {self._acquire_timeout_s:g} s (acquire_timeout); "
            f"{self._size - len(self._idle)} of {self._connections_max} in use, {len(self._waiting)} callers waiting"
        )

    async def _checked_idle(self) -> PooledConnection | None:
        """An idle connection that is alive; those found dead or too old on the way are closed."""
        while self._idle:
            connection = self._idle.pop()
            try:
                if await self._is_alive(connection):
                    return connection
            except BaseException:
                self._discard(connection)
                raise
            self._discard(connection)
        return None

    async def _is_alive(self, connection: PooledConnection) -> bool:
        now = trio.current_time()
        if now >= connection.expires_at_s:
            return False
        # News may be a notice or a notification, or the first part of a goodbye: asking tells them apart.
        if now >= connection.check_at_s or not connection.is_quiet():
            connection.response_timeout_s = IDLE_CHECK_TIMEOUT_S
            try:
                await connection.run("SELECT 1")
            except psycopg.Error:
                return False
            finally:
                self.restore(connection)
        return True

    async def _queue(self) -> PooledConnection | None:
        """Wait in line for a connection, or for a free slot (None)."""
        if len(self._waiting) >= self._waiters_max:
            self._refused += 1
            raise ServiceUnavailable(
                f"postgres {self.name!r}: {len(self._waiting)} callers wait for a connection already (waiters_max)"
            )
        task = trio.lowlevel.current_task()
        self._waiting[task] = None
        self._waiting_peak = max(self._waiting_peak, len(self._waiting))

        def leave(_: object) -> trio.lowlevel.Abort:
            del self._waiting[task]
            return trio.lowlevel.Abort.SUCCEEDED

        given: PooledConnection | None = await trio.lowlevel.wait_task_rescheduled(leave)
        return given

    async def _open(self) -> PooledConnection:
        """Open a connection into a slot that is the caller's; failing or cancelled, the slot is passed on."""
        connection: PooledConnection | None = None
        try:
            connection = await PooledConnection.connect(
                autocommit=True, prepare_threshold=self._prepare_threshold, **self._parameters
            )
            self.restore(connection)
            # There is nothing to settle on a connection that nobody has used.
            connection.settle_timeout_s = 0.0
            cursor = await connection.execute(_SET_UP, prepare=False)
            connection.settle_timeout_s = SETTLE_TIMEOUT_S
            cursor.nextset()
            isolation = await cursor.fetchone()
            if isolation != ("read committed",):
                raise HostError(f"postgres {self.name!r}: the server keeps the isolation level {isolation}")
        except BaseException as error:
            if connection is not None:
                connection.shut()
            self._pass_on_slot()
            if isinstance(error, psycopg.Error):
                self._connect_failures += 1
                raise ServiceUnavailable(f"postgres {self.name!r}: cannot connect: {one_line(error)}") from error
            raise
        connection.expires_at_s = trio.current_time() + self._lifetime_max_s * random.uniform(0.9, 1.0)
        self._opened += 1
        return connection

    def give_back(self, connection: PooledConnection) -> None:
        """Take a connection back: to the longest waiting caller, to the idle ones, or to be closed."""
        now = trio.current_time()
        if not connection.is_clean() or now >= connection.expires_at_s or self._is_closed:
            self._discard(connection)
        elif self._waiting:
            task, _ = self._waiting.popitem(last=False)
            trio.lowlevel.reschedule(task, outcome.Value(connection))
        else:
            connection.check_at_s = min(now + self._idle_check_s, connection.expires_at_s)
            self._idle.append(connection)

    def _discard(self, connection: PooledConnection) -> None:
        self._lost += connection.broken
        self._closed += 1
        connection.shut()
        self._pass_on_slot()

    def _pass_on_slot(self) -> None:
        if self._waiting:
            task, _ = self._waiting.popitem(last=False)
            trio.lowlevel.reschedule(task, outcome.Value(None))
        else:
            self._size -= 1

    def restore(self, connection: PooledConnection) -> None:
        """Undo what a borrower may have set on the object."""
        connection.response_timeout_s = self._response_timeout_s
        connection.settle_timeout_s = SETTLE_TIMEOUT_S
        connection.row_factory = tuple_row
        connection._autocommit = True
        characteristics = (connection._isolation_level, connection._read_only, connection._deferrable)
        if characteristics != _CHARACTERISTICS:
            connection._isolation_level, connection._read_only, connection._deferrable = _CHARACTERISTICS
            connection._begin_statement = b""

    async def reset_session(self, connection: PooledConnection) -> None:
        """Undo what a borrower may have set on the server; a connection that does not answer is closed."""
        self.restore(connection)
        if connection.is_clean():
            connection.response_timeout_s = SETTLE_TIMEOUT_S
            with trio.CancelScope(shield=True):
                try:
                    await connection.execute(_RESET, prepare=False)
                except psycopg.Error:
                    connection.shut()
            connection.response_timeout_s = self._response_timeout_s

    def close(self) -> None:
        """Close the idle connections now and the lent ones when they come back; waiting callers are refused."""
        self._is_closed = True
        while self._idle:
            self._discard(self._idle.pop())
        while self._waiting:
            task, _ = self._waiting.popitem(last=False)
            trio.lowlevel.reschedule(task, outcome.Error(self._closed_error()))

    def statistics(self) -> PostgresStatistics:
        """How the pool stands at this moment."""
        return PostgresStatistics(
            name=self.name,
            connections_max=self._connections_max,
            size=self._size,
            in_use=self._size - len(self._idle),
            idle=len(self._idle),
            waiting=len(self._waiting),
            waiting_peak=self._waiting_peak,
            acquired_total=self._acquired,
            opened_total=self._opened,
            closed_total=self._closed,
            lost_total=self._lost,
            connect_failures_total=self._connect_failures,
            timeouts_total=self._timeouts,
            refused_total=self._refused,
            cancelled_total=self.cancelled_total,
        )

    def _closed_error(self) -> ServiceUnavailable:
        return ServiceUnavailable(f"postgres {self.name!r}: the pool is closed")


def one_line(error: BaseException) -> str:
    """The message of libpq, which has several lines, on one."""
    return "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
