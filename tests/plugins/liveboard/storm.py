"""Two hosts, Postgres and Redis killed with SIGKILL at random points while several draw; what the tests of it share.

    python -m tests.plugins.liveboard.storm [--seconds 60] [--seed 0] [--report docs/liveboard-storm.md]

Everything acknowledged must be in the database at the end, the revisions without a hole, and every board the same.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from urllib.parse import urlsplit, urlunsplit

import psycopg
import redis as redis_py
import trio
from trio_websocket import ConnectionClosed, HandshakeError

from host.testing import HostProcess, host_process
from host.testing_servers import embedded_servers
from plugins.liveboard.core.opset import OperationSet, entry_of
from tests.plugins.liveboard.conftest import Client, stroke

QUICK = {"people_interval": "50ms", "poll_interval": "100ms", "commit_retry": "50ms"}
UNREACHABLE = (OSError, HandshakeError, ConnectionClosed, trio.TooSlowError)
PATIENCE_S = 60
CLIENTS = 4
PAUSE_S = 0.01


@contextlib.contextmanager
def durable_servers() -> Iterator[dict]:
    """Postgres and Redis that keep what they said is kept, restarted by their keeper when they are killed."""
    directory = Path(tempfile.mkdtemp(prefix="quartet-chaos-"))
    directory.chmod(0o755)
    try:
        with embedded_servers("--data-dir", str(directory)) as urls:
            yield urls
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def connected(url: str, *, autocommit: bool = False) -> psycopg.Connection:
    """A connection to a server that may still be recovering from the last kill."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return psycopg.connect(url, autocommit=autocommit)
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def new_database(servers: dict, name: str) -> str:
    """A database of that name; its URL."""
    with connected(servers["postgres_url"], autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    return urlunsplit(urlsplit(servers["postgres_url"])._replace(path=f"/{name}"))


def postmaster_of(servers: dict) -> int:
    """The process of Postgres."""
    with connected(servers["postgres_url"]) as connection:
        folder = connection.execute("SHOW data_directory").fetchone()[0]
    return int((Path(folder) / "postmaster.pid").read_text().split()[0])


def kill_redis(servers: dict) -> None:
    with redis_py.Redis.from_url(servers["redis_url"]) as client:
        os.kill(int(client.info("server")["process_id"]), signal.SIGKILL)


def stored(database: str, room: str = "room") -> OperationSet:
    """The board as the database has it."""
    with connected(database) as connection:
        rows = connection.execute(
            "SELECT rev, data FROM liveboard.operations WHERE room = %s ORDER BY rev", (room,)
        ).fetchall()
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1)), "the revisions have a hole"
    return OperationSet(entry_of(row[1]) for row in rows)


async def keep_drawing(client: Client, url_of: Callable[[], str], stop: trio.Event, pause_s: float = PAUSE_S) -> None:
    """Draw, and come back whenever the connection is lost, until `stop`; then stay until everything is saved."""
    while not (stop.is_set() and not client.unsaved):
        try:
            with trio.move_on_after(20):
                async with client.connected(url_of(), "room"):
                    while not stop.is_set() and not client.is_gone():
                        await client.draw(stroke(client.seq))
                        await trio.sleep(pause_s)
                    if not client.is_gone():
                        await client.saved()
        except* UNREACHABLE:
            await trio.sleep(0.05)


async def more_acknowledged(clients: list[Client], count: int) -> None:
    """Return when so many more operations have been acknowledged."""
    wanted = sum(len(client.acknowledged) for client in clients) + count
    with trio.fail_after(PATIENCE_S):
        while sum(len(client.acknowledged) for client in clients) < wanted:  # noqa: ASYNC110
            await trio.sleep(0.01)


def promises_kept(clients: list[Client], truth: OperationSet) -> None:
    for client in clients:
        assert [id for id in client.acknowledged if id not in truth] == [], "an acknowledged operation is lost"
        assert not client.unsaved
        assert len(client.acknowledged) == client.seq


async def in_the_end_equal(clients: list[Client], url: str, truth: OperationSet) -> None:
    for client in clients:
        async with client.connected(url, "room"):
            await client.has(len(truth))
        assert client.board.root == truth.root


class Hosts:
    """Two hosts on one database, either of which may be killed."""

    def __init__(self, start: Callable[[], HostProcess]) -> None:
        self._start = start
        self.running: list[HostProcess] = []

    async def start(self) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(self._start_one)

    async def _start_one(self) -> None:
        self.running.append(await trio.to_thread.run_sync(self._start))

    def url(self, number: int) -> str:
        return self.running[number % 2].url

    async def kill(self, number: int) -> None:
        """Kill one and start another in its place."""
        victim = self.running[number]
        os.kill(victim.pid, signal.SIGKILL)
        victim.process.wait()
        self.running[number] = await trio.to_thread.run_sync(self._start)


@contextlib.contextmanager
def host_starter(servers: dict, database: str, data_dir: Path) -> Iterator[Callable[[], HostProcess]]:
    """Starts hosts as processes on that database, which are stopped at the end."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(
            host_process({"liveboard": QUICK}, postgres_url=database, redis_url=servers["redis_url"], data_dir=data_dir)
        )


async def storm(servers: dict, database: str, hosts: Hosts, seconds: float, seed: int) -> dict:
    """Kill something again and again for so long, each time when some more has been acknowledged."""
    random, killed = Random(seed), Counter()
    clients = [Client(f"person {number}") for number in range(CLIENTS)]
    stop = trio.Event()
    deadline = trio.current_time() + seconds
    async with trio.open_nursery() as nursery:
        for at, client in enumerate(clients):
            nursery.start_soon(keep_drawing, client, lambda at=at: hosts.url(at), stop)
        while trio.current_time() < deadline:
            await more_acknowledged(clients, random.randint(1, 60))
            victim = random.choice(("host", "host", "postgres", "redis"))
            sys.stderr.write(f"{victim} ")
            sys.stderr.flush()
            killed[victim] += 1
            if victim == "host":
                await hosts.kill(random.randrange(2))
            elif victim == "postgres":
                os.kill(await trio.to_thread.run_sync(postmaster_of, servers), signal.SIGKILL)
            else:
                with contextlib.suppress(redis_py.ConnectionError):
                    await trio.to_thread.run_sync(kill_redis, servers)
        stop.set()
    truth = await trio.to_thread.run_sync(stored, database)
    promises_kept(clients, truth)
    await in_the_end_equal(clients, hosts.url(0), truth)
    acknowledged = sum(len(client.acknowledged) for client in clients)
    return {
        "acknowledged": acknowledged,
        "lost": acknowledged - sum(id in truth for client in clients for id in client.acknowledged),
        "killed": dict(killed),
        "digest": truth.digest.hex(),
    }


def page_of(result: dict, seconds: float, seed: int) -> str:
    """The result as a page of the documentation."""
    command = f"python -m tests.plugins.liveboard.storm --seconds {seconds:g} --seed {seed}"
    killed = ", ".join(f"{name} {count} times" for name, count in sorted(result["killed"].items()))
    return (
        "# Liveboard under SIGKILL\n\n"
        f"Written by `{command} --report docs/liveboard-storm.md`:\n"
        f"{CLIENTS} clients draw on two hosts while hosts, Postgres and Redis are killed with SIGKILL one after "
        "another,\n"
        "each as soon as a few more strokes were acknowledged. At the end every board has the database's root.\n\n"
        "| what | how many |\n| --- | --- |\n"
        f"| killed in {seconds:g} s | {killed} |\n"
        f"| operations acknowledged | {result['acknowledged']:,} |\n"
        f"| **of these not in the database at the end** | **{result['lost']}** |\n"
    )


def main() -> None:
    """Storm for a minute and say what it came to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", type=Path, metavar="FILE", help="write a summary as Markdown")
    arguments = parser.parse_args()
    with (
        durable_servers() as servers,
        tempfile.TemporaryDirectory() as folder,
        host_starter(servers, database := new_database(servers, "storm"), Path(folder)) as start,
    ):

        async def run() -> dict:
            hosts = Hosts(start)
            await hosts.start()
            return await storm(servers, database, hosts, arguments.seconds, arguments.seed)

        result = trio.run(run)
    print("\n" + json.dumps(result))
    if arguments.report is not None:
        arguments.report.write_text(page_of(result, arguments.seconds, arguments.seed))


if __name__ == "__main__":
    main()
