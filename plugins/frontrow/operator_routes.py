"""Operators over HTTP. All of it needs the admin token when the host is bound beyond loopback."""

import uuid
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from host.api import HttpProblem, Operation, PluginContext, Request, Response, Router, json_response
from plugins.frontrow import problems
from plugins.frontrow.checkout import order_document
from plugins.frontrow.house_routes import EVENTS, id_of
from plugins.frontrow.models import OrderAnswer, StrictBody
from plugins.frontrow.operators import SEATS_MAX, Operators
from plugins.frontrow.order_routes import ORDERS
from plugins.frontrow.order_store import NoOrder

SALE: Final = f"{EVENTS}/{{event_id}}/sale"
BLOCKS: Final = f"{EVENTS}/{{event_id}}/blocks"
REFUND: Final = f"{ORDERS}/{{order_id}}/refund"
EXPORT: Final = "/api/frontrow/orders.csv"
OPERATIONS_LOG: Final = "/api/frontrow/operations"

_AWAY: Final = "The database is away"
Actor = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[\x21-\x7e]+$")]


class _Strict(StrictBody):
    actor: Actor = "operator"


class SaleRequest(_Strict):
    """Whether new holds are given."""

    state: Literal["draft", "open", "paused", "closed"]


class BlocksRequest(_Strict):
    """Seats to keep back, or to give free."""

    seats: list[Annotated[int, Field(ge=1, le=2**63 - 1)]] = Field(min_length=1, max_length=SEATS_MAX)
    blocked: bool


class RefundRequest(_Strict):
    """Why the money goes back."""

    reason: str = Field("by the house", min_length=1, max_length=200)


class TrailQuery(BaseModel):
    """Which lines of the trail."""

    model_config = ConfigDict(extra="forbid")

    event_id: int | None = Field(None, ge=1, le=2**63 - 1)
    before: int | None = Field(None, ge=1, le=2**63 - 1)
    limit: int = Field(50, ge=1, le=500)


class ExportQuery(BaseModel):
    """Of which event; all without."""

    model_config = ConfigDict(extra="forbid")

    event_id: int | None = Field(None, ge=1, le=2**63 - 1)


_EVENT_ID: Final = {"name": "event_id", "in": "query", "schema": {"type": "integer", "minimum": 1}}
OPERATIONS: Final = (
    Operation(
        "PUT",
        SALE,
        "Open, pause or close a sale",
        request=SaleRequest,
        responses={200: "The states before and now", 404: "No such event", 422: "Not a state", 503: _AWAY},
        admin=True,
    ),
    Operation(
        "POST",
        BLOCKS,
        "Keep seats back, or give them free; sold seats do not change",
        request=BlocksRequest,
        responses={200: "The seats that changed", 404: "No such event", 422: "Not seats", 503: _AWAY},
        admin=True,
    ),
    Operation(
        "POST",
        REFUND,
        "Give an order's money back, and its seats on sale",
        request=RefundRequest,
        responses={
            200: OrderAnswer,
            404: "No such order",
            409: "It is not confirmed",
            422: "Not a reason",
            503: _AWAY,
        },
        admin=True,
    ),
    Operation(
        "GET",
        EXPORT,
        "All orders as CSV",
        parameters=(_EVENT_ID,),
        responses={200: "text/csv", 422: "Not an event", 503: _AWAY},
        admin=True,
    ),
    Operation(
        "GET",
        OPERATIONS_LOG,
        "What operators did, the newest first",
        parameters=(
            _EVENT_ID,
            {"name": "before", "in": "query", "schema": {"type": "integer", "minimum": 1}},
            {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 500}},
        ),
        responses={200: "Operations", 422: "Not a page of operations", 503: _AWAY},
        admin=True,
    ),
)


class OperatorRoutes:
    """The handlers."""

    def __init__(self, ctx: PluginContext, operators: Operators) -> None:
        self._ctx = ctx
        self._operators = operators

    def add_to(self, router: Router) -> None:
        """Add all of them to a router."""
        router.add("PUT", SALE, self.set_sale)
        router.add("POST", BLOCKS, self.set_blocked)
        router.add("POST", REFUND, self.refund)
        router.add("GET", EXPORT, self.export)
        router.add("GET", OPERATIONS_LOG, self.trail)

    async def set_sale(self, request: Request) -> Response:
        self._ctx.require_admin(request.scope)
        wanted = await request.json(SaleRequest)
        event_id = id_of(request, "event_id")
        before = await self._operators.set_sale(event_id, wanted.state, wanted.actor)
        if before is None:
            raise problems.no_event(event_id)
        return json_response({"event_id": event_id, "before": before, "state": wanted.state})

    async def set_blocked(self, request: Request) -> Response:
        self._ctx.require_admin(request.scope)
        wanted = await request.json(BlocksRequest, 256 * 1024)
        event_id = id_of(request, "event_id")
        changed = await self._operators.set_blocked(event_id, wanted.seats, wanted.blocked, wanted.actor)
        return json_response({"event_id": event_id, "blocked": wanted.blocked, "seats": changed})

    async def refund(self, request: Request) -> Response:
        self._ctx.require_admin(request.scope)
        wanted = await request.json(RefundRequest)
        try:
            order_id = str(uuid.UUID(request.params["order_id"]))
            order, _ = await self._operators.refund(order_id, wanted.reason, wanted.actor)
        except (ValueError, NoOrder):
            raise HttpProblem(404, "there is no such order") from None
        if order.state not in ("refunding", "refunded"):
            raise HttpProblem(409, f"the order is {order.state}", type="not-confirmed", state=order.state)
        return json_response(order_document(order))

    async def export(self, request: Request) -> None:
        self._ctx.require_admin(request.scope)
        query = request.query_as(ExportQuery)
        headers = [
            (b"content-type", b"text/csv; charset=utf-8"),
            (b"content-disposition", b'attachment; filename="frontrow-orders.csv"'),
            (b"cache-control", b"no-store"),
        ]
        await request.send({"type": "http.response.start", "status": 200, "headers": headers})
        async for part in self._operators.export(query.event_id):
            await request.send({"type": "http.response.body", "body": part.encode(), "more_body": True})
        await request.send({"type": "http.response.body", "body": b""})

    async def trail(self, request: Request) -> Response:
        self._ctx.require_admin(request.scope)
        query = request.query_as(TrailQuery)
        found = await self._operators.trail(query.event_id, query.before, query.limit)
        return json_response({"operations": found}, 200, {"cache-control": "no-store"})
