"""Orders over HTTP: make one of a hold, pay it, ask about it, give it up; and what the payment provider reports."""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import trio
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from host.api import (
    HttpProblem,
    Operation,
    OutcomeUnknown,
    Request,
    Response,
    Router,
    ServiceUnavailable,
    json_response,
    problem_response,
)
from plugins.frontrow import problems
from plugins.frontrow.checkout import Checkout, order_document
from plugins.frontrow.core.idempotency import fingerprint
from plugins.frontrow.core.signature import HEADER, problem_of
from plugins.frontrow.core.tokens import BadToken, decode
from plugins.frontrow.idempotency import IdempotencyKeys, Key
from plugins.frontrow.models import OrderAnswer, OrderRequest, PaymentRequest, StrictBody
from plugins.frontrow.order_store import NoOrder, Order
from plugins.frontrow.reports import Report
from plugins.frontrow.sale_routes import KEEP_ANSWER_S, KEY_HEADER, key_of
from plugins.frontrow.wall_clock import WallClock

ORDERS: Final = "/api/frontrow/orders"
REPORTS: Final = "/api/frontrow/payments/events"
REPORT_BYTES_MAX: Final = 64 * 1024
EVENTS_MAX: Final = 200
"""Events in one report."""

_AWAY: Final = "The database is away; asking again is safe"
_KEYED: Final = {400: "Malformed JSON or Idempotency-Key"}

OPERATIONS: Final = (
    Operation(
        "POST",
        ORDERS,
        "Make the order of a hold: it is lengthened once, by the time to pay",
        request=OrderRequest,
        parameters=(KEY_HEADER,),
        responses=_KEYED
        | {
            201: OrderAnswer,
            404: "Not a token of this box office",
            409: "Type “hold-lost”, or “in-flight” while the first request with this key is under way",
            422: "Not an order, nothing to pay, or the Idempotency-Key belongs to another request",
            503: _AWAY,
        },
    ),
    Operation(
        "GET", f"{ORDERS}/{{order_id}}", "An order", responses={200: OrderAnswer, 404: "No such order", 503: _AWAY}
    ),
    Operation(
        "DELETE",
        f"{ORDERS}/{{order_id}}",
        "Give up an order that is not paid",
        responses={200: OrderAnswer, 404: "No such order", 409: "It is past that", 503: _AWAY},
    ),
    Operation(
        "POST",
        f"{ORDERS}/{{order_id}}/payment",
        "Pay an order (the provider that ships is simulated: no money moves)",
        request=PaymentRequest,
        parameters=(KEY_HEADER,),
        responses=_KEYED
        | {
            200: OrderAnswer,
            202: "Not decided yet: ask at Location",
            402: "Type “payment-declined”: another card may be tried",
            404: "No such order",
            409: "Type “seats-gone” (the money goes back), “expired”, “cancelled” or “in-flight”",
            422: "Not a payment, or the Idempotency-Key belongs to another request",
            503: _AWAY,
        },
    ),
    Operation(
        "POST",
        REPORTS,
        "What the payment provider reports, signed; each event counts once",
        responses={
            200: "Noted, now or before",
            400: "Not a report",
            401: "Not signed by the provider",
            404: "Not our order",
            503: _AWAY,
        },
    ),
)


class ReportBody(StrictBody):
    """An event of the payment provider."""

    model_config = ConfigDict(extra="ignore")

    id: str = Field(min_length=1, max_length=100)
    type: str = Field(min_length=1, max_length=60)
    payment_id: str = Field(min_length=1, max_length=100)
    order_id: uuid.UUID
    amount: int = Field(ge=0)
    authorised: int = Field(ge=0)
    captured: int = Field(ge=0)
    refunded: int = Field(ge=0)


class ReportsBody(BaseModel):
    """Several events in one report."""

    model_config = ConfigDict(extra="ignore", strict=True)

    events: list[ReportBody] = Field(min_length=1, max_length=EVENTS_MAX)


class OrderRoutes:
    """The handlers; hold no state of their own."""

    def __init__(
        self, checkout: Checkout, keys: IdempotencyKeys, secret: bytes, payment_secret: bytes, clock: WallClock
    ) -> None:
        self._checkout = checkout
        self._keys = keys
        self._secret = secret
        self._payment_secret = payment_secret
        self._clock = clock

    def add_to(self, router: Router) -> None:
        """Add all of them to a router."""
        router.add("POST", ORDERS, self.make)
        router.add("GET", ORDERS + "/{order_id}", self.order)
        router.add("DELETE", ORDERS + "/{order_id}", self.cancel)
        router.add("POST", ORDERS + "/{order_id}/payment", self.pay)
        router.add("POST", REPORTS, self.report)

    async def make(self, request: Request) -> Response:
        key = key_of(request)
        wanted = await request.json(OrderRequest)
        try:
            hold = decode(wanted.token, self._secret)
        except BadToken as error:
            raise HttpProblem(404, str(error)) from None

        async def work(order_id: str) -> Response:
            return _made(await self._checkout.open(hold, wanted.buyer, wanted.method, order_id))

        asked = {"token": wanted.token, "method": wanted.method}
        return await self._once(Key(wanted.buyer, ORDERS, key), asked, str(uuid.uuid4()), work)

    async def order(self, request: Request) -> Response:
        order = await self._known(self._checkout.store.find(_id_of(request)))
        return json_response(order_document(order), 200, {"cache-control": "no-store"})

    async def cancel(self, request: Request) -> Response:
        order = await self._known(self._checkout.cancel(_id_of(request)))
        if order.state != "cancelled":
            raise HttpProblem(409, f"the order is {order.state}", type="too-late", state=order.state)
        return json_response(order_document(order))

    async def pay(self, request: Request) -> Response:
        key = key_of(request)
        order_id = _id_of(request)
        wanted = await request.json(PaymentRequest)

        async def work(_: str) -> Response:
            return _paid(await self._known(self._checkout.pay(order_id, wanted.card)))

        scope = Key("", f"{ORDERS}/{order_id}/payment", key)
        return await self._once(scope, {"card": wanted.card}, order_id, work)

    async def report(self, request: Request) -> Response:
        body = await request.body(REPORT_BYTES_MAX)
        status, document = await self.receive(request.headers, body)
        if status >= 400:
            raise HttpProblem(status, document["reason"])
        return json_response(document, status)

    async def receive(self, headers: Mapping[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
        """Take one report of the provider; the status and what to say."""
        if problem := problem_of(headers.get(HEADER), body, self._payment_secret, round(self._clock.now())):
            return 401, {"reason": problem}
        try:
            said = _SAID.validate_json(body)
        except ValidationError:
            return 400, {"reason": "this is no report of a payment"}
        if isinstance(said, ReportBody):
            (answer,) = await self._checkout.take_reports([_report(said)])
            return (200, {"noted": answer}) if isinstance(answer, bool) else _not_taken(answer)
        answers = await self._checkout.take_reports([_report(each) for each in said.events])
        # What one of them cannot be noted for, all are reported again for.
        failed = [_not_taken(answer) for answer in answers if isinstance(answer, Exception)]
        return max(failed, key=lambda answer: answer[0]) if failed else (200, {"noted": answers.count(True)})

    async def _once(
        self, key: Key, asked: dict[str, Any], order_id: str, work: Callable[[str], Awaitable[Response]]
    ) -> Response:
        """Do the work, or repeat what came of it under this Idempotency-Key.

        The work is safe to repeat under one order id, which the key remembers: an attempt that was cut short is
        taken over by the next. Answers that are not final are not kept.
        """
        if not key.key:
            return await work(order_id)
        taken = await self._keys.take(key, fingerprint(key.route, asked), order_id)
        if taken.decision == "mismatch":
            raise problems.mismatch()
        if taken.decision == "in_flight":
            raise problems.in_flight()
        if taken.decision == "answer":
            assert taken.answer is not None
            return _answer(taken.status, taken.answer)
        try:
            response = await work(taken.booking_id)
        except HttpProblem as problem:
            if problem.status < 500:
                await self._try(self._keys.finish(key, problem.status, problem.body()))
            raise
        except BaseException:
            await self._try(self._keys.leave(key))
            raise
        if response.status == 202:
            await self._try(self._keys.leave(key))
        else:
            await self._try(self._keys.finish(key, response.status, _document_of(response)))
        return response

    async def _try(self, keeping: Awaitable[Any]) -> None:
        try:
            with trio.move_on_after(KEEP_ANSWER_S, shield=True):
                await keeping
        except (ServiceUnavailable, OutcomeUnknown):
            # A retry finds the order.
            pass

    async def _known(self, asking: Awaitable[Order]) -> Order:
        try:
            return await asking
        except NoOrder as error:
            raise HttpProblem(404, str(error)) from None


_SAID: Final[TypeAdapter[ReportBody | ReportsBody]] = TypeAdapter(ReportBody | ReportsBody)


def _report(said: ReportBody) -> Report:
    sums = said.amount, said.authorised, said.captured, said.refunded
    return Report(said.id, said.type, said.payment_id, str(said.order_id), *sums)


def _not_taken(error: Exception) -> tuple[int, dict[str, Any]]:
    if isinstance(error, NoOrder):
        return 404, {"reason": str(error)}
    if isinstance(error, (ServiceUnavailable, OutcomeUnknown)):
        return 503, {"reason": str(error)}
    raise error


def _id_of(request: Request) -> str:
    try:
        return str(uuid.UUID(request.params["order_id"]))
    except ValueError:
        raise HttpProblem(404, "there is no such order") from None


def _made(order: Order) -> Response:
    document = order_document(order)
    return json_response(document, 201, {"Location": document["url"]})


def _paid(order: Order) -> Response:
    """What a buyer hears who paid."""
    document = order_document(order)
    was_confirmed = any(step["state"] == "confirmed" for step in document["steps"])
    if was_confirmed:
        return json_response(document)
    if order.state in ("voiding", "voided", "refunding", "refunded"):
        text = "somebody else has a seat of these now; the money goes back"
        return problem_response(HttpProblem(409, text, type="seats-gone", title="Seats gone", order=document))
    if order.state == "declined":
        return problem_response(HttpProblem(402, order.reason, type="payment-declined", order=document))
    if order.state in ("expired", "cancelled"):
        text = f"the order is {order.state}"
        return problem_response(HttpProblem(409, text, type=order.state, title="Too late", order=document))
    return json_response(document, 202, {"Location": document["url"], "Retry-After": "1"})


def _document_of(response: Response) -> dict[str, Any]:
    document: dict[str, Any] = from_json(response.body)
    return document


def _answer(status: int, document: dict[str, Any]) -> Response:
    """A kept answer, given again."""
    if status < 400:
        return json_response(document, status, {"Location": document["url"]})
    body = json_response(document).body
    return Response(status, body, [(b"content-type", b"application/problem+json"), (b"cache-control", b"no-store")])
