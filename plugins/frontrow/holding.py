"""From a buyer's wish to a hold: seats or places of an area, within what one buyer may have, on a sale that is open.

Layer 1 is asked first, because it turns most of a crowd away without a query; whoever it lets through is then held
against the truth: is the sale open, are the seats sold or kept back, is there room. What it granted in vain goes back.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import trio

from host.api import HttpProblem
from plugins.frontrow import problems
from plugins.frontrow.box_office import BoxOffice, new_nonce
from plugins.frontrow.core.house import FREE, HELD, SOLD
from plugins.frontrow.core.idempotency import fingerprint
from plugins.frontrow.core.tokens import Hold, nonce_for
from plugins.frontrow.gather import Gatherer, records
from plugins.frontrow.holds import GRANTED, TAKEN, UNPROTECTED
from plugins.frontrow.live_house import LiveHouses
from plugins.frontrow.room import Rooms
from plugins.frontrow.venues import EventHouse, Venues

if TYPE_CHECKING:
    from host.api import Postgres

HOLDS: Final = "/api/frontrow/holds"

_STANDING: Final = """
SELECT wish.place, event.state, event.places_per_buyer_max, seat.sold, seat.blocked,
       CASE WHEN wish.area > 0 THEN
            (SELECT capacity - sold FROM frontrow.areas WHERE id = wish.area AND event_id = event.id) END,
       CASE WHEN event.places_per_buyer_max IS NOT NULL THEN
            (SELECT places FROM frontrow.buyer_counts WHERE event_id = event.id AND buyer = wish.buyer) END
  FROM json_to_recordset(%s::json) AS wish (place int, event bigint, buyer text, seats text, area bigint)
  JOIN frontrow.events AS event ON event.id = wish.event AND event.is_public,
       LATERAL (SELECT array_agg(id ORDER BY id) FILTER (WHERE booking_id IS NOT NULL) AS sold,
                       array_agg(id ORDER BY id) FILTER (WHERE is_blocked) AS blocked
                  FROM frontrow.seats WHERE id = ANY(wish.seats::bigint[])) AS seat
"""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a buyer asks for. `seats` are ids in ascending order, or there is an `area` and a `quantity`."""

    event_id: int
    buyer: str
    seats: tuple[int, ...] = ()
    area: int = 0
    quantity: int = 0
    key: str = ""
    ticket: str = ""
    """Of the waiting room, when the event has one."""

    @property
    def places(self) -> int:
        return len(self.seats) + self.quantity


@dataclass(frozen=True, slots=True)
class Standing:
    """What the truth says of a wish. `room` is None when the event has no such area."""

    state: str
    most: int | None
    sold: list[int]
    blocked: list[int]
    room: int | None
    owned: int


@dataclass(frozen=True, slots=True)
class Held:
    """A hold that was granted, and for how long."""

    hold: Hold
    ttl_ms: int
    is_protected: bool


class Holding:
    """Grants holds on public sale; holds no state of its own. `run` must be running."""

    def __init__(
        self,
        office: BoxOffice,
        postgres: "Postgres",
        venues: Venues,
        live: LiveHouses,
        secret: bytes,
        rooms: Rooms,
        tell_of_sale: Callable[[Hold, str], None] = lambda hold, buyer: None,
    ) -> None:
        """`tell_of_sale` is called with each hold that was sold of which layer 1 counts more than its seats, and its
        buyer; it must not block.
        """
        self.office = office
        self._rooms = rooms
        self._tell_of_sale = tell_of_sale
        self._postgres = postgres
        self._venues = venues
        self._live = live
        self._secret = secret
        self._key_ttl_ms = round(office.settings.idempotency_ttl * 1000)
        self._standings = Gatherer(self._find_standings, lambda wish: ())

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Ask the truth on behalf of holds, until cancelled."""
        await self._standings.run(task_status=task_status)

    async def hold(self, wish: Wish) -> Held:
        """Hold all that was wished for, or nothing.

        Raises:
            HttpProblem: why not; see `problems`.
            ServiceUnavailable: the database is away; nothing is held, or it lapses by itself.
        """
        event = await self._venues.house(wish.event_id)
        if event is None:
            raise problems.no_event(wish.event_id)
        await self._rooms.check_turn(wish.event_id, wish.buyer, wish.ticket)
        hold = Hold(wish.event_id, wish.seats, await self._nonce(wish), wish.area, wish.quantity)
        standing: Standing | None = None
        if event.places_per_buyer_max is not None or hold.area:
            # Both count, and what is sold is part of the count.
            standing = await self.standing(wish)
            self._check(wish, standing)
            await self._take_allowance(wish, hold, standing)
        try:
            held = await self._take(wish, hold, standing)
            if standing is None:
                await self._check_granted(wish, hold)
        except BaseException:
            if event.places_per_buyer_max is not None:
                await self._drop_allowance(wish, hold)
            raise
        self.note(hold, HELD, held.ttl_ms)
        return held

    async def release(self, hold: Hold) -> None:
        """Give a hold back."""
        if await self.office.holds.release(hold):
            self.note(hold, FREE)

    async def extend(self, hold: Hold, buyer: str, ttl_ms: int) -> int:
        """Lengthen a hold and what is counted of it; as `HoldDesk.extend`."""
        holds = self.office.holds
        standing = await holds.extend(hold, ttl_ms)
        event = await self._venues.house(hold.event_id)
        if standing != TAKEN:
            self.note(hold, HELD, ttl_ms)
        if standing != TAKEN and event is not None and event.places_per_buyer_max is not None:
            key = holds.buyer_key(hold.event_id, buyer)
            await holds.extend_places(key, hold.nonce, len(hold.seats) + hold.quantity, ttl_ms)
        return standing

    async def let_go(self, hold: Hold, buyer: str) -> None:
        """Give a hold back with all that is counted of it."""
        await self.release(hold)
        await self.forget_counts(hold, buyer)

    async def back_on_sale(self, hold: Hold) -> None:
        """Seats that were sold are free again: let layer 1 and the map know."""
        await self.office.holds.unmark_sold(hold.event_id, hold.seats)
        self.note(hold, FREE)

    def settled(self, hold: Hold, buyer: str) -> None:
        """A hold was sold: what layer 1 counted of it is counted by the tables from now on."""
        self.note(hold, SOLD)
        event = self._venues.known(hold.event_id)
        if hold.area or event is None or event.places_per_buyer_max is not None:
            self._tell_of_sale(hold, buyer)

    async def forget_counts(self, hold: Hold, buyer: str) -> None:
        """Drop what layer 1 counts of a hold beyond its seats: places of an area, and of what its buyer may have."""
        holds = self.office.holds
        if hold.area:
            await holds.drop_places(holds.area_key(hold.event_id, hold.area), hold.nonce)
        event = await self._venues.house(hold.event_id)
        if event is not None and event.places_per_buyer_max is not None:
            await holds.drop_places(holds.buyer_key(hold.event_id, buyer), hold.nonce)

    async def standing(self, wish: Wish) -> Standing:
        """What the truth says of a wish now."""
        standing = await self._standings.ask(wish)
        if standing is None:
            raise problems.no_event(wish.event_id)
        return standing

    def note(self, hold: Hold, state: int, ttl_ms: int = 0) -> None:
        """Let the map know."""
        self._live.note(hold.event_id, hold.seats, state, ttl_ms=ttl_ms)
        if hold.area and state != HELD:
            self._live.note_areas(hold.event_id)

    async def _find_standings(self, wishes: Sequence[Wish]) -> list[Standing | None]:
        asked = [
            {
                "place": place,
                "event": wish.event_id,
                "buyer": wish.buyer,
                "seats": "{" + ",".join(map(str, wish.seats)) + "}",
                "area": wish.area,
            }
            for place, wish in enumerate(wishes)
        ]
        rows = await self._postgres.fetch_all(_STANDING, [records(asked)])
        found = {
            place: Standing(state, most, sold or [], blocked or [], room, owned or 0)
            for place, state, most, sold, blocked, room, owned in rows
        }
        return [found.get(place) for place in range(len(wishes))]

    async def _nonce(self, wish: Wish) -> str:
        """The hold's mark: by lot, or the same for the same Idempotency-Key; refuses a key of another wish.

        The key is remembered in layer 1, where the hold is, and is lost with it too.
        """
        if not wish.key:
            return new_nonce()
        asked: dict[str, Any] = {"event": wish.event_id, "seats": wish.seats}
        if wish.area:
            asked |= {"area": wish.area, "quantity": wish.quantity}
        request = fingerprint(HOLDS, asked).hex()
        name = fingerprint(HOLDS, {"buyer": wish.buyer, "key": wish.key}).hex()
        if await self.office.holds.remember(name, request, self._key_ttl_ms) not in (request, None):
            raise problems.mismatch()
        marks = wish.seats or (wish.area, wish.quantity, 0)
        return nonce_for(wish.buyer, wish.key, wish.event_id, marks, self._secret)

    async def _take_allowance(self, wish: Wish, hold: Hold, standing: Standing) -> None:
        if standing.most is None:
            return
        holds = self.office.holds
        key = holds.buyer_key(wish.event_id, wish.buyer)
        room = standing.most - standing.owned
        taken = await holds.take_places(key, hold.nonce, wish.places, room, holds.ttl_ms)
        if taken is not None and not taken.is_granted:
            raise problems.limit(standing.most, standing.owned)

    async def _drop_allowance(self, wish: Wish, hold: Hold) -> None:
        holds = self.office.holds
        await holds.drop_places(holds.buyer_key(wish.event_id, wish.buyer), hold.nonce)

    async def _take(self, wish: Wish, hold: Hold, standing: Standing | None) -> Held:
        holds = self.office.holds
        if hold.area:
            assert standing is not None
            assert standing.room is not None
            key = holds.area_key(hold.event_id, hold.area)
            places = await holds.take_places(key, hold.nonce, hold.quantity, standing.room, holds.ttl_ms)
            if places is None:
                return Held(hold, holds.ttl_ms, is_protected=False)
            if not places.is_granted:
                raise problems.held(places.left_ms)
            return Held(hold, places.left_ms, is_protected=True)
        verdict = await holds.hold(holds.request(hold))
        if verdict == TAKEN:
            return await self._taken(hold)
        assert verdict in (GRANTED, UNPROTECTED)
        return Held(hold, holds.ttl_ms, is_protected=verdict == GRANTED)

    async def _taken(self, hold: Hold) -> Held:
        holds = self.office.holds
        states = await holds.look(hold)
        if states is None:
            # Layer 1 went away between the two questions.
            if sold := await self.sold_among(hold):
                raise problems.sold(sold)
            return Held(hold, holds.ttl_ms, is_protected=False)
        if sold := [seat for seat, state in zip(hold.seats, states, strict=True) if state.is_sold]:
            self._note_seats(hold.event_id, sold, SOLD)
            raise problems.sold(sold)
        if all(state.is_ours for state in states):
            # A repeated request: the hold that it got the first time still stands.
            return Held(hold, min(state.left_ms for state in states), is_protected=True)
        others = [seat for seat, state in zip(hold.seats, states, strict=True) if state.left_ms and not state.is_ours]
        self._note_seats(hold.event_id, others, HELD)
        raise problems.held(max(state.left_ms for state in states if not state.is_ours))

    async def sold_among(self, hold: Hold) -> list[int]:
        """Those of a hold's seats that are sold, by the truth."""
        return (await self.standing(Wish(hold.event_id, "", hold.seats))).sold

    async def _check_granted(self, wish: Wish, hold: Hold) -> None:
        try:
            standing = await self.standing(wish)
            self._check(wish, standing)
        except HttpProblem as problem:
            # Layer 1 does not know that they are sold, or that the sale is closed: let go of what it granted.
            await self.office.holds.release(hold)
            if problem.type == "sold":
                self.office.announce_sale(hold.event_id, tuple(problem.extra["seats"]))
            raise

    def _check(self, wish: Wish, standing: Standing) -> None:
        if standing.state != "open":
            raise problems.not_on_sale(standing.state)
        if standing.sold:
            self._note_seats(wish.event_id, standing.sold, SOLD)
            raise problems.sold(standing.sold)
        if standing.blocked:
            raise problems.blocked(standing.blocked)
        if wish.area:
            if standing.room is None:
                raise HttpProblem(404, f"event {wish.event_id} has no area {wish.area}")
            if standing.room < wish.quantity:
                raise problems.sold_out(wish.area, standing.room)
        if standing.most is not None and standing.owned + wish.places > standing.most:
            raise problems.limit(standing.most, standing.owned)

    def _note_seats(self, event_id: int, seats: list[int], state: int) -> None:
        self._live.note(event_id, seats, state)


def price_of(event: EventHouse, hold: Hold) -> int:
    """What a hold costs, in the currency's smallest unit."""
    area = event.area(hold.area)
    if area is not None:
        return event.prices[area.tier] * hold.quantity
    return sum(event.price_of_seat(seat) for seat in hold.seats)
