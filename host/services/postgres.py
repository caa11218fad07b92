"""A psycopg connection driven by Trio: no thread, no asyncio loop, and no cancellation that leaves it busy.

psycopg's protocol code is generators that yield when they must wait for the socket; `AsyncConnection` only feeds them.
`TrioConnection` feeds them from `trio.lowlevel`, so cursors, prepared statements, transactions, pipeline mode, COPY,
server-side cursors and notifications are psycopg's own. What it adds:

- A cancelled statement is cancelled on the server too, and its answer read to the end, within `settle_timeout_s`;
  failing that the connection is closed. It is never left busy.
- What was completed is reported as completed: a statement that ended before the cancellation reached the server
  returns its result, and Trio delivers the cancellation at the next checkpoint. So `Cancelled` out of a single
  statement means that it had no effect, unless the connection is closed.
- Every wait for an answer ends within `response_timeout_s`, also when the server is stalled or the link is dead.
- COMMIT and ROLLBACK, once sent, are seen through.

The names of psycopg with an underscore that are used here are private to a minor version, which pyproject.toml pins.
Source: psycopg 3.3, `connection_async.py` and `waiting.py`; libpq 17, PQcancelStart.
"""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar

import psycopg
import trio
from psycopg import pq
from psycopg._capabilities import capabilities
from psycopg.abc import ConnParam, Params, PQGen, Query
from psycopg.conninfo import make_conninfo, timeout_from_conninfo
from psycopg.errors import _WaitTimeout
from psycopg.rows import AsyncRowFactory, Row, TupleRow, tuple_row
from psycopg.waiting import Ready, Wait

from host.services.postgres_blocks import ResponseTimeout, TrioCursor, TrioTransaction
from host.services.postgres_waiting import (
    ConnectionLock,
    SocketWaiter,
    connection_attempts,
    drive_connecting,
    poll_now,
)

RV = TypeVar("RV")

RESPONSE_TIMEOUT_S = 30.0
"""The longest wait for the answer to one statement; long-running work sets its own on the connection."""

SETTLE_TIMEOUT_S = 2.0
"""How long a cancelled statement may take to be cancelled on the server, and a ROLLBACK to be answered."""

CANCEL_PATIENCE_S = 0.02
"""The first wait for the answer to a cancel request before the request is repeated; doubles each time.

A request that overtakes the statement which it is meant for is dropped by the server, so one is not enough.
"""

_ACTIVE = pq.TransactionStatus.ACTIVE


class TrioConnection(psycopg.AsyncConnection[Row]):
    """An `AsyncConnection` whose every wait is Trio's.

    Tasks that share it take turns. Use `async with aclosing(connection.notifies())`: an abandoned generator keeps the
    connection locked.

    Attributes:
        response_timeout_s: the longest wait for the answer to a statement; may be changed between statements.
        settle_timeout_s: bounds the clean-up after a cancellation, and ROLLBACK.
        is_committing: a COMMIT was sent and not yet answered; stays set when the connection is lost so.
    """

    response_timeout_s: float = RESPONSE_TIMEOUT_S
    settle_timeout_s: float = SETTLE_TIMEOUT_S
    is_committing: bool = False

    lock: ConnectionLock  # type: ignore[assignment]

    def __init__(
        self,
        pgconn: pq.abc.PGconn,
        row_factory: AsyncRowFactory[Row] = tuple_row,  # type: ignore[assignment]
    ) -> None:
        super().__init__(pgconn, row_factory)
        self.lock = ConnectionLock()
        self.cursor_factory = TrioCursor
        self._waiter = SocketWaiter(pgconn.socket)
        self._own_cursor: TrioCursor[TupleRow] | None = None

    @classmethod
    async def connect(  # type: ignore[override]
        cls,
        conninfo: str = "",
        *,
        autocommit: bool = False,
        prepare_threshold: int | None = 5,
        row_factory: AsyncRowFactory[Any] | None = None,
        **kwargs: ConnParam,
    ) -> Self:
        """Connect, trying each host and address in turn; `connect_timeout` (seconds) bounds each attempt.

        Cancelled, it leaves nothing open.

        Raises:
            psycopg.OperationalError: no attempt succeeded; the message has them all.
        """
        params = await cls._get_connection_params(conninfo, **kwargs)
        timeout_s = timeout_from_conninfo(params)
        errors: list[psycopg.Error] = []
        for attempt in await connection_attempts(params):
            try:
                with trio.fail_after(timeout_s):
                    connection = await drive_connecting(cls._connect_gen(make_conninfo("", **attempt)))
            except trio.TooSlowError:
                where = attempt.get("hostaddr") or attempt.get("host") or "the default host"
                errors.append(psycopg.errors.ConnectionTimeout(f"no connection to {where} within {timeout_s} s"))
            except psycopg.Error as error:
                errors.append(error)
            else:
                connection._autocommit = autocommit
                connection.prepare_threshold = prepare_threshold
                if row_factory is not None:
                    connection.row_factory = row_factory
                return connection
        messages = dict.fromkeys(str(error).strip() for error in errors)
        raise type(errors[-1])("; ".join(messages), pgconn=errors[-1].pgconn)

    async def close(self) -> None:
        """Close at once, without waiting. Tasks waiting on the connection get `psycopg.OperationalError`."""
        self.shut()

    def shut(self) -> None:
        """What `close` does, where one cannot await. Must be called in the Trio run that waits on it."""
        self._own_cursor = None
        if not self.closed:
            self._closed = True
            self._waiter.close()
        self.pgconn.finish()

    async def run(self, query: Query, params: Params | None = None) -> TrioCursor[TupleRow]:
        """Execute for the sole holder of the connection: like `execute`, without the lock and with one cursor.

        That saves a tenth of a short statement's latency. The cursor is good until the next `run`.
        """
        if (cursor := self._own_cursor) is None:
            cursor = self._own_cursor = TrioCursor(self, row_factory=tuple_row)
        await self.wait(cursor._execute_gen(query, params))
        return cursor

    def forget_result(self) -> None:
        """Free the memory of what `run` returned last."""
        self._own_cursor = None

    async def commit(self) -> None:
        """Commit. A COMMIT that was sent is never cancelled, see `TrioTransaction`."""
        async with self.lock:
            await trio.lowlevel.checkpoint_if_cancelled()
            await self.see_through(self._commit_gen())

    async def rollback(self) -> None:
        """Roll back, also under a cancelled scope; without an answer in `settle_timeout_s` the connection closes."""
        async with self.lock:
            await self.finish_within(self._rollback_gen(), self.settle_timeout_s)

    @asynccontextmanager
    async def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> AsyncIterator[TrioTransaction]:
        """A transaction block, or a savepoint inside one. See `TrioTransaction` for what a cancellation leaves."""
        block = TrioTransaction(self, savepoint_name, force_rollback)
        if self._pipeline:
            async with self.pipeline(), block, self.pipeline():
                yield block
        else:
            async with block:
                yield block

    async def cancel_safe(self, *, timeout: float = SETTLE_TIMEOUT_S) -> None:
        """Ask the server to cancel what this connection is doing, over a connection of its own.

        Raises:
            psycopg.errors.CancellationTimeout: the request was not taken within `timeout` seconds.
            psycopg.OperationalError: it could not be delivered.
        """
        if not self._should_cancel():
            return
        try:
            with trio.fail_after(timeout):
                if capabilities.has_cancel_safe():
                    await drive_connecting(self._cancel_gen())
                else:
                    # libpq before 17 can cancel in a blocking call only; psycopg[binary] brings a newer one.
                    await trio.to_thread.run_sync(self.cancel, abandon_on_cancel=True)
        except trio.TooSlowError:
            raise psycopg.errors.CancellationTimeout(f"the cancel request was not taken in {timeout} s") from None

    async def _try_cancel(self, *, timeout: float = SETTLE_TIMEOUT_S) -> None:
        # psycopg calls it to clean up after COPY and stream(), mostly under a cancelled scope.
        with trio.CancelScope(shield=True):
            await super()._try_cancel(timeout=min(timeout, self.settle_timeout_s))

    async def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Run one of psycopg's generators on this connection: everything said to the server passes here.

        `timeout` bounds a wait that is not for the answer to a statement (for notifications); 0 takes what is there.
        Cancelled before anything was sent, nothing is sent; later, see the module's docstring.

        Raises:
            ResponseTimeout: no answer within `response_timeout_s`.
            psycopg.errors._WaitTimeout: `timeout` passed.
            psycopg.Error: whatever the generator raises.
        """
        pgconn = self.pgconn
        fd = self._waiter.fd
        # A generator that finishes something begun (a pipeline, COPY) has to run also when cancelled.
        if pgconn.transaction_status != _ACTIVE and self._pipeline is None:
            await trio.lowlevel.checkpoint_if_cancelled()
        try:
            want = next(gen)
        except StopIteration as stop:
            await self._waiter.take_turns(cancellable=False)
            return stop.value  # type: ignore[no-any-return]
        if pgconn.transaction_status != _ACTIVE:
            return await self._wait_for_news(gen, want, timeout)
        # Entered after the statement was sent: what it costs passes while the server works.
        with trio.CancelScope(deadline=trio.current_time() + self.response_timeout_s):
            try:
                while True:
                    if want == Wait.R:
                        await trio.lowlevel.wait_readable(fd)
                        want = gen.send(Ready.R)
                    else:
                        want = gen.send(await self._waiter.ready(want))
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            except (trio.Cancelled, KeyboardInterrupt) as interruption:
                return await self._settle(gen, want, interruption)
            except (trio.ClosedResourceError, OSError) as error:
                raise psycopg.OperationalError("the connection was closed while a statement was running") from error
        raise self._no_answer(self.response_timeout_s, "response_timeout_s")

    async def see_through(self, gen: PQGen[RV]) -> RV:
        """Run a generator that sends COMMIT, which a cancellation no longer stops.

        Raises:
            ResponseTimeout: no answer in time, nor within `settle_timeout_s` of a cancellation; the connection is
                closed and the outcome unknown.
        """
        self.is_committing = True
        try:
            return await self.wait(gen)
        finally:
            if not self.closed:
                self.is_committing = False

    async def finish_within(self, gen: PQGen[RV], timeout_s: float) -> RV:
        """Run a generator that cleans up, under a shield; when time is up the connection is closed.

        Raises:
            ResponseTimeout: it is closed.
        """
        with trio.CancelScope(shield=True, deadline=trio.current_time() + timeout_s):
            try:
                return await self._drive(gen, next(gen))
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
        self._abandon(gen)
        raise self._no_answer(timeout_s, "settle_timeout_s")

    async def _drive(self, gen: PQGen[RV], want: Wait) -> RV:
        try:
            while True:
                want = gen.send(await self._waiter.ready(want))
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        except (trio.ClosedResourceError, OSError) as error:
            raise psycopg.OperationalError("the connection was closed by another task") from error

    async def _wait_for_news(self, gen: PQGen[RV], want: Wait, timeout_s: float | None) -> RV:
        """Wait for what the server sends by itself: nothing was asked, so a cancellation has nothing to settle."""
        if timeout_s is None:
            return await self._drive(gen, want)
        try:
            if ready := poll_now(self._waiter.fd, want):
                want = gen.send(ready)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        with trio.move_on_after(timeout_s):
            return await self._drive(gen, want)
        raise _WaitTimeout("nothing arrived in time")

    async def _settle(self, gen: PQGen[RV], want: Wait, interruption: BaseException) -> RV:
        """End a statement that was interrupted: its result if it was completed all the same, else the interruption."""
        failure: psycopg.Error | None = None
        with trio.CancelScope(shield=True, deadline=trio.current_time() + self.settle_timeout_s):
            try:
                value = await (self._drive(gen, want) if self.is_committing else self._cancel_and_drain(gen, want))
            except psycopg.Error as error:
                # As a rule QueryCanceled, which is the purpose.
                failure = error
            else:
                # Still active: it was a part of COPY or of a pipeline that was completed, not all of it.
                if self.pgconn.transaction_status != _ACTIVE and isinstance(interruption, trio.Cancelled):
                    return value
            if failure is not None and self.is_committing:
                raise failure
            raise interruption
        was_committing = self.is_committing
        self._abandon(gen)
        if was_committing:
            raise self._no_answer(self.settle_timeout_s, "settle_timeout_s")
        raise interruption

    async def _cancel_and_drain(self, gen: PQGen[RV], want: Wait) -> RV:
        patience_s = CANCEL_PATIENCE_S
        while True:
            # Undeliverable, it is tried again: the statement may also end by itself.
            with contextlib.suppress(psycopg.Error):
                await self.cancel_safe(timeout=self.settle_timeout_s)
            with trio.move_on_after(patience_s):
                return await self._drive(gen, want)
            patience_s *= 2

    def _abandon(self, gen: PQGen[Any]) -> None:
        self.shut()
        # Some of psycopg's generators try to talk to the server while they are closed.
        with contextlib.suppress(Exception):
            gen.close()

    def _no_answer(self, timeout_s: float, setting: str) -> ResponseTimeout:
        outcome = "the connection is closed" if self.closed else "the statement was cancelled"
        return ResponseTimeout(f"no answer within {timeout_s:g} s ({setting}); {outcome}")
