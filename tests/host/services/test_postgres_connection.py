"""`TrioConnection` against a real server: what psycopg can do works on Trio, without threads."""

import socket
from contextlib import aclosing
from typing import Any

import psycopg
import pytest
import trio
import trio.testing
from psycopg import pq
from psycopg.conninfo import make_conninfo
from psycopg.copy import AsyncQueuedLibpqWriter

from host.services import postgres_waiting
from host.services.postgres import TrioConnection
from tests.host.services.postgres_kit import (
    FOREVER,
    IDLE,
    cancel_while_running,
    connected,
    proxied,
    value,
)


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a thread was used")

    monkeypatch.setattr(trio.to_thread, "run_sync", refuse)


async def test_a_query_runs_without_threads(postgres_url: str, no_threads: None) -> None:
    async with connected(postgres_url) as connection:
        assert await value(connection, "SELECT %s::int + 1", 41) == 42
        assert await cancel_while_running(postgres_url, FOREVER, lambda: connection.execute(FOREVER))
        assert await value(connection, "SELECT 1") == 1


async def test_statements_that_recur_are_prepared(postgres_url: str) -> None:
    async with connected(postgres_url, prepare_threshold=2) as connection:
        for n in range(5):
            assert await value(connection, "SELECT %s::int * 2", n) == n * 2
        assert await value(connection, "SELECT count(*) FROM pg_prepared_statements") == 1


async def test_run_uses_prepared_statements_and_forgets_results_when_told(postgres_url: str) -> None:
    async with connected(postgres_url, prepare_threshold=0) as connection:
        for n in range(3):
            assert await (await connection.run("SELECT %s::int", (n,))).fetchone() == (n,)
        first = await connection.run("SELECT 1")
        assert await connection.run("SELECT 2") is first
        connection.forget_result()
        assert await connection.run("SELECT 3") is not first


async def test_copy_writes_and_reads_rows(postgres_url: str) -> None:
    rows = [(n, f"row {n}") for n in range(5000)]
    async with connected(postgres_url) as connection:
        await connection.execute("CREATE TABLE t (n int, name text)")
        cursor = connection.cursor()
        async with cursor.copy("COPY t FROM STDIN") as copy:
            for row in rows:
                await copy.write_row(row)
        assert cursor.rowcount == len(rows)
        async with cursor.copy("COPY (SELECT * FROM t ORDER BY n) TO STDOUT") as copy:
            copy.set_types(["int4", "text"])
            assert [row async for row in copy.rows()] == rows


async def test_copy_writing_lets_other_tasks_run(postgres_url: str) -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with connected(postgres_url) as connection, trio.open_nursery() as nursery:
        await connection.execute("CREATE TABLE t (n int)")
        async with connection.cursor().copy("COPY t FROM STDIN") as copy:
            nursery.start_soon(count_turns)
            started = trio.current_time()
            while trio.current_time() < started + 3 * postgres_waiting.BUSY_MAX_S:
                # Small enough for the buffers: nothing here has to wait for the server.
                await copy.write(b"1\n")
            assert turns > 0
        nursery.cancel_scope.cancel()


async def test_copy_cancelled_leaves_the_connection_idle(postgres_url: str) -> None:
    async with connected(postgres_url) as connection:
        await connection.execute("CREATE TABLE t (n int)")
        with trio.CancelScope() as scope:
            async with connection.cursor().copy("COPY t FROM STDIN") as copy:
                await copy.write_row((1,))
                scope.cancel()
                await trio.lowlevel.checkpoint()
        assert scope.cancelled_caught
        with trio.CancelScope() as scope:
            async with connection.cursor().copy("COPY (SELECT generate_series(1, 1000000)) TO STDOUT") as copy:
                await copy.read()
                scope.cancel()
                await trio.lowlevel.checkpoint()
        assert scope.cancelled_caught
        assert connection.pgconn.transaction_status == IDLE
        assert await value(connection, "SELECT count(*) FROM t") == 0


async def test_copy_read_cancelled_while_the_server_is_slow_leaves_the_connection_idle(postgres_url: str) -> None:
    slow = "SELECT pg_sleep(600)"

    async def read() -> None:
        async with connection.cursor().copy(f"COPY ({slow}) TO STDOUT") as copy:
            await copy.read()

    async with connected(postgres_url) as connection:
        assert await cancel_while_running(postgres_url, slow, read)
        assert connection.pgconn.transaction_status == IDLE
        assert await value(connection, "SELECT 1") == 1


async def test_the_copy_writer_that_needs_asyncio_is_refused(postgres_url: str) -> None:
    async with connected(postgres_url) as connection:
        cursor = connection.cursor()
        with pytest.raises(psycopg.NotSupportedError, match="runs on asyncio only"):
            await cursor.copy("COPY t FROM STDIN", writer=AsyncQueuedLibpqWriter(cursor)).__aenter__()


async def test_pipeline_mode_batches_statements(postgres_url: str) -> None:
    async with connected(postgres_url) as connection:
        await connection.execute("CREATE TABLE t (n int PRIMARY KEY)")
        async with connection.pipeline() as pipeline:
            cursors = [await connection.execute("INSERT INTO t VALUES (%s) RETURNING n", (n,)) for n in range(200)]
            await pipeline.sync()
            assert [await cursor.fetchone() for cursor in cursors] == [(n,) for n in range(200)]
        await connection.cursor().executemany("INSERT INTO t VALUES (%s)", [(n,) for n in range(200, 400)])
        assert await value(connection, "SELECT count(*) FROM t") == 400


async def test_pipeline_with_full_buffers_waits_for_reading_or_writing(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited = 0
    wait_for_either = postgres_waiting.SocketWaiter._ready_for_either

    async def counted(self: postgres_waiting.SocketWaiter) -> Any:
        nonlocal waited
        waited += 1
        return await wait_for_either(self)

    monkeypatch.setattr(postgres_waiting.SocketWaiter, "_ready_for_either", counted)
    text = "x" * 1_000_000
    async with proxied(postgres_url) as (_, url), connected(url) as connection, connection.pipeline():
        cursors = [await connection.execute("SELECT %s", (text,)) for _ in range(10)]
        assert [await cursor.fetchone() for cursor in cursors] == [(text,)] * 10
    assert waited > 0


async def test_pipeline_cancelled_leaves_the_connection_idle(postgres_url: str) -> None:
    async def pipelined() -> None:
        async with connection.pipeline():
            await connection.execute("SELECT 1")
            await connection.execute(FOREVER)
            await connection.execute("SELECT 2")

    async with connected(postgres_url) as connection:
        assert await cancel_while_running(postgres_url, FOREVER, pipelined)
        assert connection.pgconn.transaction_status == IDLE
        assert connection.pgconn.pipeline_status == pq.PipelineStatus.OFF
        assert connection._pipeline is None
        assert await value(connection, "SELECT 1") == 1


async def test_stream_left_early_leaves_the_connection_idle(postgres_url: str) -> None:
    async with connected(postgres_url) as connection:
        async with aclosing(connection.cursor().stream("SELECT generate_series(1, 100000)")) as rows:
            assert await anext(rows) == (1,)
        assert connection.pgconn.transaction_status == IDLE
        assert await value(connection, "SELECT 1") == 1


async def test_server_side_cursor_fetches_in_parts(postgres_url: str) -> None:
    async with (
        connected(postgres_url) as connection,
        connection.transaction(),
        connection.cursor("part") as cursor,
    ):
        await cursor.execute("SELECT generate_series(1, 10)")
        assert await cursor.fetchmany(3) == [(1,), (2,), (3,)]
        assert len(await cursor.fetchall()) == 7


async def test_notifications_arrive_and_a_time_out_ends_the_wait(postgres_url: str) -> None:
    async with connected(postgres_url) as listener, connected(postgres_url) as sender:
        listener.response_timeout_s = 0.05  # Not for notifications: nothing was asked.
        await listener.execute("LISTEN news")
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def _() -> None:
                await trio.testing.wait_all_tasks_blocked(0.1)
                await sender.execute("NOTIFY news, 'one'")

            async with aclosing(listener.notifies(stop_after=1)) as notifications:
                assert [(n.channel, n.payload) async for n in notifications] == [("news", "one")]
        await sender.execute("NOTIFY news, 'two'")
        async with aclosing(listener.notifies(timeout=5, stop_after=1)) as notifications:
            assert [n.payload async for n in notifications] == ["two"]
        assert [n async for n in listener.notifies(timeout=0)] == []
        assert [n async for n in listener.notifies(timeout=0.01)] == []
        assert listener.pgconn.transaction_status == IDLE


async def test_waiting_for_notifications_can_be_cancelled(postgres_url: str) -> None:
    async with connected(postgres_url) as listener:
        await listener.execute("LISTEN news")
        with trio.move_on_after(0.01) as scope:
            async with aclosing(listener.notifies()) as notifications:
                await anext(notifications)
        assert scope.cancelled_caught
        assert await value(listener, "SELECT 1") == 1


async def test_transaction_in_a_pipeline_commits(postgres_url: str) -> None:
    async with connected(postgres_url) as connection:
        await connection.execute("CREATE TABLE t (n int)")
        async with connection.pipeline(), connection.transaction():
            await connection.execute("INSERT INTO t VALUES (1)")
        assert await value(connection, "SELECT count(*) FROM t") == 1


async def test_tasks_that_share_a_connection_take_turns(postgres_url: str) -> None:
    results: list[int] = []

    async def query(n: int) -> None:
        results.append(await value(connection, "SELECT %s::int FROM pg_sleep(0.001)", n))

    async with connected(postgres_url) as connection:
        async with trio.open_nursery() as nursery:
            for n in range(20):
                nursery.start_soon(query, n)
        assert sorted(results) == list(range(20))
        assert not connection.lock.locked()


class FixedResolver(trio.abc.HostnameResolver):
    """Knows one name."""

    def __init__(self, name: str, *addresses: str) -> None:
        self._known = {name: addresses}

    async def getaddrinfo(self, host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0):
        name = host.decode() if isinstance(host, bytes) else host
        if name not in self._known:
            raise OSError(f"nobody knows {name}")
        return [(socket.AF_INET, type, proto, "", (address, int(port))) for address in self._known[name]]

    async def getnameinfo(self, sockaddr: Any, flags: int):
        raise NotImplementedError


async def test_host_names_are_resolved_by_trio(postgres_url: str) -> None:
    async with proxied(postgres_url) as (proxy, url):
        trio.socket.set_custom_hostname_resolver(FixedResolver("database.test", "127.0.0.2", "127.0.0.1"))
        # Nothing listens on 127.0.0.2: the next address is tried.
        async with connected(make_conninfo(url, host="database.test", sslmode="disable")) as connection:
            assert await value(connection, "SELECT 1") == 1
        assert proxy.accepted_total == 1
        with pytest.raises(psycopg.OperationalError, match="cannot resolve host 'elsewhere"):
            await TrioConnection.connect(make_conninfo(url, host="elsewhere.test"))


async def test_each_host_is_tried_and_every_failure_told(postgres_url: str) -> None:
    async with proxied(postgres_url) as (proxy, url):
        both = make_conninfo(url, host="/nowhere,127.0.0.1", port=f"{proxy.port},{proxy.port}")
        async with connected(both) as connection:
            assert await value(connection, "SELECT 1") == 1
        neither = make_conninfo(url, host="/nowhere,/elsewhere", port="1,2")
        with pytest.raises(psycopg.OperationalError, match=r"(?s)nowhere.*elsewhere"):
            await TrioConnection.connect(neither)


async def test_connecting_to_a_stalled_server_ends_at_connect_timeout(postgres_url: str) -> None:
    async with proxied(postgres_url) as (proxy, url):
        proxy.stall()
        with trio.fail_after(10), pytest.raises(psycopg.errors.ConnectionTimeout, match="within 2 s"):
            await TrioConnection.connect(make_conninfo(url, connect_timeout=2))


async def test_connecting_cancelled_leaves_nothing_open(postgres_url: str) -> None:
    async with proxied(postgres_url) as (proxy, url):
        proxy.stall()
        with trio.move_on_after(0.1) as scope:
            await TrioConnection.connect(url)
        assert scope.cancelled_caught
        proxy.resume()
        with trio.fail_after(5):
            await proxy.until_all_closed()
