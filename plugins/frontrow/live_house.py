"""How the seats of an event stand, as this host knows it: good enough to look at, and to look for seats in.

The truth is in Postgres and the holds are in Redis; here is a copy of both. What this host grants, refuses and sells is
noted at once, and the whole is read again when it is older than `MAP_AGE_MAX_S`. A stale copy costs a buyer a second
look, never a seat.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import trio

from plugins.frontrow.core.house import BLOCKED, FREE, HELD, SOLD, Availability
from plugins.frontrow.holds import HoldDesk
from plugins.frontrow.map_feed import MapFeed
from plugins.frontrow.venues import Area, EventHouse, Venues

if TYPE_CHECKING:
    from host.api import Postgres

MAP_AGE_MAX_S: Final = 2.0
LIVE_MAX: Final = 8
"""Events of which a copy is kept; the one not asked for the longest goes first."""

_STATES: Final = """
SELECT string_agg(CASE WHEN booking_id IS NOT NULL THEN 's' WHEN is_blocked THEN 'b' ELSE 'f' END, '' ORDER BY position)
  FROM frontrow.seats WHERE event_id = %s
"""
_AREAS: Final = "SELECT id, sold FROM frontrow.areas WHERE event_id = %s"
_STATE_OF: Final = {"f": FREE, "s": SOLD, "b": BLOCKED}


@dataclass(slots=True, eq=False)
class LiveHouse:
    """One event's copy. `areas_sold` by the area's id; `read_at` on Trio's clock."""

    event: EventHouse
    availability: Availability
    areas_sold: dict[int, int] = field(default_factory=dict)
    found: set[int] = field(default_factory=set)
    """Positions of seats that stood otherwise when the copy was read anew: those who watch are told of them."""
    read_at: float = float("-inf")
    reading: trio.Lock = field(default_factory=trio.Lock)

    def free_of(self, area: Area) -> int:
        """The places that an area has left."""
        return area.capacity - self.areas_sold.get(area.id, 0)

    def free(self) -> dict[int, int]:
        """The same of all areas, by their ids."""
        return {area.id: self.free_of(area) for area in self.event.areas}

    def note(self, seats: tuple[int, ...], state: int) -> None:
        """Say how seats (by id) stand now."""
        for seat in seats:
            position = self.event.position_of.get(seat)
            if position is not None:
                self.availability.set(position, state)


class LiveHouses:
    """The copies of the events that somebody looks at. What this host does goes to `feed`, for the others' copies."""

    def __init__(self, postgres: "Postgres", venues: Venues, holds: HoldDesk, feed: MapFeed) -> None:
        self._feed = feed
        self._postgres = postgres
        self._venues = venues
        self._holds = holds
        self._live: OrderedDict[int, LiveHouse] = OrderedDict()

    async def get(self, event_id: int, *, age_max_s: float = MAP_AGE_MAX_S) -> LiveHouse | None:
        """The copy of an event, read anew if it is older than that; None when there is no such event."""
        live = self._live.get(event_id)
        if live is None:
            event = await self._venues.house(event_id)
            if event is None:
                return None
            live = self._live.setdefault(event_id, LiveHouse(event, Availability(event.house)))
            if len(self._live) > LIVE_MAX:
                self._live.popitem(last=False)
        self._live.move_to_end(event_id)
        if trio.current_time() - live.read_at > age_max_s:
            async with live.reading:
                if trio.current_time() - live.read_at > age_max_s:
                    await self.read(live)
        return live

    def note(self, event_id: int, seats: Sequence[int], state: int, *, ttl_ms: int = 0) -> None:
        """Say how seats (by id) stand now: here, and to the other hosts. `ttl_ms`: how long they are held."""
        live = self._live.get(event_id)
        if live is not None:
            live.note(tuple(seats), state)
        event = self._venues.known(event_id)
        if event is None:
            return
        places = tuple((event.position_of[seat], seat) for seat in seats if seat in event.position_of)
        if state == HELD and ttl_ms:
            self._feed.say_held(event_id, places, ttl_ms)
        else:
            self._feed.say(event_id, tuple(position for position, _ in places), state)

    def note_areas(self, event_id: int) -> None:
        """Say that places of areas were sold, or came back: whoever watches reads how many are left."""
        self._feed.say_areas(event_id)

    async def read_areas(self, live: LiveHouse) -> None:
        """Read again how many places of its areas are sold."""
        areas: list[Any] = await self._postgres.fetch_all(_AREAS, [live.event.event_id])
        live.areas_sold = dict(areas)

    async def read(self, live: LiveHouse) -> None:
        """Read truth and holds again; what has changed is in `live.found`.

        Without Redis nobody is known to hold anything.
        """
        event = live.event
        held = await self._holds.held_among(event.event_id, event.seat_ids)
        letters: str = await self._postgres.fetch_value(_STATES, [event.event_id]) or ""
        await self.read_areas(live)
        for position, letter in enumerate(letters):
            state = _STATE_OF[letter]
            if state == FREE and held[position]:
                state = HELD
            if live.availability.set(position, state):
                live.found.add(position)
        live.read_at = trio.current_time()
