"""Every benchmark in turn, and `docs/benchmarks.md` with `web/benchmarks/latest.json` from what they measured.

    python -m benchmarks [--only NAME ...] [--quick | --reread]

Each is a process of its own with a limit of time; what it prints is in `.cache/benchmarks`. One that fails is recorded
as failed and hides none of the others; then the exit code is 1. A missed target is in the report and no failure. The
files are written after each of them, so that an interrupted run loses nothing.
"""

import argparse
import sys
import time
from pathlib import Path

from benchmarks.catalogue import CATALOGUE, Entry
from benchmarks.machine import REPORTS, ROOT, machine, versions
from benchmarks.reading import results_of
from benchmarks.report import markdown
from benchmarks.running import LOGS, run
from host.errors import HostError
from host.measurements import Benchmark, Measurements, figure_text, parse_measurements


def measure(entries: list[Entry], known: Measurements | None, *, is_quick: bool, folder: Path) -> bool:
    """Run them and write what is found beside what is known; whether all went well."""
    found = {each.name: each for each in known.benchmarks} if known else {}
    report = Measurements(machine=machine(), versions=versions(), benchmarks=())
    if known and not is_same_place(known, report):
        say("the machine, or a version, is another than in the last run: what that has measured is left out")
        found = {}
    went_well = True
    for entry in entries:
        print(f"{entry.name} ... ", end="", flush=True)
        found[entry.name] = run(entry, is_quick=is_quick)
        say(line_of(found[entry.name]))
        went_well = went_well and not found[entry.name].error
        ordered = tuple(found[each.name] for each in CATALOGUE if each.name in found)
        write(report.model_copy(update={"benchmarks": ordered}), folder)
    return went_well


def is_same_place(known: Measurements, now: Measurements) -> bool:
    """Whether figures of both may stand in one report. A peer that was installed since then changes nothing."""
    shared = known.versions.keys() & now.versions.keys()
    return known.machine == now.machine and all(known.versions[name] == now.versions[name] for name in shared)


def reread(known: Measurements) -> Measurements:
    """The same run by the catalogue of today: other words, targets and peers of what was printed then."""
    entries = {entry.name: entry for entry in CATALOGUE}
    again = []
    for benchmark in known.benchmarks:
        if (entry := entries.get(benchmark.name)) is None:
            continue
        results, _ = results_of(entry, benchmark.output)
        words = {"system": entry.system, "title": entry.title, "how": entry.how, "results": tuple(results)}
        again.append(benchmark.model_copy(update=words))
    return known.model_copy(update={"benchmarks": tuple(again)})


def line_of(benchmark: Benchmark) -> str:
    """One benchmark for a person who waits."""
    if benchmark.error:
        return f"FAILED after {benchmark.took_s:.0f} s: {benchmark.error}"
    figures = [f"{result.label} {figure_text(result.value)} {result.unit}".strip() for result in benchmark.results]
    missed = sum(target.is_met is False for result in benchmark.results for target in result.targets)
    told = f", {missed} MISSED" if missed else ""
    return f"{benchmark.took_s:.0f} s{told}: {'; '.join(figures)}"


def write(found: Measurements, folder: Path) -> None:
    """Both files."""
    for name, text in zip(REPORTS, (markdown(found), found.model_dump_json(indent=1) + "\n"), strict=True):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def last_run(path: Path) -> Measurements | None:
    """What was measured before, None when there is nothing that can be read."""
    try:
        return parse_measurements(path.read_text(encoding="utf-8"), path)
    except (OSError, HostError):
        return None


def say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    """Parse the arguments, run, write; 1 when a benchmark failed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [entry.name for entry in CATALOGUE]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--reread", action="store_true", help="run nothing: write the last run anew by the catalogue")
    parser.add_argument(
        "--quick", action="store_true", help="a short run that shows that all works, written to .cache/benchmarks"
    )
    options = parser.parse_args()
    entries = [entry for entry in CATALOGUE if not options.only or entry.name in options.only]
    folder = LOGS if options.quick else ROOT
    known = last_run(folder / REPORTS[1]) if options.only or options.reread else None
    if options.reread:
        if known is None:
            parser.error(f"there is no run in {folder / REPORTS[1]}")
        write(reread(known), folder)
        return 0
    began = time.monotonic()
    went_well = measure(entries, known, is_quick=options.quick, folder=folder)
    say(f"{(time.monotonic() - began) / 60:.1f} min; written: {', '.join(str(folder / name) for name in REPORTS)}")
    return 0 if went_well else 1


if __name__ == "__main__":
    sys.exit(main())
