"""A histogram that its plugin counts reads like one that Prometheus' client counts."""

from bisect import bisect_left

import pytest
from prometheus_client.exposition import generate_latest

from host.descriptors import Metric
from host.services.metrics import plugin_metrics

BUCKETS = (0.1, 0.5, 1.0)


def shown(kind: str, seen: dict[str, list[float]]) -> list[str]:
    registry, made = plugin_metrics("shop", [Metric(kind, "seconds", "How long", ("door",), BUCKETS)])  # type: ignore[arg-type]
    for door, values in seen.items():
        if kind == "histogram":
            for value in values:
                made["seconds"].labels(door=door).observe(value)
        else:
            counts = [0] * (len(BUCKETS) + 1)
            for value in values:
                counts[bisect_left(BUCKETS, value)] += 1
            made["seconds"].show(counts, sum(values), door=door)
    lines = generate_latest(registry).decode().splitlines()
    # When a series began is the client's own addition.
    return [line for line in lines if "_created" not in line]


@pytest.mark.parametrize("seen", [{}, {"left": [0.05, 0.1, 0.3, 0.5, 7.0]}, {"left": [], "right": [1.0, 1.0]}])
def test_counts_read_as_if_each_had_been_observed(seen: dict[str, list[float]]) -> None:
    observed = {door: values for door, values in seen.items() if values}
    assert shown("counted_histogram", observed) == shown("histogram", observed)
    assert 'shop_seconds_bucket{door="left",le="+Inf"} 0.0' in shown("counted_histogram", {"left": []})


def test_what_does_not_fit_the_metric_is_a_mistake() -> None:
    _, made = plugin_metrics("shop", [Metric("counted_histogram", "seconds", "How long", ("door",), BUCKETS)])
    with pytest.raises(AssertionError, match="one count for each bucket"):
        made["seconds"].show([1, 2, 3], 1.0, door="left")
    with pytest.raises(AssertionError, match="has the labels"):
        made["seconds"].show([1, 2, 3, 4], 1.0)
