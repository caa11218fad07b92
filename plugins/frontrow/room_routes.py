"""Waiting rooms over HTTP: enter, see one's place move, and check the lottery."""

import uuid
from typing import Final

import trio
from pydantic import BaseModel, ConfigDict, Field

from host.api import EventStream, HttpProblem, Operation, PluginContext, Request, Response, Router, json_response
from plugins.frontrow import problems
from plugins.frontrow.house_routes import EVENTS, id_of
from plugins.frontrow.models import Buyer
from plugins.frontrow.room import Room, Rooms, Ticket
from plugins.frontrow.venues import Venues

QUEUE: Final = f"{EVENTS}/{{event_id}}/queue"
PUSH_S: Final = 1.0
"""How often a place is told anew to whoever watches it."""
TICKET_HEADER: Final = "x-queue-ticket"

_AWAY: Final = "The database is away"


class EnterRequest(BaseModel):
    """Who wants in."""

    model_config = ConfigDict(extra="forbid", strict=True)

    buyer: Buyer


class RoomRequest(BaseModel):
    """A room: when it opens (Unix seconds), how many go in at once then, and how many a second."""

    model_config = ConfigDict(extra="forbid", strict=True)

    opens_at: float = Field(ge=0, le=4e9)
    at_once: int = Field(0, ge=0, le=1_000_000)
    per_s: float = Field(ge=0, le=100_000, allow_inf_nan=False)


class RateRequest(BaseModel):
    """How many go in a second from now on; 0 stops it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    per_s: float = Field(ge=0, le=100_000, allow_inf_nan=False)


OPERATIONS: Final = (
    Operation("GET", QUEUE, "The waiting room", responses={200: "Room", 404: "No such event or room", 503: _AWAY}),
    Operation(
        "POST",
        QUEUE,
        "Enter the waiting room; a buyer has one place, however often it enters",
        request=EnterRequest,
        responses={201: "Ticket", 404: "No such event or room", 422: "Not a buyer", 503: _AWAY},
    ),
    Operation(
        "PUT",
        QUEUE,
        "Put a waiting room in front of an event",
        request=RoomRequest,
        responses={200: "Room", 404: "No such event", 422: "Not a room", 503: _AWAY},
        admin=True,
    ),
    Operation(
        "PATCH",
        QUEUE,
        "Change how fast the room empties",
        request=RateRequest,
        responses={200: "Room", 404: "No such event or room", 422: "Not a rate", 503: _AWAY},
        admin=True,
    ),
    Operation(
        "GET",
        f"{QUEUE}/lottery",
        "Everything to draw the lottery again",
        responses={200: "Seed, hashes and places", 404: "No such event or room", 409: "Not drawn yet", 503: _AWAY},
    ),
    Operation("GET", f"{QUEUE}/{{ticket}}", "A place", responses={200: "Ticket", 404: "No such ticket", 503: _AWAY}),
    Operation(
        "GET",
        f"{QUEUE}/{{ticket}}/events",
        "A place as it moves: event “place”",
        responses={200: "text/event-stream", 404: "No such ticket", 503: _AWAY},
    ),
)


class RoomRoutes:
    """The handlers."""

    def __init__(self, ctx: PluginContext, rooms: Rooms, venues: Venues) -> None:
        self._ctx = ctx
        self._rooms = rooms
        self._venues = venues

    def add_to(self, router: Router) -> None:
        """Add all of them to a router."""
        router.add("GET", QUEUE, self.room)
        router.add("POST", QUEUE, self.enter)
        router.add("PUT", QUEUE, self.make)
        router.add("PATCH", QUEUE, self.change)
        router.add("GET", QUEUE + "/lottery", self.lottery)
        router.add("GET", QUEUE + "/{ticket}", self.ticket)
        router.add("GET", QUEUE + "/{ticket}/events", self.events)

    async def room(self, request: Request) -> Response:
        return _answer(await self._rooms.room(id_of(request, "event_id")))

    async def make(self, request: Request) -> Response:
        self._ctx.require_admin(request.scope)
        wanted = await request.json(RoomRequest)
        event_id = id_of(request, "event_id")
        if await self._venues.house(event_id) is None:
            raise problems.no_event(event_id)
        return _answer(await self._rooms.make(event_id, wanted.opens_at, wanted.at_once, wanted.per_s))

    async def change(self, request: Request) -> Response:
        self._ctx.require_admin(request.scope)
        wanted = await request.json(RateRequest)
        return _answer(await self._rooms.set_rate(id_of(request, "event_id"), wanted.per_s))

    async def enter(self, request: Request) -> Response:
        wanted = await request.json(EnterRequest)
        event_id = id_of(request, "event_id")
        entered = await self._rooms.enter(event_id, wanted.buyer)
        if entered is None:
            raise _no_room()
        room, ticket = entered
        url = f"{EVENTS}/{event_id}/queue/{ticket.id}"
        return json_response(ticket.document(room) | {"url": url}, 201, {"Location": url})

    async def lottery(self, request: Request) -> Response:
        event_id = id_of(request, "event_id")
        room = await self._rooms.room(event_id)
        if room is None:
            raise _no_room()
        if not room.is_open:
            raise HttpProblem(
                409, "the lottery is drawn at the opening", type="not-drawn", opens_at=room.opens_ms / 1000
            )
        places = [{"ticket": ticket, "place": place} for ticket, place in await self._rooms.lottery(event_id)]
        return json_response(room.document() | {"order_by": "HMAC-SHA256(seed, ticket)", "places": places})

    async def ticket(self, request: Request) -> Response:
        room, ticket = await self._find(request)
        return json_response(ticket.document(room), 200, {"cache-control": "no-store"})

    async def events(self, request: Request) -> None:
        room, ticket = await self._find(request)
        async with EventStream(request.scope, request.receive, request.send, self._ctx.draining) as stream:
            while True:
                document = ticket.document(room)
                await stream.send(document, event="place")
                if document["admitted"]:
                    return
                await trio.sleep(PUSH_S)
                room, ticket = await self._find(request)

    async def _find(self, request: Request) -> tuple[Room, Ticket]:
        try:
            ticket_id = str(uuid.UUID(request.params["ticket"]))
        except ValueError:
            raise HttpProblem(404, "there is no such ticket") from None
        found = await self._rooms.ticket(id_of(request, "event_id"), ticket_id)
        if found is None:
            raise HttpProblem(404, "there is no such ticket")
        return found


def _no_room() -> HttpProblem:
    return HttpProblem(404, "there is no waiting room in front of this event")


def _answer(room: Room | None) -> Response:
    if room is None:
        raise _no_room()
    return json_response(room.document(), 200, {"cache-control": "no-store"})
