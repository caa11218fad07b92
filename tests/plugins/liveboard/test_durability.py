"""Hosts, Postgres and Redis killed in the middle: nothing acknowledged is lost, and every board comes out equal.

The servers are this module's own, durable ones, restarted by their keeper.
"""

import contextlib
import itertools
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from random import Random
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import redis as redis_py
import trio
from trio_websocket import ConnectionClosed, HandshakeError

from host.testing import host_process
from host.testing_servers import embedded_servers
from plugins.liveboard.core import frames as f
from plugins.liveboard.core.errors import Refusal
from plugins.liveboard.core.opset import OperationSet, entry_of
from tests.plugins.liveboard.conftest import Client, stroke

pytestmark = pytest.mark.chaos

NUMBERS = itertools.count(1)
QUICK = {"people_interval": "50ms", "poll_interval": "100ms", "commit_retry": "50ms"}
UNREACHABLE = (OSError, HandshakeError, ConnectionClosed, trio.TooSlowError)


@pytest.fixture(scope="module")
def servers():
    directory = Path(tempfile.mkdtemp(prefix="quartet-chaos-"))
    directory.chmod(0o755)
    with embedded_servers("--data-dir", str(directory)) as urls:
        yield urls
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
async def database(servers):
    """A database of this test's own, dropped with its server. The server may still be recovering from the last test."""
    name = f"test_{next(NUMBERS)}"
    with trio.fail_after(30):
        while True:
            try:
                with psycopg.connect(servers["postgres_url"], autocommit=True) as connection:
                    connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
                break
            except psycopg.OperationalError:
                await trio.sleep(0.05)
    return urlunsplit(urlsplit(servers["postgres_url"])._replace(path=f"/{name}"))


@pytest.fixture
def start_host(servers, database, tmp_path):
    """Starts hosts as processes on this test's database."""
    with contextlib.ExitStack() as stack:

        def start():
            return stack.enter_context(
                host_process(
                    {"liveboard": QUICK}, postgres_url=database, redis_url=servers["redis_url"], data_dir=tmp_path
                )
            )

        yield start


async def two_hosts(start_host):
    hosts = []

    async def start():
        hosts.append(await trio.to_thread.run_sync(start_host))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(start)
        nursery.start_soon(start)
    return hosts


def data_directory(url, patience_s=20):
    """Where that server's data are; asked again while it is still starting up after the last kill."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            with psycopg.connect(url) as connection:
                return connection.execute("SHOW data_directory").fetchone()[0]
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def has_ended(pid):
    """Whether a process is gone, or a zombie that nobody has reaped yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@contextlib.contextmanager
def postgres_killed(servers):
    """Postgres and all its backends are gone for the block: the keeper, which would start it again, is held still."""
    folder = data_directory(servers["postgres_url"])
    postmaster = int((Path(folder) / "postmaster.pid").read_text().split()[0])
    os.kill(servers["pid"], signal.SIGSTOP)
    try:
        os.kill(postmaster, signal.SIGSTOP)
        backends = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        os.kill(postmaster, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while not all(map(has_ended, backends)):
            assert time.monotonic() < deadline, "a backend has outlived its postmaster"
            time.sleep(0.01)
        yield
    finally:
        os.kill(servers["pid"], signal.SIGCONT)


def kill_redis(servers):
    with redis_py.Redis.from_url(servers["redis_url"]) as client:
        os.kill(int(client.info("server")["process_id"]), signal.SIGKILL)


def stored(database, room="room") -> OperationSet:
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "SELECT rev, data FROM liveboard.operations WHERE room = %s ORDER BY rev", (room,)
        ).fetchall()
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1)), "the revisions have a hole"
    return OperationSet(entry_of(row[1]) for row in rows)


async def keep_drawing(client: Client, url_of, stop: trio.Event, pause_s: float) -> None:
    """Draw, and come back whenever the connection is lost, until `stop`; then stay until everything is saved."""
    while not (stop.is_set() and not client.unsaved):
        try:
            with trio.move_on_after(5):
                async with client.connected(url_of(), "room"):
                    while not stop.is_set() and not client.is_gone():
                        await client.draw(stroke(client.seq))
                        await trio.sleep(pause_s)
                    if not client.is_gone():
                        await client.saved()
        except* UNREACHABLE:
            await trio.sleep(0.05)


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


async def test_host_killed_again_and_again_loses_nothing_acknowledged(start_host, database) -> None:
    random = Random(5)
    hosts = await two_hosts(start_host)
    clients = [Client(f"person {number}") for number in range(4)]
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        for at, client in enumerate(clients):
            nursery.start_soon(keep_drawing, client, lambda at=at: hosts[at % 2].url, stop, 0.01)
        for _ in range(2):
            await trio.sleep(random.uniform(0.3, 0.8))
            victim = random.randrange(2)
            os.kill(hosts[victim].pid, signal.SIGKILL)
            hosts[victim].process.wait()
            hosts[victim] = await trio.to_thread.run_sync(start_host)
        stop.set()
    truth = stored(database)
    assert len(truth) > 50
    promises_kept(clients, truth)
    await in_the_end_equal(clients, hosts[0].url, truth)


async def test_postgres_and_redis_killed_lose_nothing_acknowledged(servers, start_host, database) -> None:
    host = start_host()
    clients = [Client(f"person {number}") for number in range(3)]
    watcher = Client("watcher")
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        for client in clients:
            nursery.start_soon(keep_drawing, client, lambda: host.url, stop, 0.01)
        async with watcher.connected(host.url, "room"):
            await watcher.draw()
            await watcher.saved()
            with postgres_killed(servers):
                await watcher.draw()
                await watcher.send(f.Ping(1))
                await watcher.expect(f.Pong)
                assert len(watcher.unsaved) == 1, "what is not saved is not acknowledged, and the room lives on"
            await watcher.until(lambda: not watcher.unsaved, 30)
        await trio.to_thread.run_sync(kill_redis, servers)
        saved = len(clients[0].acknowledged)
        await clients[0].until(lambda: len(clients[0].acknowledged) > saved + 20, 30)
        stop.set()
    truth = stored(database)
    promises_kept(clients, truth)
    await in_the_end_equal(clients, host.url, truth)


async def test_two_hosts_share_a_room_with_its_people(start_host, database) -> None:
    hosts = await two_hosts(start_host)
    one, other = Client("one"), Client("other")
    async with one.connected(hosts[0].url, "room"), other.connected(hosts[1].url, "room"):
        for x in range(10):
            await one.draw(stroke(x))
            await other.draw(stroke(-x))
        await one.has(20)
        await other.has(20)
        assert one.board.root == other.board.root == stored(database).root
        await one.send(f.Presence(b"over here", b""))
        assert one.welcome is not None
        number = one.welcome.person
        await other.until(
            lambda: any(
                (who, state) == (number, b"over here")
                for each in other.inbox
                if isinstance(each, f.Moves)
                for who, state, _ in each.moves
            )
        )
        await other.until(
            lambda: any(
                {person.name for person in each.people} == {"one", "other"}
                for each in other.inbox
                if isinstance(each, f.People)
            )
        )


async def test_hosts_agree_without_redis_within_a_poll(servers, start_host) -> None:
    hosts = await two_hosts(start_host)
    one, other = Client(), Client()
    async with one.connected(hosts[0].url, "room"), other.connected(hosts[1].url, "room"):
        with redis_py.Redis.from_url(servers["redis_url"]) as client:
            client.client_kill_filter(_type="pubsub")
            await one.draw()
            await other.has(1)


async def test_board_that_lost_its_tail_gets_it_back_from_a_client(start_host, database) -> None:
    """As after a restore from an older backup: the clients have what is missing, with the server's receipts."""
    host = start_host()
    writer, keeper, stranger = Client(), Client(), Client()
    async with writer.connected(host.url, "room"), keeper.connected(host.url, "room"):
        await writer.draw(stroke(1), stroke(2), stroke(3))
        await keeper.has(3)
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("DELETE FROM liveboard.operations WHERE rev > 1")
            connection.execute("UPDATE liveboard.rooms SET rev = 1")
        assert (await keeper.expect(f.Bye)).reason == f.ByeReason.RESYNC
    forged = Client()
    async with forged.connected(host.url, "room"):
        lie = forged.make(stroke(9))
        await forged.send(f.Restore(((bytes(16), lie.data),)))
        assert (await forged.expect(f.Refused)).reason == Refusal.SITE
    async with keeper.connected(host.url, "room"), stranger.connected(host.url, "room"):
        await stranger.has(3)
        assert keeper.welcome is not None
        assert keeper.welcome.resync
    assert stored(database).root == writer.board.root == stranger.board.root


async def test_room_that_was_deleted_sends_its_people_away(start_host, database) -> None:
    host = start_host()
    client = Client()
    async with client.connected(host.url, "room"):
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("DELETE FROM liveboard.rooms")
        assert (await client.expect(f.Bye)).reason in {f.ByeReason.NO_ROOM, f.ByeReason.RESYNC}
