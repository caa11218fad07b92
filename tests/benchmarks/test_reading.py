"""From what a benchmark prints to its results: ratios, targets, and what is not there."""

from typing import Any

import pytest

from benchmarks.reading import results_of
from host.measurements import Result
from tests.benchmarks.cases import ENTRY, printed


def by_label(output: dict[str, Any]) -> dict[str, Result]:
    return {result.label: result for result in results_of(ENTRY, output)[0]}


def test_ratio_to_a_peer_says_how_many_times_better_whichever_way_better_is() -> None:
    found = by_label(printed())
    assert [(each.name, each.ratio) for each in found["deliveries"].against] == [("a peer", 2.5), ("raw", 0.25)]
    assert [(each.name, each.ratio) for each in found["p99"].against] == [("a peer", 1.5), ("alone", 2.5)]


def test_targets_are_met_or_missed_and_say_what_was_reached() -> None:
    found = by_label(printed())
    shown = [(t.text, t.reached, t.is_met) for result in found.values() for t in result.targets]
    assert shown == [
        ("at least 900 a second", "1,000 a second", True),
        ("at least 2.00× the best peer", "2.50×", True),
        ("at most 5 ms", "4 ms", True),
        ("at most 2.00× the floor", "2.50×", False),
        ("exactly 0", "0", True),
    ]


@pytest.mark.parametrize(
    ("label", "change"),
    [
        ("deliveries", {"ours": {"rate": 899, "p99_ms": 4}}),
        ("p99", {"ours": {"rate": 1000, "p99_ms": 5.01}}),
        ("lost", {"lost": 1}),
    ],
)
def test_a_figure_on_the_wrong_side_of_its_bound_is_missed(label: str, change: dict[str, Any]) -> None:
    assert by_label(printed() | change)[label].targets[0].is_met is False


@pytest.mark.parametrize("theirs", [None, {}, {"rate": None, "p99_ms": None}, "not measured: it is not there"], ids=str)
def test_a_peer_that_is_not_there_leaves_its_target_open(theirs: Any) -> None:
    found = by_label(printed() | {"theirs": theirs})["deliveries"]
    assert found.not_measured == ("a peer",)
    assert [target.is_met for target in found.targets] == [True, None]


@pytest.mark.parametrize("lost", [None, "0", True, {}], ids=str)
def test_a_figure_that_is_not_there_is_told(lost: Any) -> None:
    results, missing = results_of(ENTRY, printed() | {"lost": lost})
    assert missing == ["its output has no number at lost"]
    assert [result.label for result in results] == ["deliveries", "p99"]


def test_beside_nothing_there_is_no_ratio() -> None:
    found = by_label(printed() | {"theirs": {"rate": 0, "p99_ms": 6}})["deliveries"]
    assert [(each.value, each.ratio) for each in found.against] == [(0, None), (4000, 0.25)]
    assert [target.is_met for target in found.targets] == [True, None]
