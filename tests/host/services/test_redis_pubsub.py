"""A subscriber reconnects, subscribes anew and says what may be missing; a slow reader loses the oldest."""

import signal

import pytest
import trio

from host.errors import ServiceUnavailable
from host.services.redis import Missed, PubSubMessage, Redis
from host.services.redis_connection import open_connection
from host.services.redis_pubsub import PubSub
from host.services.redis_url import parse_redis_url

from .proxy import Fate, open_proxy
from .redis_kit import own_redis, running, until


@pytest.fixture(scope="module")
def shared_server():
    with own_redis() as server:
        yield server


@pytest.fixture
def server(shared_server):
    shared_server.start()
    yield shared_server
    if shared_server._child:
        shared_server.signal(signal.SIGCONT)


async def test_messages_arrive_in_order_by_channel_and_by_pattern(server):
    async with running(server.url) as redis, redis.pubsub() as pubsub:
        await pubsub.subscribe("news", "é")
        await pubsub.psubscribe("n*")
        assert await redis.publish("news", b"\xff\x00") == 2
        assert await redis.publish("é", 1) == 1
        got = [await pubsub.receive() for _ in range(3)]
        assert got == [
            PubSubMessage("news", b"\xff\x00"),
            PubSubMessage("news", b"\xff\x00", "n*"),
            PubSubMessage("é", b"1"),
        ]

        async with trio.open_nursery() as nursery:
            for number in range(500):
                await redis.publish("é", number)
            nursery.cancel_scope.cancel()
        assert [(await pubsub.receive()).data for _ in range(500)] == [b"%d" % number for number in range(500)]


async def test_subscription_is_in_effect_when_subscribe_returns(server):
    async with running(server.url) as redis, redis.pubsub() as pubsub:
        for turn in range(30):
            await pubsub.subscribe(f"c{turn}")
            assert await redis.publish(f"c{turn}", "x") == 1


async def test_unsubscribed_channel_is_silent_and_may_be_taken_up_again(server):
    async with running(server.url) as redis, redis.pubsub() as pubsub:
        for _ in range(10):
            await pubsub.subscribe("a", "b")
            pubsub.unsubscribe("a")
            await redis.publish("a", "lost")
            await pubsub.subscribe("a")
            assert await redis.publish("a", "kept") == 1
            assert await pubsub.receive() == PubSubMessage("a", b"kept")
        pubsub.unsubscribe("a", "b")
        await until_subscribers(redis, "a", 0)
        assert pubsub.statistics().subscriptions == 0


async def test_subscription_given_up_and_taken_up_again_waits_for_its_own_confirmation(server):
    async with (
        running(server.url) as redis,
        open_proxy(server.path) as proxy,
        running(f"redis://127.0.0.1:{proxy.port}") as reader,
        reader.pubsub() as pubsub,
    ):
        await pubsub.subscribe("a")
        proxy.on_request = lambda data: Fate.STALL if b"UNSUBSCRIBE" in data else Fate.PASS
        pubsub.unsubscribe("a")
        await until_subscribers(redis, "a", 0)
        is_subscribed = []

        async def subscribe():
            await pubsub.subscribe("a")
            is_subscribed.append(await redis.publish("a", "x"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(subscribe)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert not is_subscribed, "taken for confirmed by what an earlier subscription had confirmed"
            proxy.resume()
        assert is_subscribed == [1]


async def test_connection_lost_before_the_confirmation_is_no_loss(server):
    async with (
        running(server.url) as redis,
        open_proxy(server.path) as proxy,
        running(f"redis://127.0.0.1:{proxy.port}") as reader,
        reader.pubsub() as pubsub,
    ):
        fates = [Fate.CUT, Fate.SWALLOW_ANSWER, Fate.SWALLOW_ANSWER]
        proxy.on_request = lambda data: fates.pop() if b"SUBSCRIBE" in data and fates else Fate.PASS
        await pubsub.subscribe("a", "b")
        assert not fates
        assert await redis.publish("a", "x") == 1
        assert await pubsub.receive() == PubSubMessage("a", b"x")


async def until_subscribers(redis, channel, count):
    while (await redis.pubsub_numsub(channel))[0][1] != count:
        await trio.lowlevel.checkpoint()


async def test_lost_connection_is_replaced_and_the_reader_is_told_in_its_place(server):
    async with (
        running(server.url) as redis,
        open_proxy(server.path) as proxy,
        running(f"redis://127.0.0.1:{proxy.port}") as reader,
        reader.pubsub() as pubsub,
    ):
        await pubsub.subscribe("a")
        await pubsub.psubscribe("p*")
        await redis.publish("a", "before")
        await until(lambda: pubsub.statistics().messages == 1)
        proxy.cut()
        await until_subscribers(redis, "a", 0)
        await redis.publish("a", "nobody hears this")
        await until_subscribers(redis, "a", 1)
        while await redis.pubsub_numpat() == 0:
            await trio.lowlevel.checkpoint()
        await redis.publish("a", "after")
        await redis.publish("p", "too")

        got = [await pubsub.receive() for _ in range(4)]
        assert got == [
            PubSubMessage("a", b"before"),
            Missed("reconnected"),
            PubSubMessage("a", b"after"),
            PubSubMessage("p", b"too", "p*"),
        ]
        assert pubsub.statistics().reconnections == 1


async def test_server_that_restarts_is_subscribed_to_anew(server):
    async with running(server.url) as redis, redis.pubsub() as pubsub:
        await pubsub.subscribe("a")
        server.kill()
        await until(lambda: not pubsub.statistics().is_connected)
        server.start()
        assert await pubsub.receive() == Missed("reconnected")
        await until(lambda: redis.statistics().state == "ready")
        assert await redis.publish("a", "x") == 1
        assert await pubsub.receive() == PubSubMessage("a", b"x")


async def test_subscription_wished_for_while_the_server_is_down_is_made_later_and_told(server):
    server.kill()
    async with running(server.url, timeout_s=0.1) as redis, redis.pubsub() as pubsub:
        with pytest.raises(ServiceUnavailable, match="will be made"):
            await pubsub.subscribe("a")
        server.start()
        assert await pubsub.receive() == Missed("reconnected")
        await until(lambda: redis.statistics().state == "ready")
        assert await redis.publish("a", "x") == 1


async def test_first_connection_is_no_gap_for_those_who_wait_for_it(server):
    server.kill()
    async with running(server.url, timeout_s=10) as redis, redis.pubsub() as pubsub:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pubsub.subscribe, "a")
            await trio.testing.wait_all_tasks_blocked()
            server.start()
        await until(lambda: redis.statistics().state == "ready")
        await redis.publish("a", "x")
        assert await pubsub.receive() == PubSubMessage("a", b"x")


async def test_slow_reader_loses_the_oldest_and_is_told_how_many(server):
    async with running(server.url) as redis, redis.pubsub(queue_items=3) as pubsub:
        await pubsub.subscribe("a")
        for number in range(10):
            await redis.publish("a", number)
        await until(lambda: pubsub.statistics().messages == 10)
        assert pubsub.statistics().queued_peak == 3
        got = [await pubsub.receive() for _ in range(4)]
        assert got == [Missed("overflow", 7), *(PubSubMessage("a", b"%d" % number) for number in (7, 8, 9))]
        assert pubsub.statistics().dropped == 7


async def test_queue_is_bounded_in_bytes(server):
    async with running(server.url) as redis, redis.pubsub(queue_bytes=2500) as pubsub:
        await pubsub.subscribe("a")
        for number in range(4):
            await redis.publish("a", b"%d" % number * 1000)
        await redis.publish("a", b"x" * 3000)
        await redis.publish("a", "end")
        await until(lambda: pubsub.statistics().messages == 6)
        assert [await pubsub.receive(), await pubsub.receive()] == [Missed("overflow", 5), PubSubMessage("a", b"end")]
        assert pubsub.statistics().queued_bytes == 0


def test_gap_that_overflows_is_still_told():
    pubsub = PubSub(None, timeout_s=1, queue_items=2, queue_bytes=1000)
    for item in (Missed("reconnected"), PubSubMessage("a", b"1"), PubSubMessage("a", b"2")):
        pubsub._put(item)

    async def main():
        return [await pubsub.receive() for _ in range(3)]

    assert trio.run(main) == [Missed("overflow", None), PubSubMessage("a", b"1"), PubSubMessage("a", b"2")]


async def test_cancelled_reader_takes_no_message(server):
    async with running(server.url) as redis, redis.pubsub() as pubsub:
        await pubsub.subscribe("a")
        for number in range(50):
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(redis.publish, "a", number)
                    nursery.start_soon(cancel_when, scope, lambda n=number: pubsub.statistics().messages > n)
                    await trio.sleep_forever()
            with trio.CancelScope() as scope:
                scope.cancel()
                await pubsub.receive()
            assert (await pubsub.receive()).data == b"%d" % number


async def cancel_when(scope, condition):
    await until(condition)
    scope.cancel()


async def test_silent_server_is_asked_and_then_left(server):
    address = parse_redis_url(server.url)

    async def connect():
        return await open_connection(address, "test", 0.2)

    pubsub = PubSub(connect, timeout_s=0.2, queue_items=10, queue_bytes=1000, ping_interval_s=0.1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pubsub.run)
        await pubsub.subscribe("a")
        # Silent, but alive: it answers each PING.
        await trio.sleep(0.6)
        assert pubsub.statistics().is_connected
        assert pubsub.statistics().reconnections == 0
        server.signal(signal.SIGSTOP)
        with trio.fail_after(10):
            await until(lambda: not pubsub.statistics().is_connected)
        server.signal(signal.SIGCONT)
        assert await pubsub.receive() == Missed("reconnected")
        pubsub.close()


async def test_closed_subscriber_ends_its_reader_and_its_connection(server):
    async with running(server.url) as redis:
        async with redis.pubsub() as pubsub:
            await pubsub.subscribe("a")
            assert redis.statistics().connections_lent == 1
        assert redis.statistics().connections_lent == 0
        with pytest.raises(ServiceUnavailable, match="closed"):
            await pubsub.receive()
        await until_subscribers(redis, "a", 0)


async def test_error_in_the_block_comes_out_as_it_is(server):
    async def fail_inside(redis):
        async with redis.pubsub() as pubsub:
            await pubsub.subscribe("a")
            raise KeyError("a")

    async with running(server.url) as redis:
        with pytest.raises(KeyError):
            await fail_inside(redis)


async def test_end_of_the_redis_ends_a_waiting_reader(server):
    redis = Redis(server.url, name="test")

    async def read():
        async with redis.pubsub() as pubsub:
            with pytest.raises(ServiceUnavailable, match="closed"):
                await pubsub.receive()

    async with trio.open_nursery() as readers, trio.open_nursery() as nursery:
        await nursery.start(redis.run)
        readers.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
