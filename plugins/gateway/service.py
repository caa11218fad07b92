"""The gateway put together: what its routes, tasks and card share during one run of the plugin."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import trio

from host.api import Figure, PluginContext, PoolLimits, TrioTransport
from plugins.gateway.admin_routes import AdminRoutes
from plugins.gateway.admission import Admission
from plugins.gateway.core.dialects.table import Dialect
from plugins.gateway.endpoints import Api
from plugins.gateway.keys import KeyDesk
from plugins.gateway.limits import OwnLimits, SharedLimits
from plugins.gateway.pipeline import Pipeline, now_ms
from plugins.gateway.proof import Proof
from plugins.gateway.settings import Settings
from plugins.gateway.simulated.server import SimulatedProvider
from plugins.gateway.stats import Stats
from plugins.gateway.store import Store
from plugins.gateway.targets import Targets
from plugins.gateway.telemetry import Telemetry
from plugins.gateway.upstream import Upstreams

METRICS_INTERVAL_S: Final = 1.0
IDLE_MAX: Final = 256
"""Connections kept open for the next request."""
SIMULATED: Final[tuple[tuple[str, Dialect], ...]] = (
    ("simulated", "openai"),
    ("simulated-b", "anthropic"),
    ("simulated-c", "gemini"),
    # The proof breaks these, so that it never breaks what somebody else is looking at.
    ("proof-primary", "openai"),
    ("proof-backup", "anthropic"),
)
_STATES: Final = {"closed": 0, "half_open": 1, "open": 2}


class Gateway:
    """One run of the plugin. `serve` makes it ready; before that its routes answer 503 by the host."""

    def __init__(self, ctx: PluginContext) -> None:
        self.ctx = ctx
        settings: Settings = ctx.config
        self.settings = settings
        self.simulated = _simulated(settings)
        self.targets = Targets(settings, list(self.simulated.values()))
        self.telemetry = Telemetry(ctx.metrics, now_ms)
        self.admission = Admission(settings.virtual_keys, ctx.require_admin)
        redis = ctx.redis if settings.use_redis else None
        self.limits = OwnLimits() if redis is None else SharedLimits(redis, settings.limits)
        self.keys = KeyDesk(self.admission, self.limits, ctx.postgres if settings.use_postgres else None)
        self.telemetry.bill = self.keys.bill
        most = settings.upstream_connections_max
        self.transport = TrioTransport(
            limits=PoolLimits(connections_max=most, connections_per_origin_max=most, idle_max=min(most, IDLE_MAX))
        )
        self.upstreams = Upstreams(self.transport, settings.clocks)
        self.pipeline = Pipeline(settings, self.upstreams, self.telemetry)
        self.store = Store(settings.cache, redis, frozenset(self.simulated))
        self.api = Api(
            settings,
            self.targets,
            self.pipeline,
            self.store,
            self.admission,
            self.limits,
            self.telemetry,
            ctx.draining,
        )
        self.proof = Proof(self.api, self.simulated.get("proof-primary"))
        stats = Stats(self.telemetry, self.targets, self.store, self.pipeline, self.api, self.simulated)
        self.admin = AdminRoutes(ctx, stats, self.store, self.proof, self.keys, self.simulated)

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Start the simulated providers, then carry flights and keep the metrics until cancelled."""
        async with self._closed_at_end(), trio.open_nursery() as nursery:
            for provider in self.simulated.values():
                await nursery.start(provider.run)
            if self.settings.use_redis:
                nursery.start_soon(self.store.run)
            if isinstance(self.limits, SharedLimits):
                nursery.start_soon(self.limits.run)
            if self.settings.use_postgres:
                await nursery.start(self.keys.run)
            nursery.start_soon(self._keep_metrics)
            self.api.delivery.nursery = nursery
            task_status.started()

    async def figures(self) -> Sequence[Figure]:
        """Requests, hit rate and latency, in four numbers."""
        counts = self.telemetry.requests
        total = sum(counts.values())
        hits = sum(count for (_, cache, _), count in counts.items() if cache in ("hit", "coalesced"))
        percentiles = self.telemetry.percentiles_ms()
        at = time.time()
        return [
            Figure("requests", total, "", at),
            Figure("served from the cache", round(100 * hits / total, 1) if total else None, "%", at),
            Figure("hit, median", percentiles["hit"]["p50"], "ms", at),
            Figure("miss, 99th percentile", percentiles["miss"]["p99"], "ms", at),
        ]

    @asynccontextmanager
    async def _closed_at_end(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await self.transport.aclose()

    async def _keep_metrics(self) -> None:
        while True:
            self.transport.close_expired()
            memory = self.store.memory
            self.telemetry.totals["cache_evictions_total"] = memory.evicted_count
            self.telemetry.totals["retries_refused_total"] = self.pipeline.retry_budget.refused_count
            if isinstance(self.limits, SharedLimits):
                self.telemetry.totals["limits_unavailable_total"] = self.limits.unavailable_count
            worst: dict[str, int] = {}
            for target in self.targets.known():
                state = _STATES[target.breaker.state]
                worst[target.provider.name] = max(worst.get(target.provider.name, 0), state)
            gauges = {"cache_bytes": memory.bytes_used, "cache_entries": len(memory), "flights": self.api.flights}
            self.telemetry.publish(gauges, worst)
            await trio.sleep(METRICS_INTERVAL_S)


def _simulated(settings: Settings) -> dict[str, SimulatedProvider]:
    given = settings.simulated
    if given.enabled == "off":
        return {}
    return {
        name: SimulatedProvider(
            name,
            dialect,
            first_token_s=given.first_token,
            token_interval_s=given.token_interval,
            now_unix_s=time.time,
        )
        for name, dialect in SIMULATED
    }
