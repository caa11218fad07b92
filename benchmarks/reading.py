"""From the JSON object that a benchmark prints to its results, by the catalogue. Pure."""

import operator
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.catalogue import Entry, Measure
from host.measurements import Against, Result, Target, figure_text, ratio_text


def results_of(entry: Entry, output: Mapping[str, Any]) -> tuple[list[Result], list[str]]:
    """The results, and what the catalogue looks for in vain."""
    results, missing = [], []
    for measure in entry.measures:
        value = value_at(output, measure.path)
        if value is None:
            missing.append(f"its output has no number at {measure.path}")
        else:
            results.append(_result(measure, value, output))
    return results, missing


def value_at(output: Mapping[str, Any], path: str) -> float | None:
    """The number at a path of names with dots between; None when there is another thing, or nothing."""
    found: Any = output
    for name in path.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return None
        found = found[name]
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def ratio_of(measure: Measure, value: float, beside: float, *, is_floor: bool) -> float | None:
    """How many times better than a peer; how many times a floor. None when one of them is 0."""
    over, under = (beside, value) if measure.is_less_better and not is_floor else (value, beside)
    return round(over / under, 3) if over and under else None


def _result(measure: Measure, value: float, output: Mapping[str, Any]) -> Result:
    against, not_measured = [], []
    for beside in measure.beside:
        found = value_at(output, beside.path)
        if found is None:
            not_measured.append(beside.name)
            continue
        ratio = ratio_of(measure, value, found, is_floor=beside.is_floor)
        against.append(Against(name=beside.name, value=found, ratio=ratio, is_floor=beside.is_floor))
    result = Result(
        label=measure.label,
        value=value,
        unit=measure.unit,
        is_less_better=measure.is_less_better,
        against=tuple(against),
        not_measured=tuple(not_measured),
    )
    return result.model_copy(update={"targets": tuple(_targets(measure, result))})


def _targets(measure: Measure, result: Result) -> Iterator[Target]:
    value, unit = result.value, f" {measure.unit}" if measure.unit else ""
    bounds = (
        ("at least", measure.least, operator.ge),
        ("at most", measure.most, operator.le),
        ("exactly", measure.exactly, operator.eq),
    )
    for words, bound, is_met in bounds:
        if bound is not None:
            yield Target(text=f"{words} {figure_text(bound)}{unit}", reached=result.text, is_met=is_met(value, bound))
    if measure.times is not None:
        peers = _ratios(measure, result, is_floor=False)
        yield Target(
            text=f"at least {ratio_text(measure.times)} the best peer",
            reached=ratio_text(min(peers)) if peers else "",
            is_met=min(peers) >= measure.times if peers else None,
        )
    if measure.floor_times is not None:
        floors = _ratios(measure, result, is_floor=True)
        yield Target(
            text=f"at most {ratio_text(measure.floor_times)} the floor",
            reached=ratio_text(max(floors)) if floors else "",
            is_met=max(floors) <= measure.floor_times if floors else None,
        )


def _ratios(measure: Measure, result: Result, *, is_floor: bool) -> list[float]:
    """All of that kind; none when one of them is missing."""
    found = [each.ratio for each in result.against if each.is_floor is is_floor and each.ratio is not None]
    return found if len(found) == sum(each.is_floor is is_floor for each in measure.beside) else []
