"""Faults over HTTP: what can be broken, and a stampede with one of them in it."""

from typing import Final

from host.api import Operation, PluginContext, Request, Response, Router, json_response
from plugins.frontrow.chaos.faults import FAULTS, HOST_KILL
from plugins.frontrow.chaos.trials import Chaos
from plugins.frontrow.models import ChaosAnswer, ChaosRequest

CHAOS: Final = "/api/frontrow/chaos"

OPERATIONS: Final = (
    Operation("GET", CHAOS, "What can be broken", responses={200: "Faults"}),
    Operation(
        "POST",
        CHAOS,
        "Run a stampede and break something in the middle of it (administrators, where the site is not on loopback)",
        request=ChaosRequest,
        responses={
            200: ChaosAnswer,
            404: "No such fault",
            409: "The servers are not this host's own to break",
            422: "Not a stampede that this host runs",
            429: "Another fault, or too many stampedes, are under way",
            503: "The database is away",
        },
        admin=True,
    ),
)


class ChaosRoutes:
    """The handlers."""

    def __init__(self, ctx: PluginContext, chaos: Chaos) -> None:
        self._ctx = ctx
        self._chaos = chaos

    def add_to(self, router: Router) -> None:
        """Add all of them to a router."""
        router.add("GET", CHAOS, self.faults)
        router.add("POST", CHAOS, self.strike)

    async def faults(self, request: Request) -> Response:
        known = [{"name": each.name, "title": each.title, "sentence": each.sentence} for each in FAULTS.values()]
        sentence = "A second host sells on the same servers, and is killed half-way."
        return json_response({"faults": [*known, {"name": HOST_KILL, "title": "Kill a host", "sentence": sentence}]})

    async def strike(self, request: Request) -> Response:
        self._ctx.require_admin(request.scope)
        wish = await request.json(ChaosRequest)
        return json_response(await self._chaos.strike(wish.fault, wish.buyers, wish.seats, wish.seed))
