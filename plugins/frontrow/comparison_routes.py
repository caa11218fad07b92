"""Comparisons of strategies over HTTP: start one, follow it as each strategy ends, read earlier ones."""

import secrets
from typing import Any, Final

import trio
from pydantic import BaseModel, ConfigDict, Field

from host.api import EventStream, HttpProblem, Operation, Request, Response, Router, ServiceUnavailable, json_response
from plugins.frontrow.core.arrivals import SEED_MAX
from plugins.frontrow.models import ComparisonAnswer, ComparisonRequest
from plugins.frontrow.strategies.comparison import Comparisons, LiveComparison, Terms

COMPARISONS: Final = "/api/frontrow/comparisons"
_AWAY: Final = "The database is away"
_NONE: Final = "No such comparison, or it is older than those that are kept"
_LIMIT: Final = {"type": "integer", "minimum": 1, "maximum": 50, "default": 5}

OPERATIONS: Final = (
    Operation(
        "POST",
        COMPARISONS,
        "Try every strategy on one trace; answers at once, and the events tell the rest",
        request=ComparisonRequest,
        responses={
            202: ComparisonAnswer,
            422: "Not a comparison that this host runs",
            429: "Another comparison is under way",
            503: _AWAY,
        },
    ),
    Operation(
        "GET",
        COMPARISONS,
        "Earlier comparisons, the newest first",
        parameters=({"name": "limit", "in": "query", "schema": _LIMIT},),
        responses={200: "Comparisons", 422: "Not a number of comparisons", 503: _AWAY},
    ),
    Operation(
        "GET",
        f"{COMPARISONS}/{{comparison_id}}",
        "A comparison",
        responses={200: ComparisonAnswer, 404: _NONE, 503: _AWAY},
    ),
    Operation(
        "GET",
        f"{COMPARISONS}/{{comparison_id}}/events",
        "A comparison as it goes: an event “comparison” after each strategy, the last when it is over",
        responses={200: "text/event-stream", 404: _NONE, 503: _AWAY},
    ),
)


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(5, ge=1, le=50)


def terms_of(wish: ComparisonRequest) -> Terms:
    """The terms of a comparison; its seed is drawn by lot when none is asked for."""
    seed = secrets.randbelow(SEED_MAX + 1) if wish.seed is None else wish.seed
    return Terms(seed, wish.buyers, wish.seats, wish.party, wish.payment_ms, wish.spread_ms)


class ComparisonRoutes:
    """The handlers."""

    def __init__(self, comparisons: Comparisons, draining: trio.Event) -> None:
        self._comparisons = comparisons
        self._draining = draining

    def add_to(self, router: Router) -> None:
        """Add all of them to a router."""
        router.add("POST", COMPARISONS, self.compare)
        router.add("GET", COMPARISONS, self.latest)
        router.add("GET", COMPARISONS + "/{comparison_id}", self.comparison)
        router.add("GET", COMPARISONS + "/{comparison_id}/events", self.events)

    async def compare(self, request: Request) -> Response:
        live = await self._comparisons.start(terms_of(await request.json(ComparisonRequest)))
        return json_response(live.document, 202, {"Location": f"{COMPARISONS}/{live.document['comparison_id']}"})

    async def latest(self, request: Request) -> Response:
        return json_response({"comparisons": await self._comparisons.latest(request.query_as(_Query).limit)})

    async def comparison(self, request: Request) -> Response:
        return json_response(await self._find(request.params["comparison_id"]))

    async def events(self, request: Request) -> None:
        document = await self._find(request.params["comparison_id"])
        live = self._comparisons.live
        async with EventStream(request.scope, request.receive, request.send, self._draining) as stream:
            if live is not None and live.document is document:
                await _follow(live, stream)
            await stream.send(document, event="comparison")

    async def _find(self, comparison_id: str) -> dict[str, Any]:
        document = await self._comparisons.find(comparison_id)
        if document is None:
            raise HttpProblem(404, f"there is no comparison {comparison_id[:40]!r}, or it is older than those kept")
        return document

    async def newest(self) -> dict[str, Any] | None:
        """What the page shows before its script runs; None when there is none, or no database."""
        try:
            found = await self._comparisons.latest(1)
        except ServiceUnavailable:
            return None
        return found[0] if found else None


async def _follow(live: LiveComparison, stream: EventStream) -> None:
    """Report after each strategy until it is over."""
    while not live.is_over:
        changed = live.changed
        await stream.send(live.document, event="comparison")
        await changed.wait()
