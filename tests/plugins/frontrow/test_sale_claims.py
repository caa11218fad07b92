"""Layer 2 on public sale: many claims in one statement, and each guard taken out once."""

import uuid

import psycopg
import pytest
import trio

from host.services.migrations import migrate
from host.services.postgres_pool import Postgres
from plugins import frontrow
from plugins.frontrow.claims import Claim, LastLineCrossed, in_lock_order
from plugins.frontrow.sale_claims import CLAIM_MANY, SaleClaimDesk
from plugins.frontrow.venue_plan import VenuePlan
from plugins.frontrow.venues import Venues
from tests.plugins.frontrow.houses import PLAN


@pytest.fixture
async def postgres(postgres_url):
    async with Postgres(postgres_url, name="test") as opened:
        await migrate(opened, "frontrow", frontrow.quartet_info().migrations)
        yield opened


@pytest.fixture
async def desk(postgres):
    async with trio.open_nursery() as nursery:
        opened = SaleClaimDesk(postgres)
        await nursery.start(opened.run)
        yield opened
        nursery.cancel_scope.cancel("the test is over")


@pytest.fixture
async def event(postgres):
    return await open_event(postgres)


async def open_event(postgres, most=None):
    venues = Venues(postgres)
    plan = VenuePlan.model_validate(PLAN)
    venue_id = await venues.import_plan(plan)
    event_id = await venues.create_event(venue_id, plan, "Gala", state="open", places_per_buyer_max=most)
    return await venues.house(event_id)


def claim_of(event, *positions, buyer=None, quantity=0, booking_id=None):
    booking_id = booking_id or str(uuid.uuid4())
    seats = in_lock_order([event.seat_ids[position] for position in positions])
    area = event.areas[0].id if quantity else 0
    return Claim(booking_id, event.event_id, seats, buyer or f"b{booking_id}", area, quantity)


async def rush(desk, claims):
    verdicts = [None] * len(claims)

    async def one(number):
        verdicts[number] = await desk.claim(claims[number])

    async with trio.open_nursery() as nursery:
        for number in range(len(claims)):
            nursery.start_soon(one, number)
    return verdicts


async def live_sales(postgres, event):
    return await postgres.fetch_value(
        "SELECT count(*) FROM frontrow.booking_seats AS sale JOIN frontrow.seats AS seat ON seat.id = sale.seat_id"
        " WHERE seat.event_id = %s AND sale.released_at IS NULL AND seat.booking_id = sale.booking_id",
        [event.event_id],
    )


async def test_rivals_for_one_seat_are_turned_away_together(postgres, desk, event):
    verdicts = await rush(desk, [claim_of(event, 0) for _ in range(200)])
    assert sorted(verdicts) == ["lost"] * 199 + ["won"]
    assert await live_sales(postgres, event) == 1
    assert desk.gatherer.statements < 20, "and not one after the other"


async def test_claims_that_arrive_together_share_a_statement_and_all_win(postgres, desk, event):
    verdicts = await rush(desk, [claim_of(event, position) for position in range(11)])
    assert verdicts == ["won"] * 11
    assert desk.gatherer.statements < 11
    assert await live_sales(postgres, event) == 11


async def test_rivals_for_one_seat_exactly_one_wins(postgres, desk, event):
    verdicts = await rush(desk, [claim_of(event, 3) for _ in range(20)])
    assert sorted(verdicts) == ["lost"] * 19 + ["won"]


async def test_rivals_at_two_desks_exactly_one_wins_each_seat_and_nothing_deadlocks(postgres, desk, event):
    async with trio.open_nursery() as nursery:
        other = SaleClaimDesk(postgres)
        await nursery.start(other.run)
        claims = [claim_of(event, n % 11, (n + 1) % 11, (n + 4) % 11) for n in range(60)]
        verdicts = []

        async def at(which, some):
            verdicts.extend(await rush(which, some))

        async with trio.open_nursery() as both:
            both.start_soon(at, desk, claims[::2])
            both.start_soon(at, other, claims[1::2])
        nursery.cancel_scope.cancel("done")
    assert await live_sales(postgres, event) == 3 * verdicts.count("won") > 0


async def test_blocked_seat_and_another_events_seat_are_lost(postgres, desk, event):
    foreign = Claim(str(uuid.uuid4()), 1, (event.seat_ids[0],), "ann")
    assert await rush(desk, [claim_of(event, 11), foreign, claim_of(event, 10, 11)]) == ["lost"] * 3
    assert await live_sales(postgres, event) == 0


async def test_area_is_sold_to_its_capacity_whoever_comes_at_once(postgres, desk, event):
    verdicts = await rush(desk, [claim_of(event, quantity=2) for _ in range(8)])
    assert sorted(verdicts) == ["lost"] * 6 + ["won"] * 2
    assert await desk.claim(claim_of(event, quantity=1)) == "won"
    row = await postgres.fetch_one(
        "SELECT sold, (SELECT sum(quantity) FROM frontrow.booking_areas) FROM frontrow.areas"
    )
    assert row == (5, 5)


async def test_buyer_gets_no_more_than_one_may_have_whatever_comes_at_once(postgres, desk):
    event = await open_event(postgres, most=3)
    verdicts = await rush(desk, [claim_of(event, position, buyer="ann") for position in range(6)])
    assert sorted(verdicts) == ["limit"] * 3 + ["won"] * 3
    assert await desk.claim(claim_of(event, 6, 7, 8, 9, buyer="bob")) == "limit"
    assert await live_sales(postgres, event) == 3


async def test_claim_repeated_under_its_id_finds_what_it_made(desk, event):
    claim = claim_of(event, 0)
    assert await desk.claim(claim) == "won"
    assert await desk.claim(claim, is_repeated=True) == "won"
    assert await desk.claim(claim_of(event, 1, booking_id=claim.booking_id)) == "won"
    assert await desk.claim(claim_of(event, 0)) == "lost"


async def test_claim_settled_as_void_never_wins_and_spoils_nobody_elses_statement(desk, event):
    void, other = claim_of(event, 0), claim_of(event, 1)
    assert await desk.settle(void) == "void"
    assert await rush(desk, [void, other]) == ["void", "won"]


async def test_claimant_that_is_cancelled_before_its_statement_is_left_out(postgres, event):
    desk = SaleClaimDesk(postgres)
    with trio.move_on_after(0.01):
        await desk.claim(claim_of(event, 0))
    async with trio.open_nursery() as nursery:
        await nursery.start(desk.run)
        assert await desk.claim(claim_of(event, 0)) == "won"
        nursery.cancel_scope.cancel("done")


async def test_confirmed_claim_leaves_its_event_in_the_outbox(postgres, desk, event):
    claim = claim_of(event, 0, quantity=0)
    await desk.claim(claim)
    row = await postgres.fetch_one("SELECT booking_id::text, kind, payload->>'buyer' FROM frontrow.outbox")
    assert row == (claim.booking_id, "booking.confirmed", claim.buyer)


# Negative controls: without a guard, the line behind it speaks up.


async def without(postgres, changes, *claims):
    """The verdicts of a desk whose statement lacks something, or the first error."""
    sql = CLAIM_MANY
    for old, new in changes.items():
        assert old in sql
        sql = sql.replace(old, new)
    async with trio.open_nursery() as nursery:
        desk = SaleClaimDesk(postgres, sql=sql)
        await nursery.start(desk.run)
        try:
            return [await desk.claim(claim) for claim in claims]
        except Exception as error:
            return error
        finally:
            nursery.cancel_scope.cancel("done")


async def test_without_the_guard_the_index_stops_the_second_sale(postgres, event):
    claims = claim_of(event, 0), claim_of(event, 0)
    assert isinstance(await without(postgres, {"seat.booking_id IS NULL": "true"}, *claims), LastLineCrossed)


async def test_without_the_guard_the_check_keeps_a_blocked_seat_unsold(postgres, event):
    error = await without(postgres, {"AND NOT seat.is_blocked": ""}, claim_of(event, 11))
    assert isinstance(error, psycopg.errors.CheckViolation)
    assert error.diag.constraint_name == "seats_blocked_is_unsold"


async def test_without_the_guards_the_check_keeps_an_area_within_its_capacity(postgres, event):
    guards = {"AND area.sold + area_asked.quantity <= area.capacity": "", "area_locked.room >= quantity": "true"}
    error = await without(postgres, guards, claim_of(event, quantity=6))
    assert isinstance(error, psycopg.errors.CheckViolation)
    assert error.diag.constraint_name == "areas_within_capacity"
