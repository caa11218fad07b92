"""In which order targets are tried, strategy by strategy."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.gateway.core.needs import needs_of
from plugins.gateway.core.routing import Candidate, PeakEwma, Strategy, order

STRATEGIES: list[Strategy] = ["priority", "weighted", "least_latency", "least_busy", "cheapest", "canary"]


def test_priority_is_the_order_of_the_list() -> None:
    assert order("priority", [Candidate(), Candidate(), Candidate()]) == [0, 1, 2]


def test_weighted_draws_in_proportion_and_a_weight_of_nothing_comes_last() -> None:
    candidates = [Candidate(weight=9), Candidate(weight=1), Candidate(weight=0)]
    first: Counter[int] = Counter()
    steps = 40
    for a in range(1, steps):
        for b in range(1, steps):
            ordered = order("weighted", candidates, randoms=[a / steps, b / steps, 0.999])
            assert ordered[-1] == 2
            first[ordered[0]] += 1
    assert 0.88 < first[0] / first.total() < 0.92


def test_least_latency_counts_requests_under_way_as_latency_to_come() -> None:
    fast_but_busy = Candidate(latency_ms=100, in_flight=4)
    slow_and_idle = Candidate(latency_ms=300, in_flight=0)
    assert order("least_latency", [fast_but_busy, slow_and_idle]) == [1, 0]
    assert order("least_latency", [Candidate(latency_ms=100, in_flight=1), slow_and_idle]) == [0, 1]


def test_a_peak_of_latency_is_remembered_and_fades() -> None:
    ewma = PeakEwma()
    ewma.observe(100, 0)
    ewma.observe(900, 1000)
    assert ewma.value_ms == 900
    ewma.observe(100, 1000)
    assert ewma.value_ms == 900
    ewma.observe(100, 11_000)
    assert ewma.value_ms == 500
    ewma.observe(100, 600_000)
    assert ewma.value_ms == pytest.approx(100, abs=1)


def test_least_busy_counts_requests_under_way_for_the_weight() -> None:
    assert order("least_busy", [Candidate(in_flight=4, weight=4), Candidate(in_flight=2, weight=1)]) == [0, 1]


def test_cheapest_is_first() -> None:
    assert order("cheapest", [Candidate(cost=3.0), Candidate(cost=0.5), Candidate(cost=1.0)]) == [1, 2, 0]


@given(st.floats(0, 1, exclude_max=True))
def test_canary_keeps_each_caller_with_its_target(sticky: float) -> None:
    candidates = [Candidate(weight=95), Candidate(weight=5)]
    assert order("canary", candidates, sticky=sticky)[0] == (0 if sticky < 0.95 else 1)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_open_breaker_comes_last_and_what_cannot_do_it_not_at_all(strategy: Strategy) -> None:
    candidates = [Candidate(is_open=True), Candidate(is_capable=False), Candidate(latency_ms=50, in_flight=9, cost=9)]
    assert order(strategy, candidates, randoms=[0.9, 0.9, 0.1], sticky=0.1) == [2, 0]
    assert order(strategy, [Candidate(is_capable=False)], randoms=[0.5]) == []


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_window_too_small_is_passed_over_unless_all_are(strategy: Strategy) -> None:
    candidates = [Candidate(context_tokens=1000), Candidate(context_tokens=8000), Candidate()]
    assert 0 not in order(strategy, candidates, randoms=[0.5, 0.5, 0.5], prompt_tokens=5000)
    assert order(strategy, candidates[:2], randoms=[0.5, 0.5], prompt_tokens=9000) == [1]


IMAGE = {"type": "image_url", "image_url": {"url": "data:"}}


@pytest.mark.parametrize(
    ("body", "needs"),
    [
        ({"messages": [{"role": "user", "content": "text"}]}, set()),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, IMAGE]}]}, {"images"}),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]}, {"images"}),
        ({"messages": [{"role": "user", "content": [{"type": "document", "source": {}}]}]}, {"files"}),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file"}, {"type": "input_audio"}]}]},
            {"files", "audio"},
        ),
        ({"messages": [], "tools": [{}], "response_format": {"type": "json_schema"}}, {"tools", "structured_output"}),
        ({"input": "x", "text": {"format": {"type": "json_schema"}}}, {"structured_output"}),
        ({"input": ["a", "b"], "messages": 7, "tools": [], "text": "plain"}, set()),
    ],
)
def test_needs_are_read_off_every_endpoints_body(body: dict[str, Any], needs: set[str]) -> None:
    assert needs_of(body) == needs
