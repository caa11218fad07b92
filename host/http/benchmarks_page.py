"""`/benchmarks`: the last measurements of `make bench`, dated, beside their peers, targets and how to repeat them.

Everything on the page comes out of one file in the folder of the pages, which a wheel holds too. The view is made of
plain values, so that the page's JSON twin is the same.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from host.descriptors import Page
from host.errors import HostError
from host.measurements import (
    PLACE,
    SYSTEMS,
    Benchmark,
    Measurements,
    Result,
    figure_text,
    ratio_text,
    read_measurements,
)

_STATES: Final = {True: "met", False: "missed", None: "not measured"}


def benchmarks_page(web: Path) -> Page:
    """The page. `web` is the folder of the site's pages."""

    async def context(params: Mapping[str, str]) -> Mapping[str, Any]:
        try:
            found = await read_measurements(web / PLACE)
        except HostError as error:
            return {"problem": str(error)}
        return view(found) if found and found.benchmarks else {}

    return Page("/benchmarks", "Benchmarks", web / "benchmarks", context=context)


def view(found: Measurements) -> dict[str, Any]:
    """What the template shows."""
    states = [target.is_met for _, _, target in found.targets]
    days = sorted({each.at.date() for each in found.benchmarks})
    return {
        "from_day": f"{days[0].day} {days[0]:%B %Y}",
        "to_day": f"{days[-1].day} {days[-1]:%B %Y}",
        "minutes": round(sum(each.took_s for each in found.benchmarks) / 60, 1),
        "machine": found.machine.model_dump(),
        "versions": found.versions,
        "commits": sorted({each.commit for each in found.benchmarks if each.commit}),
        "targets": {word: states.count(state) for state, word in _STATES.items()} | {"all": len(states)},
        "missed": list(_missed(found)),
        "failed": [{"title": each.title, "anchor": each.name} for each in found.benchmarks if each.error],
        "noisy": [each.title for each in found.benchmarks if each.is_noisy],
        "comparisons": list(_comparisons(found)),
        "systems": list(_systems(found)),
    }


def _missed(found: Measurements) -> Iterator[dict[str, str]]:
    for benchmark, result, target in found.targets:
        if target.is_met is False:
            yield {
                "title": benchmark.title,
                "label": result.label,
                "reached": target.reached,
                "target": target.text,
                "anchor": _anchor(benchmark, result),
            }


def _comparisons(found: Measurements) -> Iterator[dict[str, Any]]:
    """The results that have peers, with the nearest of them in front."""
    for benchmark in found.benchmarks:
        for result in benchmark.results:
            peers = [(each.ratio, each.name) for each in result.against if not each.is_floor and each.ratio]
            if not peers:
                continue
            ratio, nearest = min(peers)
            yield {
                "system": benchmark.system,
                "title": benchmark.title,
                "label": result.label,
                "unit": result.unit,
                "is_less_better": result.is_less_better,
                "ratio": ratio_text(ratio),
                "nearest": nearest,
                "anchor": _anchor(benchmark, result),
                "bars": _bars(result),
            }


def _bars(result: Result) -> list[dict[str, Any]]:
    """Ours and the others', as long as they are large; the longest is 100."""
    bars = [("Quartet", result.value, "ours")]
    bars += [(each.name, each.value, "floor" if each.is_floor else "peer") for each in result.against]
    longest = max(value for _, value, _ in bars) or 1
    return [
        {"name": name, "text": figure_text(value), "length": round(100 * value / longest, 2), "kind": kind}
        for name, value, kind in bars
    ]


def _systems(found: Measurements) -> Iterator[dict[str, Any]]:
    for system, title in SYSTEMS.items():
        benchmarks = [_benchmark(each) for each in found.benchmarks if each.system == system]
        if benchmarks:
            yield {"name": system, "title": title, "benchmarks": benchmarks}


def _benchmark(benchmark: Benchmark) -> dict[str, Any]:
    return {
        "name": benchmark.name,
        "title": benchmark.title,
        "how": benchmark.how,
        "command": benchmark.command,
        "at": f"{benchmark.at:%Y-%m-%d %H:%M} UTC",
        "took_s": round(benchmark.took_s),
        "load_1m": benchmark.load_1m,
        "is_noisy": benchmark.is_noisy,
        "commit": benchmark.commit,
        "error": benchmark.error,
        "rows": [_row(benchmark, result) for result in benchmark.results],
    }


def _row(benchmark: Benchmark, result: Result) -> dict[str, Any]:
    return {
        "label": result.label,
        "value": result.text,
        "anchor": _anchor(benchmark, result),
        "targets": [{"text": target.text, "state": _STATES[target.is_met]} for target in result.targets],
        "beside": [
            {
                "name": each.name,
                "value": figure_text(each.value),
                "ratio": ratio_text(each.ratio),
                "is_floor": each.is_floor,
            }
            for each in result.against
        ],
        "not_measured": list(result.not_measured),
    }


def _anchor(benchmark: Benchmark, result: Result) -> str:
    return f"{benchmark.name}-{re.sub('[^a-z0-9]+', '-', result.label.lower()).strip('-')}"
