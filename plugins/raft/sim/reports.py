"""The pages and documents that the commands write: the sum of a soak, and the table of rules."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from plugins.raft.sim.link import encode_link
from plugins.raft.sim.soak import Found, Total

SHOWN_MAX = 100
"""Failures that are listed; all are counted."""


class SoakRun(NamedTuple):
    """A soak that is over. `seconds` is the processor's time."""

    first: int
    total: Total
    seconds: float
    has_spec: bool
    python: str


def soak_document(run: SoakRun) -> dict[str, Any]:
    """The sum as JSON."""
    total = run.total
    return {
        "seeds": total.runs,
        "first_seed": run.first,
        "violations": len(total.failures),
        "events": total.events,
        "elections": total.elections,
        "committed_entries": total.committed,
        "client_operations": total.operations,
        "specification": run.has_spec,
        "python": run.python,
        "cpu_s": round(run.seconds, 1),
        "events_per_s": round(total.events / run.seconds) if run.seconds > 0 else None,
        "failures": [
            {"link": encode_link(plan), "violation": outcome.violation, "detail": outcome.detail}
            for plan, outcome in total.failures[:SHOWN_MAX]
        ],
    }


def soak_page(run: SoakRun) -> str:
    """The sum as a page of the documentation."""
    total = run.total
    last = run.first + total.runs - 1
    command = f"quartet raft soak --first {run.first} --seeds {total.runs}{'' if run.has_spec else ' --no-spec'}"
    spec = (
        "each step was also validated by the TLA+ specification" if run.has_spec else "the specification was left out"
    )
    lines = [
        "# Soak of the Raft simulation",
        "",
        f"Written by `{command} --report docs/raft-soak.md`; the same seeds give the same runs anywhere.",
        "",
        "| what | how many |",
        "| --- | --- |",
        f"| seeds, {run.first:,} to {last:,} | {total.runs:,} |",
        f"| **violations** | **{len(total.failures):,}** |",
        f"| simulated events, the invariants checked after each | {total.events:,} |",
        f"| elections won | {total.elections:,} |",
        f"| entries committed | {total.committed:,} |",
        f"| client operations, judged for linearizability | {total.operations:,} |",
        f"| events in a second of processor time | {total.events / max(run.seconds, 0.001):,.0f} |",
        "",
        f"CPython {run.python}; {spec}.",
    ]
    if run.has_spec:
        lines += [
            "The specification is the transcription of the published `raft.tla` in `plugins/raft/sim/spec.py`. It was",
            "not checked against the original by TLC: that both allow the same rests on reading them side by side.",
        ]
    lines += [
        f"- `{encode_link(plan)}` {outcome.violation}: {outcome.detail}" for plan, outcome in total.failures[:SHOWN_MAX]
    ]
    return "\n".join(lines) + "\n"


def rule_document(promise: Found, spec: Found) -> dict[str, Any]:
    """One rule as JSON."""
    rule = promise.rule
    return {
        "rule": rule.name,
        "seeds_to_violation": promise.seeds or None,
        "violation": promise.outcome.violation or None,
        "detail": promise.outcome.detail or None,
        "link": encode_link(promise.plan) if promise.seeds else None,
        "seeds_to_specification": spec.seeds or None,
        "source": rule.source,
        "bug": rule.bug,
        "url": rule.url or None,
    }


def rule_line(promise: Found, spec: Found) -> str:
    """One rule for a terminal."""
    found = f"{promise.outcome.violation} after {promise.seeds:,} seeds" if promise.seeds else "not noticed"
    objected = f"{spec.outcome.violation} after {spec.seeds:,}" if spec.seeds else "nothing"
    return f"{promise.rule.name}: {found}; with the specification {objected}"


def rules_page(rows: Sequence[tuple[Found, Found]], seeds_max: int) -> str:
    """The table as a page of the documentation."""
    lines = [
        "# What each rule of Raft is good for",
        "",
        "Written by `quartet raft rules --write docs/raft-rules.md`. For each rule, nodes that lack it run through",
        "the simulation, seed after seed from 0, until a promise breaks: that many seeds it takes. The specification,",
        f"which looks at each step, often objects earlier. At most {seeds_max:,} seeds are tried. A link runs again",
        "with `quartet raft sim --link …`, and `quartet raft shrink --link …` makes it short.",
        "",
        "| rule | where it stands | seeds to a broken promise | which | with the specification | link | in public |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for promise, spec in rows:
        rule = promise.rule
        bug = f"[{rule.bug}]({rule.url})" if rule.url else rule.bug
        link = f"`{encode_link(promise.plan)}`" if promise.seeds else ""
        cells = [
            f"`{rule.name}`",
            rule.source,
            f"{promise.seeds:,}" if promise.seeds else f"none in {seeds_max:,}",
            promise.outcome.violation or "",
            f"{spec.seeds:,} ({spec.outcome.violation})" if spec.seeds else f"none in {seeds_max:,}",
            link,
            bug,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
