"""`/api/gateway`: what the dashboard shows, the controls that break the simulated providers, and the virtual keys."""

from collections.abc import Mapping
from typing import Any, Final

import trio

from host.api import EventStream, HttpProblem, Operation, PluginContext, Request, Response, Router, json_response
from plugins.gateway.keys import KeyDesk, NewKey
from plugins.gateway.proof import Proof, ProofRequest
from plugins.gateway.simulated.faults import Fault
from plugins.gateway.simulated.server import SimulatedProvider
from plugins.gateway.stats import Stats
from plugins.gateway.store import Store

BASE: Final = "/api/gateway"
EVENTS_INTERVAL_S: Final = 0.5
STEPS_PER_STATS: Final = 5
"""What happens to requests is told so many times as often: it is watched as it happens."""
_OFF: Final = "The simulated providers are off"
_NO_PROVIDER: Final = "No such simulated provider"

OPERATIONS: Final = (
    Operation("GET", f"{BASE}/stats", "Everything the dashboard shows", responses={200: "The figures of now"}),
    Operation(
        "GET",
        f"{BASE}/events",
        "The same as it changes: events “stats”, “requests” with what has finished since, “steps” of those under way",
        responses={200: "text/event-stream"},
    ),
    Operation(
        "POST",
        f"{BASE}/proof",
        "Kill a provider in the middle of traffic and count the errors that clients see",
        request=ProofRequest,
        responses={200: "The result, with its verdict", 409: _OFF, 429: "Another proof is under way"},
    ),
    Operation(
        "POST",
        f"{BASE}/simulated/{{name}}/fault",
        "Give a simulated provider a fault",
        request=Fault,
        responses={200: "The fault", 404: _NO_PROVIDER},
        admin=True,
    ),
    Operation("POST", f"{BASE}/heal", "Make all simulated providers healthy", responses={200: "Healed"}, admin=True),
    Operation("POST", f"{BASE}/cache/clear", "Forget all cached answers", responses={200: "How many"}, admin=True),
    Operation("GET", f"{BASE}/keys", "The virtual keys and what they have used", responses={200: "Keys"}, admin=True),
    Operation(
        "POST",
        f"{BASE}/keys",
        "Make a virtual key; its text is shown this once",
        request=NewKey,
        responses={201: "The key", 409: "There is one of that name"},
        admin=True,
    ),
    Operation(
        "DELETE",
        f"{BASE}/keys/{{name}}",
        "Withdraw a virtual key",
        responses={204: "Withdrawn", 404: "No such key"},
        admin=True,
    ),
    Operation("GET", f"{BASE}/usage", "Tokens and money by key and model", responses={200: "Usage"}, admin=True),
)


class AdminRoutes:
    """The handlers, over one run of the gateway."""

    def __init__(
        self,
        ctx: PluginContext,
        stats: Stats,
        store: Store,
        proof: Proof,
        keys: KeyDesk,
        simulated: dict[str, SimulatedProvider],
    ) -> None:
        self._ctx = ctx
        self._stats = stats
        self._store = store
        self._proof = proof
        self._keys = keys
        self._simulated = simulated
        self.router = Router()
        add = self.router.add
        add("GET", f"{BASE}/stats", self.stats)
        add("GET", f"{BASE}/events", self.events)
        add("POST", f"{BASE}/proof", self.prove)
        add("POST", f"{BASE}/simulated/{{name}}/fault", self.break_it)
        add("POST", f"{BASE}/heal", self.heal)
        add("POST", f"{BASE}/cache/clear", self.clear_cache)
        add("GET", f"{BASE}/keys", self.list_keys)
        add("POST", f"{BASE}/keys", self.make_key)
        add("DELETE", f"{BASE}/keys/{{name}}", self.withdraw_key)
        add("GET", f"{BASE}/usage", self.usage)

    async def stats(self, request: Request) -> Response:
        """The figures of now."""
        return json_response(self._stats.document(), headers={"Cache-Control": "no-store"})

    async def page(self, params: Mapping[str, str]) -> Mapping[str, Any]:
        """What the page shows before its script runs."""
        return {"gateway": self._stats.document()}

    async def events(self, request: Request) -> None:
        """The figures as they change. A slow reader gets fewer of them: nothing is queued."""
        telemetry = self._stats.telemetry
        seen = telemetry.sequence
        with telemetry.live.watch() as watcher:
            async with EventStream(request.scope, request.receive, request.send, self._ctx.draining) as stream:
                while True:
                    await stream.send(self._stats.document(with_latest=False), event="stats")
                    records, seen = self._stats.since(seen)
                    if records:
                        await stream.send(records, event="requests")
                    for _ in range(STEPS_PER_STATS):
                        steps, dropped = watcher.take()
                        if steps:
                            await stream.send({"steps": steps, "dropped": dropped}, event="steps")
                        await trio.sleep(EVENTS_INTERVAL_S / STEPS_PER_STATS)

    async def prove(self, request: Request) -> Response:
        """Run the proof."""
        return json_response(await self._proof.run(await request.json(ProofRequest)))

    async def break_it(self, request: Request) -> Response:
        """Give a simulated provider a fault."""
        self._ctx.require_admin(request.scope)
        provider = self._simulated.get(request.params["name"])
        if provider is None:
            raise HttpProblem(404, _NO_PROVIDER)
        fault = await request.json(Fault)
        if fault.kind == "none":
            provider.heal()
        else:
            provider.break_with(fault)
        self._ctx.log.info("a simulated provider was told to fail", provider=provider.name, fault=fault.kind)
        return json_response(fault)

    async def heal(self, request: Request) -> Response:
        """Make all simulated providers healthy."""
        self._ctx.require_admin(request.scope)
        for provider in self._simulated.values():
            provider.heal()
        return json_response({"healed": sorted(self._simulated)})

    async def clear_cache(self, request: Request) -> Response:
        """Forget what is cached in memory; a shared cache is left to its other hosts."""
        self._ctx.require_admin(request.scope)
        return json_response({"forgotten": self._store.memory.clear()})

    async def list_keys(self, request: Request) -> Response:
        """The keys, never their texts."""
        self._ctx.require_admin(request.scope)
        return json_response({"keys": self._keys.listed()}, headers={"Cache-Control": "no-store"})

    async def make_key(self, request: Request) -> Response:
        """Make a key."""
        self._ctx.require_admin(request.scope)
        text = await self._keys.make(wanted := await request.json(NewKey))
        return json_response({"name": wanted.name, "key": text}, 201, {"Cache-Control": "no-store"})

    async def withdraw_key(self, request: Request) -> Response:
        """Withdraw a key."""
        self._ctx.require_admin(request.scope)
        await self._keys.withdraw(request.params["name"])
        return Response(204)

    async def usage(self, request: Request) -> Response:
        """The ledger, summed up."""
        self._ctx.require_admin(request.scope)
        return json_response(await self._keys.usage(), headers={"Cache-Control": "no-store"})
