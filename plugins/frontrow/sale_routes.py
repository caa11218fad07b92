"""One customer's way to a seat over HTTP: look, hold, give back, book, and ask about a booking."""

import math
import random
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
from plugins.frontrow import box_office
from plugins.frontrow.box_office import BoxOffice, new_nonce
from plugins.frontrow.claims import in_lock_order
from plugins.frontrow.core.idempotency import fingerprint, key_problem
from plugins.frontrow.core.tokens import BadToken, Hold, decode, encode, nonce_for
from plugins.frontrow.holds import GRANTED, TAKEN
from plugins.frontrow.idempotency import IdempotencyKeys, Key
from plugins.frontrow.inventory import Installation, Inventory
from plugins.frontrow.models import BookingAnswer, BookingRequest, HoldAnswer, HoldRequest

HOLDS: Final = "/api/frontrow/holds"
BOOKINGS: Final = "/api/frontrow/bookings"

KEEP_ANSWER_S: Final = 2.0
"""How long keeping an answer may take once the booking is decided, whoever has left meanwhile."""

ID_DIGITS_MAX: Final = 18
"""Longer numbers are beyond a bigint."""

_KEY_HEADER: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Chosen by the client before it asks; a retry with it gets the same answer.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
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
        parameters=(_KEY_HEADER,),
        responses={
            201: HoldAnswer,
            400: "Malformed JSON or Idempotency-Key",
            404: "No such event",
            409: "Type “sold” is final; type “held” may be tried again after Retry-After",
            413: "Too large",
            415: "Not JSON",
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
        parameters=(_KEY_HEADER,),
        responses={
            201: BookingAnswer,
            202: "Unknown: ask at Location, or repeat the request with its Idempotency-Key",
            400: "Malformed JSON or Idempotency-Key",
            404: "Not a token of this box office",
            409: "Type “sold”, “hold-lost” or, while the first request is under way, “in-flight”",
            413: "Too large",
            415: "Not JSON",
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
        self, office: BoxOffice, inventory: Inventory, keys: IdempotencyKeys, installation: Installation
    ) -> None:
        self._office = office
        self._inventory = inventory
        self._keys = keys
        self._secret = installation.secret
        self._key_ttl_ms = round(office.settings.idempotency_ttl * 1000)

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
        key = _key_of(request)
        wanted = await request.json(HoldRequest)
        seats = in_lock_order(wanted.seats)
        await self._check_seats(wanted, seats)
        if key:
            nonce = nonce_for(wanted.buyer, key, wanted.event_id, seats, self._secret)
            await self._check_hold_key(wanted, key, seats)
        else:
            nonce = new_nonce()
        hold = Hold(wanted.event_id, seats, nonce)
        verdict = await self._office.holds.hold(self._office.holds.request(hold))
        if verdict == TAKEN:
            return await self._taken(hold)
        if sold := await self._inventory.sold_among(seats):
            # Layer 1 has forgotten that they are: remind it, and let go of what it granted.
            await self._office.holds.release(hold)
            self._office.announce_sale(hold.event_id, tuple(sold))
            raise _sold(sold)
        return self._held(hold, self._office.holds.ttl_ms, is_protected=verdict == GRANTED)

    async def release(self, request: Request) -> Response:
        await self._office.holds.release(self._decode(request.params["token"]))
        return empty_response()

    async def book(self, request: Request) -> Response:
        given_key = _key_of(request)
        wanted = await request.json(BookingRequest)
        hold = self._decode(wanted.token)
        key = Key(wanted.buyer, BOOKINGS, given_key or f"auto-{uuid.uuid4()}")
        sha256 = fingerprint(BOOKINGS, {"token": wanted.token})
        taken = await self._keys.take(key, sha256, str(uuid.uuid4()))
        if taken.decision == "mismatch":
            raise _mismatch()
        if taken.decision == "in_flight":
            problem = "the first request with this Idempotency-Key is still under way"
            raise HttpProblem(409, problem, type="in-flight", title="In flight", headers={"Retry-After": "1"})
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
            return await self._keep(key, 201, document)
        if verdict == box_office.SOLD:
            return await self._keep(key, 409, _sold(await self._sold_of(hold)).body())
        if verdict == box_office.GONE:
            text = "the hold lapsed, and somebody else holds a seat of it now"
            return await self._keep(key, 409, HttpProblem(409, text, type="hold-lost", title="Hold lost").body())
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
            with trio.CancelScope(shield=True), trio.move_on_after(KEEP_ANSWER_S):
                await keeping
        except (ServiceUnavailable, OutcomeUnknown):
            pass

    async def _sold_of(self, hold: Hold) -> list[int]:
        try:
            return await self._inventory.sold_among(hold.seats)
        except (ServiceUnavailable, OutcomeUnknown):
            return []

    async def _check_seats(self, wanted: HoldRequest, seats: tuple[int, ...]) -> None:
        known = await self._inventory.seat_ids(wanted.event_id)
        if not known:
            raise HttpProblem(404, f"there is no event {wanted.event_id} on sale")
        errors = [
            {"pointer": f"#/seats/{place}", "detail": f"event {wanted.event_id} has no seat {seat}", "code": "no_seat"}
            for place, seat in enumerate(wanted.seats)
            if seat not in known
        ]
        if len(seats) < len(wanted.seats):
            errors.append({"pointer": "#/seats", "detail": "a seat is named twice", "code": "repeated"})
        if errors:
            raise HttpProblem(422, "the seats cannot be held", title="Invalid body", errors=errors)

    async def _check_hold_key(self, wanted: HoldRequest, key: str, seats: tuple[int, ...]) -> None:
        """Refuse a key that came with another request. Remembered in layer 1, where the hold is; lost with it too."""
        request = fingerprint(HOLDS, {"event": wanted.event_id, "seats": seats}).hex()
        name = fingerprint(HOLDS, {"buyer": wanted.buyer, "key": key}).hex()
        if await self._office.holds.remember(name, request, self._key_ttl_ms) not in (request, None):
            raise _mismatch()

    async def _taken(self, hold: Hold) -> Response:
        states = await self._office.holds.look(hold)
        if states is None:
            # Layer 1 went away between the two questions.
            if sold := await self._inventory.sold_among(hold.seats):
                raise _sold(sold)
            return self._held(hold, self._office.holds.ttl_ms, is_protected=False)
        if sold := [seat for seat, state in zip(hold.seats, states, strict=True) if state.is_sold]:
            raise _sold(sold)
        if all(state.is_ours for state in states):
            # A repeated request: the hold that it got the first time still stands.
            return self._held(hold, min(state.left_ms for state in states), is_protected=True)
        left_ms = max(state.left_ms for state in states if not state.is_ours)
        raise _held_by_another(left_ms)

    def _held(self, hold: Hold, ttl_ms: int, *, is_protected: bool) -> Response:
        token = encode(hold, self._secret)
        document = {
            "token": token,
            "event_id": hold.event_id,
            "seats": list(hold.seats),
            "ttl_ms": ttl_ms,
            "expires_at": (datetime.now(UTC) + timedelta(milliseconds=ttl_ms)).isoformat(timespec="milliseconds"),
            "protected": is_protected,
        }
        return json_response(document, 201)

    def _decode(self, token: str) -> Hold:
        try:
            return decode(token, self._secret)
        except BadToken as error:
            raise HttpProblem(404, str(error)) from None


def _key_of(request: Request) -> str:
    key = request.headers.get("idempotency-key")
    if key is None:
        return ""
    if problem := key_problem(key):
        raise HttpProblem(400, problem)
    return key


def _mismatch() -> HttpProblem:
    text = "this Idempotency-Key was used for another request"
    return HttpProblem(422, text, type="idempotency-mismatch", title="Key reused")


def _sold(seats: list[int]) -> HttpProblem:
    return HttpProblem(409, "somebody else owns a seat of these", type="sold", title="Sold", seats=seats)


def _held_by_another(left_ms: int) -> HttpProblem:
    until = datetime.now(UTC) + timedelta(milliseconds=left_ms)
    # Spread out, so that all who were turned away do not come back in the same second.
    retry_after_s = math.ceil(left_ms / 1000) + random.randrange(3)
    return HttpProblem(
        409,
        "somebody else holds a seat of these, and may not book it",
        type="held",
        title="Held",
        headers={"Retry-After": str(retry_after_s)},
        held_until=until.isoformat(timespec="milliseconds"),
    )


def _unknown(booking_id: str) -> Response:
    url = f"{BOOKINGS}/{booking_id}"
    return json_response({"id": booking_id, "url": url, "state": "unknown"}, 202, {"Location": url, "Retry-After": "1"})


def _repeat(status: int, document: dict[str, Any]) -> Response:
    """The answer, given for the first time or again."""
    if status < 400:
        return json_response(document, status, {"Location": document["url"]})
    headers = [(b"content-type", b"application/problem+json"), (b"cache-control", b"no-store")]
    return Response(status, json_response(document).body, headers)
