"""Counting for the invariants: the tables among themselves, and the tables against what the buyers were told."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from plugins.frontrow.core import outcome
from plugins.frontrow.core.history import History

if TYPE_CHECKING:
    from host.api import Postgres

# One statement, so that all counts are of the same moment.
_TABLES: Final = """
WITH seat AS (
    SELECT id, position, booking_id FROM frontrow.seats WHERE event_id = %(event)s
), live AS (
    SELECT sale.seat_id, sale.booking_id
      FROM frontrow.booking_seats AS sale JOIN seat ON seat.id = sale.seat_id
     WHERE sale.released_at IS NULL
), booking AS (
    SELECT id, buyer FROM frontrow.bookings WHERE event_id = %(event)s AND state = 'confirmed'
)
SELECT (SELECT count(*) FROM (SELECT seat_id FROM live GROUP BY seat_id HAVING count(*) > 1) AS twice),
       (SELECT count(*) FROM seat FULL JOIN live ON live.seat_id = seat.id AND live.booking_id = seat.booking_id
         WHERE seat.booking_id IS NOT NULL AND live.seat_id IS NULL OR seat.id IS NULL),
       (SELECT count(DISTINCT seat_id) FROM live) + (SELECT count(*) FROM seat WHERE booking_id IS NULL),
       (SELECT count(*) FROM (SELECT buyer FROM booking GROUP BY buyer HAVING count(*) > 1) AS greedy),
       (SELECT count(*) FROM live),
       (SELECT count(DISTINCT seat_id) FROM live),
       (SELECT coalesce(array_agg(position), '{}') FROM seat WHERE booking_id IS NULL),
       (SELECT coalesce(array_agg(id::text), '{}') FROM booking WHERE id IN (SELECT booking_id FROM live)),
       (SELECT count(*) FROM pg_index AS index
         WHERE index.indexrelid = to_regclass('frontrow.booking_seats_one_live_sale')
           AND index.indisunique AND index.indisvalid AND index.indpred IS NOT NULL)
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """What was found for each invariant, by name, and the figures of the sale by the truth."""

    by_name: dict[str, int | None]
    live_sales: int
    seats_sold: int
    oversold: int
    bookings: frozenset[str]
    """The ids of all confirmed bookings that have a live sale."""


async def count(postgres: "Postgres", event_id: int, history: History | None, last_line_crossed: int | None) -> Counts:
    """Count everything about one run.

    `history` is what the buyers heard, None when that is lost with the host that ran it: what depends on it is then
    None too. Every unknown claim of the history must have been settled before.

    Raises:
        ServiceUnavailable, OutcomeUnknown: the database is away; ask again later.
    """
    row = await postgres.fetch_one(_TABLES, {"event": event_id})
    assert row is not None
    twice, disagree, accounted, greedy, live_sales, seats_sold, free, booked_ids, index = row
    bookings = frozenset(booked_ids)
    by_name: dict[str, int | None] = {
        "one_sale_per_seat": twice,
        "seats_and_sales_agree": disagree,
        "nothing_appears_or_vanishes": accounted,
        "one_booking_per_buyer": greedy,
        "sells_what_it_can": seats_sold,
        "last_line_stands": index,
        "last_line_unneeded": last_line_crossed,
        "told_is_booked": None,
        "booked_is_told": None,
        "no_phantom_sold": None,
    }
    oversold = live_sales - seats_sold
    if history is None:
        by_name["sells_what_it_can"] = None
    else:
        told = {history.bookings[buyer] for buyer in history.buyers_at(outcome.BOOKED)}
        asked = {history.bookings[buyer] for buyer in history.buyers_at(outcome.UNKNOWN)}
        by_name["told_is_booked"] = len(told - bookings)
        by_name["booked_is_told"] = len(bookings - told - asked)
        by_name["no_phantom_sold"] = _phantoms(history, frozenset(free))
        # Whoever was told "booked" beyond the seats sold was sold somebody else's seat, whatever the tables say.
        oversold = max(oversold, history.count(outcome.BOOKED) - seats_sold)
    return Counts(by_name, live_sales, seats_sold, oversold, bookings)


def _phantoms(history: History, free: frozenset[int]) -> int:
    """Buyers turned away from a seat that is free after all.

    "Sold" may never be said of such a seat. "Held" may, when its holder could then not book because a service was away.
    """
    if not free:
        return 0
    excused = history.count(outcome.UNAVAILABLE, outcome.UNKNOWN)
    turned_away = (outcome.SOLD,) if len(free) <= excused else outcome.REJECTED
    return sum(history.seat[buyer] in free for buyer in history.buyers_at(*turned_away))
