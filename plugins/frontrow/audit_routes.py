"""The invariants of the house over HTTP: the newest counts, earlier ones, and a count now."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from host.api import Operation, Request, Response, Router, json_response
from plugins.frontrow.audit import Auditor

INVARIANTS: Final = "/api/frontrow/invariants"
_LIMIT: Final = {"type": "integer", "minimum": 1, "maximum": 100, "default": 10}
_AWAY: Final = "The database is away"

OPERATIONS: Final = (
    Operation(
        "GET",
        INVARIANTS,
        "What the invariants of the house were found to be, the newest first",
        parameters=({"name": "limit", "in": "query", "schema": _LIMIT},),
        responses={200: "Audits", 422: "Not a number of audits", 503: _AWAY},
    ),
    Operation("POST", INVARIANTS, "Count the invariants now", responses={200: "The audit", 503: _AWAY}),
)


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(10, ge=1, le=100)


class AuditRoutes:
    """The handlers."""

    def __init__(self, auditor: Auditor) -> None:
        self._auditor = auditor

    def add_to(self, router: Router) -> None:
        """Add all of them to a router."""
        router.add("GET", INVARIANTS, self.latest)
        router.add("POST", INVARIANTS, self.check)

    async def latest(self, request: Request) -> Response:
        audits: list[dict[str, Any]] = await self._auditor.latest(request.query_as(_Query).limit)
        return json_response({"audits": audits}, 200, {"cache-control": "no-store"})

    async def check(self, request: Request) -> Response:
        return json_response(await self._auditor.check("request"))
