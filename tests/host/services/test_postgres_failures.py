"""What a plugin is told when the server or the link fails: never "failed" for what may have been done."""

import os
import signal
from collections.abc import Awaitable, Callable

import psycopg
import pytest
import trio
import trio.testing

from host.errors import OutcomeUnknown, ServiceUnavailable
from host.services import postgres_slots
from host.services.postgres_pool import Postgres
from tests.host.services.embedded_kit import public_directory, running
from tests.host.services.postgres_kit import FOREVER, connected, proxied, until_running, value
from tests.host.services.proxy import Fate, Proxy

# With its end: BEGIN has READ COMMITTED in it.
COMMIT = b"COMMIT\0"
INSERT = "INSERT INTO t VALUES (1)"


def when_sent(word: bytes, fate: Fate) -> Callable[[bytes], Fate]:
    """The rule that gives requests with that word that fate."""
    return lambda data: fate if word in data else Fate.PASS


async def rows(url: str) -> int:
    """How many rows are in the table, seen on a connection of its own."""
    async with connected(url) as connection:
        return int(await value(connection, "SELECT count(*) FROM t"))


async def insert_in_transaction(postgres: Postgres) -> None:
    async with postgres.transaction() as connection:
        await connection.execute(INSERT)


async def insert_on_connection(postgres: Postgres) -> None:
    async with postgres.connection() as connection:
        await connection.execute(INSERT)


async def insert_by_execute(postgres: Postgres) -> None:
    await postgres.execute(INSERT)


async def insert_by_fetch(postgres: Postgres) -> None:
    await postgres.fetch_value(f"{INSERT} RETURNING n")


AUTOCOMMIT = [insert_by_execute, insert_by_fetch, insert_on_connection]
ALL = [*AUTOCOMMIT, insert_in_transaction]
Insert = Callable[[Postgres], Awaitable[None]]


@pytest.mark.parametrize("insert", ALL)
async def test_a_server_that_cannot_be_reached_is_unavailable(insert: Insert) -> None:
    async with Postgres("postgresql://127.0.0.1:1/nothing", name="test") as postgres:
        with pytest.raises(ServiceUnavailable, match="cannot connect"):
            await insert(postgres)
        assert postgres.statistics().size == 0


@pytest.mark.parametrize("insert", AUTOCOMMIT)
async def test_the_answer_to_a_statement_lost_is_unknown_and_the_pool_recovers(
    postgres_url: str, insert: Insert
) -> None:
    async with proxied(postgres_url) as (proxy, url), Postgres(url, name="test") as postgres:
        await postgres.execute("CREATE TABLE t (n int)")
        proxy.on_request = when_sent(b"INSERT", Fate.SWALLOW_ANSWER)
        with pytest.raises(OutcomeUnknown, match="lost after the statement was sent"):
            await insert(postgres)
        assert await rows(postgres_url) == 1, "it was carried out"
        proxy.on_request = when_sent(b"INSERT", Fate.CUT)
        with pytest.raises(OutcomeUnknown):
            await insert(postgres)
        assert await rows(postgres_url) == 1, "it was not, which cannot be told apart"
        proxy.on_request = lambda data: Fate.PASS
        await insert(postgres)
        assert await rows(postgres_url) == 2
        assert postgres.statistics().lost_total == 2


@pytest.mark.parametrize("word", [b"BEGIN", b"INSERT"])
@pytest.mark.parametrize("fate", [Fate.CUT, Fate.SWALLOW_ANSWER])
async def test_a_transaction_whose_connection_is_lost_before_commit_is_not_done(
    postgres_url: str, word: bytes, fate: Fate
) -> None:
    async with proxied(postgres_url) as (proxy, url), Postgres(url, name="test") as postgres:
        await postgres.execute("CREATE TABLE t (n int)")
        proxy.on_request = when_sent(word, fate)
        with pytest.raises(ServiceUnavailable, match="nothing was done"):
            await insert_in_transaction(postgres)
        assert await rows(postgres_url) == 0


@pytest.mark.parametrize(("fate", "done"), [(Fate.CUT, 0), (Fate.SWALLOW_ANSWER, 1)])
async def test_a_connection_lost_during_commit_is_unknown(postgres_url: str, fate: Fate, done: int) -> None:
    async with proxied(postgres_url) as (proxy, url), Postgres(url, name="test") as postgres:
        await postgres.execute("CREATE TABLE t (n int)")
        proxy.on_request = when_sent(COMMIT, fate)
        with pytest.raises(OutcomeUnknown, match="lost after COMMIT was sent"):
            await insert_in_transaction(postgres)
        assert await rows(postgres_url) == done
        assert postgres.statistics().size == 0


async def test_a_commit_without_answer_is_unknown_also_for_a_cancelled_caller(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_slots, "SETTLE_TIMEOUT_S", 0.1)
    async with proxied(postgres_url) as (proxy, url), Postgres(url, name="test") as postgres:
        await postgres.execute("CREATE TABLE t (n int)")
        proxy.on_request = when_sent(COMMIT, Fate.STALL)
        with trio.fail_after(5), trio.move_on_after(0.2), pytest.raises(OutcomeUnknown):
            await insert_in_transaction(postgres)


async def test_a_commit_that_the_server_refuses_is_an_sql_error(postgres_url: str) -> None:
    async with Postgres(postgres_url, name="test") as postgres:
        await postgres.execute("CREATE TABLE t (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        await insert_by_execute(postgres)
        with pytest.raises(psycopg.errors.UniqueViolation):
            await insert_in_transaction(postgres)
        assert await postgres.fetch_value("SELECT count(*) FROM t") == 1
        assert postgres.statistics().opened_total == 1


@pytest.mark.parametrize("insert", ALL)
async def test_a_stalled_server_is_given_up_in_time(
    postgres_url: str, insert: Insert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_slots, "SETTLE_TIMEOUT_S", 0.1)
    expected = ServiceUnavailable if insert is insert_in_transaction else OutcomeUnknown
    async with proxied(postgres_url) as (proxy, url), Postgres(url, name="test", response_timeout_s=0.1) as postgres:
        await postgres.execute("CREATE TABLE t (n int)")
        proxy.on_request = when_sent(b"INSERT", Fate.STALL)
        with trio.fail_after(5), pytest.raises(expected):
            await insert(postgres)
        assert postgres.statistics().size == 0
        proxy.on_request = lambda data: Fate.PASS
        proxy.resume()
        await postgres.execute("SELECT 1")


async def test_a_statement_that_the_server_cancelled_for_us_had_no_effect(postgres_url: str) -> None:
    async with Postgres(postgres_url, name="test", response_timeout_s=0.1) as postgres:
        with pytest.raises(ServiceUnavailable, match=r"nothing was done: no answer within 0.1 s"):
            await postgres.execute(FOREVER)
        assert postgres.statistics().idle == 1, "the connection is as good as new"


async def test_a_session_ended_by_an_administrator_had_no_effect(postgres_url: str) -> None:
    async def end_session() -> None:
        await until_running(postgres_url, "pg_sleep")
        async with connected(postgres_url) as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'quartet test' AND datname = current_database()"
            )

    async with Postgres(postgres_url, name="test") as postgres, trio.open_nursery() as nursery:
        nursery.start_soon(end_session)
        with pytest.raises(ServiceUnavailable, match="administrator command"):
            await postgres.execute(FOREVER)


async def test_an_error_of_the_caller_passes_while_the_server_is_stalled(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_slots, "SETTLE_TIMEOUT_S", 0.1)

    async def fail(proxy: Proxy, postgres: Postgres) -> None:
        async with postgres.transaction():
            proxy.stall()
            raise KeyError

    async with proxied(postgres_url) as (proxy, url), Postgres(url, name="test") as postgres:
        with trio.fail_after(5), pytest.raises(KeyError):
            await fail(proxy, postgres)
        assert postgres.statistics().size == 0


@pytest.mark.chaos
@pytest.mark.parametrize("victim", ["session", "postmaster"])
async def test_a_killed_server_is_unknown_for_running_statements_and_the_pool_recovers(victim: str) -> None:
    """A killed session makes the server end all others, a killed postmaster is started again by its keeper."""
    errors: list[BaseException] = []

    async def call() -> None:
        try:
            await postgres.execute(FOREVER)
        except (OutcomeUnknown, ServiceUnavailable) as error:
            errors.append(error)

    with public_directory() as directory:
        async with (
            running("postgres", directory, settings={"fsync": "off", "restart_after_crash": "on"}) as server,
            Postgres(server.endpoint.url, name="test", connections_max=3) as postgres,
        ):
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(call)
                async with connected(server.endpoint.url) as watcher:
                    sleepers = "SELECT array_agg(pid) FROM pg_stat_activity WHERE query = %s AND state = 'active'"
                    while len(pids := await value(watcher, sleepers, FOREVER) or []) < 3:  # noqa: ASYNC110 - as below
                        await trio.sleep(0.005)
                    os.kill(server.pid if victim == "postmaster" else pids[0], signal.SIGKILL)
            assert [type(error) for error in errors] == [OutcomeUnknown] * 3
            while (answer := await first_column(postgres)) is None:  # noqa: ASYNC110 - the server sends no event for it
                await trio.sleep(0.01)
            assert answer == 1
            assert postgres.statistics().in_use == 0


async def first_column(postgres: Postgres) -> int | None:
    """1 from the server, None while it cannot be reached."""
    try:
        return int(await postgres.fetch_value("SELECT 1"))
    except ServiceUnavailable:
        return None
