"""Raft on the command line: `quartet raft sim | soak | shrink | rules`."""

import json
import platform
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import trio

from host.api import Command, PluginContext
from plugins.raft.sim import reports
from plugins.raft.sim.days import plan_of
from plugins.raft.sim.link import LinkError, decode_link, encode_link
from plugins.raft.sim.plan import Plan
from plugins.raft.sim.rules import RULES, rule_named
from plugins.raft.sim.shrink import RUNS_MAX, shrink
from plugins.raft.sim.soak import Found, Total, search, soak
from plugins.raft.sim.violation import Violation
from plugins.raft.sim.world import Outcome, World

T = TypeVar("T")
RULE_SEEDS_MAX: Final = 10_000
"""Seeds that `rules` tries for each rule before it says that none was found."""


def _print(document: dict[str, Any]) -> None:
    json.dump(document, sys.stdout, indent=2)
    sys.stdout.write("\n")


def _count(text: str) -> int:
    """A whole number of at least 0."""
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is no whole number")
    return int(text)


def _rule(text: str) -> str:
    """The name of a rule, or nothing."""
    try:
        return rule_named(text).name if text else ""
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _plan(text: str) -> Plan:
    """The plan of a link."""
    try:
        return decode_link(text)
    except LinkError as error:
        raise ArgumentTypeError(str(error)) from None


def _add_rule(parser: ArgumentParser) -> None:
    parser.add_argument("--rule", type=_rule, default="", metavar="NAME", help="nodes that lack this rule")


async def _each(steps: Iterator[T]) -> T:
    """Go through all steps and return the last; other tasks, and Ctrl-C, get their turn in between."""
    last = next(steps)
    while (step := next(steps, None)) is not None:
        last = step
        await trio.lowlevel.checkpoint()
    return last


# --- sim


def _sim_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--seed", type=_count, default=1, help="which run; default 1")
    parser.add_argument("--link", type=_plan, default=None, metavar="LINK", help="the run of a link instead")
    parser.add_argument("--steps", type=_count, default=None, help="stop after so many events")
    parser.add_argument("--trace", action="store_true", help="print each step with its actions of the specification")
    _add_rule(parser)
    parser.epilog = "example: quartet raft sim --seed 7 --trace --steps 200"


def _trace_line(world: World, before: int) -> str | None:
    """The step just taken, if a node took one."""
    spec = world.spec
    if spec is None or not spec.actions or world.spec_steps == before:
        return None
    actions = ", ".join(f"{a.name}({a.node}{f', {a.other}' if a.other else ''})" for a in spec.actions)
    return f"{world.now / 1000:10.3f} ms  {actions}"


def _run_steps(world: World, steps_max: int | None, *, trace: bool) -> Outcome:
    """Run step by step, to the end or as far as is asked for."""
    name = detail = ""
    try:
        while steps_max is None or world.events < steps_max:
            before = world.spec_steps
            if not world.step():
                world.check_end()
                break
            if trace and (line := _trace_line(world, before)) is not None:
                sys.stdout.write(line + "\n")
    except Violation as violation:
        name, detail = violation.name, violation.detail
    return world.outcome(name, detail)


async def _sim(ctx: PluginContext, arguments: Namespace) -> int:
    """Run one plan and print what came of it. Exit code 0 when every promise was kept, else 1."""
    plan = arguments.link or plan_of(arguments.seed, arguments.rule)
    world = World(plan)
    if arguments.trace or arguments.steps is not None:
        outcome = _run_steps(world, arguments.steps, trace=arguments.trace)
    else:
        outcome = world.run()
    _print({"link": encode_link(plan), **outcome._asdict(), "faults": len(plan.faults), "nodes": plan.nodes})
    return 1 if outcome.violation else 0


SIM: Final = Command("sim", "Run one simulated group, from a seed or a link.", _sim, _sim_arguments)


# --- soak


def _soak_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--seeds", type=_count, default=100, help="how many runs; default 100")
    parser.add_argument("--first", type=_count, default=0, help="the first seed; default 0")
    parser.add_argument("--no-spec", action="store_true", help="leave the TLA+ specification out, which is quicker")
    parser.add_argument("--report", type=Path, default=None, metavar="FILE", help="write a summary as Markdown")
    _add_rule(parser)
    parser.epilog = "example: quartet raft soak --seeds 10000 --report docs/raft-soak.md"


async def _soak(ctx: PluginContext, arguments: Namespace) -> int:
    """Run many seeds and print the sum. Exit code 0 when every promise was kept in each, else 1."""
    started, total = time.process_time(), Total()
    for plan, outcome in soak(arguments.first, arguments.seeds, arguments.rule, spec=not arguments.no_spec):
        total = total.plus(plan, outcome)
        if outcome.violation:
            sys.stderr.write(f"{encode_link(plan)}: {outcome.violation}: {outcome.detail}\n")
        await trio.lowlevel.checkpoint()
    run = reports.SoakRun(
        arguments.first, total, time.process_time() - started, not arguments.no_spec, platform.python_version()
    )
    _print(reports.soak_document(run))
    if arguments.report is not None:
        await trio.Path(arguments.report).write_text(reports.soak_page(run))
    return 1 if total.failures else 0


SOAK: Final = Command("soak", "Run many seeds; each must keep every promise.", _soak, _soak_arguments)


# --- shrink


def _shrink_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--seed", type=_count, default=0, help="the run that breaks a promise; default 0")
    parser.add_argument("--link", type=_plan, default=None, metavar="LINK", help="the run of a link instead")
    parser.add_argument("--runs", type=_count, default=RUNS_MAX, help=f"runs to try at most; default {RUNS_MAX}")
    _add_rule(parser)
    parser.epilog = "example: quartet raft shrink --seed 30 --rule term-and-vote-persisted"


async def _shrink(ctx: PluginContext, arguments: Namespace) -> int:
    """Make a run that breaks a promise short; prints it with its link. Exit code 2 when it breaks none."""
    plan = arguments.link or plan_of(arguments.seed, arguments.rule)
    try:
        small = shrink(plan, runs_max=arguments.runs)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    outcome = World(small, spec=False).run()
    document = {"link": encode_link(small), **outcome._asdict()}
    document["faults"] = [f"{fault.at_us / 1000:g} ms {fault.kind.name} {fault.a} {fault.b}" for fault in small.faults]
    _print(document)
    return 0


SHRINK: Final = Command("shrink", "Make a run that breaks a promise short.", _shrink, _shrink_arguments)


# --- rules


def _rules_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--seeds-max", type=_count, default=RULE_SEEDS_MAX, help=f"seeds to try for each; default {RULE_SEEDS_MAX:,}"
    )
    parser.add_argument("--write", type=Path, default=None, metavar="FILE", help="write the table as Markdown")
    _add_rule(parser)
    parser.epilog = "example: quartet raft rules --write docs/raft-rules.md"


async def _rules(ctx: PluginContext, arguments: Namespace) -> int:
    """Take each rule out and count the seeds until a promise breaks. Exit code 1 when some absence goes unnoticed."""
    rows: list[tuple[Found, Found]] = []
    for rule in RULES:
        if arguments.rule not in ("", rule.name):
            continue
        promise = await _each(search(rule, max(1, arguments.seeds_max), spec=False))
        spec = await _each(search(rule, max(1, arguments.seeds_max), spec=True))
        rows.append((promise, spec))
        sys.stderr.write(reports.rule_line(promise, spec) + "\n")
    _print({"rules": [reports.rule_document(*row) for row in rows]})
    if arguments.write is not None:
        await trio.Path(arguments.write).write_text(reports.rules_page(rows, arguments.seeds_max))
    return 0 if all(promise.seeds for promise, _ in rows) else 1


RULES_COMMAND: Final = Command("rules", "Take each rule of Raft out and see what catches it.", _rules, _rules_arguments)

COMMANDS: Final = (SIM, SOAK, SHRINK, RULES_COMMAND)
