"""The invariants of the house: they hold after everything that may happen, and each sees what breaks it."""

import uuid

import psycopg
import pytest

from plugins.frontrow.core.house_invariants import COUNT_ALL, HOUSE
from tests.plugins.frontrow.conftest import eventually, open_front_row
from tests.plugins.frontrow.test_checkout import opened


@pytest.fixture
async def shop(front_row):
    """A house in which everything has happened: sold, refunded, given up, a place on the floor, and a limit."""
    shop = await opened(front_row, most=6)
    await shop.pay(await shop.order(0, 1))
    refunded = await shop.order(2, buyer="bob")
    await shop.pay(refunded)
    await front_row.checkout.refund(refunded["id"], "ill")
    await shop.client.delete((await shop.order(3))["url"])
    await shop.pay(await shop.order(area=shop.area, quantity=2, buyer="cy"))
    await shop.order(4, buyer="dee")
    return shop


def broken(audit):
    return {finding["name"] for finding in audit["invariants"] if not finding["holds"]}


async def test_all_hold_after_everything_that_may_happen_and_are_kept(shop):
    audit = (await shop.client.post("/api/frontrow/invariants")).json()
    assert (audit["verdict"], broken(audit), len(audit["invariants"])) == ("holds", set(), len(HOUSE))
    latest = (await shop.client.get("/api/frontrow/invariants?limit=1")).json()["audits"][0]
    assert latest == audit


async def test_house_is_audited_on_a_timer(postgres_url, redis_url, tmp_path):
    async with open_front_row(postgres_url, redis_url, tmp_path, audit_interval=0.05) as front_row:

        async def twice():
            return len(await front_row.auditor.latest(2)) == 2

        await eventually(twice)


BREAKERS = {
    "one_sale_per_seat": """
        DROP INDEX frontrow.booking_seats_one_live_sale;
        INSERT INTO frontrow.booking_seats (booking_id, seat_id)
        SELECT (SELECT id FROM frontrow.bookings WHERE buyer = 'cy'), seat_id FROM frontrow.booking_seats
         WHERE released_at IS NULL LIMIT 1""",
    "seats_and_sales_agree": "UPDATE frontrow.seats SET booking_id = NULL",
    "nothing_appears_or_vanishes": "DELETE FROM frontrow.seats WHERE booking_id IS NULL AND is_blocked",
    "blocked_is_unsold": """
        ALTER TABLE frontrow.seats DROP CONSTRAINT seats_blocked_is_unsold;
        UPDATE frontrow.seats SET is_blocked = true WHERE booking_id IS NOT NULL""",
    "areas_within_capacity": "UPDATE frontrow.areas SET sold = sold + 1",
    "buyers_within_limits": "UPDATE frontrow.buyer_counts SET places = places + 1",
    "money_balances": "UPDATE frontrow.orders SET refunded = 1 WHERE state = 'confirmed'",
    "paid_has_its_seats": "UPDATE frontrow.orders SET state = 'voided', captured = 0 WHERE state = 'confirmed'",
    "confirmed_has_its_event": "DELETE FROM frontrow.outbox",
    "promised_is_booked": f"""
        INSERT INTO frontrow.idempotency_keys (buyer, route, key, request_sha256, booking_id, status)
        VALUES ('ann', '/api/frontrow/bookings', 'k', '', '{uuid.uuid4()}', 201)""",
    "no_phantom_sold": f"""
        INSERT INTO frontrow.idempotency_keys (buyer, route, key, request_sha256, booking_id, status, answer)
        SELECT 'ann', '/api/frontrow/bookings', 'k', '', '{uuid.uuid4()}', 409,
               jsonb_build_object('type', 'sold', 'seats', jsonb_build_array(id))
          FROM frontrow.seats WHERE booking_id IS NULL ORDER BY id LIMIT 1""",
    "nothing_stands_still": """
        UPDATE frontrow.orders SET pay_by = now() - interval '1 hour', changed_at = now() - interval '1 hour'
         WHERE state = 'held'""",
    "last_line_stands": "DROP INDEX frontrow.outbox_one_confirmation",
}


def test_every_invariant_is_broken_once():
    assert set(BREAKERS) == {statement.name for statement in HOUSE}


@pytest.mark.parametrize("start", [0, 5, 9])
async def test_each_sees_what_breaks_it(shop, start):
    """One fault after the other in one database, each undone."""
    for name, sql in list(BREAKERS.items())[start : start + 5]:
        async with shop.front_row.ctx.postgres.transaction() as connection:
            for statement in sql.split(";"):
                await connection.execute(statement)
            row = await (await connection.execute(COUNT_ALL)).fetchone()
            found = {statement.name for statement, count in zip(HOUSE, row, strict=True) if count}
            assert name in found, name
            raise psycopg.Rollback
