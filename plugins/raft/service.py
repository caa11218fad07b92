"""The plugin put together: what its routes, tasks, health check and card share during one run."""

import time
from collections.abc import Sequence
from typing import Any, Final

import trio

from host.api import Figure, PluginContext, Router
from plugins.raft.kv_routes import KvRoutes
from plugins.raft.lab.archive import Archive
from plugins.raft.lab.clients import LabStore
from plugins.raft.lab.cluster import Cluster
from plugins.raft.lab.narrate import Told
from plugins.raft.lab.operate import Bucket, Operator
from plugins.raft.lab.routes import API, LabRoutes
from plugins.raft.lab.rule_routes import RuleRoutes
from plugins.raft.lab.topologies import Player
from plugins.raft.settings import Settings

KEEP_INTERVAL_S: Final = 1.0


class RaftLab:
    """One run of the plugin. `serve` makes it ready."""

    def __init__(self, ctx: PluginContext) -> None:
        self.ctx = ctx
        self.settings: Settings = ctx.config
        settings = self.settings
        self.cluster = Cluster(settings, ctx.data_dir / "lab", ctx.threads)
        self.store = LabStore(self.cluster, settings.request_timeout)
        self.operator = Operator(self.cluster, self.store, settings.request_timeout)
        self.player = Player(self.cluster, self.operator)
        archive = Archive(ctx.data_dir / "recordings", settings.recordings_kept)
        bucket = Bucket(settings.actions_per_s, settings.actions_burst)
        self.routes = LabRoutes(ctx, self.cluster, self.operator, self.store, self.player, archive, bucket)
        self.router = Router()
        self.routes.add_to(self.router)
        KvRoutes(self.store, f"{API}/kv", self.routes.admit).add_to(self.router)
        RuleRoutes(f"{API}/rules", bucket.take, self.routes.computing).add_to(self.router)

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the lab until cancelled."""
        async with trio.open_nursery() as nursery:
            self.routes.nursery = nursery
            await nursery.start(self.cluster.run)
            nursery.start_soon(self.store.run_probe, self.settings.probe_interval)
            nursery.start_soon(self._keep)
            task_status.started()

    async def figures(self) -> Sequence[Figure]:
        """The live cluster in five numbers."""
        await trio.lowlevel.checkpoint()
        now = time.time()
        cluster = self.cluster.cluster()
        leader = f"n{cluster['leader']}" if cluster["leader"] else "nobody"
        return [
            Figure("leader", leader, "", now),
            Figure("term", cluster["term"], "", now),
            Figure("commit index", cluster["commit"], "", now),
            Figure("elections survived", cluster["survived"], "", now),
            Figure("fail-over, median", cluster["failover_p50_ms"], "ms", now),
        ]

    async def check_promises(self) -> None:
        """No promise of Raft was seen broken. A lab without a leader is not ill: somebody may be breaking it."""
        await trio.lowlevel.checkpoint()
        checks = self.cluster.checks()
        if checks["verdict"] == "broke":
            found: dict[str, str | None] = {**self.cluster.watch.found}
            found = found or {"Linearizability": self.cluster.history.found}
            raise RuntimeError("; ".join(f"{name} is broken: {detail}" for name, detail in found.items()))

    async def _keep(self) -> None:
        """Once a second: heal a lab that nobody touches, and export the metrics."""
        exported: dict[str, int] = {}
        while True:
            await self._heal_if_idle()
            self._export(exported)
            await trio.sleep(KEEP_INTERVAL_S)

    async def _heal_if_idle(self) -> None:
        cluster, operator = self.cluster, self.operator
        if not operator.is_broken:
            cluster.heals_at_us = None
            return
        heals_in_s = operator.last_touch_s + self.settings.idle_heal - trio.current_time()
        cluster.heals_at_us = cluster.now_us() + round(heals_in_s * 1_000_000)
        if heals_in_s <= 0:
            await operator.restore()
            cluster.heals_at_us = None
            cluster.say(Told("heal", 0, 0, "nobody touched the lab for a while: it healed"))

    def _export(self, exported: dict[str, int]) -> None:
        cluster, metrics = self.cluster, self.ctx.metrics
        totals: dict[str, int] = {
            "elections_total": cluster.elections,
            "steps_total": cluster.recorder.steps,
            "acknowledged_total": cluster.history.acknowledged,
            "lost_total": cluster.history.lost,
            "violations_total": len(cluster.watch.found),
            "frames_total": cluster.feed.frames_sent,
            "leaderless_milliseconds_total": cluster.leaderless_total_us // 1000,
        }
        for name, now in totals.items():
            metrics[name].inc(max(0, now - exported.get(name, 0)))
            exported[name] = now
        gauges: dict[str, Any] = {
            "term": max((seat.core.term for seat in cluster.seats.values() if seat.core is not None), default=0),
            "commit_index": cluster.watch.newest_commit,
            "led": int(cluster.leader != 0),
            "viewers": cluster.feed.viewers,
        }
        for name, value in gauges.items():
            metrics[name].set(value)
