"""What a cancellation, a stalled server and a lost connection leave behind: an idle connection or a closed one."""

from contextlib import suppress
from typing import Any

import psycopg
import pytest
import trio
import trio.testing

from host.services.postgres import ResponseTimeout, TrioConnection
from tests.host.services.postgres_kit import (
    FOREVER,
    IDLE,
    cancel_while_running,
    connected,
    in_transaction,
    proxied,
    until_running,
    value,
)
from tests.host.services.proxy import Fate


async def test_transaction_commits_rolls_back_and_nests(postgres_url: str) -> None:
    async with connected(postgres_url) as connection:
        await connection.execute("CREATE TABLE t (n int)")
        async with connection.transaction():
            await connection.execute("INSERT INTO t VALUES (1)")
            with pytest.raises(psycopg.errors.DivisionByZero):
                await in_transaction(connection, "INSERT INTO t VALUES (2)", "SELECT 1/0")
        with pytest.raises(psycopg.errors.UndefinedTable):
            await in_transaction(connection, "INSERT INTO t VALUES (3)", "INSERT INTO nowhere VALUES (3)")
        async with connection.transaction():
            await connection.execute("INSERT INTO t VALUES (4)")
            raise psycopg.Rollback
        async with connection.transaction(force_rollback=True):
            await connection.execute("INSERT INTO t VALUES (5)")
        assert await value(connection, "SELECT array_agg(n) FROM t") == [1]


async def test_transaction_whose_error_was_swallowed_says_that_nothing_was_committed(postgres_url: str) -> None:
    async def swallow() -> None:
        async with connection.transaction():
            with suppress(psycopg.errors.DivisionByZero):
                await connection.execute("SELECT 1/0")

    async with connected(postgres_url) as connection:
        with pytest.raises(psycopg.errors.InFailedSqlTransaction, match="nothing was committed"):
            await swallow()
        assert connection.pgconn.transaction_status == IDLE


async def test_transaction_whose_connection_was_lost_never_ends_as_if_committed(postgres_url: str) -> None:
    async with connected(postgres_url) as connection:
        with pytest.raises(psycopg.OperationalError, match="nothing was committed"):
            async with connection.transaction():
                await connection.close()


async def test_transaction_cancelled_in_its_body_rolls_back(postgres_url: str) -> None:
    async def insert_and_sleep() -> None:
        async with connection.transaction():
            await connection.execute("INSERT INTO t VALUES (1)")
            await connection.execute(FOREVER)

    async with connected(postgres_url) as connection:
        await connection.execute("CREATE TABLE t (n int)")
        assert await cancel_while_running(postgres_url, FOREVER, insert_and_sleep)
        assert connection.pgconn.transaction_status == IDLE
        assert await value(connection, "SELECT count(*) FROM t") == 0


async def test_transaction_cancelled_before_commit_is_sent_rolls_back(postgres_url: str) -> None:
    async with connected(postgres_url) as connection:
        await connection.execute("CREATE TABLE t (n int)")
        with trio.CancelScope() as scope:
            async with connection.transaction():
                await connection.execute("INSERT INTO t VALUES (1)")
                scope.cancel()
        assert scope.cancelled_caught
        assert connection.pgconn.transaction_status == IDLE
        assert await value(connection, "SELECT count(*) FROM t") == 0


async def test_transaction_cancelled_before_its_begin_leaves_the_connection_usable(postgres_url: str) -> None:
    async with connected(postgres_url) as connection:
        with trio.CancelScope() as scope:
            scope.cancel()
            async with connection.transaction():
                pytest.fail("the block was entered")
        assert scope.cancelled_caught
        assert connection.pgconn.transaction_status == IDLE
        async with connection.transaction():
            assert await value(connection, "SELECT 1") == 1
        assert connection._num_transactions == 0


async def test_transaction_whose_begin_is_not_answered_is_not_entered(postgres_url: str) -> None:
    async with proxied(postgres_url) as (proxy, url), connected(url) as connection:
        connection.settle_timeout_s = 0.1
        proxy.on_request = lambda data: Fate.STALL
        with trio.move_on_after(0.05) as scope:
            async with connection.transaction():
                pytest.fail("the block was entered")
        assert scope.cancelled_caught
        assert connection.closed


async def test_commit_that_was_sent_is_seen_through(postgres_url: str) -> None:
    async with proxied(postgres_url) as (proxy, url), connected(url) as connection:
        await connection.execute("CREATE TABLE t (n int)")
        proxy.on_request = lambda data: Fate.STALL if b"COMMIT\0" in data else Fate.PASS
        left_normally = False
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def _() -> None:
                    await trio.testing.wait_all_tasks_blocked(0.1)
                    scope.cancel()
                    proxy.resume()

                async with connection.transaction():
                    await connection.execute("INSERT INTO t VALUES (1)")
                left_normally = True
        assert left_normally
        assert proxy.accepted_total == 1, "no connection to cancel was made"
        assert not connection.is_committing
        assert await value(connection, "SELECT count(*) FROM t") == 1


async def test_explicit_commit_and_rollback_work_outside_autocommit(postgres_url: str) -> None:
    async with connected(postgres_url, autocommit=False) as connection:
        await connection.execute("CREATE TABLE t (n int)")
        await connection.commit()
        await connection.execute("INSERT INTO t VALUES (1)")
        with trio.CancelScope() as scope:
            scope.cancel()
            await connection.rollback()
        assert connection.pgconn.transaction_status == IDLE
        assert await value(connection, "SELECT count(*) FROM t") == 0


async def test_a_cancelled_statement_ends_on_the_server_and_leaves_the_connection_idle(postgres_url: str) -> None:
    async with connected(postgres_url) as connection, connected(postgres_url) as watcher:
        assert await cancel_while_running(postgres_url, FOREVER, lambda: connection.execute(FOREVER))
        assert connection.pgconn.transaction_status == IDLE
        running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = %s"
        assert await value(watcher, running, FOREVER) == 0
        assert await value(connection, "SELECT 1") == 1


async def test_a_statement_cancelled_before_it_was_sent_is_never_sent(postgres_url: str) -> None:
    sent = bytearray()

    def record(data: bytes) -> Fate:
        sent.extend(data)
        return Fate.PASS

    async with proxied(postgres_url) as (proxy, url), connected(url) as connection:
        proxy.on_request = record
        with trio.CancelScope() as scope:
            scope.cancel()
            await connection.execute("SELECT 'never'")
        assert scope.cancelled_caught
        assert await value(connection, "SELECT 1") == 1
    assert b"never" not in sent
    assert proxy.accepted_total == 1, "no connection to cancel was made"


async def test_a_cancel_request_that_the_server_missed_is_repeated(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = 0
    cancel_safe = TrioConnection.cancel_safe

    async def first_is_lost(self: TrioConnection[Any], *, timeout: float = 1) -> None:
        nonlocal requests
        requests += 1
        if requests > 1:
            await cancel_safe(self, timeout=timeout)

    monkeypatch.setattr(TrioConnection, "cancel_safe", first_is_lost)
    async with connected(postgres_url) as connection:
        assert await cancel_while_running(postgres_url, FOREVER, lambda: connection.execute(FOREVER))
        assert not connection.closed
        assert requests == 2


async def test_a_statement_that_ends_before_its_cancellation_arrives_returns_its_result(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(self: TrioConnection[Any], *, timeout: float = 1) -> None:
        pass

    monkeypatch.setattr(TrioConnection, "cancel_safe", lost)
    done: list[Any] = []
    slow = "SELECT 1 FROM pg_sleep(0.3)"

    async def act() -> None:
        done.append(await value(connection, slow))
        await trio.lowlevel.checkpoint()

    async with connected(postgres_url) as connection:
        assert await cancel_while_running(postgres_url, slow, act)
    assert done == [1]


async def test_a_cancelled_statement_that_does_not_end_closes_the_connection(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxied(postgres_url) as (proxy, url), connected(url) as connection:
        connection.settle_timeout_s = 0.1
        proxy.on_request = lambda data: Fate.STALL
        with trio.move_on_after(0.05) as scope, trio.fail_after(5):
            await connection.execute("SELECT 1")
        assert scope.cancelled_caught
        assert connection.closed


async def test_a_slow_statement_is_cancelled_after_the_response_time_out(postgres_url: str) -> None:
    async with connected(postgres_url) as connection:
        connection.response_timeout_s = 0.1
        with pytest.raises(ResponseTimeout, match="the statement was cancelled"):
            await connection.execute(FOREVER)
        assert connection.pgconn.transaction_status == IDLE


async def test_a_stalled_server_is_given_up_after_the_response_time_out(postgres_url: str) -> None:
    async with proxied(postgres_url) as (proxy, url), connected(url) as connection:
        connection.response_timeout_s = connection.settle_timeout_s = 0.1
        proxy.on_request = lambda data: Fate.STALL
        with trio.fail_after(5), pytest.raises(ResponseTimeout, match="the connection is closed"):
            await connection.execute("SELECT 1")
        assert connection.closed


async def test_a_stalled_rollback_closes_the_connection_and_keeps_the_error(postgres_url: str) -> None:
    async def fail() -> None:
        async with connection.transaction():
            proxy.stall()
            raise KeyError

    async with proxied(postgres_url) as (proxy, url), connected(url) as connection:
        connection.settle_timeout_s = 0.1
        with trio.fail_after(5), pytest.raises(KeyError):
            await fail()
        assert connection.closed


async def test_closing_wakes_the_task_that_waits_for_an_answer(postgres_url: str) -> None:
    async with connected(postgres_url) as connection, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            await until_running(postgres_url, FOREVER)
            await connection.close()

        with trio.fail_after(5), pytest.raises(psycopg.OperationalError, match="closed while a statement was running"):
            await connection.execute(FOREVER)


async def test_a_lost_connection_is_an_operational_error(postgres_url: str) -> None:
    async with proxied(postgres_url) as (proxy, url), connected(url) as connection:
        proxy.on_request = lambda data: Fate.CUT
        with pytest.raises(psycopg.OperationalError):
            await connection.execute("SELECT 1")
        assert connection.closed
