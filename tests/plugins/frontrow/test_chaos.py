"""Servers killed in the middle of a stampede. They are this module's own, durable ones, restarted by their keeper."""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psycopg
import pytest
import redis as redis_py
import trio

from host.testing_servers import embedded_servers
from plugins.frontrow.core import outcome
from plugins.frontrow.holds import GRANTED, TAKEN
from plugins.frontrow.runs import LiveRun
from tests.plugins.frontrow.conftest import eventually, open_front_row, run_stampede
from tests.plugins.frontrow.test_holds import ask, hold_of

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def servers():
    directory = Path(tempfile.mkdtemp(prefix="quartet-chaos-"))
    directory.chmod(0o755)
    with embedded_servers("--data-dir", str(directory)) as urls:
        yield urls
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
async def front_row(servers, tmp_path):
    async with open_front_row(
        servers["postgres_url"], servers["redis_url"], tmp_path, breaker_pause=0.05, breaker_pause_max=0.2
    ) as opened:
        yield opened


def redis_pid(servers):
    with redis_py.Redis.from_url(servers["redis_url"]) as client:
        return int(client.info("server")["process_id"])


def postmaster_pid(servers):
    with psycopg.connect(servers["postgres_url"]) as connection:
        folder = connection.execute("SHOW data_directory").fetchone()[0]
    return int((Path(folder) / "postmaster.pid").read_text().split()[0])


async def strike_when(live: LiveRun, reached: Callable[[], bool], strike: Callable[[], None]) -> None:
    """Strike at the first moment that `reached` is true; fails when the run was over before."""
    while not reached():
        assert not live.finished.is_set(), "the run was over before the fault"
        await trio.lowlevel.checkpoint()
    strike()


async def decided(live):
    """The result of a run once it is no longer unknown."""
    await trio.lowlevel.checkpoint()
    return live.document if live.document["state"] != "unknown" else None


def promises_kept(document, seats):
    assert (document["oversold"], document["undersold"]) == (0, 0)
    assert document["verdict"] == "holds"
    assert document["booked"] == seats
    assert document["booked"] + document["rejected"] == document["buyers"]
    return True


async def test_redis_killed_in_the_middle_sells_every_seat_once_and_holds_come_back(servers, front_row):
    pid = redis_pid(servers)
    live = await front_row.runs.start(2000, 30, 1)
    history = live.stampede.history
    with trio.fail_after(60):
        await strike_when(live, lambda: history.count(outcome.BOOKED) >= 3, lambda: os.kill(pid, signal.SIGKILL))
        await live.finished.wait()
    assert promises_kept(live.document, 30)
    assert live.document["redis"] == "lost"
    assert live.document["holds_lost"] + live.document["holds_missing"] > 0
    hold = hold_of(1)

    async def granted():
        return await ask(front_row.office.holds, hold) == GRANTED

    await eventually(granted)
    assert await ask(front_row.office.holds, hold_of(1)) == TAKEN
    await front_row.office.holds.release(hold)
    assert (await run_stampede(front_row, 200, 1))["redis"] == "up"


async def test_redis_flushed_in_the_middle_costs_holds_and_never_a_seat(servers, front_row):
    with redis_py.Redis.from_url(servers["redis_url"]) as client:
        live = await front_row.runs.start(1500, 40, 1)
        history = live.stampede.history
        with trio.fail_after(60):
            await strike_when(live, lambda: history.count(outcome.HOLDING, outcome.BOOKED) >= 3, client.flushall)
            await live.finished.wait()
    assert promises_kept(live.document, 40)


async def test_postgres_killed_in_the_middle_every_claim_is_resolved(servers, front_row):
    pid = postmaster_pid(servers)
    live = await front_row.runs.start(1000, 200, 1)
    history = live.stampede.history
    with trio.fail_after(90):
        await strike_when(live, lambda: history.count(outcome.BOOKED) >= 5, lambda: os.kill(pid, signal.SIGKILL))
        await live.finished.wait()
    assert promises_kept(await eventually(lambda: decided(live)), 200)


async def test_postgres_killed_and_nobody_patient_is_unknown_first_and_holds_after_recovery(servers, tmp_path):
    urls = servers["postgres_url"], servers["redis_url"]
    async with open_front_row(*urls, tmp_path, claim_patience=0.2, claim_timeout=0.2) as front_row:
        pid = postmaster_pid(servers)
        live = await front_row.runs.start(300, 100, 1)
        history = live.stampede.history
        with trio.fail_after(90):
            await strike_when(live, lambda: history.count(outcome.BOOKED) >= 5, lambda: os.kill(pid, signal.SIGKILL))
            await live.finished.wait()
            assert (live.document["state"], live.document["verdict"]) in (("unknown", "unknown"), ("done", "holds"))
            told = {history.bookings[buyer] for buyer in history.buyers_at(outcome.BOOKED)}
        document = await eventually(lambda: decided(live))
        assert (document["state"], document["verdict"]) == ("done", "holds")
        assert (document["oversold"], document["undersold"], document["unknown"]) == (0, 0, 0)
        sql = "SELECT count(*) FROM frontrow.bookings WHERE id = ANY(%s::uuid[]) AND state = 'confirmed'"
        assert await front_row.ctx.postgres.fetch_value(sql, [list(told)]) == len(told) >= 5


async def test_backends_terminated_in_the_middle_every_claim_is_resolved(servers, front_row):
    """The server stays, the sessions die: some between their UPDATE and the answer to it."""
    terminate = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'quartet%'"
    )
    with psycopg.connect(servers["postgres_url"], autocommit=True) as connection:
        live = await front_row.runs.start(800, 200, 1)
        history = live.stampede.history
        with trio.fail_after(60):
            for enough in (5, 40, 90):
                are_booked = partial(lambda enough: history.count(outcome.BOOKED) >= enough, enough)
                await strike_when(live, are_booked, lambda: connection.execute(terminate))
            await live.finished.wait()
    assert promises_kept(live.document, 200)
