"""Events out: at least once, in order for each booking, whoever is killed in between."""

import json
import time

import psycopg
import pytest
import structlog
import trio

from host.api import ServiceUnavailable
from host.services.migrations import migrate
from host.services.postgres_pool import Postgres
from host.services.redis import Redis
from plugins import frontrow
from plugins.frontrow.core.retries import LONGEST_S, TRIES_MAX, pause_s, verdict
from plugins.frontrow.core.signature import HEADER, problem_of
from plugins.frontrow.relay import RedisStream, Relay
from plugins.frontrow.service import stream_key
from plugins.frontrow.simulated.server import serve_loopback
from tests.plugins.frontrow.conftest import eventually
from tests.plugins.frontrow.test_checkout import opened

LOG = structlog.get_logger("test")


@pytest.fixture
async def shop(front_row):
    return await opened(front_row)


async def stream_of(front_row):
    installation = await front_row.inventory.installation()
    entries = await front_row.ctx.redis.xrange(stream_key(installation))
    return [json.loads(fields[b"body"]) for _, fields in entries]


async def sent(front_row):
    unsent = "SELECT count(*) FROM frontrow.outbox WHERE sent_at IS NULL"

    async def all_are():
        return await front_row.ctx.postgres.fetch_value(unsent) == 0

    await eventually(all_are)


async def test_events_of_a_booking_arrive_in_order(shop):
    order = await shop.order(0)
    await shop.pay(order)
    await shop.front_row.checkout.refund(order["id"], "ill")
    await shop.until(order, "refunded")
    await sent(shop.front_row)
    events = [event for event in await stream_of(shop.front_row) if event["booking_id"] == order["id"]]
    assert [event["kind"] for event in events] == ["booking.confirmed", "order.refunding", "order.refunded"]
    assert events[0]["data"]["price"] == 5000


@pytest.fixture
async def outbox(postgres_url, redis_url):
    """An outbox that no plugin relays: the database, Redis, and how to write events into it."""
    async with Postgres(postgres_url, name="test") as postgres, trio.open_nursery() as nursery:
        redis = Redis(redis_url, name="test")
        await nursery.start(redis.run)
        await migrate(postgres, "frontrow", frontrow.quartet_info().migrations)
        yield postgres, redis
        nursery.cancel_scope.cancel("the test is over")


WRITE = """
INSERT INTO frontrow.outbox (booking_id, event_id, kind, payload)
SELECT gen_random_uuid(), (SELECT min(id) FROM frontrow.events), 'test.' || n, '{}' FROM generate_series(1, 20) AS n
"""


class Killed(Exception):
    pass


async def test_relay_killed_between_sending_and_marking_loses_and_invents_nothing(outbox):
    postgres, redis = outbox
    await postgres.execute(WRITE)
    async with postgres.transaction() as connection:
        await connection.execute(WRITE)
        raise psycopg.Rollback
    deaths = [True, True, False]

    async def die():
        if deaths.pop(0):
            raise Killed

    relay = Relay(postgres, [RedisStream(redis, "test-stream")], LOG, before_marking=die)
    for _ in range(2):
        with pytest.raises(Killed):
            await relay.relay_some()
    assert await relay.relay_some() == 20
    assert await relay.relay_some() == 0
    seen = [fields[b"id"].decode() for _, fields in await redis.xrange("test-stream")]
    written = await postgres.fetch_value("SELECT array_agg(id::text ORDER BY position) FROM frontrow.outbox")
    assert len(seen) == 60
    assert list(dict.fromkeys(seen)) == written, "each is there, in order, and nothing else"


async def test_second_relay_waits_for_its_turn(outbox):
    postgres, redis = outbox
    await postgres.execute(WRITE)
    sending, go = trio.Event(), trio.Event()

    async def linger():
        sending.set()
        await go.wait()

    first = Relay(postgres, [RedisStream(redis, "test-stream")], LOG, before_marking=linger)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(first.relay_some)
        await sending.wait()
        assert await Relay(postgres, [RedisStream(redis, "test-stream")], LOG).relay_some() == 0
        go.set()
    assert await redis.xlen("test-stream") == 20


async def test_events_wait_while_a_sink_is_away(outbox):
    postgres, _ = outbox
    await postgres.execute(WRITE)

    class Away:
        async def append(self, events):
            raise ServiceUnavailable("away")

    with pytest.raises(ServiceUnavailable):
        await Relay(postgres, [Away()], LOG).relay_some()
    assert await postgres.fetch_value("SELECT count(*) FROM frontrow.outbox WHERE sent_at IS NULL") == 20


class Subscriber:
    """A subscriber that keeps what it was told, and answers as the test likes."""

    def __init__(self):
        self.answers, self.got, self.headers = [], [], []

    async def handle(self, method, target, headers, body):
        self.got.append(json.loads(body))
        self.headers.append((headers, body))
        return (self.answers.pop(0) if self.answers else 200), {}


@pytest.fixture
async def subscriber(shop):
    async with trio.open_nursery() as nursery:
        opened_one = Subscriber()
        port = await nursery.start(lambda **started: serve_loopback(opened_one.handle, **started))
        body = {"url": f"http://127.0.0.1:{port}/hook"}
        made = await shop.client.post("/api/frontrow/subscriptions", json=body)
        assert made.status_code == 201
        opened_one.secret = made.json()["secret"]
        opened_one.path = made.json()["url"]
        yield opened_one
        nursery.cancel_scope.cancel("done")


async def test_subscriber_gets_signed_events_in_order(shop, subscriber):
    order = await shop.order(0)
    await shop.pay(order)
    await shop.front_row.checkout.refund(order["id"], "ill")

    async def all_are_there():
        return len(subscriber.got) >= 3

    await eventually(all_are_there)
    assert [event["kind"] for event in subscriber.got] == ["booking.confirmed", "order.refunding", "order.refunded"]
    for headers, body in subscriber.headers:
        assert problem_of(headers[HEADER], body, subscriber.secret.encode(), round(time.time())) == ""


async def test_webhook_that_is_not_taken_comes_again_and_holds_back_the_next_of_its_booking(shop, subscriber):
    subscriber.answers = [500]
    order = await shop.order(0)
    await shop.pay(order)
    await shop.front_row.checkout.refund(order["id"], "ill")

    async def first_failed():
        return subscriber.got

    await eventually(first_failed)

    async def all_are_there():
        await shop.front_row.ctx.postgres.execute("UPDATE frontrow.deliveries SET try_at = now() WHERE tries = 1")
        return len(subscriber.got) >= 4

    await eventually(all_are_there)
    kinds = [event["kind"] for event in subscriber.got]
    assert kinds == ["booking.confirmed", "booking.confirmed", "order.refunding", "order.refunded"]
    assert subscriber.got[0]["id"] == subscriber.got[1]["id"]


async def test_subscriber_that_is_gone_is_disabled(shop, subscriber):
    subscriber.answers = [410]
    await shop.pay(await shop.order(0))

    async def is_disabled():
        found = (await shop.client.get("/api/frontrow/subscriptions")).json()["subscriptions"]
        return found[0]["state"] == "disabled"

    await eventually(is_disabled)
    assert (await shop.client.delete(subscriber.path)).status_code == 204
    assert (await shop.client.delete(subscriber.path)).status_code == 404


@pytest.mark.parametrize("body", [{}, {"url": "ftp://x"}, {"url": "http://x", "kinds": ["a b"]}])
async def test_what_is_no_subscription_is_422(shop, body):
    assert (await shop.client.post("/api/frontrow/subscriptions", json=body)).status_code == 422


def test_pauses_grow_to_a_bound_and_last_a_day():
    pauses = [pause_s(tries, 0.0) for tries in range(1, TRIES_MAX)]
    assert pauses == sorted(pauses)
    assert pauses[0] == 1.0
    assert max(pauses) <= LONGEST_S
    assert 20 * 3600 < sum(pauses) < 30 * 3600
    assert pause_s(3, 1.0) == pytest.approx(3.2)


@pytest.mark.parametrize(("status", "tries", "decision"), [
    (200, 1, "delivered"), (204, 9, "delivered"), (410, 1, "disable"),
    (500, 1, "again"), (302, 1, "again"), (None, 1, "again"), (500, TRIES_MAX, "give_up"),
])  # fmt: skip
def test_answer_decides_what_happens_next(status, tries, decision):
    assert verdict(status, tries) == decision
