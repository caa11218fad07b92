"""`Postgres`: the database as the host lends it to a plugin, a pool and the shortest ways to use it.

What it raises says what became of the statement: `ServiceUnavailable` when it certainly had no effect, `OutcomeUnknown`
when that cannot be known, psycopg's own errors when the server refused it. `host.services.postgres_slots` keeps the
connections, `host.services.postgres` says what a cancellation leaves behind.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import psycopg
import trio
from psycopg.abc import Params, Query
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow

from host.errors import HostError, OutcomeUnknown, ServiceUnavailable
from host.services.postgres import RESPONSE_TIMEOUT_S, TrioConnection
from host.services.postgres_blocks import ResponseTimeout
from host.services.postgres_slots import (
    IDLE_CHECK_S,
    LIFETIME_MAX_S,
    WAITERS_MAX,
    ConnectionSlots,
    PooledConnection,
    PostgresStatistics,
    one_line,
)

RESULT_ROWS_KEPT_MAX = 100
"""A connection keeps its last result until the next statement, unless it has more rows than this."""

# The server says with these that it ended the session without carrying out the statement: it was told to shut down,
# the database was dropped, or a time-out for idle sessions or long transactions fired.
_CERTAINLY_NOT_DONE = frozenset({"57P01", "57P04", "57P05", "25P03", "25P04"})


class Postgres:
    """A bounded pool of `TrioConnection`, and the shortest ways to use it.

    `execute` and the `fetch_*` methods run one statement in autocommit mode. Within `transaction()` several succeed or
    fail together. `connection()` lends the connection itself: LISTEN, COPY, cursors, session settings.
    Statements take parameters as psycopg does (`%s`, `%(name)s`) and are prepared by themselves when they recur.

    Any number of tasks may call it at once. A cancelled statement is cancelled on the server as well; for
    what is then certain see `host.services.postgres`.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        name: str,
        connections_max: int = 10,
        acquire_timeout_s: float = 5.0,
        response_timeout_s: float = RESPONSE_TIMEOUT_S,
        waiters_max: int = WAITERS_MAX,
        lifetime_max_s: float = LIFETIME_MAX_S,
        idle_check_s: float = IDLE_CHECK_S,
        prepare_threshold: int | None = 5,
    ) -> None:
        """Nothing is opened yet.

        Args:
            conninfo: a libpq URL or key/value string.
            name: who uses it, for messages and for the server's list of sessions.
            connections_max: connections open at once.
            acquire_timeout_s: how long a caller waits for a connection, one being opened included.
            response_timeout_s: how long it waits for the answer to a statement, which is then cancelled.
            waiters_max: callers that may wait at once.
            lifetime_max_s: the age at which a connection is replaced.
            idle_check_s: after how long unused a connection is checked before it is lent.
            prepare_threshold: after how many runs a statement is prepared on a connection; None is never.

        Raises:
            HostError: `conninfo` cannot be parsed.
        """
        try:
            parameters = conninfo_to_dict(conninfo)
        except psycopg.Error as error:
            raise HostError(f"the Postgres URL of {name!r} cannot be used: {one_line(error)}") from None
        defaults = {
            "fallback_application_name": f"quartet {name}",
            # Both for TCP alone: the kernel gives up a dead link, also while nobody waits for an answer.
            "tcp_user_timeout": round(response_timeout_s * 1000),
            "keepalives_idle": round(idle_check_s) or 1,
        }
        self.name = name
        self._slots = ConnectionSlots(
            defaults | parameters,
            name=name,
            connections_max=connections_max,
            acquire_timeout_s=acquire_timeout_s,
            response_timeout_s=response_timeout_s,
            waiters_max=waiters_max,
            lifetime_max_s=lifetime_max_s,
            idle_check_s=idle_check_s,
            prepare_threshold=prepare_threshold,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def execute(self, query: Query, params: Params | None = None) -> int:
        """Run a statement and return how many rows it affected or found, -1 when that has no meaning (DDL).

        Raises:
            ServiceUnavailable: there is no connection, or it is certain that the statement had no effect.
            OutcomeUnknown: the connection was lost after the statement was sent.
            psycopg.Error: the server refused the statement, which had no effect.
        """
        connection = self._slots.take() or await self._slots.acquire()
        with _Lent(self._slots, connection):
            cursor = await connection.run(query, params)
            return cursor.rowcount

    async def fetch_all(self, query: Query, params: Params | None = None) -> list[TupleRow]:
        """Run a statement and return its rows. Raises as `execute` does."""
        connection = self._slots.take() or await self._slots.acquire()
        with _Lent(self._slots, connection):
            cursor = await connection.run(query, params)
            rows = await cursor.fetchall()
            if len(rows) > RESULT_ROWS_KEPT_MAX:
                connection.forget_result()
            return rows

    async def fetch_one(self, query: Query, params: Params | None = None) -> TupleRow | None:
        """Run a statement and return its first row, None when there is none. Raises as `execute` does."""
        connection = self._slots.take() or await self._slots.acquire()
        with _Lent(self._slots, connection):
            cursor = await connection.run(query, params)
            return await cursor.fetchone()

    async def fetch_value(self, query: Query, params: Params | None = None) -> Any:
        """Run a statement and return the first column of its first row, None when there is none.

        Raises as `execute` does.
        """
        row = await self.fetch_one(query, params)
        return None if row is None else row[0]

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[TrioConnection[TupleRow]]:
        """Lend a connection inside BEGIN (READ COMMITTED) … COMMIT; an error or a cancellation rolls back.

        `connection.transaction()` makes a savepoint, `raise psycopg.Rollback()` leaves without committing. Session
        settings outlive the block: use SET LOCAL. `Cancelled` means that nothing was committed: a COMMIT that was sent
        is seen through.

        Raises:
            ServiceUnavailable: there is no connection, or it was lost before COMMIT: nothing was committed.
            OutcomeUnknown: it was lost after COMMIT was sent.
            psycopg.Error: the server refused a statement or COMMIT; nothing was committed.
        """
        connection = self._slots.take() or await self._slots.acquire()
        with _Lent(self._slots, connection, in_transaction=True):
            try:
                async with connection.transaction():
                    yield connection
            finally:
                self._slots.restore(connection)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[TrioConnection[TupleRow]]:
        """Lend a connection in autocommit mode; each statement is READ COMMITTED and a transaction of its own.

        Settings of the session, subscriptions, cursors and advisory locks end with the block, which costs a round trip.

        Raises:
            ServiceUnavailable: there is no connection, or it is certain that the last statement had no effect.
            OutcomeUnknown: the connection was lost after the last statement was sent.
            psycopg.Error: the server refused a statement.
        """
        connection = self._slots.take() or await self._slots.acquire()
        with _Lent(self._slots, connection):
            try:
                yield connection
            finally:
                await self._slots.reset_session(connection)

    async def aclose(self) -> None:
        """Close the idle connections now and the lent ones when they come back; waiting callers are refused."""
        self._slots.close()
        await trio.lowlevel.cancel_shielded_checkpoint()

    def statistics(self) -> PostgresStatistics:
        """How the pool stands at this moment."""
        return self._slots.statistics()


class _Lent:
    """Gives a lent connection back, and says what became of the last statement when it failed."""

    __slots__ = ("_connection", "_in_transaction", "_slots")

    def __init__(self, slots: ConnectionSlots, connection: PooledConnection, *, in_transaction: bool = False) -> None:
        self._slots = slots
        self._connection = connection
        self._in_transaction = in_transaction

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        connection = self._connection
        if exc is None:
            self._slots.give_back(connection)
            return
        was_lost, was_committing = connection.closed, connection.is_committing
        self._slots.give_back(connection)
        if isinstance(exc, trio.Cancelled):
            self._slots.cancelled_total += 1
        elif isinstance(exc, psycopg.Error) and (was_lost or isinstance(exc, ResponseTimeout)):
            may_be_done = was_lost and (was_committing or not self._in_transaction)
            raise self._verdict(exc, may_be_done and exc.sqlstate not in _CERTAINLY_NOT_DONE) from exc

    def _verdict(self, error: psycopg.Error, may_be_done: bool) -> HostError:
        where = f"postgres {self._slots.name!r}"
        if may_be_done:
            what = "COMMIT" if self._in_transaction else "the statement"
            return OutcomeUnknown(f"{where}: the connection was lost after {what} was sent: {one_line(error)}")
        return ServiceUnavailable(f"{where}: nothing was done: {one_line(error)}")
