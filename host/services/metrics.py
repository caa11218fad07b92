"""Prometheus metrics: one registry for the host and one for each run of a plugin.

A registry of its own per run means that a restarted plugin can declare its metrics again without "Duplicated
timeseries", and that those of a stopped one vanish from `/metrics`. A plugin's names carry its name as prefix.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from host.descriptors import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_NAME = re.compile(r"[a-z][a-z0-9_]*")


class CountedHistogram(Collector):
    """A histogram whose plugin counts by itself, for what happens too often to `observe` each time."""

    def __init__(self, name: str, help: str, labels: Sequence[str], buckets: Sequence[float]) -> None:
        self._name, self._help, self._labels = name, help, tuple(labels)
        bounds = (*buckets, math.inf)
        self._bounds = [str(floatToGoString(bound)) for bound in bounds]  # type: ignore[no-untyped-call]
        self._shown: dict[tuple[str, ...], tuple[tuple[int, ...], float]] = {}

    def show(self, counts: Sequence[int], total: float, **labels: str) -> None:
        """Have these counts from now on: one for each bucket and one for what is beyond, each without those below it;
        and the sum of what was counted. They must never fall."""
        assert len(counts) == len(self._bounds), "one count for each bucket, and one for what is beyond"
        assert labels.keys() == set(self._labels), f"{self._name} has the labels {self._labels}"
        self._shown[tuple(labels[name] for name in self._labels)] = tuple(counts), total

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """What Prometheus' registry asks for."""
        family = HistogramMetricFamily(self._name, self._help, labels=self._labels)
        for values, (counts, total) in list(self._shown.items()):
            buckets = list(zip(self._bounds, map(float, accumulate(counts)), strict=True))
            family.add_metric(values, buckets, total)
        yield family


def plugin_metrics(plugin: str, metrics: Iterable[Metric]) -> tuple[CollectorRegistry, Mapping[str, Any]]:
    """Make the Prometheus objects of a plugin's metrics, by the names it declared.

    Raises:
        ValueError: a name is not snake case or is declared twice.
    """
    registry = CollectorRegistry(auto_describe=True)
    made: dict[str, Any] = {}
    for metric in metrics:
        if not _NAME.fullmatch(metric.name):
            raise ValueError(f"metric name {metric.name!r} is not lower snake case")
        if metric.name in made:
            raise ValueError(f"metric {metric.name!r} is declared twice")
        full_name = f"{plugin}_{metric.name}"
        if metric.kind == "counter":
            made[metric.name] = Counter(full_name, metric.help, metric.labels, registry=registry)
        elif metric.kind == "gauge":
            made[metric.name] = Gauge(full_name, metric.help, metric.labels, registry=registry)
        elif metric.kind == "counted_histogram":
            made[metric.name] = counted = CountedHistogram(full_name, metric.help, metric.labels, metric.buckets)
            registry.register(counted)
        else:
            buckets = metric.buckets or Histogram.DEFAULT_BUCKETS
            made[metric.name] = Histogram(full_name, metric.help, metric.labels, registry=registry, buckets=buckets)
    return registry, made


class MetricsPage:
    """The registries that `/metrics` shows, by owner."""

    def __init__(self) -> None:
        self.host = CollectorRegistry(auto_describe=True)
        self._plugins: dict[str, CollectorRegistry] = {}

    def attach(self, plugin: str, registry: CollectorRegistry) -> None:
        """Show `registry` for `plugin` from now on, in place of the one before."""
        self._plugins[plugin] = registry

    def detach(self, plugin: str) -> None:
        """Show nothing more of `plugin`."""
        self._plugins.pop(plugin, None)

    def render(self) -> bytes:
        """All registries in the text exposition format 0.0.4."""
        return b"".join(generate_latest(registry) for registry in (self.host, *self._plugins.values()))
