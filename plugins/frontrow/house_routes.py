"""Houses over HTTP: venues and their import, events made in them, seat maps, and the best seats that are free."""

from typing import Any, Final

import trio

from host.api import (
    EventStream,
    HttpProblem,
    KeptDocument,
    Operation,
    PluginContext,
    Request,
    Response,
    Router,
    json_response,
)
from plugins.frontrow import problems
from plugins.frontrow.core.best_available import Found, best_available
from plugins.frontrow.core.house import HELD
from plugins.frontrow.holding import Holding, Wish
from plugins.frontrow.live_house import LiveHouse, LiveHouses
from plugins.frontrow.live_map import WATCHERS_MAX, LiveMaps
from plugins.frontrow.map_document import map_document
from plugins.frontrow.models import BestRequest, EventRequest, HoldAnswer
from plugins.frontrow.sale_routes import held_response, key_of
from plugins.frontrow.samples_on_sale import sample_venue
from plugins.frontrow.venue_plan import VenuePlan
from plugins.frontrow.venues import EventHouse, VenueExists, Venues

VENUES: Final = "/api/frontrow/venues"
EVENTS: Final = "/api/frontrow/events"
SCHEMA: Final = "/api/frontrow/venue-schema"
MAPS_MAX: Final = 8
"""Events whose map is kept: at 20,000 seats one takes 0.4 MB."""

PLAN_BYTES_MAX: Final = 16 * 1024 * 1024
"""An arena of 20,000 seats is 1.3 MB."""
TRIES_MAX: Final = 12
"""How many blocks of seats are tried before a search is told that others are faster."""
_ID_DIGITS_MAX: Final = 18

_AWAY: Final = "The database is away; nothing was done"
_KEY: Final = {"name": "Idempotency-Key", "in": "header", "required": False, "schema": {"type": "string"}}

OPERATIONS: Final = (
    Operation("GET", SCHEMA, "The JSON Schema of a venue's plan", responses={200: "JSON Schema"}),
    Operation("GET", VENUES, "The venues", responses={200: "Venues", 503: _AWAY}),
    Operation(
        "POST",
        VENUES,
        "Import a venue",
        request=VenuePlan,
        responses={
            201: "The venue",
            403: "Wrong admin token",
            409: "There is a venue of that name",
            422: "Not a plan; `errors` lists every fault",
            503: _AWAY,
        },
        admin=True,
    ),
    Operation("GET", f"{VENUES}/{{venue_id}}", "A venue's plan", responses={200: VenuePlan, 404: "No such venue"}),
    Operation(
        "POST",
        EVENTS,
        "Make an event in a venue",
        request=EventRequest,
        responses={
            201: "The event",
            403: "Wrong admin token",
            404: "No such venue",
            422: "Not an event",
            503: _AWAY,
        },
        admin=True,
    ),
    Operation("GET", f"{EVENTS}/{{event_id}}", "An event", responses={200: "Event", 404: "No such event", 503: _AWAY}),
    Operation(
        "GET",
        f"{EVENTS}/{{event_id}}/map",
        "Where the seats are and what they cost; never changes",
        responses={200: "Map", 304: "Not modified", 404: "No such event", 503: _AWAY},
    ),
    Operation(
        "GET",
        f"{EVENTS}/{{event_id}}/state",
        "How each seat stands: a letter each, in order of position",
        responses={200: "f free, h held, s sold, b blocked", 404: "No such event", 503: _AWAY},
    ),
    Operation(
        "GET",
        f"{EVENTS}/{{event_id}}/changes",
        "The seats as they are held, sold and freed, and the places that areas have left: event “state”, then "
        "“change”; resumes by Last-Event-ID",
        responses={200: "text/event-stream", 404: "No such event", 503: "The database is away, or too many watch"},
    ),
    Operation(
        "POST",
        f"{EVENTS}/{{event_id}}/best-available",
        "Hold the best seats of a tier, side by side",
        request=BestRequest,
        parameters=(_KEY,),
        responses={
            201: HoldAnswer,
            400: "Malformed JSON or Idempotency-Key",
            403: "Type “waiting-room”: it is not this buyer's turn",
            404: "No such event or tier",
            409: "Type “none-together”: no such seats are free; “busy”: others are faster; or as for a hold",
            422: "Not a search, or the Idempotency-Key belongs to another request",
            503: _AWAY,
        },
    ),
)


class HouseRoutes:
    """The handlers, and the encoded maps of the latest events."""

    def __init__(
        self,
        ctx: PluginContext,
        venues: Venues,
        live: LiveHouses,
        maps: LiveMaps,
        holding: Holding,
        secret: bytes,
    ) -> None:
        self._live_maps = maps
        self._ctx = ctx
        self._venues = venues
        self._live = live
        self._holding = holding
        self._secret = secret
        self._maps: dict[int, KeptDocument] = {}

    def add_to(self, router: Router) -> None:
        """Add all of them to a router."""
        router.add("GET", SCHEMA, self.schema)
        router.add("GET", VENUES, self.venues)
        router.add("POST", VENUES, self.import_venue)
        router.add("GET", VENUES + "/{venue_id}", self.venue)
        router.add("POST", EVENTS, self.create_event)
        router.add("GET", EVENTS + "/{event_id}", self.event)
        router.add("GET", EVENTS + "/{event_id}/map", self.map)
        router.add("GET", EVENTS + "/{event_id}/state", self.state)
        router.add("GET", EVENTS + "/{event_id}/changes", self.changes)
        router.add("POST", EVENTS + "/{event_id}/best-available", self.best)

    async def schema(self, request: Request) -> Response:
        return json_response(VenuePlan.model_json_schema())

    async def venues(self, request: Request) -> Response:
        return json_response({"venues": await self._venues.venues()})

    async def import_venue(self, request: Request) -> Response:
        self._ctx.require_admin(request.scope)
        plan = await request.json(VenuePlan, PLAN_BYTES_MAX)
        try:
            venue_id = await self._venues.import_plan(plan)
        except VenueExists as error:
            raise HttpProblem(409, str(error), type="venue-exists", title="Venue exists") from None
        url = f"{VENUES}/{venue_id}"
        return json_response({"id": venue_id, "name": plan.name, "url": url}, 201, {"Location": url})

    async def venue(self, request: Request) -> Response:
        plan = await self._venues.plan(id_of(request, "venue_id"))
        if plan is None:
            raise HttpProblem(404, "there is no such venue")
        return json_response(plan.model_dump(mode="json", exclude_unset=True))

    async def create_event(self, request: Request) -> Response:
        self._ctx.require_admin(request.scope)
        wanted = await request.json(EventRequest)
        if wanted.sample is not None:
            venue_id, plan, _ = await sample_venue(self._venues, wanted.sample)
        else:
            assert wanted.venue_id is not None
            found = await self._venues.plan(wanted.venue_id)
            if found is None:
                raise HttpProblem(404, f"there is no venue {wanted.venue_id}")
            venue_id, plan = wanted.venue_id, found
        most = wanted.places_per_buyer_max
        event_id = await self._venues.create_event(
            venue_id, plan, wanted.name, state=wanted.state, places_per_buyer_max=most
        )
        url = f"{EVENTS}/{event_id}"
        return json_response({"id": event_id, "name": wanted.name, "url": url}, 201, {"Location": url})

    async def event(self, request: Request) -> Response:
        live = await self._find(request)
        event, states = live.event, live.availability.states
        return json_response(
            {
                "id": event.event_id,
                "name": event.name,
                "state": await self._venues.state_of(event.event_id),
                "currency": event.currency,
                "places_per_buyer_max": event.places_per_buyer_max,
                "seats": len(states),
                "free": states.count(0),
                "tiers": [{"code": code, "name": name, "price": price} for code, name, price in event.tiers],
                "areas": areas_of(live),
            }
        )

    async def map(self, request: Request) -> Response:
        event = await self._venues.house(id_of(request, "event_id"))
        if event is None:
            raise problems.no_event(request.params["event_id"])
        document = self._maps.get(event.event_id)
        if document is None:
            document = await trio.to_thread.run_sync(map_document, event, limiter=self._ctx.threads)
            if len(self._maps) >= MAPS_MAX:
                self._maps.clear()
            self._maps[event.event_id] = document
        return document.answer(request, [(b"cache-control", b"public, max-age=86400")])

    async def state(self, request: Request) -> Response:
        live = await self._find(request)
        document = {
            "event_id": live.event.event_id,
            "seats": live.availability.letters(),
            "areas": areas_of(live),
        }
        return json_response(document, 200, {"cache-control": "no-store"})

    async def changes(self, request: Request) -> None:
        live = await self._find(request)
        if self._live_maps.watchers >= WATCHERS_MAX:
            text = "too many watch the maps now"
            raise HttpProblem(503, text, headers={"Retry-After": "5"})
        async with EventStream(request.scope, request.receive, request.send, self._ctx.draining) as stream:
            await self._live_maps.watch(live.event.event_id, stream, stream.last_event_id)

    async def best(self, request: Request) -> Response:
        key = key_of(request)
        wanted = await request.json(BestRequest)
        live = await self._find(request)
        event = live.event
        if wanted.tier not in event.house.by_tier:
            raise HttpProblem(404, f"event {event.event_id} has no seats in the tier {wanted.tier!r}")
        for _ in range(TRIES_MAX):
            found = best_available(
                live.availability,
                wanted.tier,
                wanted.count,
                is_accessible=wanted.accessible,
                may_be_apart=wanted.apart,
            )
            if found is None:
                text = f"no {wanted.count} such seats are free" + ("" if wanted.apart else " side by side")
                raise HttpProblem(409, text, type="none-together", title="Not available")
            response = await self._try(event, live, found, wanted, key)
            if response is not None:
                return response
        raise HttpProblem(409, "others are faster; try again", type="busy", title="Busy", headers={"Retry-After": "1"})

    async def _try(
        self, event: EventHouse, live: LiveHouse, found: Found, wanted: BestRequest, key: str
    ) -> Response | None:
        """Hold what was found; None when somebody else was faster, who is on the map then."""
        seats = tuple(sorted(event.seat_ids[position] for position in found.positions))
        try:
            held = await self._holding.hold(Wish(event.event_id, wanted.buyer, seats, key=key, ticket=wanted.ticket))
        except HttpProblem as problem:
            if problem.type not in ("held", "sold", "blocked"):
                raise
            # Whichever of them it was, this block is not to be had now.
            if all(live.availability.states[position] == 0 for position in found.positions):
                live.note(seats, HELD)
            return None
        return held_response(event, held, self._secret, how=found.how)

    async def _find(self, request: Request) -> LiveHouse:
        live = await self._live.get(id_of(request, "event_id"))
        if live is None:
            raise problems.no_event(request.params["event_id"])
        return live


def id_of(request: Request, name: str) -> int:
    """An id in the path. Raises `HttpProblem` 404 when it cannot be one."""
    text = request.params[name]
    if not (text.isascii() and text.isdecimal() and len(text) <= _ID_DIGITS_MAX):
        raise problems.no_event(text)
    return int(text)


def areas_of(live: LiveHouse) -> list[dict[str, Any]]:
    """The areas without seats, with what they have left."""
    return [
        {
            "id": area.id,
            "name": area.name,
            "tier": area.tier,
            "capacity": area.capacity,
            "free": live.free_of(area),
        }
        for area in live.event.areas
    ]
