"""A relay that is killed with SIGKILL again and again, as a process, while orders are made."""

import signal
import subprocess
import sys
import uuid

import pytest
import trio

from host.services.migrations import migrate
from host.services.postgres_pool import Postgres
from host.services.redis import Redis
from plugins import frontrow
from plugins.frontrow.core.tokens import Hold
from plugins.frontrow.order_store import Move, NewOrder, OrderStore
from tests.plugins.frontrow.conftest import eventually

pytestmark = pytest.mark.chaos

STREAM = "killed-relays"
DEATHS = 3
WITHIN_S = 60.0
ALL_ARE_SENT = "SELECT count(*) = 0 FROM frontrow.outbox WHERE sent_at IS NULL"
WAY = [("cancel", "order.cancelled"), ("unwanted", None), ("voided", "order.voided")]
"""The steps that each order takes, and what they tell the world."""


@pytest.fixture
async def sale(postgres_url, redis_url):
    async with Postgres(postgres_url, name="test") as postgres, trio.open_nursery() as nursery:
        redis = Redis(redis_url, name="test")
        await nursery.start(redis.run)
        await migrate(postgres, "frontrow", frontrow.quartet_info().migrations)
        store = OrderStore(postgres)
        await nursery.start(store.run)
        yield postgres, redis, store
        nursery.cancel_scope.cancel("the test is over")


async def make_orders(postgres, store, enough):
    """Orders that are made, given up and voided, one after the other, until told otherwise."""
    event = await postgres.fetch_value("SELECT min(id) FROM frontrow.events")
    while not enough.is_set():
        order = NewOrder(str(uuid.uuid4()), Hold(event, (1,), uuid.uuid4().hex), "ann", "EUR", 100, "card", 60.0)
        await store.make(order)
        for step, _ in WAY:
            await store.move(Move(order.id, step))


async def test_relays_killed_in_the_middle_lose_and_invent_nothing(sale, postgres_url, redis_url):
    postgres, redis, store = sale
    enough = trio.Event()
    command = [sys.executable, "-m", "tests.plugins.frontrow.relay_process", postgres_url, redis_url, STREAM]

    async def more_than(count):
        return await redis.xlen(STREAM) > count

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(make_orders, postgres, store, enough)
        for death in range(DEATHS + 1):
            relay = await trio.lowlevel.open_process(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            try:
                known = await redis.xlen(STREAM)
                await eventually(lambda known=known: more_than(known), WITHIN_S)
                if death == DEATHS:
                    enough.set()

                    async def is_done():
                        return not nursery.child_tasks and await postgres.fetch_value(ALL_ARE_SENT)

                    await eventually(is_done, WITHIN_S)
            finally:
                relay.send_signal(signal.SIGKILL)
                await relay.wait()
            assert relay.returncode == -signal.SIGKILL
    told = [fields[b"id"].decode() for _, fields in await redis.xrange(STREAM)]
    rows = await postgres.fetch_all("SELECT id::text, booking_id::text, kind FROM frontrow.outbox ORDER BY position")
    assert set(told) == {row[0] for row in rows}, "nothing is lost, and nothing invented"
    once = list(dict.fromkeys(told))
    event_of = {row[0]: row[1:] for row in rows}
    by_booking = {}
    for event in once:
        booking, kind = event_of[event]
        by_booking.setdefault(booking, []).append(kind)
    assert len(by_booking) >= DEATHS
    kinds = [kind for _, kind in WAY if kind]
    assert all(heard == kinds for heard in by_booking.values()), "in order, whoever was killed"
