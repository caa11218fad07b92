"""The outcome as a page of the documentation."""

import os
import platform
import time

from tests.soak.health import Sample
from tests.soak.run import FILES_SLACK, SLOPE_MIB_PER_MIN_MAX, Outcome

CHECKED = """\
| promise | how it is checked | found |
| --- | --- | --- |
| no seat has two owners, and who was told "confirmed" owns the seats | {orders:,} orders that buyers were told of; \
{invariants} invariants counted in the database | {audit} |
| every stampede holds | {runs:,} of them, judged as they ended and again at the end; \
without a verdict: {runs_unknown} | holds |
| what clients of the Raft lab saw is linearizable, no invariant was broken | {commands:,} commands on {keys:,} keys, \
{undecided} undecided; the lab's own checks | {checks} |
| every screen shows the same picture, nothing acknowledged is lost | {boards} boards with {strokes:,} strokes, \
their roots compared with a newcomer's | equal |
| no stream of the gateway is cut silently | {whole:,} whole streams compared with what they should say; {told:,} \
ended with an error event, {broken:,} by a broken connection | 0 cut silently |
"""
HEAD = """\
# All four plugins under load and faults

Written by `{command}` on {date}:
{cores} cores, {system}, Python {python}, embedded Postgres and Redis; {verdict}.

Buyers, users of the Raft lab, people who draw, clients of the gateway, watchers and rude connections come and go on one
host, while a seeded deck of faults breaks servers, plugins, providers and nodes. In the first quarter the host itself
is killed and started again; its last process is then watched to the end. A short run of the same is among the tests.
"""
IDLE = """\
When nobody is there: {before.tasks} tasks and {before.files} open files before, {after.tasks} and {after.files} after.
More tasks fail, and so do more than {slack} more files (connections that pools keep).
"""


def page_of(outcome: Outcome) -> str:
    """The page."""
    counts, promises = outcome.counts, outcome.promises
    checked = CHECKED.format(
        orders=counts.get("orders confirmed", 0),
        runs=counts.get("stampedes", 0),
        boards=counts.get("boards compared", 0),
        strokes=counts.get("strokes", 0),
        whole=counts.get("streams whole", 0),
        told=counts.get("streams ended with an error event", 0),
        broken=counts.get("streams whose connection broke", 0),
        **promises["frontrow"],
        **promises["raft"],
    )
    verdict = "every promise held" if not outcome.problems else "**not all was well**"
    struck = {"the host killed with SIGKILL": outcome.kills, **dict(sorted(outcome.struck.items()))}
    head = HEAD.format(
        command=f"python -m tests.soak --minutes {outcome.seconds / 60:g} --seed {outcome.seed} --report docs/soak.md",
        date=time.strftime("%Y-%m-%d"),
        cores=os.cpu_count(),
        system=platform.system(),
        python=platform.python_version(),
        verdict=verdict,
    )
    return "\n".join(
        [
            head,
            *(f"- {problem}" for problem in outcome.problems),
            "",
            checked,
            "## What was broken",
            "",
            "| fault | times |",
            "| --- | --- |",
            *(f"| {name} | {count} |" for name, count in struck.items()),
            "",
            "## What the process takes",
            "",
            IDLE.format(before=outcome.idle_before, after=outcome.idle_after, slack=FILES_SLACK),
            _memory(outcome),
            "",
            "| seconds | process | resident MiB |",
            "| --- | --- | --- |",
            *(f"| {at} | {life} | {mib} |" for at, life, mib in _by_half_minute(outcome.samples)),
            "",
            "## What visitors met",
            "",
            "| what | times |",
            "| --- | --- |",
            *(f"| {name} | {count:,} |" for name, count in counts.items()),
            "",
        ]
    )


def _memory(outcome: Outcome) -> str:
    if outcome.slope_mib_per_min is None:
        return "Too short to tell a slope of its memory."
    return (
        f"In the second half of the last process's load its memory grew by {outcome.slope_mib_per_min:.1f} MiB a minute"
        f" (the median of all slopes between two samples); more than {SLOPE_MIB_PER_MIN_MAX:g} fails."
    )


def _by_half_minute(samples: list[Sample]) -> list[tuple[int, int, float]]:
    kept: dict[int, tuple[int, int, float]] = {}
    for sample in samples:
        kept.setdefault(round(sample.at_s) // 30, (round(sample.at_s), sample.life, sample.resident_mib))
    return list(kept.values())
