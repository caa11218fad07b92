"""The pool's rules, with connections that are only records, and a Hypothesis machine that keeps its own books."""

import math

import httpx
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from host.http.client_connect import Origin
from host.http.client_pool import Pool, PoolLimits

A, B, C = (Origin(b"http", name, 80) for name in (b"a", b"b", b"c"))


class Record:
    """A connection without a wire."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.expires_at = math.inf
        self.closed = 0
        self.dead = False

    def is_dead(self) -> bool:
        return self.dead

    def close(self) -> None:
        self.closed += 1


def pool_of(**limits: float) -> Pool[Record]:
    return Pool(PoolLimits(**limits), Record)  # type: ignore[arg-type]


async def queue(nursery: trio.Nursery, pool: Pool[Record], origin: Origin, served: list[tuple[Origin, Record]]) -> None:
    """Start a request that waits, and let it reach the queue."""

    async def ask() -> None:
        served.append((origin, await pool.acquire(origin)))

    nursery.start_soon(ask)
    await trio.testing.wait_all_tasks_blocked()


async def test_connection_used_last_is_lent_first() -> None:
    pool = pool_of()
    first, second = pool.take(A), pool.take(A)
    assert first is not None
    assert second is not None
    pool.release(first)
    pool.release(second)
    assert pool.take(A) is second
    assert pool.take(A) is first
    assert pool.reused_total == 2


async def test_limit_of_an_origin_does_not_hold_up_another() -> None:
    pool = pool_of(connections_per_origin_max=1)
    assert pool.take(A) is not None
    assert pool.take(A) is None
    assert pool.take(B) is not None


async def test_idle_connection_of_another_origin_makes_room_the_oldest_first() -> None:
    pool = pool_of(connections_max=2)
    old, young = pool.take(A), pool.take(B)
    pool.release(old)
    pool.release(young)
    assert pool.take(C) is not None
    assert (old.closed, young.closed, pool.open) == (1, 0, 2)


async def test_waiters_are_served_in_the_order_they_came() -> None:
    pool = pool_of(connections_max=1)
    connection = pool.take(A)
    served: list[tuple[Origin, Record]] = []
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            await queue(nursery, pool, A, served)
        for count in range(1, 4):
            pool.release(connection)
            await trio.testing.wait_all_tasks_blocked()
            assert len(served) == count
            assert served[-1] == (A, connection)
    assert pool.waiting == 0


async def test_newcomer_does_not_overtake_the_queue() -> None:
    pool = pool_of(connections_max=1)
    connection = pool.take(A)
    served: list[tuple[Origin, Record]] = []
    async with trio.open_nursery() as nursery:
        await queue(nursery, pool, A, served)
        pool.release(connection)
        assert pool.take(A) is None
        await trio.testing.wait_all_tasks_blocked()
        assert served == [(A, connection)]


async def test_origin_that_has_waited_longest_gets_the_slot_though_another_has_just_freed_it() -> None:
    pool = pool_of(connections_max=1)
    connection = pool.take(A)
    served: list[tuple[Origin, Record]] = []
    async with trio.open_nursery() as nursery:
        await queue(nursery, pool, B, served)
        await queue(nursery, pool, A, served)
        pool.release(connection)
        await trio.testing.wait_all_tasks_blocked()
        assert [origin for origin, _ in served] == [B]
        assert connection.closed == 1
        pool.discard(served[0][1])
        await trio.testing.wait_all_tasks_blocked()
        assert [origin for origin, _ in served] == [B, A]


async def test_origins_take_turns_by_how_long_their_next_waiter_has_waited() -> None:
    pool = pool_of(connections_max=1)
    connection = pool.take(A)
    served: list[tuple[Origin, Record]] = []
    async with trio.open_nursery() as nursery:
        for origin in (A, B, A):
            await queue(nursery, pool, origin, served)
        pool.release(connection)
        for _ in range(2):
            await trio.testing.wait_all_tasks_blocked()
            pool.release(served[-1][1])
        await trio.testing.wait_all_tasks_blocked()
    assert [origin for origin, _ in served] == [A, B, A]


async def test_origin_at_its_own_limit_does_not_block_those_behind_it() -> None:
    pool = pool_of(connections_max=2, connections_per_origin_max=1)
    held, other = pool.take(A), pool.take(B)
    served: list[tuple[Origin, Record]] = []
    async with trio.open_nursery() as nursery:
        await queue(nursery, pool, A, served)
        await queue(nursery, pool, C, served)
        pool.discard(other)
        await trio.testing.wait_all_tasks_blocked()
        assert [origin for origin, _ in served] == [C]
        pool.release(held)
    assert [origin for origin, _ in served] == [C, A]


async def test_connection_is_not_given_up_for_an_origin_that_could_not_use_the_slot() -> None:
    pool = pool_of(connections_max=2, connections_per_origin_max=1)
    held, other = pool.take(A), pool.take(B)
    served: list[tuple[Origin, Record]] = []
    async with trio.open_nursery() as nursery:
        await queue(nursery, pool, A, served)
        await queue(nursery, pool, B, served)
        pool.release(other)
        await trio.testing.wait_all_tasks_blocked()
        assert served == [(B, other)]
        assert other.closed == 0
        pool.release(held)


async def test_full_queue_turns_the_next_away() -> None:
    pool = pool_of(connections_max=1, waiters_max=1)
    pool.take(A)
    async with trio.open_nursery() as nursery:
        await queue(nursery, pool, A, [])
        with pytest.raises(httpx.PoolTimeout, match="waiters_max"):
            await pool.acquire(A)
        with pytest.raises(httpx.PoolTimeout, match="waiters_max"):
            await pool.acquire(B)
        assert (pool.waiting, pool.origins) == (1, 1)
        nursery.cancel_scope.cancel()


async def test_dead_idle_connection_is_closed_and_not_lent() -> None:
    pool = pool_of(connections_max=1)
    connection = pool.take(A)
    pool.release(connection)
    connection.dead = True
    fresh = pool.take(A)
    assert fresh is not connection
    assert (connection.closed, pool.dead_total, pool.open) == (1, 1, 1)


async def test_idle_connection_expires_by_the_pool_or_by_the_server(mock_clock: trio.testing.MockClock) -> None:
    pool = pool_of(idle_s=10)
    short, long = pool.take(A), pool.take(A)
    pool.release(short, 4.0)
    pool.release(long, 60.0)
    mock_clock.jump(4)
    assert pool.take(A) is long
    assert pool.take(A) is not short
    assert (short.closed, pool.expired_total) == (1, 1)
    pool.release(long)
    mock_clock.jump(10)
    pool.close_expired(trio.current_time())
    assert (long.closed, pool.idle) == (1, 0)


async def test_connections_come_back_sweep_those_of_other_origins(mock_clock: trio.testing.MockClock) -> None:
    pool = pool_of(idle_s=10)
    old, young = pool.take(A), pool.take(B)
    pool.release(old)
    mock_clock.jump(11)
    pool.release(young)
    assert (old.closed, pool.idle, pool.origins) == (1, 1, 1)


async def test_server_that_keeps_nothing_has_its_connection_closed() -> None:
    pool = pool_of()
    connection, other = pool.take(A), pool.take(B)
    pool.release(other)
    pool.release(connection, -1.0)
    assert (connection.closed, pool.idle) == (1, 1)


async def test_idle_limit_closes_the_oldest() -> None:
    pool = pool_of(idle_max=1)
    first, second = pool.take(A), pool.take(B)
    pool.release(first)
    pool.release(second)
    assert (first.closed, second.closed, pool.idle) == (1, 0, 1)


async def test_close_ends_everything_and_sends_waiters_away() -> None:
    pool = pool_of(connections_max=2)
    lent, idle = pool.take(A), pool.take(A)
    errors = []

    async def ask() -> None:
        with pytest.raises(httpx.ConnectError, match="closed") as caught:
            await pool.acquire(B)
        errors.append(caught.value)

    async with trio.open_nursery() as nursery:
        third = pool
        assert third.take(B) is None
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        pool.close()
    assert len(errors) == 1
    pool.discard(lent)
    pool.release(idle)  # came back whole, just too late
    assert idle.closed
    assert (pool.open, pool.waiting, pool.origins) == (0, 0, 0)
    with pytest.raises(httpx.ConnectError):
        pool.take(A)


STEPS = st.lists(
    st.tuples(st.sampled_from(["ask", "release", "discard", "cancel", "die"]), st.integers(0, 30)), max_size=60
)


@settings(max_examples=120, deadline=None)
@given(STEPS, st.integers(1, 4), st.integers(1, 3), st.integers(0, 3))
def test_books_balance_whatever_happens(steps: list, total: int, per_origin: int, idle_max: int) -> None:
    """Against a plain model: who has a connection, who waits; the limits; nobody waits beside something to have."""

    async def run() -> None:
        made: list[Record] = []

        def make(origin: Origin) -> Record:
            made.append(Record(origin))
            return made[-1]

        limits = PoolLimits(connections_max=total, connections_per_origin_max=per_origin, idle_max=idle_max)
        pool: Pool[Record] = Pool(limits, make)
        held: list[Record] = []
        waiting: dict[int, tuple[trio.CancelScope, Origin]] = {}

        async def ask(number: int, origin: Origin, scope: trio.CancelScope) -> None:
            with scope:
                held.append(await pool.acquire(origin))
            waiting.pop(number)

        async with trio.open_nursery() as nursery:
            for number, (action, choice) in enumerate(steps):
                if action == "ask":
                    scope, origin = trio.CancelScope(), (A, B, C)[choice % 3]
                    waiting[number] = (scope, origin)
                    nursery.start_soon(ask, number, origin, scope)
                elif action == "cancel" and waiting:
                    waiting[sorted(waiting)[choice % len(waiting)]][0].cancel()
                elif action in ("release", "discard") and held:
                    connection = held.pop(choice % len(held))
                    if action == "release":
                        pool.release(connection)
                    else:
                        connection.close()
                        pool.discard(connection)
                elif action == "die" and made:
                    made[choice % len(made)].dead = True
                await trio.testing.wait_all_tasks_blocked()
                alive = [record for record in made if not record.closed]
                assert all(record.closed <= 1 for record in made)
                assert len(alive) == pool.open <= total
                assert len(held) == pool.open - pool.idle
                assert pool.idle <= idle_max
                assert pool.waiting == len(waiting)
                wanted_origins = {wanted for _, wanted in waiting.values()}
                assert pool.origins == len({record.origin for record in alive} | wanted_origins)
                assert len({id(record) for record in held}) == len(held)
                for origin in (A, B, C):
                    of_origin = sum(record.origin == origin for record in alive)
                    assert of_origin <= per_origin
                    if origin in wanted_origins:
                        assert of_origin == per_origin or pool.open == total
                        assert of_origin == sum(record.origin == origin for record in held)
                        assert of_origin == per_origin or not pool.idle
            nursery.cancel_scope.cancel()

    trio.run(run)
