"""Our Postgres on Trio against psycopg on asyncio, in the same run: `python -m benchmarks.postgres`.

One at a time: the latency of a trivial SELECT and of a conditional UPDATE, ours through the pool (`Postgres`), which
takes a connection, bounds the wait and gives it back, and through a bare `TrioConnection`; the peer on one bare
`AsyncConnection`. Concurrent: 64 tasks over pools of the same size; the peer's pool is the least that works, a stack
and a semaphore, without checks, time-outs or statistics.

Rounds alternate between the two, the first to run changing each time, so that what else the machine does hits both; the
figure is the median of the rounds' medians. `ratio` is the peer's time over ours, or our rate over the peer's: above 1
we are faster. CPU is that of this process per statement, which noise hardly touches. The server commits without
waiting for the disk, which is not what is compared.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import psycopg
import trio

from host.services.postgres import TrioConnection
from host.services.postgres_pool import Postgres
from host.testing_servers import embedded_servers

SEATS = 1000
WARM_UP = 50


@dataclass(frozen=True)
class Statement:
    """What is run, with the parameters of its n-th run."""

    name: str
    sql: str
    params: Callable[[int], tuple[Any, ...] | None]


STATEMENTS = (
    Statement("select", "SELECT 1", lambda n: None),
    Statement(
        "update",
        "UPDATE bench_seats SET buyer = %s WHERE id = %s AND (buyer IS NULL OR buyer <> %s) RETURNING id",
        lambda n: (n, n % SEATS, n),
    ),
)


@dataclass(frozen=True)
class Sample:
    """One round: the median latency and the CPU time of a statement, in microseconds; statements per second."""

    latency_us: float = 0.0
    cpu_us: float = 0.0
    per_s: float = 0.0


async def in_turn(call: Callable[[int], Awaitable[object]], count: int) -> Sample:
    """Await `call` again and again; works on either loop."""
    for n in range(WARM_UP):
        await call(n)
    times: list[float] = []
    cpu = time.process_time()
    for n in range(count):
        start = time.perf_counter()
        await call(WARM_UP + n)
        times.append(time.perf_counter() - start)
    cpu = time.process_time() - cpu
    return Sample(latency_us=statistics.median(times) * 1e6, cpu_us=cpu / count * 1e6)


async def pool_in_turn(url: str, statement: Statement, count: int) -> Sample:
    async with Postgres(url, name="bench") as postgres:
        return await in_turn(lambda n: postgres.fetch_one(statement.sql, statement.params(n)), count)


async def connection_in_turn(url: str, statement: Statement, count: int) -> Sample:
    connection = await TrioConnection.connect(url, autocommit=True)

    async def call(n: int) -> object:
        return await (await connection.execute(statement.sql, statement.params(n))).fetchone()

    try:
        return await in_turn(call, count)
    finally:
        await connection.close()


async def asyncio_in_turn(url: str, statement: Statement, count: int) -> Sample:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:

        async def call(n: int) -> object:
            return await (await connection.execute(statement.sql, statement.params(n))).fetchone()

        return await in_turn(call, count)


class AsyncioPool:
    """The least that lends connections to asyncio tasks."""

    def __init__(self) -> None:
        self._idle: list[psycopg.AsyncConnection[Any]] = []
        self._free = asyncio.Semaphore(0)

    async def open(self, url: str, connections: int) -> None:
        for _ in range(connections):
            self._idle.append(await psycopg.AsyncConnection.connect(url, autocommit=True))
            self._free.release()

    async def close(self) -> None:
        for connection in self._idle:
            await connection.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        async with self._free:
            connection = self._idle.pop()
            try:
                yield connection
            finally:
                self._idle.append(connection)


async def pool_at_once(url: str, statement: Statement, count: int, tasks: int, connections: int) -> Sample:
    async def work(first: int) -> None:
        for n in range(first, count, tasks):
            await postgres.fetch_one(statement.sql, statement.params(n))

    async with Postgres(url, name="bench", connections_max=connections) as postgres:
        async with trio.open_nursery() as warm_up:
            for n in range(tasks):
                warm_up.start_soon(postgres.fetch_one, statement.sql, statement.params(n))
        start, cpu = time.perf_counter(), time.process_time()
        async with trio.open_nursery() as nursery:
            for first in range(tasks):
                nursery.start_soon(work, first)
        return rate(count, start, cpu)


async def asyncio_at_once(url: str, statement: Statement, count: int, tasks: int, connections: int) -> Sample:
    async def work(first: int, end: int) -> None:
        for n in range(first, end, tasks):
            async with pool.connection() as connection:
                await (await connection.execute(statement.sql, statement.params(n))).fetchone()

    pool = AsyncioPool()
    await pool.open(url, connections)
    await asyncio.gather(*(work(first, tasks) for first in range(tasks)))
    start, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work(first, count) for first in range(tasks)))
    sample = rate(count, start, cpu)
    await pool.close()
    return sample


def rate(count: int, start: float, cpu: float) -> Sample:
    elapsed = time.perf_counter() - start
    return Sample(per_s=count / elapsed, cpu_us=(time.process_time() - cpu) / count * 1e6)


def alternate(runs: dict[str, Callable[[], Sample]], rounds: int) -> dict[str, Sample]:
    """Run each once a round, in changing order; the medians of what they measured."""
    samples: dict[str, list[Sample]] = {name: [] for name in runs}
    names = list(runs)
    for number in range(rounds):
        for name in names if number % 2 else reversed(names):
            samples[name].append(runs[name]())
    return {
        name: Sample(
            **{
                field: statistics.median(getattr(sample, field) for sample in taken)
                for field in ("latency_us", "cpu_us", "per_s")
            }
        )
        for name, taken in samples.items()
    }


def one_at_a_time(url: str, statement: Statement, rounds: int, count: int) -> dict[str, float]:
    found = alternate(
        {
            "quartet": lambda: trio.run(pool_in_turn, url, statement, count),
            "quartet_connection": lambda: trio.run(connection_in_turn, url, statement, count),
            "psycopg_asyncio": lambda: asyncio.run(asyncio_in_turn(url, statement, count)),
        },
        rounds,
    )
    result: dict[str, float] = {}
    for name, sample in found.items():
        result[f"{name}_us"] = round(sample.latency_us, 1)
        result[f"{name}_cpu_us"] = round(sample.cpu_us, 1)
    peer = found["psycopg_asyncio"]
    result["ratio"] = round(peer.latency_us / found["quartet"].latency_us, 3)
    result["ratio_connection"] = round(peer.latency_us / found["quartet_connection"].latency_us, 3)
    result["ratio_cpu"] = round(peer.cpu_us / found["quartet"].cpu_us, 3)
    return result


def at_once(url: str, statement: Statement, rounds: int, count: int, tasks: int, connections: int) -> dict[str, float]:
    found = alternate(
        {
            "quartet": lambda: trio.run(pool_at_once, url, statement, count, tasks, connections),
            "psycopg_asyncio": lambda: asyncio.run(asyncio_at_once(url, statement, count, tasks, connections)),
        },
        rounds,
    )
    result: dict[str, float] = {}
    for name, sample in found.items():
        result[f"{name}_per_s"] = round(sample.per_s)
        result[f"{name}_cpu_us"] = round(sample.cpu_us, 1)
    result["ratio"] = round(found["quartet"].per_s / found["psycopg_asyncio"].per_s, 3)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.postgres", description=__doc__)
    parser.add_argument("--url", help="a server to use instead of an embedded one; a table bench_seats is made there")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument(
        "--statements", type=int, default=500, help="in a round one at a time; four times as many at once"
    )
    parser.add_argument("--tasks", type=int, default=64)
    parser.add_argument("--connections", type=int, default=8)
    options = parser.parse_args()
    settings = ("--postgres", "--set=synchronous_commit=off")
    with nullcontext({"postgres_url": options.url}) if options.url else embedded_servers(*settings) as servers:
        url = servers["postgres_url"]
        with psycopg.connect(url, autocommit=True) as connection:
            version = connection.execute("SHOW server_version").fetchone()
            connection.execute("DROP TABLE IF EXISTS bench_seats")
            connection.execute("CREATE TABLE bench_seats (id int PRIMARY KEY, buyer int)")
            connection.execute("INSERT INTO bench_seats SELECT generate_series(0, %s)", (SEATS - 1,))
        result: dict[str, Any] = {
            "benchmark": "postgres",
            "server": version[0] if version else "",
            "psycopg": f"{psycopg.__version__} ({psycopg.pq.__impl__})",
            "python": sys.version.split()[0],
            "rounds": options.rounds,
            "one_at_a_time": {},
            "concurrent": {"tasks": options.tasks, "connections": options.connections},
        }
        for statement in STATEMENTS:
            print(f"{statement.name}, one at a time ...", file=sys.stderr)
            found = one_at_a_time(url, statement, options.rounds, options.statements)
            result["one_at_a_time"][statement.name] = found
        for statement in STATEMENTS:
            print(f"{statement.name}, {options.tasks} tasks ...", file=sys.stderr)
            found = at_once(url, statement, options.rounds, options.statements * 4, options.tasks, options.connections)
            result["concurrent"][statement.name] = found
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP TABLE bench_seats")
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
