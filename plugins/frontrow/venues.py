"""Venues and the events made from them: the import of a plan, and what an event's seats are and cost."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import trio
from psycopg import errors as sql_error
from psycopg.types.json import Jsonb

from host.api import HostError
from plugins.frontrow.core.house import House, Place
from plugins.frontrow.venue_plan import VenuePlan

if TYPE_CHECKING:
    from host.api import Postgres

HOUSES_CACHED_MAX: Final = 8
"""Events whose seat maps are kept in memory. An arena of 20,000 seats takes about 12 MB."""

_NEW_VENUE: Final = "INSERT INTO frontrow.venues (name, plan, seats, places) VALUES (%s, %s, %s, %s) RETURNING id"
_VENUES: Final = "SELECT id, name, seats, places, created_at FROM frontrow.venues ORDER BY id LIMIT 200"
_PLAN: Final = "SELECT plan FROM frontrow.venues WHERE id = %s"
_VENUE_NAMED: Final = "SELECT id FROM frontrow.venues WHERE name = %s"
_NEW_EVENT: Final = """
INSERT INTO frontrow.events (name, venue_id, state, currency, stage_x, stage_y, places_per_buyer_max)
VALUES (%s, %s, %s, %s, %s, %s, %s)
RETURNING id
"""
_NEW_TIERS: Final = """
INSERT INTO frontrow.tiers (event_id, code, name, price)
SELECT %s, code, name, price FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS tier (code, name, price)
"""
_NEW_AREAS: Final = """
INSERT INTO frontrow.areas (event_id, name, tier, x, y, capacity)
SELECT %s, name, tier, x, y, capacity
  FROM unnest(%s::text[], %s::text[], %s::real[], %s::real[], %s::int[]) WITH ORDINALITY
       AS area (name, tier, x, y, capacity, place)
 ORDER BY place
"""
_NEW_SEATS: Final = """
WITH plan AS MATERIALIZED (
    SELECT place.* FROM unnest(%(section)s::text[], %(row)s::text[], %(number)s::text[], %(x)s::real[], %(y)s::real[],
                               %(tier)s::text[], %(kind)s::text[], %(aisle)s::boolean[], %(blocked)s::boolean[])
         WITH ORDINALITY AS place (section, row_label, number, x, y, tier, kind, aisle_after, is_blocked, nth)
), seat AS (
    INSERT INTO frontrow.seats (event_id, position, label, is_blocked)
    SELECT %(event)s, nth - 1, section || ' ' || row_label || '-' || number, is_blocked FROM plan ORDER BY nth
    RETURNING id, position
)
INSERT INTO frontrow.places (seat_id, section, row_label, number, x, y, tier, kind, aisle_after)
SELECT seat.id, section, row_label, number, x, y, tier, kind, aisle_after
  FROM seat JOIN plan ON plan.nth - 1 = seat.position
"""
_EVENT: Final = """
SELECT id, name, state, currency, stage_x, stage_y, places_per_buyer_max, venue_id
  FROM frontrow.events WHERE id = %s AND is_public
"""
_STATE: Final = "SELECT state FROM frontrow.events WHERE id = %s"
_TIERS: Final = "SELECT code, name, price FROM frontrow.tiers WHERE event_id = %s ORDER BY price DESC, code"
_AREAS: Final = "SELECT id, name, tier, x, y, capacity FROM frontrow.areas WHERE event_id = %s ORDER BY id"
_PLACES: Final = """
SELECT seat.id, seat.label, seat.position,
       section, row_label, number, x, y, tier, kind, aisle_after
  FROM frontrow.seats AS seat LEFT JOIN frontrow.places AS place ON place.seat_id = seat.id
 WHERE seat.event_id = %s
 ORDER BY seat.position
"""
_PLAIN_TIER: Final = "seat"
_SAME_ROW: Final = 12


class VenueExists(HostError):
    """There is a venue of that name already."""


@dataclass(frozen=True, slots=True)
class Area:
    """Places without seats."""

    id: int
    name: str
    tier: str
    x: float
    y: float
    capacity: int


@dataclass(frozen=True, slots=True)
class EventHouse:
    """What never changes of an event: its seats, its areas, and what they cost. Prices in the smallest unit."""

    event_id: int
    name: str
    venue_id: int | None
    currency: str | None
    places_per_buyer_max: int | None
    house: House
    places: tuple[Place, ...]
    seat_ids: tuple[int, ...]
    position_of: Mapping[int, int]
    tiers: tuple[tuple[str, str, int], ...]
    areas: tuple[Area, ...]
    prices: Mapping[str, int]

    def area(self, area_id: int) -> Area | None:
        """One of its areas."""
        return next((area for area in self.areas if area.id == area_id), None)

    def price_of_seat(self, seat_id: int) -> int:
        """What a seat costs; 0 in a house without prices."""
        return self.prices.get(self.places[self.position_of[seat_id]].tier, 0)


class Venues:
    """Imports plans, makes events, and keeps the seat maps of the latest events in memory."""

    def __init__(self, postgres: "Postgres") -> None:
        self._postgres = postgres
        self._houses: OrderedDict[int, EventHouse] = OrderedDict()
        # One reads a large house, and all who came meanwhile find it.
        self._reading = trio.Lock()

    async def import_plan(self, plan: VenuePlan) -> int:
        """Keep a plan as a venue; its id.

        Raises:
            VenueExists: the name is taken.
        """
        seats = sum(1 for _ in plan.places())
        places = seats + sum(area.capacity for area in plan.areas)
        document = Jsonb(plan.model_dump(mode="json", exclude_unset=True))
        try:
            row = await self._postgres.fetch_one(_NEW_VENUE, [plan.name, document, seats, places])
        except sql_error.UniqueViolation:
            raise VenueExists(f"there is a venue {plan.name!r} already") from None
        assert row is not None
        return int(row[0])

    async def venues(self) -> list[dict[str, Any]]:
        """All venues."""
        rows = await self._postgres.fetch_all(_VENUES)
        return [dict(zip(("id", "name", "seats", "places", "created_at"), row, strict=True)) for row in rows]

    async def plan(self, venue_id: int) -> VenuePlan | None:
        """A venue's plan as it was imported, or None."""
        document = await self._postgres.fetch_value(_PLAN, [venue_id])
        return None if document is None else VenuePlan.model_validate(document)

    async def venue_named(self, name: str) -> int | None:
        """The id of a venue, or None."""
        found = await self._postgres.fetch_value(_VENUE_NAMED, [name])
        return None if found is None else int(found)

    async def create_event(
        self,
        venue_id: int,
        plan: VenuePlan,
        name: str,
        *,
        state: str = "draft",
        places_per_buyer_max: int | None = None,
    ) -> int:
        """Make an event with all of the venue's seats free; its id. Cancelled or failed, nothing of it is left."""
        columns = _columns(plan)
        async with self._postgres.transaction() as connection:
            stage, tiers, areas = plan.stage, plan.tiers, plan.areas
            values = [name, venue_id, state, plan.currency, stage.x, stage.y, places_per_buyer_max]
            row = await (await connection.execute(_NEW_EVENT, values)).fetchone()
            assert row is not None
            event_id = int(row[0])
            tier_columns = ([t.code for t in tiers], [t.name for t in tiers], [t.price for t in tiers])
            await connection.execute(_NEW_TIERS, [event_id, *tier_columns])
            area_columns = (
                [a.name for a in areas],
                [a.tier for a in areas],
                [a.x for a in areas],
                [a.y for a in areas],
            )
            await connection.execute(_NEW_AREAS, [event_id, *area_columns, [a.capacity for a in areas]])
            if columns["section"]:
                await connection.execute(_NEW_SEATS, columns | {"event": event_id})
        return event_id

    async def state_of(self, event_id: int) -> str:
        """Whether an event is on sale: "draft", "open", "paused" or "closed"."""
        return str(await self._postgres.fetch_value(_STATE, [event_id]))

    def known(self, event_id: int) -> EventHouse | None:
        """The seat map of an event, if it is in memory."""
        return self._houses.get(event_id)

    async def house(self, event_id: int) -> EventHouse | None:
        """The seat map of an event on public sale, None when there is none such. Kept: a seat map never changes."""
        known = self._houses.get(event_id)
        if known is not None:
            self._houses.move_to_end(event_id)
            return known
        event = await self._postgres.fetch_one(_EVENT, [event_id])
        if event is None:
            return None
        async with self._reading:
            return self._houses.get(event_id) or await self._read(event_id, event)

    async def _read(self, event_id: int, event: Any) -> EventHouse:
        rows = await self._postgres.fetch_all(_PLACES, [event_id])
        tiers = await self._postgres.fetch_all(_TIERS, [event_id])
        areas = await self._postgres.fetch_all(_AREAS, [event_id])
        found = _event_house(event, rows, tiers, areas)
        self._houses[event_id] = found
        if len(self._houses) > HOUSES_CACHED_MAX:
            self._houses.popitem(last=False)
        return found


def _event_house(event: Any, rows: list[Any], tiers: list[Any], areas: list[Any]) -> EventHouse:
    event_id, name, _, currency, stage_x, stage_y, places_per_buyer_max, venue_id = event
    places = tuple(_plain(row[1], row[2]) if row[3] is None else Place(*row[3:]) for row in rows)
    seat_ids = tuple(row[0] for row in rows)
    return EventHouse(
        event_id=event_id,
        name=name,
        venue_id=venue_id,
        currency=currency,
        places_per_buyer_max=places_per_buyer_max,
        house=House(places, (stage_x, stage_y)),
        places=places,
        seat_ids=seat_ids,
        position_of={seat_id: position for position, seat_id in enumerate(seat_ids)},
        tiers=tuple(tiers),
        areas=tuple(Area(*row) for row in areas),
        prices={code: price for code, _, price in tiers},
    )


def _plain(label: str, position: int) -> Place:
    """The place of a seat that came without a plan: rows of twelve, one behind the other."""
    row, place = divmod(position, _SAME_ROW)
    return Place("", label.rstrip("0123456789"), str(place + 1), float(place) - 5.5, 4.0 + row, _PLAIN_TIER)


def _columns(plan: VenuePlan) -> dict[str, list[Any]]:
    seats = list(plan.places())
    return {
        "section": [place.section for place, _ in seats],
        "row": [place.row for place, _ in seats],
        "number": [place.number for place, _ in seats],
        "x": [place.x for place, _ in seats],
        "y": [place.y for place, _ in seats],
        "tier": [place.tier for place, _ in seats],
        "kind": [place.kind for place, _ in seats],
        "aisle": [place.aisle_after for place, _ in seats],
        "blocked": [is_blocked for _, is_blocked in seats],
    }
