"""Hosts, Postgres and Redis killed in the middle: nothing acknowledged is lost, and every board comes out equal.

The servers are this module's own, durable ones, restarted by their keeper.
"""

import contextlib
import itertools
import os
import signal
import time
from pathlib import Path

import psycopg
import pytest
import redis as redis_py
import trio

from plugins.liveboard.core import frames as f
from plugins.liveboard.core.errors import Refusal
from tests.plugins.liveboard.conftest import Client, stroke
from tests.plugins.liveboard.storm import (
    Hosts,
    durable_servers,
    host_starter,
    in_the_end_equal,
    keep_drawing,
    kill_redis,
    more_acknowledged,
    new_database,
    postmaster_of,
    promises_kept,
    stored,
    storm,
)

pytestmark = pytest.mark.chaos

NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def servers():
    with durable_servers() as urls:
        yield urls


@pytest.fixture
def database(servers):
    """A database of this test's own, dropped with its server."""
    return new_database(servers, f"test_{next(NUMBERS)}")


@pytest.fixture
def start_host(servers, database, tmp_path):
    """Starts hosts as processes on this test's database."""
    with host_starter(servers, database, tmp_path) as start:
        yield start


@pytest.fixture
async def hosts(start_host):
    both = Hosts(start_host)
    await both.start()
    return both


def has_ended(pid):
    """Whether a process is gone, or a zombie that nobody has reaped yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@contextlib.contextmanager
def postgres_killed(servers):
    """Postgres and all its backends are gone for the block: the keeper, which would start it again, is held still."""
    postmaster = postmaster_of(servers)
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


async def test_host_killed_again_and_again_loses_nothing_acknowledged(hosts, database) -> None:
    clients = [Client(f"person {number}") for number in range(4)]
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        for at, client in enumerate(clients):
            nursery.start_soon(keep_drawing, client, lambda at=at: hosts.url(at), stop)
        for victim in range(2):
            await more_acknowledged(clients, 25)
            await hosts.kill(victim)
        stop.set()
    truth = stored(database)
    assert len(truth) >= 50
    promises_kept(clients, truth)
    await in_the_end_equal(clients, hosts.url(0), truth)


async def test_a_storm_of_kills_loses_nothing_acknowledged(servers, hosts, database) -> None:
    """The short one; `python -m tests.plugins.liveboard.storm` is a minute of it."""
    result = await storm(servers, database, hosts, seconds=3, seed=1)
    assert result["lost"] == 0
    assert sum(result["killed"].values()) > 0


async def test_postgres_and_redis_killed_lose_nothing_acknowledged(servers, start_host, database) -> None:
    host = start_host()
    clients = [Client(f"person {number}") for number in range(3)]
    watcher = Client("watcher")
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        for client in clients:
            nursery.start_soon(keep_drawing, client, lambda: host.url, stop)
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
        await more_acknowledged(clients, 20)
        stop.set()
    truth = stored(database)
    promises_kept(clients, truth)
    await in_the_end_equal(clients, host.url, truth)


async def test_two_hosts_share_a_room_with_its_people(hosts, database) -> None:
    one, other = Client("one"), Client("other")
    async with one.connected(hosts.url(0), "room"), other.connected(hosts.url(1), "room"):
        for x in range(10):
            await one.draw(stroke(x))
            await other.draw(stroke(-x))
        await one.has(20)
        await other.has(20)
        assert one.board.root == other.board.root == stored(database).root
        assert one.welcome is not None
        number = one.welcome.person

        def has_seen() -> bool:
            moves = [each.moves for each in other.inbox if isinstance(each, f.Moves)]
            return any(move[:2] == (number, b"over here") for each in moves for move in each)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_moving, one)
            await other.until(has_seen)
            nursery.cancel_scope.cancel()
        await other.until(lambda: other.names() == {"one", "other"})


async def keep_moving(client: Client) -> None:
    """Presence may be lost on its way between hosts, and nobody repeats it but the client."""
    while True:
        await client.send(f.Presence(b"over here", b""))
        await trio.sleep(0.05)


async def test_hosts_agree_without_redis_within_a_poll(servers, hosts) -> None:
    one, other = Client(), Client()
    async with one.connected(hosts.url(0), "room"), other.connected(hosts.url(1), "room"):
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
