"""One customer's way to a seat over HTTP: look, hold, give back, book, and ask about a booking."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import trio

from host.api import (
    HttpProblem,
    Operation,
    OutcomeUnknown,
    Request,
    Response,
    Router,
    ServiceUnavailable,
    empty_response,
    json_response,
)
from plugins.frontrow import box_office, problems
from plugins.frontrow.box_office import BoxOffice
from plugins.frontrow.claims import in_lock_order
from plugins.frontrow.core.idempotency import fingerprint, key_problem
from plugins.frontrow.core.tokens import BadToken, Hold, decode, encode
from plugins.frontrow.holding import HOLDS, Held, Holding, Wish, price_of
from plugins.frontrow.idempotency import IdempotencyKeys, Key
from plugins.frontrow.inventory import Installation, Inventory
from plugins.frontrow.models import BookingAnswer, BookingRequest, HoldAnswer, HoldRequest
from plugins.frontrow.venues import EventHouse, Venues

BOOKINGS: Final = "/api/frontrow/bookings"

KEEP_ANSWER_S: Final = 2.0
"""How long keeping an answer may take once the booking is decided, whoever has left meanwhile."""

ID_DIGITS_MAX: Final = 18
"""Longer numbers are beyond a bigint."""

KEY_HEADER: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Chosen by the client before it asks; a retry with it gets the same answer.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x21-\\x7e]+$"},
}
_AWAY: Final = "The database is away; nothing was done"

OPERATIONS: Final = (
    Operation("GET", "/api/frontrow/events", "The events on sale", responses={200: "Events", 503: _AWAY}),
    Operation(
        "GET",
        "/api/frontrow/events/{event_id}/seats",
        "The seats of an event",
        responses={200: "Seats", 404: "No such event", 503: _AWAY},
    ),
    Operation(
        "POST",
        HOLDS,
        "Hold seats for a while, all or none",
        request=HoldRequest,
        parameters=(KEY_HEADER,),
        responses={
            201: HoldAnswer,
            400: "Malformed JSON or Idempotency-Key",
            403: "Type “waiting-room”: it is not this buyer's turn",
            404: "No such event, or no such area",
            409: "Type “sold”, “blocked” and “limit” are final; “held” may be tried again after Retry-After, "
            "“not-on-sale” when the sale is open",
            422: "Not a hold, or the Idempotency-Key belongs to another request",
            503: _AWAY,
        },
    ),
    Operation(
        "DELETE",
        f"{HOLDS}/{{token}}",
        "Give a hold back",
        responses={204: "Nobody holds the seats by this token any more", 404: "Not a token of this box office"},
    ),
    Operation(
        "POST",
        BOOKINGS,
        "Book the seats of a hold",
        request=BookingRequest,
        parameters=(KEY_HEADER,),
        responses={
            201: BookingAnswer,
            202: "Unknown: ask at Location, or repeat the request with its Idempotency-Key",
            400: "Malformed JSON or Idempotency-Key",
            402: "It has a price: make an order at /api/frontrow/orders",
            404: "Not a token of this box office",
            409: "Type “sold”, “hold-lost”, “limit” or, while the first request is under way, “in-flight”",
            422: "Not a booking, or the Idempotency-Key belongs to another request",
            503: _AWAY,
        },
    ),
    Operation(
        "GET",
        f"{BOOKINGS}/{{booking_id}}",
        "A booking",
        responses={200: BookingAnswer, 202: "Not decided yet", 404: "No such booking", 503: _AWAY},
    ),
)


class SaleRoutes:
    """The handlers; hold no state of their own."""

    def __init__(
        self,
        office: BoxOffice,
        inventory: Inventory,
        keys: IdempotencyKeys,
        installation: Installation,
        venues: Venues,
        holding: Holding,
    ) -> None:
        self._office = office
        self._inventory = inventory
        self._keys = keys
        self._secret = installation.secret
        self._venues = venues
        self._holding = holding

    def add_to(self, router: Router) -> None:
        """Add all of them to a router."""
        router.add("GET", "/api/frontrow/events", self.events)
        router.add("GET", "/api/frontrow/events/{event_id}/seats", self.seats)
        router.add("POST", HOLDS, self.hold)
        router.add("DELETE", HOLDS + "/{token}", self.release)
        router.add("POST", BOOKINGS, self.book)
        router.add("GET", BOOKINGS + "/{booking_id}", self.booking)

    async def events(self, request: Request) -> Response:
        return json_response({"events": await self._inventory.events()})

    async def seats(self, request: Request) -> Response:
        text = request.params["event_id"]
        is_id = text.isascii() and text.isdecimal() and len(text) <= ID_DIGITS_MAX
        seats = await self._inventory.seats(int(text)) if is_id else []
        if not seats:
            raise HttpProblem(404, f"there is no event {text[:40]!r} on sale")
        return json_response({"event_id": int(text), "seats": seats})

    async def hold(self, request: Request) -> Response:
        key = key_of(request)
        wanted = await request.json(HoldRequest)
        seats = in_lock_order(wanted.seats)
        event = await self._event(wanted.event_id)
        _check_seats(event, wanted, seats)
        wish = Wish(wanted.event_id, wanted.buyer, seats, wanted.area or 0, wanted.quantity, key, wanted.ticket)
        return held_response(event, await self._holding.hold(wish), self._secret)

    async def release(self, request: Request) -> Response:
        await self._holding.release(self._decode(request.params["token"]))
        return empty_response()

    async def book(self, request: Request) -> Response:
        given_key = key_of(request)
        wanted = await request.json(BookingRequest)
        hold = self._decode(wanted.token)
        if price_of(await self._event(hold.event_id), hold):
            text = "these have a price: make an order at /api/frontrow/orders"
            raise HttpProblem(402, text, type="payment-required", orders="/api/frontrow/orders")
        key = Key(wanted.buyer, BOOKINGS, given_key or f"auto-{uuid.uuid4()}")
        sha256 = fingerprint(BOOKINGS, {"token": wanted.token})
        taken = await self._keys.take(key, sha256, str(uuid.uuid4()))
        if taken.decision == "mismatch":
            raise problems.mismatch()
        if taken.decision == "in_flight":
            raise problems.in_flight()
        if taken.decision == "answer":
            assert taken.answer is not None
            return _repeat(taken.status, taken.answer)
        return await self._book(hold, wanted.buyer, key, taken.booking_id, is_repeated=taken.decision == "take_over")

    async def booking(self, request: Request) -> Response:
        booking_id = request.params["booking_id"]
        try:
            uuid.UUID(booking_id)
        except ValueError:
            raise HttpProblem(404, "there is no such booking") from None
        booking = await self._inventory.booking(booking_id)
        if booking is not None:
            return json_response(booking)
        if await self._keys.is_open(booking_id):
            return _unknown(booking_id)
        raise HttpProblem(404, "there is no such booking")

    async def _book(self, hold: Hold, buyer: str, key: Key, booking_id: str, *, is_repeated: bool) -> Response:
        try:
            verdict = await self._office.book(hold, buyer, booking_id, is_repeated=is_repeated)
        except ServiceUnavailable:
            verdict = box_office.UNAVAILABLE
        if verdict == box_office.BOOKED:
            document = {
                "id": booking_id,
                "url": f"{BOOKINGS}/{booking_id}",
                "event_id": hold.event_id,
                "seats": list(hold.seats),
                "buyer": buyer,
            }
            if hold.area:
                document |= {"area": hold.area, "quantity": hold.quantity}
            self._holding.settled(hold, buyer)
            return await self._keep(key, 201, document)
        if verdict == box_office.SOLD:
            # One of the seats is somebody else's; what is still held of the others is free again.
            await self._holding.let_go(hold, buyer)
            return await self._keep(key, 409, problems.sold(await self._sold_of(hold)).body())
        if verdict == box_office.GONE:
            text = "the hold lapsed, and somebody else holds a seat of it now"
            return await self._keep(key, 409, HttpProblem(409, text, type="hold-lost", title="Hold lost").body())
        if verdict == box_office.LIMIT:
            event = await self._event(hold.event_id)
            return await self._keep(key, 409, problems.limit(event.places_per_buyer_max or 0, 0).body())
        if verdict == box_office.UNKNOWN:
            await self._try(self._keys.leave(key))
            return _unknown(booking_id)
        await self._try(self._keys.forget(key))
        raise ServiceUnavailable("the booking could not be made now; nothing was done")

    async def _keep(self, key: Key, status: int, document: dict[str, Any]) -> Response:
        await self._try(self._keys.finish(key, status, document))
        return _repeat(status, document)

    async def _try(self, keeping: Any) -> None:
        """Keep what became of a request, even if the client has left. Failing is no harm: a retry finds the booking."""
        try:
            with trio.move_on_after(KEEP_ANSWER_S, shield=True):
                await keeping
        except (ServiceUnavailable, OutcomeUnknown):
            pass

    async def _sold_of(self, hold: Hold) -> list[int]:
        try:
            return await self._holding.sold_among(hold)
        except (HttpProblem, ServiceUnavailable, OutcomeUnknown):
            return []

    async def _event(self, event_id: int) -> EventHouse:
        event = await self._venues.house(event_id)
        if event is None:
            raise problems.no_event(event_id)
        return event

    def _decode(self, token: str) -> Hold:
        try:
            return decode(token, self._secret)
        except BadToken as error:
            raise HttpProblem(404, str(error)) from None


def key_of(request: Request) -> str:
    """The request's Idempotency-Key, "" when it has none. Raises `HttpProblem` 400 when it cannot be one."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return ""
    if problem := key_problem(key):
        raise HttpProblem(400, problem)
    return key


def held_response(event: EventHouse, held: Held, secret: bytes, *, how: str | None = None) -> Response:
    """The answer to whoever got a hold."""
    hold = held.hold
    document: dict[str, Any] = {
        "token": encode(hold, secret),
        "event_id": hold.event_id,
        "seats": list(hold.seats),
        "price": price_of(event, hold),
        "currency": event.currency,
        "ttl_ms": held.ttl_ms,
        "expires_at": (datetime.now(UTC) + timedelta(milliseconds=held.ttl_ms)).isoformat(timespec="milliseconds"),
        "protected": held.is_protected,
    }
    if hold.area:
        document |= {"area": hold.area, "quantity": hold.quantity}
    if how is not None:
        document["how"] = how
    return json_response(document, 201)


def _check_seats(event: EventHouse, wanted: HoldRequest, seats: tuple[int, ...]) -> None:
    errors = [
        {"pointer": f"#/seats/{place}", "detail": f"event {wanted.event_id} has no seat {seat}", "code": "no_seat"}
        for place, seat in enumerate(wanted.seats)
        if seat not in event.position_of
    ]
    if len(seats) < len(wanted.seats):
        errors.append({"pointer": "#/seats", "detail": "a seat is named twice", "code": "repeated"})
    if wanted.area is not None and event.area(wanted.area) is None:
        detail = f"event {wanted.event_id} has no area {wanted.area}"
        errors.append({"pointer": "#/area", "detail": detail, "code": "no_area"})
    if errors:
        raise HttpProblem(422, "the seats cannot be held", title="Invalid body", errors=errors)


def _unknown(booking_id: str) -> Response:
    url = f"{BOOKINGS}/{booking_id}"
    return json_response({"id": booking_id, "url": url, "state": "unknown"}, 202, {"Location": url, "Retry-After": "1"})


def _repeat(status: int, document: dict[str, Any]) -> Response:
    """The answer, given for the first time or again."""
    if status < 400:
        return json_response(document, status, {"Location": document["url"]})
    headers = [(b"content-type", b"application/problem+json"), (b"cache-control", b"no-store")]
    return Response(status, json_response(document).body, headers)
