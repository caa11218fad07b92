"""The rules of Raft over HTTP, and the search for what breaks without one: in the simulation, never in the lab.

A search is asked for in bouts, each bounded in time: whoever asks sees how it goes on, and may stop.
"""

import time
from collections.abc import Callable
from typing import Any, Final

import trio
from pydantic import BaseModel, ConfigDict, Field

from host.api import HttpProblem, Operation, Request, Response, Router, json_response
from plugins.raft.sim.link import SEED_MAX, encode_link
from plugins.raft.sim.rules import RULES, Rule, rule_named
from plugins.raft.sim.soak import soak

BOUT_S: Final = 1.0
"""A bout begins no further run after so long; one takes a few hundred milliseconds at most."""
RUNS_MAX: Final = 100


class SearchRequest(BaseModel):
    """From which seed on to look."""

    model_config = ConfigDict(extra="forbid", strict=True)

    first: int = Field(0, ge=0, le=SEED_MAX - RUNS_MAX)


class SearchResult(BaseModel):
    """What a bout came to: the seed that broke a promise, or the next one to try."""

    rule: str
    found: bool
    tried: int
    next: int
    seed: int | None
    violation: str | None
    detail: str | None
    link: str | None
    ms: float


def operations(prefix: str) -> tuple[Operation, ...]:
    """The descriptions for the API document."""
    return (
        Operation("GET", prefix, "The rules that can be left out", responses={200: "Rules"}),
        Operation(
            "POST",
            f"{prefix}/{{name}}/search",
            "Run nodes without a rule through the simulation, seed after seed, until a promise breaks",
            request=SearchRequest,
            responses={
                200: SearchResult,
                404: "No such rule",
                422: "Not a seed",
                429: "The lab is shared, and too much is asked of it (Retry-After)",
            },
        ),
    )


class RuleRoutes:
    """The handlers. `take` is called before each bout, and raises HttpProblem 429 when there were too many."""

    def __init__(self, prefix: str, take: Callable[[], None], limiter: trio.CapacityLimiter) -> None:
        self._prefix = prefix
        self._take = take
        self._limiter = limiter

    def add_to(self, router: Router) -> None:
        """Add all of them to a router."""
        router.add("GET", self._prefix, self.rules)
        router.add("POST", f"{self._prefix}/{{name}}/search", self.search)

    async def rules(self, request: Request) -> Response:
        return json_response([_document(rule) for rule in RULES])

    async def search(self, request: Request) -> Response:
        try:
            rule = rule_named(request.params["name"])
        except ValueError as error:
            raise HttpProblem(404, str(error)) from None
        self._take()
        wish = await request.json(SearchRequest)
        return json_response(await trio.to_thread.run_sync(bout, rule, wish.first, limiter=self._limiter))


def bout(rule: Rule, first: int) -> dict[str, Any]:
    """Try seeds from `first` on until one breaks a promise, or the bout's time or runs are over. Computes, and blocks.

    The specification is left out: it objects to what a node does, not to what comes of it.
    """
    began = time.monotonic()
    document: dict[str, Any] = {"rule": rule.name, "found": False, "tried": 0, "next": first}
    document |= dict.fromkeys(("seed", "violation", "detail", "link"))
    for plan, outcome in soak(first, RUNS_MAX, rule.name, spec=False):
        document["tried"] += 1
        document["next"] = plan.seed + 1
        if outcome.violation:
            document |= {"found": True, "seed": plan.seed, "link": encode_link(plan)}
            document |= {"violation": outcome.violation, "detail": outcome.detail}
            break
        if time.monotonic() - began > BOUT_S:
            break
    return document | {"ms": round((time.monotonic() - began) * 1000, 1)}


def _document(rule: Rule) -> dict[str, str | None]:
    return {
        "name": rule.name,
        "without": rule.without.__doc__,
        "source": rule.source,
        "bug": rule.bug,
        "url": rule.url or None,
    }
