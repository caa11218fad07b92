"""Strategies side by side: the bad ones sell twice on the same trace on which the two layers do not."""

import pytest
import trio
from psycopg import Rollback
from psycopg.errors import DeadlockDetected

from host.api import HttpProblem
from plugins.frontrow.core.trace import Wish, still_possible, trace_of, trace_sha256
from plugins.frontrow.strategies import sellers
from plugins.frontrow.strategies.comparison import STRATEGIES, Terms
from plugins.frontrow.strategies.sellers import Counter
from tests.plugins.frontrow.conftest import eventually, open_front_row

ONE_SEAT = Terms(seed=3, buyers=150, seats=1, party=1, payment_ms=5, spread_ms=60)
PAIRS = Terms(seed=3, buyers=150, seats=20, party=2, payment_ms=2, spread_ms=100)


async def compare(front_row, terms):
    live = await front_row.comparisons.start(terms)
    await live.finished()
    assert live.document["state"] == "done", live.error
    return {each["name"]: each for each in live.document["strategies"]}


def test_a_trace_is_a_function_of_its_seed_and_nobody_wants_a_seat_twice():
    trace = trace_of(7, 200, 10, 4, 50)
    assert trace == trace_of(7, 200, 10, 4, 50)
    assert trace_sha256(trace) != trace_sha256(trace_of(8, 200, 10, 4, 50))
    assert sorted(wish.buyer for wish in trace) == list(range(200))
    assert all(len(set(wish.seats)) == 4 and set(wish.seats) <= set(range(10)) for wish in trace)
    assert [wish.at_ms for wish in trace] == sorted(wish.at_ms for wish in trace)
    assert sorted(trace_of(7, 1, 4, 4, 50)[0].seats) == [0, 1, 2, 3]


def test_only_a_wish_for_free_seats_is_still_possible():
    trace = [Wish(0, 0, (0, 1)), Wish(1, 1, (1, 2)), Wish(2, 2, (3, 4))]
    assert still_possible(trace, turned_away={1}, sold={0, 1}) == []
    assert still_possible(trace, turned_away={1, 2}, sold={0, 1}) == trace[2:]
    assert still_possible(trace, turned_away=set(), sold={0, 1}) == []


async def test_one_seat_is_sold_many_times_by_the_naive_and_once_by_the_two_layers(front_row):
    found = await compare(front_row, ONE_SEAT)
    assert list(found) == [strategy.name for strategy in STRATEGIES]
    assert found["naive"]["oversold"] > 0
    assert found["redis_only"]["oversold"] == 0
    assert found["redis_only_flushed"]["oversold"] > 0, "Redis alone sells again what it forgot"
    assert found["redis_only_flushed"]["flushed_at_ms"] is not None
    for name in ("row_lock", "optimistic", "advisory_lock", "two_layers", "two_layers_flushed"):
        assert (found[name]["oversold"], found[name]["seats_sold"], found[name]["booked"]) == (0, 1, 1), name
    assert found["two_layers"]["payments"] == 1
    assert found["optimistic"]["payments_wasted"] > 0, "whoever pays before it is sure pays in vain"
    for each in found.values():
        assert each["booked"] + each["rejected"] + each["gave_up"] + each["unserved"] == ONE_SEAT.buyers
        assert each["undersold"] == 0 or each["gave_up"]


async def test_pairs_are_sold_once_and_nothing_is_left_that_somebody_wanted(front_row):
    found = await compare(front_row, PAIRS)
    for name in ("two_layers", "two_layers_flushed"):
        each = found[name]
        assert (each["oversold"], each["undersold"], each["deadlocks"], each["unserved"]) == (0, 0, 0, 0), name
        assert each["seats_sold"] == 2 * each["booked"] > 0
        assert each["statements"] >= each["booked"]
    assert found["naive"]["oversold"] > 0


async def test_a_row_lock_in_the_buyers_own_order_deadlocks_and_tries_again(front_row):
    """Somebody else takes the same two seats the other way round; whoever waits longest is the server's victim."""
    postgres = front_row.ctx.postgres
    await postgres.execute("INSERT INTO frontrow.trials (id) VALUES ('t')")
    counter = Counter("t", "row_lock", postgres, 0, trio.Semaphore(6))
    verdicts = []

    async def sell(seats):
        verdicts.append(await sellers.row_lock(counter, Wish(0, 0, seats)))

    async def is_locked(seat):
        return await postgres.fetch_one(sellers._LOCK + " SKIP LOCKED", counter.values({"seat": seat})) is None

    for pair in range(0, 20, 2):
        await postgres.execute(
            "INSERT INTO frontrow.trial_seats (trial_id, strategy, position) VALUES ('t', 'row_lock', %s), "
            "('t', 'row_lock', %s)",
            [pair, pair + 1],
        )
        async with trio.open_nursery() as nursery, postgres.transaction() as other:
            await other.execute(sellers._LOCK, counter.values({"seat": pair + 1}))
            nursery.start_soon(sell, (pair, pair + 1))
            await eventually(lambda seat=pair: is_locked(seat))
            try:
                await other.execute(sellers._LOCK, counter.values({"seat": pair}))
            except DeadlockDetected:
                raise Rollback from None
        if counter.tally.deadlocks:
            break
    assert counter.tally.deadlocks >= 1
    assert set(verdicts) == {sellers.BOOKED}


async def test_a_trial_touches_nothing_of_the_house_and_is_kept(front_row):
    before = await front_row.inventory.events()
    live = await front_row.comparisons.start(ONE_SEAT)
    with pytest.raises(HttpProblem) as refused:
        await front_row.comparisons.start(ONE_SEAT)
    assert refused.value.status == 429
    await live.finished()
    assert await front_row.inventory.events() == before
    assert await front_row.ctx.postgres.fetch_value("SELECT count(*) FROM frontrow.trial_seats") == 0
    assert await front_row.comparisons.latest(5) == [live.document]
    assert await front_row.ctx.redis.keys("*:trial:*") == []


async def test_a_strategy_that_takes_too_long_leaves_its_buyers_unserved(postgres_url, redis_url, tmp_path):
    async with open_front_row(postgres_url, redis_url, tmp_path, comparison_timeout=0.3) as front_row:
        slow = Terms(seed=1, buyers=20, seats=20, party=1, payment_ms=100, spread_ms=0)
        found = await compare(front_row, slow)
        assert found["advisory_lock"]["unserved"] > 0
        assert found["advisory_lock"]["oversold"] == 0
