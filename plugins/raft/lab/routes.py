"""The lab over HTTP, under /api/raft."""

from collections.abc import Mapping
from typing import Any, Final

import trio
from pydantic import BaseModel, ConfigDict, Field

from host.api import EventStream, HttpProblem, Operation, PluginContext, Request, Response, Router, json_response
from plugins.raft.lab import actions
from plugins.raft.lab.archive import FILE_BYTES_MAX, Archive, parsed
from plugins.raft.lab.branch import Impossible, branch_of
from plugins.raft.lab.branch_request import BranchRequest
from plugins.raft.lab.clients import LabStore
from plugins.raft.lab.cluster import Cluster
from plugins.raft.lab.failover import prove_failover
from plugins.raft.lab.frozen import NotFrozen
from plugins.raft.lab.operate import Bucket, Operator
from plugins.raft.lab.recording import Recording
from plugins.raft.lab.replay_scene import replay_document, state_at, steps_between
from plugins.raft.lab.topologies import TOPOLOGIES, Player

API: Final = "/api/raft"
FAILOVER: Final = f"{API}/failover"
REPLAYS: Final = f"{API}/replays"
STEPS_MAX: Final = 500
"""Steps in one answer."""
BRANCH_COST: Final = 5
"""Actions that a branch counts as: it computes for a good part of a second."""


class RecordRequest(BaseModel):
    """How much of the past to keep."""

    model_config = ConfigDict(extra="forbid", strict=True)

    seconds: float = Field(30, gt=0, le=300)


class FailoverResult(BaseModel):
    """What came of killing the leader."""

    verdict: str
    failover_ms: float
    old_leader: int
    new_leader: int
    term: int | None
    acknowledged: int
    lost: int
    elapsed_ms: float


class _StepsQuery(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    first: int = Field(0, ge=0, alias="from")
    limit: int = Field(100, ge=1, le=STEPS_MAX)


class _StateQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    step: int = Field(0, ge=0)


_BUSY: Final = "The lab is shared, and too much is asked of it (Retry-After)"
_NO_RECORDING: Final = "No such recording, or it is older than those that are kept"
_BAD_RECORDING: Final = "Not a recording of this version of the lab"
_DOWN: Final = "Nobody leads a majority now (Retry-After), or the outcome is unknown (type “unknown”)"

OPERATIONS: Final = (
    Operation("GET", f"{API}/state", "The lab as it is now", responses={200: "The state document"}),
    Operation(
        "GET",
        f"{API}/events",
        "The lab as it goes on: event “state”, then “delta”; resumes by Last-Event-ID",
        responses={200: "text/event-stream"},
    ),
    Operation(
        "POST",
        f"{API}/actions",
        "Break the lab, mend it, or use it",
        request=actions.Wish,
        responses={
            200: actions.ActionResult,
            409: "It cannot be done now; `detail` says why",
            422: "Not an action, or no such node",
            429: _BUSY,
            503: _DOWN,
        },
        admin=True,
    ),
    Operation("GET", f"{API}/topologies", "Faults with a name", responses={200: "Topologies"}),
    Operation(
        "POST",
        f"{API}/recordings",
        "Keep the last seconds as a recording, replay it, and compare",
        request=RecordRequest,
        responses={
            201: "The recording",
            422: "Not so long",
            429: _BUSY,
        },
    ),
    Operation("GET", f"{API}/recordings", "The recordings, the newest first", responses={200: "Recordings"}),
    Operation(
        "GET",
        f"{API}/recordings/{{id}}",
        "A recording replayed, in frames",
        responses={200: "The replay", 404: _NO_RECORDING, 422: _BAD_RECORDING},
    ),
    Operation(
        "GET",
        f"{API}/recordings/{{id}}/steps",
        "Single steps of a recording, in words",
        parameters=(
            {"name": "from", "in": "query", "schema": {"type": "integer", "minimum": 0}},
            {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": STEPS_MAX}},
        ),
        responses={200: "Steps", 404: _NO_RECORDING, 422: "Not a place in it, or of another version"},
    ),
    Operation(
        "GET",
        f"{API}/recordings/{{id}}/state",
        "The state after a step of a recording",
        parameters=({"name": "step", "in": "query", "schema": {"type": "integer", "minimum": 0}},),
        responses={200: "The state document", 404: _NO_RECORDING, 422: "Not a place in it, or of another version"},
    ),
    Operation(
        "GET",
        f"{API}/recordings/{{id}}/file",
        "A recording as a file",
        responses={200: "application/octet-stream", 404: _NO_RECORDING},
    ),
    Operation(
        "POST",
        f"{API}/recordings/{{id}}/branch",
        "What would have come if: go on from a step with other faults, in a simulated network",
        request=BranchRequest,
        responses={
            201: "The branch, a recording of its own, replayed",
            404: _NO_RECORDING,
            422: "No such step or node, or not a branch",
            429: _BUSY,
        },
    ),
)
FAILOVER_OPERATION: Final = Operation(
    "POST",
    FAILOVER,
    "Kill the leader, wait for the next, and read what was written",
    responses={
        200: FailoverResult,
        409: "The leader is being killed by somebody else",
        429: _BUSY,
        503: _DOWN,
    },
    admin=True,
)
REPLAY_OPERATION: Final = Operation(
    "POST",
    REPLAYS,
    "Replay the file of a recording",
    responses={
        200: "The replay",
        415: "Not application/octet-stream",
        422: _BAD_RECORDING,
        429: _BUSY,
    },
)


class LabRoutes:
    """The handlers."""

    def __init__(
        self,
        ctx: PluginContext,
        cluster: Cluster,
        operator: Operator,
        store: LabStore,
        player: Player,
        archive: Archive,
        bucket: Bucket,
    ) -> None:
        self._ctx = ctx
        self._cluster = cluster
        self._operator = operator
        self._store = store
        self._player = player
        self._archive = archive
        self._bucket = bucket
        # Replays are hundreds of milliseconds of computing; more than one at a time would starve the loop.
        self.computing = trio.CapacityLimiter(1)
        self.nursery: trio.Nursery | None = None

    def add_to(self, router: Router) -> None:
        """Add all of them to a router."""
        router.add("GET", f"{API}/state", self.state)
        router.add("GET", f"{API}/events", self.events)
        router.add("POST", f"{API}/actions", self.act)
        router.add("GET", f"{API}/topologies", self.topologies)
        router.add("POST", FAILOVER, self.failover)
        router.add("POST", f"{API}/recordings", self.record)
        router.add("GET", f"{API}/recordings", self.recordings)
        router.add("GET", f"{API}/recordings/{{id}}", self.replay)
        router.add("GET", f"{API}/recordings/{{id}}/steps", self.steps)
        router.add("GET", f"{API}/recordings/{{id}}/state", self.state_of)
        router.add("GET", f"{API}/recordings/{{id}}/file", self.file)
        router.add("POST", f"{API}/recordings/{{id}}/branch", self.branch)
        router.add("POST", REPLAYS, self.replay_file)

    def admit(self, request: Request) -> None:
        """Let a request in that changes the lab. Raises HttpProblem 401, 403 or 429."""
        self._ctx.require_admin(request.scope)
        self._bucket.take()
        self._operator.touch()

    async def state(self, request: Request) -> Response:
        return json_response(self._cluster.document(), headers={"Cache-Control": "no-store"})

    async def events(self, request: Request) -> None:
        async with EventStream(request.scope, request.receive, request.send, self._ctx.draining) as stream:
            await self._cluster.feed.serve(stream)

    async def act(self, request: Request) -> Response:
        self.admit(request)
        wish = (await request.json(actions.Wish, 16 * 1024)).root
        if isinstance(wish, actions.PlayTopology):
            assert self.nursery is not None
            return json_response(await self._player.play(wish.name, self.nursery))
        return json_response(await self._operator.do(wish))

    async def topologies(self, request: Request) -> Response:
        fields = ("name", "title", "text", "question", "answers")
        return json_response([{name: getattr(topology, name) for name in fields} for topology in TOPOLOGIES])

    async def failover(self, request: Request) -> Response:
        self.admit(request)
        return json_response(await prove_failover(self._cluster, self._operator, self._store))

    async def record(self, request: Request) -> Response:
        self._bucket.take()
        wish = await request.json(RecordRequest)
        recording = self._cluster.recorder.export(self._cluster.now_us(), wish.seconds)
        found = await self._in_thread(self._archive.keep, recording)
        return json_response(found, 201, {"Location": f"{API}/recordings/{found['id']}"})

    async def recordings(self, request: Request) -> Response:
        return json_response(await self._in_thread(self._archive.latest))

    async def replay(self, request: Request) -> Response:
        name = request.params["id"]
        recording = await self._load(request)
        return json_response({"id": name, **await self._in_thread(replay_document, recording)})

    async def steps(self, request: Request) -> Response:
        query = request.query_as(_StepsQuery)
        recording = await self._load(request)
        return json_response(await self._in_thread(steps_between, recording, query.first, query.limit))

    async def state_of(self, request: Request) -> Response:
        query = request.query_as(_StateQuery)
        recording = await self._load(request)
        if query.step > len(recording.steps):
            raise HttpProblem(422, f"the recording has {len(recording.steps)} steps, not {query.step}")
        return json_response(await self._in_thread(state_at, recording, query.step))

    async def file(self, request: Request) -> Response:
        name = request.params["id"]
        data = await self._in_thread(self._archive.read, name)
        disposition = f'attachment; filename="raft-{name}.raft"'.encode()
        headers = [(b"content-type", b"application/octet-stream"), (b"content-disposition", disposition)]
        return Response(200, data, headers)

    async def branch(self, request: Request) -> Response:
        self._bucket.take(BRANCH_COST)
        wish = await request.json(BranchRequest, 16 * 1024)
        recording = await self._load(request)
        branch = await self._in_thread(branch_of, recording, wish)
        kept = await self._in_thread(self._archive.keep, branch)
        document = {**kept, **await self._in_thread(replay_document, branch)}
        document |= {"of": request.params["id"], "branched_at": wish.step}
        return json_response(document, 201, {"Location": f"{API}/recordings/{kept['id']}"})

    async def replay_file(self, request: Request) -> Response:
        self._bucket.take()
        data = await request.body(FILE_BYTES_MAX)
        recording = await self._in_thread(parsed, data)
        return json_response({"id": None, **await self._in_thread(replay_document, recording)})

    async def _load(self, request: Request) -> Recording:
        recording: Recording = await self._in_thread(self._archive.load, request.params["id"])
        return recording

    async def _in_thread(self, function: Any, *arguments: Any) -> Any:
        try:
            return await trio.to_thread.run_sync(function, *arguments, limiter=self.computing)
        except (NotFrozen, Impossible) as error:
            raise HttpProblem(422, str(error)) from None

    async def page(self, params: Mapping[str, str]) -> dict[str, Any]:
        """What the page shows before its script runs."""
        return {"raft": self._cluster.document(), "topologies": TOPOLOGIES}
