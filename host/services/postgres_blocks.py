"""What runs on a `TrioConnection`: its cursor and its transaction block, psycopg's own made safe to cancel."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import psycopg
import trio
from psycopg import pq
from psycopg._copy_async import AsyncQueuedLibpqWriter
from psycopg.abc import Params, Query
from psycopg.copy import AsyncCopy, AsyncWriter
from psycopg.rows import Row

if TYPE_CHECKING:
    from host.services.postgres import TrioConnection

_ACTIVE = pq.TransactionStatus.ACTIVE
_INERROR = pq.TransactionStatus.INERROR
_OK = pq.ConnStatus.OK


class ResponseTimeout(psycopg.OperationalError):
    """The server did not answer in time.

    With the connection still open, the server has cancelled the statement, which had no effect. With the connection
    closed, whatever was sent may have been carried out.
    """


class TrioCursor(psycopg.AsyncCursor[Row]):
    """psycopg's cursor, with COPY made safe to cancel."""

    __slots__ = ()

    @asynccontextmanager
    async def copy(
        self, statement: Query, params: Params | None = None, *, writer: AsyncWriter | None = None
    ) -> AsyncIterator[AsyncCopy]:
        """COPY from or to the connection, as psycopg does. Cancelled, nothing was copied in.

        Raises:
            psycopg.NotSupportedError: `writer` is an `AsyncQueuedLibpqWriter`, which starts an asyncio task.
        """
        if isinstance(writer, AsyncQueuedLibpqWriter):
            raise psycopg.NotSupportedError(
                "AsyncQueuedLibpqWriter runs on asyncio only; leave writer out, or use AsyncLibpqWriter"
            )
        async with self._conn.lock:
            try:
                await self._conn.wait(self._start_copy_gen(statement, params))
            except trio.Cancelled as cancelled:
                # The server may have begun all the same; psycopg ends only what its AsyncCopy has entered.
                if self._pgconn.transaction_status == _ACTIVE and self.pgresult is not None:
                    await AsyncCopy(self).finish(cancelled)
                raise
            async with AsyncCopy(self, writer=writer) as copy:
                yield copy
        # A fresher result, set by the end of COPY, has the row count.
        self._select_current_result(0)


class TrioTransaction(psycopg.AsyncTransaction):
    """psycopg's transaction block, made safe to cancel.

    Cancelled before COMMIT is sent, it rolls back. A COMMIT that was sent is never cancelled: its answer is awaited,
    after a cancellation for `settle_timeout_s` more, so `Cancelled` out of a block always means "not committed".
    A ROLLBACK is answered within `settle_timeout_s`, or the connection is closed, which rolls back as well.
    """

    _conn: "TrioConnection[Any]"

    async def __aenter__(self) -> Self:
        async with self._conn.lock:
            self._check_enter()
            await trio.lowlevel.checkpoint_if_cancelled()
            try:
                await self._conn.wait(self._enter_gen())
            except BaseException as error:
                # `__aexit__` will not be called.
                await self._roll_back(error)
                raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> bool:
        if self.pgconn.status != _OK:
            self.status = self.Status.FAILED
            if exc is None:
                # psycopg leaves such a block in silence, and the caller would take it for committed.
                raise psycopg.OperationalError("the connection was lost before COMMIT: nothing was committed")
            return False
        async with self._conn.lock:
            if exc is not None or self.force_rollback:
                return await self._roll_back(exc)
            if self.pgconn.transaction_status == _INERROR and not self._conn._pipeline:
                # The server answers such a COMMIT with ROLLBACK, and no error.
                error = psycopg.errors.InFailedSqlTransaction(
                    "nothing was committed: a statement of the transaction had failed and its error was swallowed"
                )
                await self._roll_back(error)
                raise error
            try:
                await trio.lowlevel.checkpoint_if_cancelled()
            except BaseException as interruption:
                await self._roll_back(interruption)
                raise
            if not self._outer_transaction:
                return await self._conn.wait(self._exit_gen(None, None, None))
            return await self._conn.see_through(self._exit_gen(None, None, None))

    async def _roll_back(self, exc: BaseException | None) -> bool:
        if self.pgconn.status == _OK:
            try:
                exc_type = None if exc is None else type(exc)
                return await self._conn.finish_within(self._exit_gen(exc_type, exc, None), self._conn.settle_timeout_s)
            except ResponseTimeout:
                pass
        # The server rolls back when the connection is gone; what led here matters more than how.
        self.status = self.Status.FAILED
        return False
