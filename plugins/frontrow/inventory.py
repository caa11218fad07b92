"""Events and their seats: what is on sale, and the event that each run makes for itself."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from host.api import HostError

if TYPE_CHECKING:
    from host.api import Postgres

EVENTS_CACHED_MAX: Final = 32
"""Events whose seat ids are kept in memory, so that a turned-away buyer costs no query. An arena of 20,000 is 2 MB."""

_INSTALLATION: Final = "SELECT id::text, secret FROM frontrow.installation"
_LAST_LINE: Final = """
SELECT 1 FROM pg_index AS index
 WHERE index.indexrelid = to_regclass('frontrow.booking_seats_one_live_sale') AND index.indisunique AND index.indisvalid
"""
_EVENTS: Final = """
SELECT event.id, event.name, event.created_at,
       count(seat.id) AS seats, count(seat.id) FILTER (WHERE seat.booking_id IS NULL AND NOT seat.is_blocked) AS free,
       event.state, event.currency, event.venue_id, event.places_per_buyer_max
  FROM frontrow.events AS event LEFT JOIN frontrow.seats AS seat ON seat.event_id = event.id
 WHERE event.is_public
 GROUP BY event.id
 ORDER BY event.id
 LIMIT 100
"""
_EVENT_FIELDS: Final = (
    "id",
    "name",
    "created_at",
    "seats",
    "free",
    "state",
    "currency",
    "venue_id",
    "places_per_buyer_max",
)
_SEATS: Final = """
SELECT seat.id, seat.label, seat.position, seat.booking_id IS NOT NULL AS sold
  FROM frontrow.seats AS seat JOIN frontrow.events AS event ON event.id = seat.event_id
 WHERE event.id = %s AND event.is_public
 ORDER BY seat.position
"""
_BOOKING: Final = """
SELECT booking.id::text, booking.event_id, booking.buyer, booking.created_at, booking.state,
       coalesce(array_agg(seat.id ORDER BY seat.id) FILTER (WHERE seat.id IS NOT NULL), '{}') AS seats,
       coalesce(array_agg(seat.label ORDER BY seat.id) FILTER (WHERE seat.id IS NOT NULL), '{}') AS labels
  FROM frontrow.bookings AS booking
  LEFT JOIN frontrow.booking_seats AS sale ON sale.booking_id = booking.id AND sale.released_at IS NULL
  LEFT JOIN frontrow.seats AS seat ON seat.id = sale.seat_id
 WHERE booking.id = %s
 GROUP BY booking.id
"""


@dataclass(frozen=True, slots=True)
class Installation:
    """Who this database is: the name of its keys in Redis, and the secret that signs its hold tokens."""

    namespace: str
    secret: bytes


class Inventory:
    """Reads events, seats and bookings. Raises `ServiceUnavailable` when the database is away."""

    def __init__(self, postgres: "Postgres") -> None:
        self._postgres = postgres
        self._seat_ids: OrderedDict[int, frozenset[int]] = OrderedDict()

    async def installation(self) -> Installation:
        """This database's identity, made once by the first migration."""
        row = await self._postgres.fetch_one(_INSTALLATION)
        assert row is not None, "the first migration makes the installation's row"
        return Installation(row[0].replace("-", "")[:12], bytes(row[1]))

    async def check_last_line(self) -> None:
        """Ask whether the unique index on live sales is in place. Raises `HostError` when it is not."""
        if await self._postgres.fetch_value(_LAST_LINE) is None:
            raise HostError("the unique index on live sales is missing: restore it before anything is sold")

    async def events(self) -> list[dict[str, Any]]:
        """The events on public sale, with how many seats they have and how many are free."""
        rows = await self._postgres.fetch_all(_EVENTS)
        return [dict(zip(_EVENT_FIELDS, row, strict=True)) for row in rows]

    async def seats(self, event_id: int) -> list[dict[str, Any]]:
        """The seats of an event on public sale; none when there is no such event."""
        rows = await self._postgres.fetch_all(_SEATS, [event_id])
        return [{"id": id_, "label": label, "position": position, "sold": sold} for id_, label, position, sold in rows]

    async def seat_ids(self, event_id: int) -> frozenset[int]:
        """The ids of an event's seats, empty when it is not on public sale. Kept: a seat map never changes."""
        known = self._seat_ids.get(event_id)
        if known is not None:
            self._seat_ids.move_to_end(event_id)
            return known
        rows = await self._postgres.fetch_all(_SEATS, [event_id])
        found = frozenset(row[0] for row in rows)
        if found:
            self._seat_ids[event_id] = found
            if len(self._seat_ids) > EVENTS_CACHED_MAX:
                self._seat_ids.popitem(last=False)
        return found

    async def booking(self, booking_id: str) -> dict[str, Any] | None:
        """A confirmed booking, or None."""
        row = await self._postgres.fetch_one(_BOOKING, [booking_id])
        if row is None or row[4] != "confirmed":
            return None
        id_, event_id, buyer, created_at, _, seats, labels = row
        return {
            "id": id_,
            "url": f"/api/frontrow/bookings/{id_}",
            "event_id": event_id,
            "buyer": buyer,
            "seats": seats,
            "labels": labels,
            "created_at": created_at.isoformat(),
        }
