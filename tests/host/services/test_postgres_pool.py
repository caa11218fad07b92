"""`Postgres`: connections are never lost, never lent dirty, never waited for without bound."""

import random
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing, suppress
from typing import Any

import psycopg
import pytest
import trio
import trio.testing
from psycopg.conninfo import make_conninfo

from host.errors import HostError, ServiceUnavailable
from host.services import postgres_slots
from host.services.postgres_pool import Postgres
from tests.host.services.postgres_kit import FOREVER, connected, proxied, until_running, value
from tests.host.services.proxy import Fate, Proxy

SESSION = "SELECT pg_backend_pid()"


def pool(url: str, **options: Any) -> Postgres:
    return Postgres(url, name="test", **({"connections_max": 2} | options))


async def hold(postgres: Postgres, until: trio.Event, *, task_status: trio.TaskStatus[None]) -> None:
    """Keep a connection until the event."""
    async with postgres.connection():
        task_status.started()
        await until.wait()


async def test_the_short_ways_run_one_statement(postgres_url: str) -> None:
    async with pool(postgres_url) as postgres:
        assert await postgres.execute("CREATE TABLE t (n int PRIMARY KEY)") == -1
        assert await postgres.execute("INSERT INTO t SELECT generate_series(1, 3)") == 3
        assert await postgres.execute("UPDATE t SET n = n + %s WHERE n > %s", (10, 1)) == 2
        assert await postgres.fetch_all("SELECT n FROM t ORDER BY n") == [(1,), (12,), (13,)]
        assert await postgres.fetch_one("SELECT n FROM t WHERE n = %(n)s", {"n": 12}) == (12,)
        assert await postgres.fetch_one("SELECT n FROM t WHERE n = 99") is None
        assert await postgres.fetch_value("SELECT count(*) FROM t") == 3
        assert await postgres.fetch_value("SELECT n FROM t WHERE n = 99") is None
        with pytest.raises(psycopg.errors.UniqueViolation):
            await postgres.execute("INSERT INTO t VALUES (1)")
        assert postgres.statistics().idle == 1


async def test_a_transaction_commits_or_rolls_back(postgres_url: str) -> None:
    async with pool(postgres_url) as postgres:
        await postgres.execute("CREATE TABLE t (n int)")
        async with postgres.transaction() as connection:
            await connection.execute("INSERT INTO t VALUES (1)")
        async with postgres.transaction() as connection:
            await connection.execute("INSERT INTO t VALUES (2)")
            raise psycopg.Rollback
        assert await postgres.fetch_all("SELECT n FROM t") == [(1,)]


async def test_statements_are_prepared_when_they_recur(postgres_url: str) -> None:
    async with pool(postgres_url, connections_max=1) as postgres:
        for n in range(8):
            assert await postgres.fetch_value("SELECT %s::int + 1", (n,)) == n + 1
        assert await postgres.fetch_value("SELECT count(*) FROM pg_prepared_statements") == 1


async def test_every_statement_is_read_committed_whatever_the_database_says(postgres_url: str) -> None:
    async with connected(postgres_url) as connection:
        database = await value(connection, "SELECT quote_ident(current_database())")
        await connection.execute(f"ALTER DATABASE {database} SET default_transaction_isolation TO 'serializable'")
        async with connected(postgres_url) as other:
            assert await value(other, "SHOW transaction_isolation") == "serializable"
    isolation = "SHOW transaction_isolation"
    async with pool(postgres_url, connections_max=1) as postgres:
        assert await postgres.fetch_value(isolation) == "read committed"
        async with postgres.transaction() as connection:
            assert await value(connection, isolation) == "read committed"
        async with postgres.connection() as connection:
            assert await value(connection, isolation) == "read committed"
            await connection.set_isolation_level(psycopg.IsolationLevel.SERIALIZABLE)
            await connection.execute("SET default_transaction_isolation TO 'serializable'")
        assert await postgres.fetch_value(isolation) == "read committed"
        async with postgres.transaction() as connection:
            assert await value(connection, isolation) == "read committed"
        assert postgres.statistics().opened_total == 1


async def test_a_server_that_keeps_another_isolation_level_is_refused(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_slots, "_SET_UP", "SELECT 1; SELECT 'serializable'")
    async with pool(postgres_url) as postgres:
        with pytest.raises(HostError, match="serializable"):
            await postgres.execute("SELECT 1")
        assert postgres.statistics().size == 0


async def test_what_a_borrower_left_in_the_session_is_gone_for_the_next(postgres_url: str) -> None:
    async with pool(postgres_url, connections_max=1) as postgres:
        async with postgres.connection() as connection:
            await connection.execute("SET statement_timeout TO 1000")
            await connection.execute("LISTEN news")
            await connection.execute("SELECT pg_advisory_lock(1)")
            await connection.set_autocommit(False)
            connection.row_factory = psycopg.rows.dict_row
            connection.response_timeout_s = 0.001
        async with postgres.connection() as connection:
            assert connection.autocommit
            assert await value(connection, "SHOW statement_timeout") == "0"
            assert await value(connection, "SELECT count(*) FROM pg_listening_channels()") == 0
            assert await value(connection, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
        assert postgres.statistics().opened_total == 1


@pytest.mark.parametrize("left", ["transaction", "cursor", "notifications"])
async def test_a_connection_that_comes_back_busy_is_closed(postgres_url: str, left: str) -> None:
    async with pool(postgres_url, connections_max=1) as postgres:
        first = await postgres.fetch_value(SESSION)
        async with AsyncExitStack() as later:
            async with postgres.connection() as connection:
                if left == "transaction":
                    await connection.execute("BEGIN")
                elif left == "cursor":
                    rows = await later.enter_async_context(
                        aclosing(connection.cursor().stream("SELECT generate_series(1, 100000)"))
                    )
                    await anext(rows)
                else:
                    await connection.execute("LISTEN news")
                    await connection.execute("NOTIFY news")
                    await anext(await later.enter_async_context(aclosing(connection.notifies())))
            assert connection.closed
            assert postgres.statistics().size == 0
            assert await postgres.fetch_value(SESSION) != first


async def test_notifications_reach_a_borrower(postgres_url: str) -> None:
    async with pool(postgres_url) as postgres, postgres.connection() as listener:
        await listener.execute("LISTEN news")
        await postgres.execute("SELECT pg_notify('news', %s)", ("hello",))
        async with aclosing(listener.notifies(stop_after=1)) as notifications:
            assert [n.payload async for n in notifications] == ["hello"]


async def test_nothing_is_opened_before_the_first_call(postgres_url: str) -> None:
    async with proxied(postgres_url) as (proxy, url), pool(url) as postgres:
        assert proxy.accepted_total == postgres.statistics().size == 0
        await postgres.execute("SELECT 1")
        assert proxy.accepted_total == postgres.statistics().size == 1


def test_a_url_that_cannot_be_parsed_is_refused_at_once() -> None:
    with pytest.raises(HostError, match="the Postgres URL of 'test'"):
        Postgres("postgresql://host:not_a_port:x/db?what=1", name="test")


async def test_an_error_at_connecting_does_not_show_the_password(postgres_url: str) -> None:
    url = make_conninfo(postgres_url, dbname="nowhere", password="secret")
    async with pool(url) as postgres:
        with pytest.raises(ServiceUnavailable, match=r"cannot connect.*nowhere") as caught:
            await postgres.execute("SELECT 1")
        assert "secret" not in str(caught.value)
        assert postgres.statistics().connect_failures_total == 1
        assert postgres.statistics().size == 0


async def test_the_last_returned_connection_is_lent_first(postgres_url: str) -> None:
    async with pool(postgres_url) as postgres:
        async with postgres.connection() as one, postgres.connection() as two:
            sessions = one.info.backend_pid, two.info.backend_pid
        assert await postgres.fetch_value(SESSION) == sessions[0]
        assert await postgres.fetch_value(SESSION) == sessions[0]


async def test_waiting_callers_are_served_in_their_order(postgres_url: str) -> None:
    served: list[int] = []

    async def call(n: int) -> None:
        await postgres.execute("SELECT 1")
        served.append(n)

    async with pool(postgres_url, connections_max=1) as postgres, trio.open_nursery() as nursery:
        free = trio.Event()
        await nursery.start(hold, postgres, free)
        for n in range(20):
            nursery.start_soon(call, n)
            await trio.testing.wait_all_tasks_blocked()
        assert postgres.statistics().waiting == 20
        free.set()
    assert served == list(range(20))
    assert postgres.statistics().waiting_peak == 20


async def test_never_more_connections_than_allowed(postgres_url: str) -> None:
    peak = 0

    async def call() -> None:
        nonlocal peak
        async with postgres.connection() as connection:
            peak = max(peak, postgres.statistics().in_use)
            await connection.execute("SELECT pg_sleep(0.001)")

    async with pool(postgres_url, connections_max=3) as postgres:
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(call)
        assert peak == postgres.statistics().opened_total == 3
        assert postgres.statistics().in_use == 0


async def test_a_caller_gives_up_waiting_after_acquire_timeout(postgres_url: str) -> None:
    async with pool(postgres_url, connections_max=1) as postgres, trio.open_nursery() as nursery:
        free = trio.Event()
        await nursery.start(hold, postgres, free)
        postgres._slots._acquire_timeout_s = 0.05  # Opening the connection may take longer than that.
        with pytest.raises(ServiceUnavailable, match=r"no connection within 0.05 s .* 1 of 1 in use"):
            await postgres.execute("SELECT 1")
        assert postgres.statistics().waiting == 0
        assert postgres.statistics().timeouts_total == 1
        free.set()


async def test_one_waiting_caller_too_many_is_refused_at_once(postgres_url: str) -> None:
    async with (
        pool(postgres_url, connections_max=1, waiters_max=1) as postgres,
        trio.open_nursery() as nursery,
    ):
        free = trio.Event()
        await nursery.start(hold, postgres, free)
        nursery.start_soon(postgres.execute, "SELECT 1")
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(ServiceUnavailable, match="waiters_max"):
            await postgres.execute("SELECT 1")
        assert postgres.statistics().refused_total == 1
        free.set()


async def test_a_stalled_server_at_connecting_costs_acquire_timeout(postgres_url: str) -> None:
    async with proxied(postgres_url) as (proxy, url), pool(url, acquire_timeout_s=0.1) as postgres:
        proxy.stall()
        with trio.fail_after(5), pytest.raises(ServiceUnavailable, match="no connection within"):
            await postgres.execute("SELECT 1")
        assert postgres.statistics().size == 0
        proxy.resume()
        await postgres.execute("SELECT 1")


async def test_an_idle_connection_that_the_server_ended_is_replaced_unseen(postgres_url: str) -> None:
    async with pool(postgres_url) as postgres, connected(postgres_url) as other:
        session = await postgres.fetch_value(SESSION)
        await other.execute("SELECT pg_terminate_backend(%s, 5000)", (session,))
        assert await postgres.fetch_value(SESSION) != session
        assert postgres.statistics().lost_total == 1
        assert postgres.statistics().size == 1


async def test_a_notice_to_an_idle_connection_does_not_cost_it(postgres_url: str) -> None:
    async with pool(postgres_url) as postgres, connected(postgres_url) as other:
        session = await postgres.fetch_value(SESSION)
        await postgres.execute("LISTEN news")
        await other.execute("NOTIFY news")
        assert await postgres.fetch_value(SESSION) == session


async def test_a_connection_idle_for_long_on_a_dead_link_is_replaced_unseen(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_slots, "IDLE_CHECK_TIMEOUT_S", 0.05)
    monkeypatch.setattr(postgres_slots, "SETTLE_TIMEOUT_S", 0.05)
    async with proxied(postgres_url) as (proxy, url), pool(url, idle_check_s=0) as postgres:
        session = await postgres.fetch_value(SESSION)
        assert await postgres.fetch_value(SESSION) == session, "alive, it passes the check"
        proxy.on_request = drop_until_reconnected(proxy)
        assert await postgres.fetch_value(SESSION) != session
        assert postgres.statistics().closed_total == 1


def drop_until_reconnected(proxy: Proxy) -> Callable[[bytes], Fate]:
    """A rule under which the links that exist now carry nothing any more, and new ones work."""
    known = proxy.accepted_total

    def rule(data: bytes) -> Fate:
        # The cancel request for the unanswered check makes one connection, the replacement the next.
        return Fate.PASS if proxy.accepted_total > known + 1 else Fate.DROP

    return rule


async def test_a_connection_that_is_too_old_is_replaced(postgres_url: str) -> None:
    async with pool(postgres_url, lifetime_max_s=0) as postgres:
        sessions = {await postgres.fetch_value(SESSION) for _ in range(3)}
        assert len(sessions) == 3
        assert postgres.statistics().closed_total == postgres.statistics().opened_total == 3


async def test_closing_refuses_waiting_and_later_callers(postgres_url: str) -> None:
    errors: list[ServiceUnavailable] = []

    async def call() -> None:
        with pytest.raises(ServiceUnavailable, match="the pool is closed") as caught:
            await postgres.execute("SELECT 1")
        errors.append(caught.value)

    postgres = pool(postgres_url, connections_max=1)
    async with trio.open_nursery() as nursery:
        free = trio.Event()
        await nursery.start(hold, postgres, free)
        nursery.start_soon(call)
        await trio.testing.wait_all_tasks_blocked()
        await postgres.aclose()
        free.set()
    await call()
    assert len(errors) == 2
    assert postgres.statistics().size == 0


async def test_a_cancelled_caller_leaves_the_line(postgres_url: str) -> None:
    async with pool(postgres_url, connections_max=1) as postgres, trio.open_nursery() as nursery:
        free = trio.Event()
        await nursery.start(hold, postgres, free)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as callers:
                callers.start_soon(postgres.execute, "SELECT 1")
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
        assert postgres.statistics().waiting == 0
        assert postgres.statistics().cancelled_total == 1
        free.set()
    assert postgres.statistics().idle == 0  # Closed with the pool.


async def test_a_cancelled_statement_gives_its_connection_back_idle(postgres_url: str) -> None:
    async with pool(postgres_url, connections_max=1) as postgres:
        session = await postgres.fetch_value(SESSION)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(postgres.execute, FOREVER)
                await until_running(postgres_url, FOREVER)
                scope.cancel()
        assert await postgres.fetch_value(SESSION) == session
        assert postgres.statistics().cancelled_total == 1


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_thousand_cancellations_at_random_points_lose_nothing(postgres_url: str, seed: int) -> None:
    """500 calls for each seed, cancelled while they wait, connect, run, commit or roll back."""
    randomness = random.Random(seed)
    ends: Counter[str] = Counter()

    async def call(n: int, patience_s: float) -> None:
        with trio.move_on_after(patience_s) as scope:
            try:
                if n % 4 == 0:
                    await postgres.execute("UPDATE t SET n = n + 1 WHERE id = %s", (n % 7,))
                elif n % 4 == 1:
                    async with postgres.transaction() as connection:
                        await connection.execute("INSERT INTO log VALUES (%s)", (n,))
                        await connection.execute("SELECT pg_sleep(0.001)")
                elif n % 4 == 2:
                    async with postgres.connection() as connection:
                        with suppress(psycopg.errors.DivisionByZero):
                            await connection.execute("SELECT 1/0")
                        await connection.execute("SELECT 1")
                else:
                    await postgres.fetch_all("SELECT generate_series(1, 2000)")
                ends["done"] += 1
            except trio.Cancelled:
                ends["cancelled"] += 1
                raise
        assert scope.cancelled_caught or ends["done"]

    async with pool(postgres_url, connections_max=5, acquire_timeout_s=60) as postgres:
        await postgres.execute("CREATE TABLE t AS SELECT id, 0 AS n FROM generate_series(0, 6) id")
        await postgres.execute("CREATE TABLE log (n int)")
        async with trio.open_nursery() as nursery:
            for n in range(500):
                # Some are so impatient that also a quick machine has no answer for them yet.
                nursery.start_soon(call, n, randomness.expovariate(1 / (0.05 if n % 3 else 0.001)))
                if n % 25 == 0:
                    await trio.sleep(randomness.random() * 0.02)
        statistics = postgres.statistics()
        assert ends["done"] + ends["cancelled"] == 500
        assert ends["cancelled"] > 20, "hardly any call was cancelled"
        assert statistics.in_use == statistics.waiting == statistics.timeouts_total == 0
        assert statistics.cancelled_total == ends["cancelled"]
        assert statistics.size == statistics.idle == statistics.opened_total - statistics.closed_total <= 5
        assert statistics.lost_total == 0
        # All slots are usable, and what was lent is as good as new.
        async with AsyncExitStack() as stack:
            for _ in range(5):
                connection = await stack.enter_async_context(postgres.connection())
                assert await value(connection, "SELECT 1") == 1
    async with connected(postgres_url) as watcher:
        with trio.fail_after(5):
            await until_no_sessions(watcher)


async def until_no_sessions(watcher: Any) -> None:
    """Return once the pool's sessions have ended on the server."""
    count = """
        SELECT count(*) FROM pg_stat_activity
        WHERE application_name = 'quartet test' AND datname = current_database()
    """
    while await value(watcher, count):  # noqa: ASYNC110 - the server sends no event for it
        await trio.sleep(0.001)
