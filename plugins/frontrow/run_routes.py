"""Stampedes over HTTP: start one, follow it, and read it again at its permanent address."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import trio

from host.api import (
    EventStream,
    HttpProblem,
    Operation,
    Request,
    Response,
    Router,
    ServiceUnavailable,
    json_response,
)
from plugins.frontrow import check_run
from plugins.frontrow.models import RunResult, RunsQuery, RunStarted, StampedeRequest
from plugins.frontrow.run_store import RunStore
from plugins.frontrow.runs import LiveRun, RunService, document_of

STAMPEDE: Final = "/api/frontrow/stampede"
RUNS: Final = "/api/frontrow/runs"
CHECKER: Final = "/api/frontrow/check_run.py"
PAGE_RUNS: Final = 20
"""Earlier runs on the page."""

_CHECKER_SOURCE: Final = Path(check_run.__file__).read_bytes()
_AWAY: Final = "The database is away"
_NO_RUN: Final = "No such run, or it is older than those that are kept"
_PREFER: Final = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "description": "“respond-async” answers at once, before the run is over (RFC 7240).",
    "schema": {"type": "string"},
}
_PAGING: Final = (
    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}},
    {"name": "before", "in": "query", "description": "The id of a run: only older ones", "schema": {"type": "string"}},
)

OPERATIONS: Final = (
    Operation(
        "POST",
        STAMPEDE,
        "Run a stampede",
        request=StampedeRequest,
        parameters=(_PREFER,),
        responses={
            200: RunResult,
            202: RunStarted,
            422: "Not a stampede that this host runs",
            429: "Other stampedes are under way",
            503: _AWAY,
        },
    ),
    Operation(
        "GET",
        RUNS,
        "Earlier runs, the newest first",
        parameters=_PAGING,
        responses={200: "Runs", 422: "Not a page of runs", 503: _AWAY},
    ),
    Operation("GET", f"{RUNS}/{{run_id}}", "A run", responses={200: RunResult, 404: _NO_RUN, 503: _AWAY}),
    Operation(
        "GET",
        f"{RUNS}/{{run_id}}/events",
        "A run as it happens: events “progress”, then “result”",
        responses={200: "text/event-stream", 404: _NO_RUN, 503: _AWAY},
    ),
    Operation(
        "GET",
        f"{RUNS}/{{run_id}}/history",
        "What each buyer asked and heard: JSON lines, gzip",
        responses={200: "application/gzip", 404: _NO_RUN, 503: _AWAY},
    ),
    Operation("GET", CHECKER, "The program that recomputes a verdict from a history", responses={200: "text/x-python"}),
)


class RunRoutes:
    """The handlers; hold no state of their own."""

    def __init__(self, runs: RunService, store: RunStore, draining: trio.Event, progress_interval_s: float) -> None:
        self._runs = runs
        self._store = store
        self._draining = draining
        self._progress_interval_s = progress_interval_s

    def add_to(self, router: Router) -> None:
        """Add all of them to a router."""
        router.add("POST", STAMPEDE, self.stampede)
        router.add("GET", RUNS, self.latest)
        router.add("GET", RUNS + "/{run_id}", self.run)
        router.add("GET", RUNS + "/{run_id}/events", self.events)
        router.add("GET", RUNS + "/{run_id}/history", self.history)
        router.add("GET", CHECKER, self.checker)

    async def stampede(self, request: Request) -> Response:
        wish = await request.json(StampedeRequest)
        live = await self._runs.start(wish.buyers, wish.seats, wish.seed)
        url = f"{RUNS}/{live.run_id}"
        if _prefers_async(request.headers.get("prefer", "")):
            started = {key: live.head[key] for key in ("run_id", "url", "api_url")} | {"events_url": f"{url}/events"}
            return json_response(started, 202, {"Location": url, "Preference-Applied": "respond-async"})
        return json_response(await _result_of(live), 200, {"Content-Location": url})

    async def latest(self, request: Request) -> Response:
        query = request.query_as(RunsQuery)
        runs = await summaries(self._store, query.limit, query.before)
        following = f"{RUNS}?limit={query.limit}&before={runs[-1]['run_id']}" if len(runs) == query.limit else None
        return json_response({"runs": runs, "next": following})

    async def run(self, request: Request) -> Response:
        return json_response(await self._find(request.params["run_id"]))

    async def history(self, request: Request) -> Response:
        run_id = request.params["run_id"]
        data = await self._runs.history(run_id)
        if data is None:
            raise HttpProblem(404, f"there is no history of run {run_id[:40]!r}")
        name = f'attachment; filename="frontrow-{run_id}.jsonl.gz"'
        headers = [(b"content-type", b"application/gzip"), (b"content-disposition", name.encode())]
        return Response(200, data, headers)

    async def checker(self, request: Request) -> Response:
        headers = [
            (b"content-type", b"text/x-python; charset=utf-8"),
            (b"content-disposition", b'attachment; filename="check_run.py"'),
        ]
        return Response(200, _CHECKER_SOURCE, headers)

    async def events(self, request: Request) -> None:
        run_id = request.params["run_id"]
        live = self._runs.live(run_id)
        document = None if live is not None else await self._find(run_id)
        async with EventStream(request.scope, request.receive, request.send, self._draining) as stream:
            if live is not None:
                document = await self._follow(live, stream)
            await stream.send(document, event="result")

    async def _follow(self, live: LiveRun, stream: EventStream) -> dict[str, Any]:
        """Report until there is a result. A slow client gets fewer reports, never older ones."""
        while not live.finished.is_set():
            await stream.send(live.progress(), event="progress")
            with trio.move_on_after(self._progress_interval_s):
                await live.finished.wait()
        return await _result_of(live)

    async def _find(self, run_id: str) -> dict[str, Any]:
        document = await self._runs.find(run_id)
        if document is None:
            raise HttpProblem(404, f"there is no run {run_id[:40]!r}, or it is older than those that are kept")
        return document

    async def page_of_runs(self, params: Mapping[str, str]) -> dict[str, Any]:
        """What the page /frontrow shows before its script runs. Without a database it shows no runs."""
        try:
            return {"runs": await summaries(self._store, PAGE_RUNS, None)}
        except ServiceUnavailable:
            return {"runs": []}

    async def page_of_run(self, params: Mapping[str, str]) -> dict[str, Any]:
        """What the page of one run shows."""
        return {"run": await self._find(params["run_id"])}


async def summaries(store: RunStore, limit: int, before: str | None) -> list[dict[str, Any]]:
    """Runs without what only their own page shows."""
    documents = [document_of(stored) for stored in await store.latest(limit, before)]
    return [{key: value for key, value in each.items() if key not in ("timeline", "invariants")} for each in documents]


async def _result_of(live: LiveRun) -> dict[str, Any]:
    await live.finished.wait()
    if live.document is None:
        raise ServiceUnavailable(f"the plugin stopped during run {live.run_id}; its page will say what became of it")
    return live.document


def _prefers_async(prefer: str) -> bool:
    """Whether a Prefer header asks for `respond-async` (RFC 7240 §4.1)."""
    preferences = (part.split(";")[0].split("=")[0].strip().lower() for part in prefer.split(","))
    return "respond-async" in preferences
