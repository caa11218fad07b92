"""Waiting rooms in the database. Its clock decides who may go in; any number of hosts serve the same room.

Entering locks the room's row for a moment, which is what makes "before the opening" and "after it" certain: the lottery
is drawn by whoever first comes to the room after the hour, under the same lock, and everybody who entered before is in.
"""

import secrets
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import trio

from host.api import HttpProblem
from plugins.frontrow.core.waiting_room import SEED_BYTES, Admission, draw, entrants_hash, seed_hash

if TYPE_CHECKING:
    from host.api import Postgres

KNOWN_MAX: Final = 256
"""Events of which it is remembered whether they have a room."""
KNOWN_S: Final = 1.0
"""For how long: a room that is put up while a sale runs is heeded after that."""

_NEW: Final = """
INSERT INTO frontrow.rooms (event_id, seed, opens_at, base, since, per_s)
VALUES (%(event)s, %(seed)s, to_timestamp(%(opens_at)s), %(at_once)s, to_timestamp(%(opens_at)s), %(per_s)s)
ON CONFLICT (event_id) DO NOTHING
"""
_ROOM: Final = """
SELECT seed, (extract(epoch FROM opens_at) * 1000)::bigint, opened_at IS NOT NULL, entrants_sha256, last_place, base,
       (extract(epoch FROM since) * 1000)::bigint, per_s, (extract(epoch FROM clock_timestamp()) * 1000)::bigint
  FROM frontrow.rooms WHERE event_id = %s
"""
_ENTER: Final = """
INSERT INTO frontrow.room_tickets (ticket, event_id, buyer, place) VALUES (%s, %s, %s, %s)
ON CONFLICT (event_id, buyer) DO NOTHING
"""
_TICKET: Final = "SELECT ticket::text, buyer, place FROM frontrow.room_tickets WHERE ticket = %s AND event_id = %s"
_TICKET_OF: Final = "SELECT ticket::text, buyer, place FROM frontrow.room_tickets WHERE event_id = %s AND buyer = %s"
_TICKETS: Final = "SELECT ticket::text FROM frontrow.room_tickets WHERE event_id = %s ORDER BY ticket"
_DRAWN: Final = """
UPDATE frontrow.room_tickets AS known SET place = drawn.place
  FROM unnest(%s::uuid[]) WITH ORDINALITY AS drawn (ticket, place) WHERE known.ticket = drawn.ticket
"""
_OPENED: Final = """
UPDATE frontrow.rooms SET opened_at = clock_timestamp(), entrants_sha256 = %s, last_place = %s WHERE event_id = %s
"""
_NEXT: Final = "UPDATE frontrow.rooms SET last_place = last_place + 1 WHERE event_id = %s RETURNING last_place"
_RATE: Final = """
UPDATE frontrow.rooms SET base = %(base)s, since = to_timestamp(%(since_ms)s / 1000.0), per_s = %(per_s)s
 WHERE event_id = %(event)s
"""
_LOTTERY: Final = """
SELECT ticket::text, place FROM frontrow.room_tickets
 WHERE event_id = %s AND entered_at <= (SELECT opened_at FROM frontrow.rooms WHERE event_id = %s) ORDER BY place
"""


@dataclass(frozen=True, slots=True)
class Room:
    """A waiting room as it stands at `now_ms`, by the database's clock."""

    event_id: int
    seed: bytes
    opens_ms: int
    is_open: bool
    entrants_sha256: str | None
    last_place: int
    admission: Admission
    now_ms: int

    @property
    def is_due(self) -> bool:
        """Whether the hour has come and the lottery is not drawn yet."""
        return not self.is_open and self.now_ms >= self.opens_ms

    def document(self) -> dict[str, Any]:
        """What everybody may know: the seed only once it can do no harm."""
        return {
            "event_id": self.event_id,
            "opens_at": self.opens_ms / 1000,
            "open": self.is_open,
            "admitted": self.admission.admitted(self.now_ms) if self.is_open else 0,
            "admitted_per_s": self.admission.per_s,
            "in_line": self.last_place,
            "seed_sha256": seed_hash(self.seed),
            "seed": self.seed.hex() if self.is_open else None,
            "entrants_sha256": self.entrants_sha256,
        }


@dataclass(frozen=True, slots=True)
class Ticket:
    """A place in the room; `place` is None until the lottery is drawn."""

    id: str
    buyer: str
    place: int | None

    def document(self, room: Room) -> dict[str, Any]:
        """How it stands: the place, how many are before it, and how long that takes at this rate."""
        admitted = room.admission.admitted(room.now_ms) if room.is_open else 0
        wait_ms: int | None = None
        if self.place is not None and room.is_open:
            wait_ms = room.admission.turn_ms(self.place, room.now_ms)
        return {
            "ticket": self.id,
            "event_id": room.event_id,
            "place": self.place,
            "ahead": None if self.place is None else max(self.place - admitted - 1, 0),
            "admitted": self.place is not None and room.is_open and self.place <= admitted,
            "estimate_s": None if wait_ms is None else round(wait_ms / 1000, 1),
            "opens_at": room.opens_ms / 1000,
            "seed_sha256": seed_hash(room.seed),
        }


class Rooms:
    """Makes rooms, lets people in line, draws lotteries."""

    def __init__(self, postgres: "Postgres") -> None:
        self._postgres = postgres
        self._known: OrderedDict[int, tuple[float, bool]] = OrderedDict()

    async def make(self, event_id: int, opens_at: float, at_once: int, per_s: float) -> Room:
        """Put a room in front of an event, or find the one that is there."""
        seed = secrets.token_bytes(SEED_BYTES)
        values = {"event": event_id, "seed": seed, "opens_at": opens_at, "at_once": at_once, "per_s": per_s}
        await self._postgres.execute(_NEW, values)
        room = await self.room(event_id)
        assert room is not None, "it was made just now"
        return room

    async def check_turn(self, event_id: int, buyer: str, ticket_id: str) -> None:
        """Let a buyer pass whose turn it is, and everybody where there is no room.

        Raises:
            HttpProblem: 403 "waiting-room": there is a room, and it is not this buyer's turn.
        """
        known = self._known.get(event_id)
        now = trio.current_time()
        if known is None or now - known[0] > KNOWN_S:
            known = self._known[event_id] = (now, await self.room(event_id) is not None)
            self._known.move_to_end(event_id)
            if len(self._known) > KNOWN_MAX:
                self._known.popitem(last=False)
        if not known[1]:
            return
        found = await self.ticket(event_id, ticket_id) if ticket_id else None
        queue = f"/api/frontrow/events/{event_id}/queue"
        if found is None or found[1].buyer != buyer:
            text = "this sale has a waiting room: enter it, and show the ticket"
            raise HttpProblem(403, text, type="waiting-room", title="Waiting room", queue=queue)
        document = found[1].document(found[0])
        if not document["admitted"]:
            text = "it is not your turn yet"
            raise HttpProblem(403, text, type="waiting-room", title="Waiting room", queue=queue, ticket=document)

    async def room(self, event_id: int) -> Room | None:
        """The room of an event, None when it has none. Opens it when its hour has come."""
        row = await self._postgres.fetch_one(_ROOM, [event_id])
        if row is None:
            return None
        room = _room(event_id, row)
        if not room.is_due:
            return room
        await self._open(event_id)
        row = await self._postgres.fetch_one(_ROOM, [event_id])
        assert row is not None
        return _room(event_id, row)

    async def enter(self, event_id: int, buyer: str) -> tuple[Room, Ticket] | None:
        """A place for a buyer, the same one however often it is asked for; None when there is no room."""
        if await self.room(event_id) is None:
            return None
        async with self._postgres.transaction() as connection:
            row = await (await connection.execute(_ROOM + " FOR UPDATE", [event_id])).fetchone()
            if row is None:
                return None
            room = _room(event_id, row)
            if room.is_due:
                # The hour came between the look and the lock.
                await self._draw(connection, room)
                row = await (await connection.execute(_ROOM, [event_id])).fetchone()
                assert row is not None
                room = _room(event_id, row)
            found = await (await connection.execute(_TICKET_OF, [event_id, buyer])).fetchone()
            if found is not None:
                return room, Ticket(*found)
            place = None
            if room.is_open:
                given = await (await connection.execute(_NEXT, [event_id])).fetchone()
                assert given is not None
                place = given[0]
            ticket = Ticket(str(uuid.uuid4()), buyer, place)
            await connection.execute(_ENTER, [ticket.id, event_id, buyer, place])
        return room, ticket

    async def ticket(self, event_id: int, ticket_id: str) -> tuple[Room, Ticket] | None:
        """How a ticket stands, None when there is no such one."""
        room = await self.room(event_id)
        row = await self._postgres.fetch_one(_TICKET, [ticket_id, event_id])
        return None if room is None or row is None else (room, Ticket(*row))

    async def set_rate(self, event_id: int, per_s: float) -> Room | None:
        """Admit so many a second from now on; who was admitted stays admitted."""
        async with self._postgres.transaction() as connection:
            row = await (await connection.execute(_ROOM + " FOR UPDATE", [event_id])).fetchone()
            if row is None:
                return None
            room = _room(event_id, row)
            # Before the opening only the rate changes, not when it begins.
            now_ms = max(room.now_ms, room.admission.since_ms)
            changed = room.admission.changed(per_s, now_ms)
            values = {"event": event_id, "base": changed.base, "since_ms": changed.since_ms, "per_s": per_s}
            await connection.execute(_RATE, values)
        return await self.room(event_id)

    async def lottery(self, event_id: int) -> list[tuple[str, int]]:
        """The tickets of the lottery with their places, in order; none before the opening."""
        return [(ticket, place) for ticket, place in await self._postgres.fetch_all(_LOTTERY, [event_id, event_id])]

    async def _open(self, event_id: int) -> None:
        async with self._postgres.transaction() as connection:
            row = await (await connection.execute(_ROOM + " FOR UPDATE", [event_id])).fetchone()
            if row is not None and (room := _room(event_id, row)).is_due:
                await self._draw(connection, room)

    async def _draw(self, connection: Any, room: Room) -> None:
        rows = await (await connection.execute(_TICKETS, [room.event_id])).fetchall()
        tickets = [row[0] for row in rows]
        await connection.execute(_DRAWN, [draw(room.seed, tickets)])
        await connection.execute(_OPENED, [entrants_hash(tickets), len(tickets), room.event_id])


def _room(event_id: int, row: Any) -> Room:
    seed, opens_ms, is_open, entrants, last_place, base, since_ms, per_s, now_ms = row
    return Room(
        event_id, bytes(seed), opens_ms, is_open, entrants, last_place, Admission(base, since_ms, per_s), now_ms
    )
