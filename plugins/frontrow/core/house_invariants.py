"""What must be true of everything on public sale, at every moment: the statements, and the verdict over the counts.

Each is a count of what breaks it, by one SQL statement over one snapshot, and must be 0. Orders with money on its way
are left out of the balance until they have arrived; how many have stood still for too long is counted by itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from plugins.frontrow.core.invariants import Verdict, verdict


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement, and the SQL that counts what breaks it."""

    name: str
    text: str
    sql: str


_ON_SALE: Final = "frontrow.events AS event ON event.is_public AND event.id"

HOUSE: Final = (
    Statement(
        "one_sale_per_seat",
        "No seat has more than one live sale.",
        """SELECT count(*) FROM (SELECT seat_id FROM frontrow.booking_seats WHERE released_at IS NULL
            GROUP BY seat_id HAVING count(*) > 1) AS twice""",
    ),
    Statement(
        "seats_and_sales_agree",
        "A seat carries a booking if and only if that booking has a live sale of it.",
        """SELECT (SELECT count(*) FROM frontrow.seats AS seat WHERE booking_id IS NOT NULL AND NOT EXISTS (
                    SELECT FROM frontrow.booking_seats AS sale WHERE sale.seat_id = seat.id
                       AND sale.booking_id = seat.booking_id AND sale.released_at IS NULL))
                + (SELECT count(*) FROM frontrow.booking_seats AS sale JOIN frontrow.seats AS seat ON seat.id = seat_id
                    WHERE released_at IS NULL AND seat.booking_id IS DISTINCT FROM sale.booking_id)""",
    ),
    Statement(
        "nothing_appears_or_vanishes",
        "Sold, free and blocked together are all seats of the plan.",
        f"""SELECT count(*) FROM (
              SELECT event.id FROM frontrow.venues AS venue JOIN {_ON_SALE} IS NOT NULL AND event.venue_id = venue.id
                LEFT JOIN frontrow.seats AS seat ON seat.event_id = event.id
               GROUP BY event.id, venue.seats HAVING count(seat.id) <> venue.seats) AS lost""",
    ),
    Statement(
        "blocked_is_unsold",
        "No blocked seat is sold.",
        "SELECT count(*) FROM frontrow.seats WHERE is_blocked AND booking_id IS NOT NULL",
    ),
    Statement(
        "areas_within_capacity",
        "No area has sold more places than it has, and each counts exactly its live sales.",
        """SELECT count(*) FROM frontrow.areas AS area
            WHERE sold > capacity OR sold < 0 OR sold <> (
                  SELECT coalesce(sum(quantity), 0) FROM frontrow.booking_areas AS sale
                   WHERE sale.area_id = area.id AND released_at IS NULL)""",
    ),
    Statement(
        "buyers_within_limits",
        "No buyer owns more of an event than one may, and each is counted right.",
        """SELECT count(*) FROM frontrow.buyer_counts AS known JOIN frontrow.events AS event ON event.id = event_id
            WHERE known.places > event.places_per_buyer_max OR known.places <> (
                  SELECT (SELECT count(*) FROM frontrow.bookings AS booking
                            JOIN frontrow.booking_seats AS sale ON sale.booking_id = booking.id
                           WHERE (booking.event_id, booking.buyer) = (known.event_id, known.buyer)
                             AND released_at IS NULL)
                       + (SELECT coalesce(sum(quantity), 0) FROM frontrow.bookings AS booking
                            JOIN frontrow.booking_areas AS sale ON sale.booking_id = booking.id
                           WHERE (booking.event_id, booking.buyer) = (known.event_id, known.buyer)
                             AND released_at IS NULL))""",
    ),
    Statement(
        "money_balances",
        "Captured less refunded is the price of what is confirmed, order by order, and nothing of what is not.",
        """SELECT count(*) FROM frontrow.orders
            WHERE state IN ('confirmed', 'held', 'expired', 'cancelled', 'declined', 'voided', 'refunded')
              AND captured - refunded <> CASE state WHEN 'confirmed' THEN price ELSE 0 END""",
    ),
    Statement(
        "paid_has_its_seats",
        "Every order that was captured has all of its places, and no order that ended otherwise has any.",
        """SELECT count(*) FROM frontrow.orders AS known
            WHERE (CASE WHEN state IN ('claimed', 'captured', 'confirmed')
                        THEN cardinality(seats) + quantity ELSE 0 END)
               <> (SELECT count(*) FROM frontrow.booking_seats WHERE booking_id = known.id AND released_at IS NULL)
                + (SELECT coalesce(sum(sale.quantity), 0) FROM frontrow.booking_areas AS sale
                    WHERE booking_id = known.id AND released_at IS NULL)""",
    ),
    Statement(
        "confirmed_has_its_event",
        "Every confirmed booking has exactly one event that tells of it, and no other has one.",
        f"""SELECT (SELECT count(*) FROM frontrow.bookings AS booking JOIN {_ON_SALE} = booking.event_id
                    WHERE booking.state = 'confirmed' AND booking.created_at > (
                          SELECT applied_at FROM quartet.migrations WHERE plugin = 'frontrow' AND number = 4)
                      AND 1 <> (SELECT count(*) FROM frontrow.outbox AS told
                                 WHERE told.booking_id = booking.id AND kind = 'booking.confirmed'))
                + (SELECT count(*) FROM frontrow.outbox AS told WHERE kind = 'booking.confirmed' AND NOT EXISTS (
                    SELECT FROM frontrow.bookings AS booking
                     WHERE booking.id = told.booking_id AND state IN ('confirmed', 'cancelled')))""",
    ),
    Statement(
        "promised_is_booked",
        "Every 201 that was given for a booking has its booking, unless it was given back since.",
        """SELECT count(*) FROM frontrow.idempotency_keys AS given
            WHERE route = '/api/frontrow/bookings' AND status = 201 AND NOT EXISTS (
                  SELECT FROM frontrow.bookings AS booking
                   WHERE booking.id = given.booking_id AND state IN ('confirmed', 'cancelled'))""",
    ),
    Statement(
        "no_phantom_sold",
        "Nobody was told “sold” for good of seats that were never sold.",
        """SELECT count(*) FROM frontrow.idempotency_keys AS given, jsonb_array_elements_text(answer->'seats') AS told
            WHERE status = 409 AND answer->>'type' = 'sold' AND NOT EXISTS (
                  SELECT FROM frontrow.booking_seats AS sale WHERE sale.seat_id = told::bigint)""",
    ),
    Statement(
        "nothing_stands_still",
        "No order with something left to do has stood still for ten minutes.",
        """SELECT count(*) FROM frontrow.orders
            WHERE state IN ('held', 'authorised', 'claimed', 'captured', 'voiding', 'refunding')
              AND greatest(changed_at, pay_by) < clock_timestamp() - interval '10 minutes'""",
    ),
    Statement(
        "last_line_stands",
        "The unique indexes and the checks that stand behind the guards are in place.",
        """SELECT 2 - (SELECT count(*) FROM pg_index WHERE indisunique AND indisvalid AND indpred IS NOT NULL
                        AND indexrelid IN (to_regclass('frontrow.booking_seats_one_live_sale'),
                                           to_regclass('frontrow.outbox_one_confirmation')))
                + 3 - (SELECT count(*) FROM pg_constraint WHERE convalidated
                        AND conname IN ('seats_blocked_is_unsold', 'areas_within_capacity', 'orders_money')
                        AND conrelid IN (to_regclass('frontrow.seats'), to_regclass('frontrow.areas'),
                                         to_regclass('frontrow.orders')))""",
    ),
)

COUNT_ALL: Final = "SELECT " + ",\n".join(f"({statement.sql})" for statement in HOUSE)
"""All of them in one statement, and so of one moment."""


def judge_house(counts: Mapping[str, int], checked_at: float) -> tuple[list[dict[str, Any]], Verdict]:
    """Each statement with what was found, and the verdict. `checked_at` is Unix seconds."""
    findings = [
        {
            "name": statement.name,
            "statement": statement.text,
            "holds": counts[statement.name] == 0,
            "found": counts[statement.name],
            "expected": 0,
            "checked_at": checked_at,
        }
        for statement in HOUSE
    ]
    return findings, verdict(findings)
