import pytest
import trio

from host.services.redis import Redis
from plugins.frontrow.box_office import new_nonce
from plugins.frontrow.core.tokens import Hold
from plugins.frontrow.holds import GRANTED, KEPT, RETAKEN, TAKEN, UNPROTECTED, HoldDesk
from plugins.frontrow.settings import Settings

EVENT = 7
RELEASE_WITHOUT_COMPARISON = "local n = 0 for _, key in ipairs(KEYS) do n = n + redis.call('DEL', key) end return n"


@pytest.fixture
async def redis(redis_url):
    async with trio.open_nursery() as nursery:
        client = Redis(redis_url, name="test")
        await nursery.start(client.run)
        yield client
        nursery.cancel_scope.cancel()


@pytest.fixture
def desk(redis):
    return HoldDesk(redis, "test", Settings())


def hold_of(*seats):
    return Hold(EVENT, seats, new_nonce())


async def ask(desk, hold):
    return await desk.hold(desk.request(hold))


async def owners(redis, *seats):
    return [await redis.get(f"frontrow:test:{{{EVENT}}}:{seat}") for seat in seats]


async def test_free_seat_is_granted_once_and_expires(desk, redis):
    first = hold_of(1)
    assert await ask(desk, first) == GRANTED
    assert await ask(desk, hold_of(1)) == TAKEN
    assert await owners(redis, 1) == [first.nonce.encode()]
    assert 0 < await redis.pttl(desk.key(EVENT, 1)) <= 300_000


async def test_rivals_for_one_seat_at_once_exactly_one_is_granted(desk):
    verdicts = []

    async def rival():
        verdicts.append(await ask(desk, hold_of(1)))

    async with trio.open_nursery() as nursery:
        for _ in range(200):
            nursery.start_soon(rival)
    assert verdicts.count(GRANTED) == 1
    assert verdicts.count(TAKEN) == 199


async def test_several_seats_one_of_them_held_are_all_or_nothing(desk, redis):
    await ask(desk, hold_of(2))
    assert await ask(desk, hold_of(1, 2, 3)) == TAKEN
    assert (await owners(redis, 1, 3)) == [None, None]
    assert await ask(desk, hold_of(1, 3)) == GRANTED


async def test_release_gives_back_what_is_still_ours(desk, redis):
    hold = hold_of(1, 2)
    await ask(desk, hold)
    assert await desk.release(hold) == 2
    assert await owners(redis, 1, 2) == [None, None]


async def test_release_by_a_stranger_leaves_the_hold_alone(desk, redis):
    hold = hold_of(1)
    await ask(desk, hold)
    assert await desk.release(hold_of(1)) == 0
    assert await owners(redis, 1) == [hold.nonce.encode()]


async def test_control_comparison_taken_out_a_stranger_releases_the_hold(redis):
    desk = HoldDesk(redis, "test", Settings(), scripts={"release": RELEASE_WITHOUT_COMPARISON})
    await ask(desk, hold_of(1))
    assert await desk.release(hold_of(1)) == 1
    assert await owners(redis, 1) == [None]


async def test_keep_lengthens_a_hold_about_to_expire_and_never_shortens_one(desk, redis):
    hold = hold_of(1)
    await ask(desk, hold)
    assert await desk.keep(hold) == KEPT
    assert await redis.pttl(desk.key(EVENT, 1)) > 200_000
    await redis.pexpire(desk.key(EVENT, 1), 500)
    assert await desk.keep(hold) == KEPT
    assert await redis.pttl(desk.key(EVENT, 1)) > 10_000


async def test_keep_of_an_expired_hold_takes_it_again_while_nobody_else_has(desk, redis):
    hold = hold_of(1, 2)
    await ask(desk, hold)
    await redis.delete(desk.key(EVENT, 2))
    assert await desk.keep(hold) == RETAKEN
    assert await owners(redis, 1, 2) == [hold.nonce.encode()] * 2


async def test_keep_of_a_hold_that_passed_on_leaves_the_newer_one_untouched(desk, redis):
    late, newer = hold_of(1, 2), hold_of(2)
    await ask(desk, late)
    await redis.delete(desk.key(EVENT, 2))
    await ask(desk, newer)
    await redis.pexpire(desk.key(EVENT, 2), 5000)
    assert await desk.keep(late) == TAKEN
    assert await owners(redis, 2) == [newer.nonce.encode()]
    assert await redis.pttl(desk.key(EVENT, 2)) <= 5000


async def test_look_tells_ours_from_others_from_sold(desk):
    mine = hold_of(1, 2, 3, 4)
    await ask(desk, Hold(EVENT, (1,), mine.nonce))
    await ask(desk, hold_of(2))
    await desk.mark_sold(EVENT, (3,))
    ours, others, sold, free = await desk.look(mine)
    assert (ours.is_ours, ours.is_sold) == (True, False)
    assert (others.is_ours, others.is_sold) == (False, False)
    assert others.left_ms > 200_000
    assert sold.is_sold
    assert (free.is_ours, free.is_sold, free.left_ms) == (False, False, 0)


async def test_seat_marked_sold_is_refused_and_outlasts_the_hold(desk, redis):
    hold = hold_of(1)
    await ask(desk, hold)
    await desk.mark_sold(EVENT, (1,))
    assert await ask(desk, hold_of(1)) == TAKEN
    assert await desk.release(hold) == 0
    assert await redis.pttl(desk.key(EVENT, 1)) > 3_000_000


async def test_remember_keeps_the_first_value(desk):
    assert await desk.remember("key", "first", 10_000) == "first"
    assert await desk.remember("key", "second", 10_000) == "first"


async def test_namespaces_do_not_see_each_other(desk, redis):
    await ask(desk, hold_of(1))
    assert await ask(HoldDesk(redis, "other", Settings()), hold_of(1)) == GRANTED


async def test_scripts_flushed_everything_still_works(desk, redis):
    hold = hold_of(1, 2)
    await ask(desk, hold)
    await redis.script_flush()
    assert await desk.keep(hold) == KEPT
    assert await desk.release(hold) == 2


async def test_redis_away_everything_says_unprotected_and_the_breaker_opens(tmp_path):
    async with trio.open_nursery() as nursery:
        client = Redis(f"unix://{tmp_path}/nobody.sock", name="test")
        await nursery.start(client.run)
        desk = HoldDesk(client, "test", Settings(breaker_failures=3))
        hold = hold_of(1)
        assert [await ask(desk, hold) for _ in range(3)] == [UNPROTECTED] * 3
        assert desk.breaker.state == "open"
        assert await desk.keep(hold) == UNPROTECTED
        assert await desk.release(hold) == 0
        assert await desk.look(hold) is None
        assert await desk.remember("key", "value", 1000) is None
        await desk.mark_sold(EVENT, (1,))
        assert desk.tally.holds_missing == 3
        nursery.cancel_scope.cancel()


async def test_redis_that_refuses_to_write_counts_as_away(desk, redis):
    await redis.config_set("maxmemory", "1")
    try:
        assert await ask(desk, hold_of(1)) == UNPROTECTED
    finally:
        await redis.config_set("maxmemory", "0")
    assert await ask(desk, hold_of(1)) == GRANTED
