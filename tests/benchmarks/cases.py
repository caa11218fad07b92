"""One benchmark as a catalogue would have it, what it prints, and what comes of that."""

from datetime import UTC, datetime
from typing import Any

from benchmarks.catalogue import Beside, Entry, Measure
from benchmarks.reading import results_of
from host.measurements import Benchmark, Machine, Measurements

ENTRY = Entry(
    "fanout",
    "host",
    "A relay",
    "One sends, all others get it.",
    (
        Measure(
            "deliveries",
            "ours.rate",
            "a second",
            beside=(Beside("a peer", "theirs.rate"), Beside("raw", "raw.rate", is_floor=True)),
            least=900,
            times=2,
        ),
        Measure(
            "p99",
            "ours.p99_ms",
            "ms",
            is_less_better=True,
            beside=(Beside("a peer", "theirs.p99_ms"), Beside("alone", "alone_ms", is_floor=True)),
            most=5,
            floor_times=2,
        ),
        Measure("lost", "lost", is_less_better=True, exactly=0),
    ),
)


def printed() -> dict[str, Any]:
    """What it prints when all goes well."""
    return {
        "ours": {"rate": 1000, "p99_ms": 4.0},
        "theirs": {"rate": 400, "p99_ms": 6.0},
        "raw": {"rate": 4000},
        "alone_ms": 1.6,
        "lost": 0,
    }


def measured(output: dict[str, Any], *, error: str = "", busy_share: float = 0.02) -> Measurements:
    """The file with this one benchmark."""
    benchmark = Benchmark(
        name=ENTRY.name,
        system=ENTRY.system,
        title=ENTRY.title,
        how=ENTRY.how,
        command="python -m benchmarks.fanout",
        at=datetime(2026, 11, 22, 15, 4, 5, tzinfo=UTC),
        commit="0feec4eb8b71",
        took_s=61.2,
        load_1m=0.4,
        busy_share=busy_share,
        error=error,
        results=tuple(results_of(ENTRY, output)[0]),
        output=output,
    )
    machine = Machine(cpu="A processor", cores=2, memory_gib=23.5, kernel="Linux 6")
    return Measurements(machine=machine, versions={"Python": "3.11.7"}, benchmarks=(benchmark,))
