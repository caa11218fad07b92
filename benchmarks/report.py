"""`docs/benchmarks.md`: the measurements as tables. Pure, so that a test can say when the file is stale."""

from collections.abc import Iterator
from typing import Final

from host.measurements import SYSTEMS, Against, Benchmark, Measurements, Result, figure_text, ratio_text

_HEAD: Final = """# Benchmarks

Written by `make bench`, which runs every benchmark in turn, each as a process of its own, and writes this page and
[latest.json](../web/benchmarks/latest.json), with all that each has printed; `/benchmarks` on a running host shows the
same. `make bench-peers` installs the other gateways (LiteLLM, Portkey), each in a folder of its own, and measures
beside them. `python -m benchmarks --only NAME` measures one again, and leaves the others as they were.

- Peers and floors are measured in the same run as the figure beside them. A peer is another program that does the same
  work; the ratio says how many times better ours is, so that below 1× the peer is better. A floor is the same work with
  nothing around it; it says how many times that it is, and nothing can beat it.
- One machine, with the load generator on it: read the ratios, and take absolute figures on yours.
- Of rates most benchmarks take the best of a few rounds, since noise only takes away; the first lines of each module in
  `benchmarks/` say what it does.
"""


def markdown(found: Measurements) -> str:
    """The page."""
    return "\n".join([_HEAD, *_summary(found), *_tables(found), *_versions(found)])


def _summary(found: Measurements) -> Iterator[str]:
    machine = found.machine
    days = sorted({each.at.date().isoformat() for each in found.benchmarks})
    commits = sorted({each.commit for each in found.benchmarks if each.commit})
    yield "| | |\n| --- | --- |"
    yield f"| date | {' to '.join(dict.fromkeys((days[0], days[-1]))) if days else 'never'} |"
    yield f"| machine | {machine.cpu}, {machine.cores} cores, {machine.memory_gib:g} GiB, {machine.kernel} |"
    yield f"| commit | {', '.join(commits) or 'unknown'} |"
    yield f"| in use before a benchmark began | {_busy(found)} |"
    yield f"| time | {sum(each.took_s for each in found.benchmarks) / 60:.1f} min |"
    yield f"| targets | {_verdict(found)} |\n"
    missed = [(each, result, target) for each, result, target in found.targets if target.is_met is False]
    if missed:
        yield "Missed:\n"
        for benchmark, result, target in missed:
            yield f"- {benchmark.title}, {result.label}: {target.reached}, {target.text} was to be reached"
        yield ""
    failed = [each for each in found.benchmarks if each.error]
    if failed:
        yield "Failed:\n"
        for benchmark in failed:
            yield f"- {benchmark.title} (`{benchmark.command}`): {_cell(benchmark.error)}"
        yield ""


def _busy(found: Measurements) -> str:
    worst = max((each.busy_share or 0 for each in found.benchmarks), default=0)
    noisy = [each.title for each in found.benchmarks if each.is_noisy]
    unknown = sum(each.busy_share is None for each in found.benchmarks)
    words = f"at most {worst:.0%} of all cores{f', not kept for {unknown} of them' if unknown else ''}"
    return f"{words}; **noisy: others were at work before {len(noisy)} of them**" if noisy else words


def _verdict(found: Measurements) -> str:
    states = [target.is_met for _, _, target in found.targets]
    words = f"{states.count(True)} of {len(states)} met, **{states.count(False)} missed**"
    return f"{words}, {states.count(None)} not measured" if None in states else words


def _tables(found: Measurements) -> Iterator[str]:
    for system, title in SYSTEMS.items():
        benchmarks = [each for each in found.benchmarks if each.system == system]
        if not benchmarks:
            continue
        yield f"## {title}\n"
        for benchmark in benchmarks:
            yield from _table(benchmark)


def _table(benchmark: Benchmark) -> Iterator[str]:
    yield f"### {benchmark.title}\n\n{benchmark.how}\n"
    if benchmark.error:
        yield f"**FAILED**: {_cell(benchmark.error)}\n"
    if benchmark.results:
        yield "| | measured | beside | ratio | target | |\n| --- | ---: | --- | ---: | --- | --- |"
        for result in benchmark.results:
            yield _row(result)
        yield ""
    noisy = ", others at work" if benchmark.is_noisy else ""
    at = f"{benchmark.at:%Y-%m-%d %H:%M} UTC"
    load = "not kept" if benchmark.load_1m is None else f"{benchmark.load_1m:g}"
    about = f"{at}, {benchmark.took_s:g} s, load before {load}{noisy}"
    yield f"    {benchmark.command}\n\n{about}, commit {benchmark.commit or 'unknown'}\n"


def _row(result: Result) -> str:
    beside = [f"{each.name}: {figure_text(each.value)}" for each in result.against]
    beside += [f"{name}: not measured" for name in result.not_measured]
    ratios = [_ratio(each) for each in result.against] + ["–"] * len(result.not_measured)
    marks = {True: "met", False: "**MISSED**", None: "not measured"}
    columns = (
        result.label,
        f"**{result.text}**",
        "<br>".join(beside),
        "<br>".join(ratios),
        "<br>".join(target.text for target in result.targets),
        "<br>".join(marks[target.is_met] for target in result.targets),
    )
    return f"| {' | '.join(_cell(column) for column in columns)} |"


def _ratio(against: Against) -> str:
    return f"{ratio_text(against.ratio)}{' the floor' if against.is_floor and against.ratio else ''}"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _versions(found: Measurements) -> Iterator[str]:
    yield "## Versions\n"
    yield ", ".join(f"{name} {version}" for name, version in found.versions.items()) + "\n"
