"""The host's own metrics, read off the running parts at each scrape, so that no gauge can be forgotten."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from host.services.embedded import Endpoint
from host.site import Site
from host.supervisor import PluginState

_TOTAL = "_total"


class HouseCollector(Collector):
    """Plugins, their states, restarts, tasks and services; the engine; the embedded servers.

    `engine`, `rate_limiter` and `http` return frozen records, the last by owner. In every record of statistics numeric
    fields that end in `_total` are counters and the others gauges; text is left out.
    """

    def __init__(
        self,
        site: Site,
        endpoints: Mapping[str, Endpoint],
        *,
        engine: Callable[[], Any],
        http: Callable[[], Mapping[str, Any]],
        rate_limiter: Callable[[], Any],
    ) -> None:
        self._site = site
        self._endpoints = endpoints
        self._engine = engine
        self._http = http
        self._rate_limiter = rate_limiter

    def collect(self) -> Iterable[Metric]:
        """All metrics as of now."""
        yield from self._plugins()
        yield from self._services()
        restarts = CounterMetricFamily(
            "quartet_embedded_restarts", "Restarts of an embedded server that ended by itself.", labels=["service"]
        )
        for name, endpoint in self._endpoints.items():
            restarts.add_metric([name], endpoint.restarts())
        yield restarts
        yield from _families("quartet_engine", {(): self._engine()}, ())
        yield from _families("quartet_rate_limiter", {(): self._rate_limiter()}, ())
        owners: dict[tuple[str, ...], Any] = {(owner,): record for owner, record in self._http().items()}
        yield from _families("quartet_http", owners, ("plugin",))
        statuses = CounterMetricFamily("quartet_http_responses", "Answers by class.", labels=["plugin", "status"])
        for values, record in owners.items():
            for status, count in record.statuses.items():
                statuses.add_metric([*values, status], count)
        yield statuses

    def describe(self) -> Iterable[Metric]:
        """Nothing ahead of time: what there is depends on what runs."""
        return ()

    def _plugins(self) -> Iterable[Metric]:
        state = GaugeMetricFamily(
            "quartet_plugin_state", "1 for the state that the plugin is in.", labels=["plugin", "state"]
        )
        restarts = CounterMetricFamily(
            "quartet_plugin_restarts", "Restarts of a plugin after failures.", labels=["plugin"]
        )
        tasks = GaugeMetricFamily("quartet_plugin_tasks", "Background tasks of a plugin that run.", labels=["plugin"])
        threads = GaugeMetricFamily("quartet_plugin_threads", "Threads that a plugin uses.", labels=["plugin"])
        for unit in self._site.supervisor.units.values():
            for known in PluginState:
                state.add_metric([unit.name, known], float(unit.state is known))
            restarts.add_metric([unit.name], unit.restarts)
            if unit.run is not None:
                tasks.add_metric([unit.name], len(unit.run.task_names))
                threads.add_metric([unit.name], unit.run.threads.borrowed_tokens)
        failed = GaugeMetricFamily("quartet_plugins_not_loaded", "Enabled plugins that could not be loaded.")
        failed.add_metric([], len(self._site.not_loaded))
        return [state, restarts, tasks, threads, failed]

    def _services(self) -> Iterable[Metric]:
        """The statistics of the pools and connections that plugins were lent."""
        for service, prefix in (("postgres", "postgres"), ("redis", "redis"), ("http_transport", "http_client")):
            samples: dict[tuple[str, ...], Any] = {}
            for unit in self._site.supervisor.units.values():
                lent = getattr(unit.run.lent, service) if unit.run else None
                if lent is not None:
                    samples[(unit.name,)] = lent.statistics()
            yield from _families(f"quartet_{prefix}", samples, ("plugin",))


def _families(prefix: str, samples: Mapping[tuple[str, ...], Any], labels: tuple[str, ...]) -> Iterable[Metric]:
    """A family for each number in the records of `samples`, which are of one type."""
    families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
    for values, record in samples.items():
        fields = asdict(record) if is_dataclass(record) and not isinstance(record, type) else {}
        for name, value in fields.items():
            if not isinstance(value, (int, float)):
                continue
            if name not in families:
                kind = CounterMetricFamily if name.endswith(_TOTAL) else GaugeMetricFamily
                text = f"{name.removesuffix(_TOTAL).replace('_', ' ').capitalize()}."
                families[name] = kind(f"{prefix}_{name.removesuffix(_TOTAL)}", text, labels=labels)
            families[name].add_metric(values, value)
    return families.values()
