"""Prometheus metrics: one registry for the host and one for each run of a plugin.

A registry of its own per run means that a restarted plugin can declare its metrics again without "Duplicated
timeseries", and that those of a stopped one vanish from `/metrics`. A plugin's names carry its name as prefix.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from host.descriptors import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_NAME = re.compile(r"[a-z][a-z0-9_]*")


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
