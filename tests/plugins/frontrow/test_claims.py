import uuid

import psycopg
import pytest
import trio

from host.services.migrations import migrate
from host.services.postgres import TrioConnection
from host.services.postgres_pool import Postgres
from plugins import frontrow
from plugins.frontrow.claims import CLAIM, Claim, ClaimDesk, LastLineCrossed, in_lock_order
from plugins.frontrow.run_store import RunStore
from plugins.frontrow.verification import count
from tests.plugins.frontrow.conftest import eventually

RIVALS = 12


@pytest.fixture
async def postgres(postgres_url):
    async with Postgres(postgres_url, name="test") as opened:
        await migrate(opened, "frontrow", frontrow.quartet_info().migrations)
        yield opened


async def house(postgres, seats):
    """A new event; its id and the ids of its seats."""
    new_run = await RunStore(postgres, "test").begin(uuid.uuid4().hex, seed=0, buyers=1, seats=seats, timeout_s=60)
    return new_run.event_id, new_run.seat_ids


def claim_of(event_id, *seats, buyer="ann", booking_id=None):
    return Claim(booking_id or str(uuid.uuid4()), event_id, in_lock_order(seats), buyer)


async def rush(desk, claims):
    """All claims at once; their verdicts, in order."""
    verdicts = [None] * len(claims)

    async def one(number):
        verdicts[number] = await desk.claim(claims[number])

    async with trio.open_nursery() as nursery:
        for number in range(len(claims)):
            nursery.start_soon(one, number)
    return verdicts


async def live_sales(postgres, seat):
    sql = "SELECT count(*) FROM frontrow.booking_seats WHERE seat_id = %s AND released_at IS NULL"
    return await postgres.fetch_value(sql, [seat])


async def until_blocked(postgres, waiting):
    """Until that many sessions wait for a lock."""
    blocked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

    async def are_blocked():
        return await postgres.fetch_value(blocked) >= waiting

    await eventually(are_blocked)


async def test_claim_of_a_free_seat_wins_and_writes_all_three_tables(postgres):
    event_id, (seat,) = await house(postgres, 1)
    claim = claim_of(event_id, seat)
    assert await ClaimDesk(postgres).claim(claim) == "won"
    row = "SELECT booking_id::text FROM frontrow.seats WHERE id = %s"
    assert await postgres.fetch_value(row, [seat]) == claim.booking_id
    assert await postgres.fetch_value("SELECT buyer FROM frontrow.bookings WHERE id = %s", [claim.booking_id]) == "ann"
    assert await live_sales(postgres, seat) == 1


async def test_claim_of_a_sold_seat_loses_and_writes_nothing(postgres):
    event_id, (seat,) = await house(postgres, 1)
    desk = ClaimDesk(postgres)
    await desk.claim(claim_of(event_id, seat))
    assert await desk.claim(claim_of(event_id, seat, buyer="bob")) == "lost"
    assert await postgres.fetch_value("SELECT count(*) FROM frontrow.bookings WHERE event_id = %s", [event_id]) == 1


async def test_claim_of_another_events_seat_loses(postgres):
    event_id, _ = await house(postgres, 1)
    _, (seat,) = await house(postgres, 1)
    assert await ClaimDesk(postgres).claim(claim_of(event_id, seat)) == "lost"


async def test_rivals_for_one_seat_at_once_exactly_one_wins(postgres):
    event_id, (seat,) = await house(postgres, 1)
    verdicts = await rush(ClaimDesk(postgres), [claim_of(event_id, seat, buyer=f"b{n}") for n in range(RIVALS)])
    assert sorted(verdicts) == ["lost"] * (RIVALS - 1) + ["won"]


async def test_several_seats_one_of_them_sold_are_all_or_nothing(postgres):
    event_id, seats = await house(postgres, 3)
    desk = ClaimDesk(postgres)
    await desk.claim(claim_of(event_id, seats[1]))
    assert await desk.claim(claim_of(event_id, *seats, buyer="bob")) == "lost"
    assert [await live_sales(postgres, seat) for seat in seats] == [0, 1, 0]
    assert await desk.claim(claim_of(event_id, seats[0], seats[2], buyer="bob")) == "won"


async def test_overlapping_claims_at_once_never_deadlock_and_fill_the_house_consistently(postgres):
    event_id, seats = await house(postgres, 6)
    claims = [claim_of(event_id, seats[n % 6], seats[(n + 1) % 6], seats[(n + 3) % 6]) for n in range(24)]
    verdicts = await rush(ClaimDesk(postgres), claims)
    counts = await count(postgres, event_id, None, 0)
    assert counts.live_sales == counts.seats_sold == 3 * verdicts.count("won") > 0
    assert counts.by_name["seats_and_sales_agree"] == 0


async def hold_back(postgres_url, statement, parameters):
    """A session that has run a statement and not committed it."""
    connection = await TrioConnection.connect(postgres_url)
    await connection.execute(statement, parameters)
    return connection


async def test_claim_that_waits_for_a_winner_sees_its_commit_and_loses(postgres, postgres_url):
    """PostgreSQL 13.2.1: "the second updater ... will attempt to apply its operation to the updated version of the
    row. The search condition of the command (the WHERE clause) is re-evaluated"."""
    event_id, (seat,) = await house(postgres, 1)
    first = await hold_back(postgres_url, CLAIM, _parameters(claim_of(event_id, seat)))
    async with trio.open_nursery() as nursery:

        async def second():
            assert await ClaimDesk(postgres).claim(claim_of(event_id, seat, buyer="bob")) == "lost"

        nursery.start_soon(second)
        await until_blocked(postgres, 1)
        await first.commit()
    await first.close()


async def test_claim_that_waits_for_a_winner_who_rolls_back_wins(postgres, postgres_url):
    event_id, (seat,) = await house(postgres, 1)
    first = await hold_back(postgres_url, CLAIM, _parameters(claim_of(event_id, seat)))
    async with trio.open_nursery() as nursery:

        async def second():
            assert await ClaimDesk(postgres).claim(claim_of(event_id, seat, buyer="bob")) == "won"

        nursery.start_soon(second)
        await until_blocked(postgres, 1)
        await first.rollback()
    await first.close()


@pytest.mark.parametrize("seats_count", [1, 3])
async def test_claim_that_waits_for_a_change_of_something_else_still_wins(postgres, postgres_url, seats_count):
    """The row under the claim changes while it waits, and is free in both versions: no seat is left unsold for that."""
    event_id, seats = await house(postgres, seats_count)
    rename = "UPDATE frontrow.seats SET label = 'renamed' WHERE id = ANY(%s)"
    other = await hold_back(postgres_url, rename, [list(seats)])
    async with trio.open_nursery() as nursery:

        async def claim():
            assert await ClaimDesk(postgres).claim(claim_of(event_id, *seats)) == "won"

        nursery.start_soon(claim)
        await until_blocked(postgres, 1)
        await other.commit()
    await other.close()
    counts = await count(postgres, event_id, None, 0)
    assert counts.live_sales == seats_count
    assert counts.by_name["seats_and_sales_agree"] == 0


def _parameters(claim):
    return {"seats": list(claim.seats), "event": claim.event_id, "booking": claim.booking_id, "buyer": claim.buyer}


async def test_isolation_of_a_claim_is_read_committed_whatever_the_database_defaults_to(postgres, postgres_url):
    name = await postgres.fetch_value("SELECT current_database()")
    await postgres.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    async with Postgres(postgres_url, name="fresh") as fresh:
        assert await fresh.fetch_value("SHOW transaction_isolation") == "read committed"
        async with fresh.transaction() as connection:
            assert (await (await connection.execute("SHOW transaction_isolation")).fetchone())[0] == "read committed"
        event_id, (seat,) = await house(fresh, 1)
        verdicts = await rush(ClaimDesk(fresh), [claim_of(event_id, seat) for _ in range(RIVALS)])
    assert sorted(verdicts) == ["lost"] * (RIVALS - 1) + ["won"]


async def test_under_repeatable_read_the_loser_gets_an_error_instead_of_a_verdict(postgres, postgres_url):
    """Why the level is stated: no double sale, but 999 losers would have to start again, each with a new snapshot."""
    event_id, (seat,) = await house(postgres, 1)
    first = await hold_back(postgres_url, CLAIM, _parameters(claim_of(event_id, seat)))
    second = await TrioConnection.connect(postgres_url)
    await second.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
    async with trio.open_nursery() as nursery:

        async def claim():
            with pytest.raises(psycopg.errors.SerializationFailure):
                await second.execute(CLAIM, _parameters(claim_of(event_id, seat, buyer="bob")))

        nursery.start_soon(claim)
        await until_blocked(postgres, 1)
        await first.commit()
    await first.close()
    await second.close()
    assert await live_sales(postgres, seat) == 1


async def test_repeated_claim_whose_first_was_committed_finds_it(postgres):
    event_id, (seat,) = await house(postgres, 1)
    desk, claim = ClaimDesk(postgres), claim_of(event_id, seat)
    await desk.claim(claim)
    assert await desk.claim(claim, is_repeated=True) == "won"
    assert await live_sales(postgres, seat) == 1


async def test_repeated_claim_whose_first_is_under_way_waits_for_it_and_finds_it(postgres, postgres_url):
    event_id, (seat,) = await house(postgres, 1)
    claim = claim_of(event_id, seat)
    first = await hold_back(postgres_url, CLAIM, _parameters(claim))
    async with trio.open_nursery() as nursery:

        async def again():
            assert await ClaimDesk(postgres).claim(claim, is_repeated=True) == "won"

        nursery.start_soon(again)
        await until_blocked(postgres, 1)
        await first.commit()
    await first.close()
    assert await live_sales(postgres, seat) == 1


async def test_settle_while_the_claim_is_under_way_waits_and_says_what_it_became(postgres, postgres_url):
    event_id, (seat,) = await house(postgres, 1)
    claim = claim_of(event_id, seat)
    first = await hold_back(postgres_url, CLAIM, _parameters(claim))
    async with trio.open_nursery() as nursery:

        async def settle():
            assert await ClaimDesk(postgres).settle(claim) == "won"

        nursery.start_soon(settle)
        await until_blocked(postgres, 1)
        await first.commit()
    await first.close()


async def test_settle_of_a_claim_that_never_came_keeps_it_from_coming_late(postgres):
    event_id, (seat,) = await house(postgres, 1)
    desk, claim = ClaimDesk(postgres), claim_of(event_id, seat)
    assert await desk.settle(claim) == "void"
    assert await desk.claim(claim) == "void"
    assert await live_sales(postgres, seat) == 0
    assert await desk.claim(claim_of(event_id, seat)) == "won"


# Negative controls: each takes one guard out, and a named check must turn red.

WITHOUT_GUARD = CLAIM.replace("AND booking_id IS NULL\n     ORDER BY", "ORDER BY").replace(
    "AND seat.booking_id IS NULL\n", "\n"
)
WITHOUT_ORDER = CLAIM.replace("ORDER BY id\n", "")


async def test_control_guard_taken_out_the_unique_index_stops_the_second_sale(postgres):
    assert WITHOUT_GUARD.count("booking_id IS NULL") == 0
    event_id, (seat,) = await house(postgres, 1)
    desk = ClaimDesk(postgres, sql=WITHOUT_GUARD)
    assert await desk.claim(claim_of(event_id, seat)) == "won"
    with pytest.raises(LastLineCrossed):
        await desk.claim(claim_of(event_id, seat))
    counts = await count(postgres, event_id, None, 1)
    assert counts.live_sales == 1
    assert counts.by_name["last_line_unneeded"] == 1


async def test_control_guard_and_index_taken_out_one_sale_per_seat_turns_red(postgres):
    event_id, (seat,) = await house(postgres, 1)
    await postgres.execute("DROP INDEX frontrow.booking_seats_one_live_sale")
    desk = ClaimDesk(postgres, sql=WITHOUT_GUARD)
    assert [await desk.claim(claim_of(event_id, seat)) for _ in range(2)] == ["won", "won"]
    counts = await count(postgres, event_id, None, 0)
    assert counts.by_name["one_sale_per_seat"] == 1
    assert counts.by_name["seats_and_sales_agree"] == 1
    assert counts.by_name["last_line_stands"] == 0
    assert counts.oversold == 1


@pytest.mark.parametrize("damage", ["booking_id = gen_random_uuid()", "booking_id = NULL"])
async def test_control_seat_changed_behind_the_sale_turns_seats_and_sales_agree_red(postgres, damage):
    event_id, (seat, free) = await house(postgres, 2)
    await ClaimDesk(postgres).claim(claim_of(event_id, seat))
    damaged = free if "random" in damage else seat
    await postgres.execute(f"UPDATE frontrow.seats SET {damage} WHERE id = %s", [damaged])
    assert (await count(postgres, event_id, None, 0)).by_name["seats_and_sales_agree"] == 1


async def test_control_lock_order_taken_out_crossing_claims_deadlock(postgres, postgres_url):
    """Two claims lock two seats in opposite orders, as an UPDATE without the ordered lock may."""
    _, (low, high) = await house(postgres, 2)
    lock = "SELECT id FROM frontrow.seats WHERE id = %s FOR UPDATE"
    outcomes = []
    one, other = [await hold_back(postgres_url, lock, [seat]) for seat in (low, high)]
    async with trio.open_nursery() as nursery:

        async def cross(connection, seat):
            try:
                await connection.execute(lock, [seat])
            except psycopg.errors.DeadlockDetected:
                outcomes.append("deadlock")
            else:
                outcomes.append("locked")
            await connection.rollback()

        nursery.start_soon(cross, one, high)
        await until_blocked(postgres, 1)
        nursery.start_soon(cross, other, low)
    assert sorted(outcomes) == ["deadlock", "locked"]
    await one.close()
    await other.close()


@pytest.mark.parametrize(("sql", "not_locked_yet"), [(CLAIM, 3), (WITHOUT_ORDER, 0)])
async def test_control_order_taken_out_a_claim_locks_as_the_rows_lie(postgres, postgres_url, sql, not_locked_yet):
    """The lowest seat is held back and its row lies last: in order the claim waits there, with no other seat locked."""
    event_id, seats = await house(postgres, 4)
    await postgres.execute("UPDATE frontrow.seats SET label = 'moved' WHERE id = %s", [seats[0]])
    await postgres.execute("ALTER TABLE frontrow.seats DROP CONSTRAINT seats_pkey CASCADE")
    await postgres.execute("ALTER TABLE frontrow.seats DROP CONSTRAINT seats_event_id_position_key")
    blocker = await hold_back(postgres_url, "SELECT id FROM frontrow.seats WHERE id = %s FOR UPDATE", [seats[0]])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ClaimDesk(postgres, sql=sql).claim, claim_of(event_id, *seats))
        await until_blocked(postgres, 1)
        probe = "SELECT count(*) FROM (SELECT FROM frontrow.seats WHERE id = ANY(%s) FOR UPDATE SKIP LOCKED) AS open"
        assert await postgres.fetch_value(probe, [list(seats[1:])]) == not_locked_yet
        await blocker.rollback()
    await blocker.close()
