"""What the gateway counts: for Prometheus, for the dashboard, and for the log. Never a prompt, never an answer.

The hot path adds to plain integers; `publish` turns them into metrics once a second.
"""

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from host.api import Metric
from plugins.gateway.calls import Call
from plugins.gateway.core.errors import Failure
from plugins.gateway.core.histogram import RollingHistogram
from plugins.gateway.core.usage import NANO, Usage
from plugins.gateway.live import Live
from plugins.gateway.targets import Target

LATEST_KEPT: Final = 200
"""Requests shown on the dashboard."""
SECONDS_KEPT: Final = 60
_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_STATES: Final = {200: "ok", 499: "cancelled"}
CACHE_STATES: Final = ("hit", "miss", "coalesced", "bypass")


def metrics() -> Iterable[Metric]:
    """The metrics, each exported with the prefix `gateway_`."""
    yield Metric("counter", "requests_total", "Requests of clients", ("endpoint", "cache", "status"))
    yield Metric("counted_histogram", "request_seconds", "From request to the end of its answer", ("cache",), _BUCKETS)
    yield Metric(
        "histogram", "first_token_seconds", "From request to the first token, not from the cache", (), _BUCKETS
    )
    yield Metric("gauge", "in_flight", "Requests of clients under way")
    yield Metric("counter", "client_disconnects_total", "Clients that left before their answer was complete")
    yield Metric("counter", "upstream_requests_total", "Attempts at upstreams", ("provider",))
    yield Metric("counter", "upstream_failures_total", "Attempts that failed, by cause", ("provider", "cause"))
    yield Metric("counter", "fallbacks_total", "Requests answered by another than their first attempt")
    yield Metric("counter", "hedges_total", "Second requests sent because the first was slow to begin")
    yield Metric("counter", "tokens_total", "Tokens billed by upstreams, or estimated", ("provider", "kind"))
    yield Metric("counter", "cost_usd_total", "What that cost, by the prices of the configuration", ("provider",))
    yield Metric("counter", "saved_tokens_total", "Tokens served from the cache")
    yield Metric("counter", "saved_usd_total", "What these would have cost")
    yield Metric("gauge", "cache_bytes", "Size of the cache in memory")
    yield Metric("gauge", "cache_entries", "Answers in it")
    yield Metric("counter", "cache_evictions_total", "Answers thrown out for want of room")
    yield Metric("gauge", "breaker_state", "0 closed, 1 half open, 2 open: the worst of its models", ("provider",))
    yield Metric("gauge", "flights", "Upstream calls that clients share or may share")
    yield Metric("counter", "semantic_hits_total", "Answers from the cache to questions that only mean the same")
    yield Metric("counter", "semantic_failures_total", "Embeddings that did not come in time, or not at all")
    yield Metric("counter", "limits_unavailable_total", "Requests whose shared limits Redis did not answer for in time")
    yield Metric("counter", "retries_refused_total", "Further attempts not made because their budget was spent")


class Record(NamedTuple):
    """One finished request, as shown and logged. A tuple, because every hit makes one."""

    request_id: str
    endpoint: str
    model: str
    provider: str
    status: int
    cache: str
    stream: bool
    attempts: int
    duration_us: float
    first_token_us: float
    input_tokens: int
    output_tokens: int
    key: str
    error: str
    at: float


class Telemetry:
    """Counts and recent figures of one run of the plugin. `now_ms` is the clock of the rolling figures."""

    def __init__(self, exported: Mapping[str, Any], now_ms: Callable[[], int]) -> None:
        self._exported = exported
        self._now_ms = now_ms
        self.requests: Counter[tuple[str, str, int]] = Counter()
        self.totals: Counter[str] = Counter()
        self.tokens: Counter[tuple[str, str]] = Counter()
        self.cost: Counter[str] = Counter()
        self.upstream_requests: Counter[str] = Counter()
        self.upstream_failures: Counter[tuple[str, str]] = Counter()
        self.durations = {state: RollingHistogram() for state in CACHE_STATES}
        self.first_tokens = RollingHistogram()
        self.latest: deque[Record] = deque(maxlen=LATEST_KEPT)
        self.seconds: deque[list[int]] = deque(maxlen=SECONDS_KEPT)
        """One list a second: its number, requests, hits, errors."""
        self._slot = [-1, 0, 0, 0]
        self.in_flight = 0
        self.sequence = 0
        self.live = Live()
        self.bill: Callable[[str, str, Usage, int], None] = lambda tenant, model, usage, cost: None
        self._buckets = {state: [0] * (len(_BUCKETS) + 1) for state in CACHE_STATES}
        self._seconds = dict.fromkeys(CACHE_STATES, 0.0)
        self._published: dict[str, Counter[Any]] = {}

    def finished(self, record: Record) -> None:
        """A request has its answer, or will never get one (status 499: its client left)."""
        self.latest.append(record)
        self.sequence += 1
        status, cache, duration_us = record.status, record.cache, record.duration_us
        if self.live.is_watched:
            self.live.step(record.request_id, "ended", state=_STATES.get(status, "failed"))
        self.requests[record.endpoint, cache, status] += 1
        now = self._now_ms()
        if status == 200:
            self.durations[cache].observe(duration_us, now)
            seconds = duration_us / 1e6
            self._buckets[cache][bisect_left(_BUCKETS, seconds)] += 1
            self._seconds[cache] += seconds
            if record.first_token_us:
                self.first_tokens.observe(record.first_token_us, now)
                self._exported["first_token_seconds"].observe(record.first_token_us / 1e6)
            if record.attempts > 1:
                self.totals["fallbacks_total"] += 1
        elif status == 499:
            self.totals["client_disconnects_total"] += 1
        second = now // 1000
        slot = self._slot
        if slot[0] != second:
            slot = self._slot = [second, 0, 0, 0]
            self.seconds.append(slot)
        slot[1] += 1
        if cache == "hit":
            slot[2] += 1
        if status >= 500:
            slot[3] += 1

    def billed(self, call: Call, target: Target, usage: Usage, cost_nano_usd: int) -> None:
        """An upstream worked for a call."""
        provider = target.provider.name
        self.upstream_requests[provider] += 1
        self.tokens[provider, "input"] += usage.input_tokens
        self.tokens[provider, "output"] += usage.output_tokens
        self.cost[provider] += cost_nano_usd
        self.bill(call.tenant, target.name, usage, cost_nano_usd)

    def saved(self, usage: Usage, cost_nano_usd: int) -> None:
        """An answer came from the cache instead of from an upstream."""
        self.totals["saved_tokens_total"] += usage.total_tokens
        self.totals["saved_nano_usd"] += cost_nano_usd

    def upstream_failed(self, target: Target, failure: Failure) -> None:
        """An attempt failed."""
        self.upstream_failures[target.provider.name, failure.cause] += 1

    def hedged(self) -> None:
        """A second request was sent beside a slow one."""
        self.totals["hedges_total"] += 1

    def publish(self, gauges: Mapping[str, float], breakers: Mapping[str, int]) -> None:
        """Bring the metrics up to date. `gauges` are values of now by name, `breakers` states by provider."""
        exported = self._exported
        for (endpoint, cache, status), more in self._news("requests", self.requests).items():
            exported["requests_total"].labels(endpoint=endpoint, cache=cache, status=str(status)).inc(more)
        for (provider, kind), more in self._news("tokens", self.tokens).items():
            exported["tokens_total"].labels(provider=provider, kind=kind).inc(more)
        for provider, more in self._news("cost", self.cost).items():
            exported["cost_usd_total"].labels(provider=provider).inc(more / NANO)
        for provider, more in self._news("upstream", self.upstream_requests).items():
            exported["upstream_requests_total"].labels(provider=provider).inc(more)
        for (provider, cause), more in self._news("failures", self.upstream_failures).items():
            exported["upstream_failures_total"].labels(provider=provider, cause=cause).inc(more)
            exported["upstream_requests_total"].labels(provider=provider).inc(more)
        for name, more in self._news("totals", self.totals).items():
            if name == "saved_nano_usd":
                exported["saved_usd_total"].inc(more / NANO)
            else:
                exported[name].inc(more)
        for cached, counts in self._buckets.items():
            exported["request_seconds"].show(counts, self._seconds[cached], cache=cached)
        exported["in_flight"].set(self.in_flight)
        for name, value in gauges.items():
            exported[name].set(value)
        for provider, state in breakers.items():
            exported["breaker_state"].labels(provider=provider).set(state)

    def provider_p99_ms(self) -> float | None:
        """The 99th percentile of the last minute's answers that came from a provider, the cache asked or not."""
        [p99_us] = self.durations["miss"].percentiles([0.99], self._now_ms(), self.durations["bypass"])
        return None if p99_us is None else round(p99_us / 1000, 3)

    def percentiles_ms(self) -> dict[str, dict[str, float | None]]:
        """Median and 99th percentile of the last minute, in milliseconds."""
        now = self._now_ms()
        shown = {**self.durations, "first_token": self.first_tokens}
        return {
            name: dict(
                zip(
                    ("p50", "p99"),
                    (None if us is None else round(us / 1000, 3) for us in histogram.percentiles([0.5, 0.99], now)),
                    strict=True,
                )
            )
            for name, histogram in shown.items()
        }

    def _news(self, name: str, counter: Counter[Any]) -> dict[Any, int]:
        before = self._published.get(name, Counter())
        news = {key: value - before[key] for key, value in counter.items() if value != before[key]}
        self._published[name] = counter.copy()
        return news
