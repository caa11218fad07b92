"""Many seeds of the simulated network, what they came to, and the page that says so."""

import hashlib
import platform
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from plugins.liveboard.simulation.network import Outcome, simulate

FAULTS_SHOWN_MAX: Final = 20
_HAPPENED: Final = {
    "lost": "messages lost",
    "killed": "hosts killed",
    "lies": "lies told by clients",
    "refused GAP": "operations refused for a gap before them",
    "refused EQUIVOCATION": "operations refused because another had their name",
    "refused SITE": "operations refused because their site was somebody else's",
    "refused CLOCK": "operations refused for a runaway clock",
}


def play(seed: int, seeds: int) -> dict[str, Any]:
    """Play these seeds, and say what they came to. For a thread: it takes some 10 ms a seed."""
    started = time.perf_counter()
    outcomes: list[Outcome] = [simulate(each) for each in range(seed, seed + seeds)]
    broken = [outcome for outcome in outcomes if outcome.faults]
    counts: Counter[str] = sum((outcome.counts for outcome in outcomes), Counter())
    together = hashlib.sha256("".join(outcome.digest for outcome in outcomes).encode()).hexdigest()
    return {
        "verdict": "broke" if broken else "holds",
        "seed": seed,
        "seeds": seeds,
        "converged": len(outcomes) - len(broken),
        "operations": sum(outcome.operations for outcome in outcomes),
        "events": sum(outcome.events for outcome in outcomes),
        "counts": dict(counts),
        "faults": [{"seed": each.seed, "faults": list(each.faults)} for each in broken[:FAULTS_SHOWN_MAX]],
        "digest": together,
        "elapsed_ms": round((time.perf_counter() - started) * 1000, 1),
    }


def summed(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """What consecutive calls of `play` came to together."""
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(part["counts"])
    faults = [fault for part in parts for fault in part["faults"]]
    return {
        "verdict": "broke" if faults else "holds",
        "seed": parts[0]["seed"] if parts else 0,
        **{name: sum(part[name] for part in parts) for name in ("seeds", "converged", "operations", "events")},
        "counts": dict(sorted(counts.items())),
        "elapsed_s": round(sum(part["elapsed_ms"] for part in parts) / 1000, 1),
        "faults": faults,
    }


def soak_page(result: Mapping[str, Any]) -> str:
    """The sum as a page of the documentation."""
    seed, seeds, counts = result["seed"], result["seeds"], result["counts"]
    command = f"quartet liveboard soak --seed {seed} --seeds {seeds} --report docs/liveboard-soak.md"
    rows = [
        (f"seeds, {seed:,} to {seed + seeds - 1:,}", f"{seeds:,}"),
        ("seeds that converged, with nothing acknowledged lost", f"{result['converged']:,}"),
        ("**seeds that broke a promise**", f"**{seeds - result['converged']:,}**"),
        ("operations saved", f"{result['operations']:,}"),
        ("simulated events", f"{result['events']:,}"),
        *((words, f"{counts.get(name, 0):,}") for name, words in _HAPPENED.items()),
    ]
    lines = [
        "# Soak of Liveboard's simulated network",
        "",
        f"Written by `{command}`;",
        "the same seeds give the same runs anywhere. What each run must keep is at the head of",
        "[network.py](../plugins/liveboard/simulation/network.py).",
        "",
        "| what | how many |",
        "| --- | --- |",
        *(f"| {what} | {count} |" for what, count in rows),
        "",
        f"CPython {platform.python_version()}, {result['elapsed_s']:,.0f} s.",
        *(f"- seed {each['seed']}: {'; '.join(each['faults'])}" for each in result["faults"]),
    ]
    return "\n".join(lines) + "\n"
