"""Liveboard put together: what its routes, tasks, health checks and card share during one run of the plugin."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import trio

from host.api import Figure, OutcomeUnknown, PluginContext, Router, ServiceUnavailable
from plugins.liveboard.faults import Faults
from plugins.liveboard.room_routes import RoomRoutes
from plugins.liveboard.rooms import Rooms
from plugins.liveboard.session import Entrance
from plugins.liveboard.settings import Settings
from plugins.liveboard.store import Store

COUNTS_INTERVAL_S: Final = 1.0
LAST_COUNTS_S: Final = 2.0
"""How long the last counts may take to be added when the plugin stops."""
EXPIRE_INTERVAL_S: Final = 3600.0
TOTALS: Final = {
    "saved": "saved",
    "relayed": "relayed",
    "checks_passed": "checks_passed",
    "checks_failed": "checks_failed",
}
"""Counts that are kept in the database across restarts, and their names there."""
DOWN: Final = (ServiceUnavailable, OutcomeUnknown)


class Liveboard:
    """One run of the plugin. `serve` makes it ready; before that its routes answer 503 by the host."""

    def __init__(self, ctx: PluginContext) -> None:
        self.ctx = ctx
        self.settings: Settings = ctx.config
        self.store = Store(ctx.postgres)
        self.rooms = Rooms(self.store, ctx.redis, self.settings, ctx.log)
        self.entrance = Entrance(self.rooms, ctx.threads, ctx.log)
        self.faults = Faults(self.settings)
        self.router = Router()
        self.totals: dict[str, int] = {}
        self._measured_at: float | None = None
        self._exported: Counter[str] = Counter()
        # Counted, and not in the database yet.
        self._fresh: Counter[str] = Counter()
        RoomRoutes(self.rooms, ctx.threads, self.figures_document).add_to(self.router)
        self.faults.add_to(self.router)
        self.router.websocket("/api/liveboard/rooms/{room}/socket")(self.entrance.serve)

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hold the rooms until cancelled; when the plugin drains, everybody is told to come back."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.rooms.run)
            nursery.start_soon(self._leave_when_draining)
            nursery.start_soon(self._keep_counts)
            nursery.start_soon(self._expire)
            nursery.start_soon(self.faults.run)
            task_status.started()

    async def figures(self) -> Sequence[Figure]:
        """What the boards of this installation have come to, restarts included."""
        totals = self.totals
        at = self._measured_at
        return [
            Figure("operations saved", totals.get("saved"), "", at),
            Figure("messages relayed", totals.get("relayed"), "", at),
            Figure("digests compared", totals.get("checks_passed"), "", at),
            Figure("digests that differed", totals.get("checks_failed"), "", at),
            Figure("people drawing now", self._clients(), "", at),
        ]

    def figures_document(self) -> dict[str, Any]:
        """The same for machines, with what this host has come to since its start."""
        return {
            "totals": self.totals,
            "here": dict(self.rooms.tally()),
            "rooms": len(self.rooms.open),
            "clients": self._clients(),
        }

    async def check_postgres(self) -> None:
        """The database answers, and no commit has been waiting for it."""
        await self.store.ping()

    async def check_redis(self) -> None:
        """Redis answers. Without it other hosts' operations come within `poll_interval`, and their presence not at
        all."""
        await self.ctx.redis.ping()

    def _clients(self) -> int:
        return sum(len(room.fanout.outlets) for room in self.rooms.open.values())

    async def _leave_when_draining(self) -> None:
        await self.ctx.draining.wait()
        self.rooms.leave()

    async def _keep_counts(self) -> None:
        """Export what the hot paths count, once a second, and add it to the totals in the database; once more at the
        end."""
        try:
            while True:
                await self._count()
                await trio.sleep(COUNTS_INTERVAL_S)
        finally:
            with trio.move_on_after(LAST_COUNTS_S, shield=True):
                await self._count()

    async def _count(self) -> None:
        tally, metrics = self.rooms.tally(), self.ctx.metrics
        for name, value in tally.items():
            metrics[f"{name}_total"].inc(value - self._exported[name])
            if name in TOTALS:
                self._fresh[TOTALS[name]] += value - self._exported[name]
        self._exported = tally
        metrics["hints_dropped"].set(self.rooms.hints_dropped)
        metrics["rooms"].set(len(self.rooms.open))
        metrics["clients"].set(self._clients())
        metrics["uncommitted"].set(sum(len(room.committer.waiting) for room in self.rooms.open.values()))
        adding, self._fresh = self._fresh, Counter()
        try:
            if any(adding.values()) or not self.totals:
                # Also the zeros, so that what never happened is said to be 0.
                self.totals = await self.store.add_totals(dict.fromkeys(TOTALS.values(), 0) | adding)
            self._measured_at = time.time()
        except ServiceUnavailable:
            self._fresh.update(adding)
        except OutcomeUnknown:
            # Added perhaps: a number to beat is rather too small than too large.
            pass

    async def _expire(self) -> None:
        while True:
            try:
                expired = await self.store.expire(self.settings.room_ttl, list(self.rooms.open))
                if expired:
                    self.ctx.log.info("rooms that nobody used were deleted", rooms=len(expired))
            except DOWN as error:
                self.ctx.log.warning("rooms were not looked through", error=str(error))
            await trio.sleep(EXPIRE_INTERVAL_S)
