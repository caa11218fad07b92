"""The gateway put together: what its routes, tasks and card share during one run, through all reloads of it."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import trio

from host.api import Figure, PluginContext, PoolLimits, Receive, Scope, Send, TrioTransport
from plugins.gateway.admin_routes import AdminRoutes
from plugins.gateway.admission import Admission
from plugins.gateway.core.dialects.table import Dialect
from plugins.gateway.generation import generation
from plugins.gateway.keys import KeyDesk
from plugins.gateway.lasting import Lasting
from plugins.gateway.limits import OwnLimits, SharedLimits
from plugins.gateway.pipeline import now_ms
from plugins.gateway.presence import Presence
from plugins.gateway.proof import Proof
from plugins.gateway.semantic import SemanticCache
from plugins.gateway.settings import Settings
from plugins.gateway.simulated.server import SimulatedProvider
from plugins.gateway.stats import Stats
from plugins.gateway.store import Store
from plugins.gateway.telemetry import Telemetry

if TYPE_CHECKING:
    from plugins.gateway.spans import Spans

METRICS_INTERVAL_S: Final = 1.0
IDLE_MAX: Final = 256
"""Connections kept open for the next request."""
SIMULATED: Final[tuple[tuple[str, Dialect], ...]] = (
    ("simulated", "openai"),
    ("simulated-b", "anthropic"),
    ("simulated-c", "gemini"),
    ("simulated-d", "bedrock"),
    # The proof breaks these, so that it never breaks what somebody else is looking at.
    ("proof-primary", "openai"),
    ("proof-backup", "anthropic"),
)
_FIXED: Final[tuple[Callable[[Settings], Any], ...]] = (
    lambda settings: (settings.use_postgres, settings.use_redis),
    lambda settings: (settings.upstream_connections_max, settings.body_bytes_max, settings.clocks.total),
    lambda settings: settings.simulated.enabled == "off",
    lambda settings: (settings.traces, settings.cache.semantic),
)
"""What a run is built on: services, the pool of connections, the limits of its mount, the servers that it starts, the
thread that sends its spans, the embedder."""
_STATES: Final = {"closed": 0, "half_open": 1, "open": 2}


class Gateway:
    """One run of the plugin. `serve` makes it ready; before that its routes answer 503 by the host."""

    def __init__(self, ctx: PluginContext) -> None:
        self.ctx = ctx
        settings: Settings = ctx.config
        self.simulated = _simulated(settings)
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
        self.store = Store(settings.cache, redis, frozenset(self.simulated))
        self._presence = Presence(ctx.draining)
        self._semantic = SemanticCache(settings.cache.semantic) if settings.cache.semantic.embedder else None
        self._lasting = Lasting(
            self.transport,
            tuple(self.simulated.values()),
            self.store,
            self.admission,
            self.limits,
            self.telemetry,
            self._presence,
            self._semantic,
            _spans(settings, self._dialect_of),
        )
        self.current = generation(settings, self._lasting)
        self._retries_refused_before = 0
        self.proof = Proof(self.serve_v1, self.simulated.get("proof-primary"))
        stats = Stats(self.telemetry, self.store, self.simulated, lambda: self.current)
        self.admin = AdminRoutes(ctx, stats, self.store, self.proof, self.keys, self.simulated)

    @property
    def settings(self) -> Settings:
        """The newest configuration."""
        return self.current.settings

    def serve_v1(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """The app of `/v1`: each request goes the ways of the configuration that it begins under."""
        return self.current.api(scope, receive, send)

    def reconfigure(self, settings: Settings) -> bool:
        """Take over a new configuration: new requests go by it, those under way end as they began.

        Returns False, with nothing changed, when it differs in what only a new run of the plugin can change.
        """
        if any(part(settings) != part(self.settings) for part in _FIXED):
            return False
        before = self.current
        for provider in self.simulated.values():
            provider.first_token_s = settings.simulated.first_token
            provider.token_interval_s = settings.simulated.token_interval
        self.admission.configure(settings.virtual_keys)
        self.limits.configure(settings.limits)
        self.store.configure(settings.cache)
        self._retries_refused_before += before.pipeline.retry_budget.refused_count
        self.current = generation(settings, self._lasting, before)
        return True

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
            nursery.start_soon(self._presence.run)
            nursery.start_soon(self.transport.run_watch)
            nursery.start_soon(self._keep_metrics)
            self.current.api.delivery.nursery = nursery
            task_status.started()

    async def figures(self) -> Sequence[Figure]:
        """Requests, hit rate and latency, in four numbers."""
        counts = self.telemetry.requests
        total = sum(counts.values())
        hits = sum(count for (_, cache, _), count in counts.items() if cache in ("hit", "coalesced"))
        hit_p50_ms = self.telemetry.percentiles_ms()["hit"]["p50"]
        at = time.time()
        return [
            Figure("requests", total, "", at),
            Figure("served from the cache", round(100 * hits / total, 1) if total else None, "%", at),
            Figure("hit, median", hit_p50_ms, "ms", at),
            Figure("from a provider, 99th percentile", self.telemetry.provider_p99_ms(), "ms", at),
        ]

    def _retries_refused(self) -> int:
        return self._retries_refused_before + self.current.pipeline.retry_budget.refused_count

    @asynccontextmanager
    async def _closed_at_end(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await self.transport.aclose()
            if self._lasting.spans is not None:
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(self._lasting.spans.close, limiter=self.ctx.threads)

    def _dialect_of(self, provider: str) -> str:
        known = self.current.targets.providers.get(provider)
        return known.dialect if known is not None else ""

    async def _keep_metrics(self) -> None:
        while True:
            self.transport.close_expired()
            memory = self.store.memory
            self.telemetry.totals["cache_evictions_total"] = memory.evicted_count
            self.telemetry.totals["retries_refused_total"] = self._retries_refused()
            if isinstance(self.limits, SharedLimits):
                self.telemetry.totals["limits_unavailable_total"] = self.limits.unavailable_count
            if self._semantic is not None:
                self.telemetry.totals["semantic_hits_total"] = self._semantic.hit_count
                self.telemetry.totals["semantic_failures_total"] = self._semantic.failure_count
            worst: dict[str, int] = {}
            for target in self.current.targets.known():
                state = _STATES[target.breaker.state]
                worst[target.provider.name] = max(worst.get(target.provider.name, 0), state)
            gauges = {
                "cache_bytes": memory.bytes_used,
                "cache_entries": len(memory),
                "flights": self.current.api.flights,
            }
            self.telemetry.publish(gauges, worst)
            await trio.sleep(METRICS_INTERVAL_S)


def _spans(settings: Settings, dialect_of: Callable[[str], str]) -> "Spans | None":
    if not settings.traces.endpoint:
        return None
    # OpenTelemetry is large, and loaded only where it is wanted.
    from plugins.gateway.spans import Spans

    return Spans(settings.traces, dialect_of)


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
