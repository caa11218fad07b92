import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.gateway.core.histogram import RollingHistogram

SLOT_MS, SLOTS = 1000, 3


def histogram_of(values: list[float], now_ms: int = 0) -> RollingHistogram:
    histogram = RollingHistogram(SLOT_MS, SLOTS)
    for value in values:
        histogram.observe(value, now_ms)
    return histogram


@given(st.lists(st.floats(1, 1e9), min_size=1), st.floats(0, 1))
def test_percentiles_are_within_a_tenth_of_those_of_the_sorted_values(values: list[float], share: float) -> None:
    [found] = histogram_of(values).percentiles([share], 0)
    wanted = sorted(values)[max(1, math.ceil(share * len(values))) - 1]
    assert found == pytest.approx(wanted, rel=0.1)


def test_two_histograms_together_are_one_of_all_their_values() -> None:
    low, high = histogram_of([10.0] * 98), histogram_of([1000.0] * 2)
    assert low.percentiles([0.5, 0.99], 0, high) == histogram_of([10.0] * 98 + [1000.0] * 2).percentiles([0.5, 0.99], 0)
    assert low.percentiles([0.99], 0, high) != low.percentiles([0.99], 0)


def test_what_is_older_than_all_slots_counts_no_more() -> None:
    histogram = histogram_of([10.0])
    assert histogram.percentiles([0.5], SLOT_MS * (SLOTS - 1)) != [None]
    assert histogram.percentiles([0.5], SLOT_MS * SLOTS) == [None]
    histogram.observe(1000.0, SLOT_MS * SLOTS)
    assert histogram.percentiles([0.01], SLOT_MS * SLOTS) == [pytest.approx(1000, rel=0.1)]
