"""Runs: the same everywhere, sound with all rules on, and noticed when something is wrong."""

import pytest

from plugins.raft.core.base import Durable
from plugins.raft.core.effects import Role
from plugins.raft.core.prng import Prng
from plugins.raft.sim.days import plan_of
from plugins.raft.sim.disk import Disk
from plugins.raft.sim.plan import MS, Fault, FaultKind, Plan
from plugins.raft.sim.rules import RULES, node_class, rule_named
from plugins.raft.sim.violation import Violation
from plugins.raft.sim.world import World

PINNED = {
    7: "d866f9bd4c2460bc992fdc2f58f77229077bc016b532ec8ebb896c7ec5aaf20e",
    12: "691ca11cb96526179b84ac692d97638df6ed4d426bc4e817e2a773d95ee87f18",
    24: "48a4964fc44ef25d2182f6dceb41d265714f7bd33bede8a4b933b43541abfd67",
}
"""The same on CPython 3.11, 3.12 and 3.13. They change when the core, the days or the world do, with nothing else."""


@pytest.mark.parametrize("seed", PINNED)
def test_trace_hash_is_the_one_of_every_python(seed: int) -> None:
    assert World(plan_of(seed)).run().trace_hash == PINNED[seed]


def test_same_seed_gives_the_same_run_with_and_without_the_specification() -> None:
    plan = plan_of(5)
    assert World(plan).run() == World(plan).run() == World(plan, spec=False).run()
    assert World(plan).run().trace_hash != World(plan_of(6)).run().trace_hash


@pytest.mark.parametrize("first", range(1000, 1120, 20))
def test_no_seed_breaks_a_promise(first: int) -> None:
    for seed in range(first, first + 20):
        outcome = World(plan_of(seed)).run()
        assert outcome.violation == "", f"seed {seed}: {outcome.violation}: {outcome.detail}"


def test_calm_group_elects_once_and_serves() -> None:
    outcome = World(Plan(seed=1, duration_ms=3000)).run()
    assert outcome.violation == ""
    assert outcome.elections == 1
    assert outcome.operations > 200


def test_step_goes_the_same_way_as_run() -> None:
    plan = plan_of(9)
    stepped = World(plan)
    while stepped.step():
        pass
    stepped.check_end()
    assert stepped.outcome("", "").trace_hash == World(plan).run().trace_hash


def test_minority_commits_nothing_and_heals() -> None:
    split = (Fault(500 * MS, FaultKind.SPLIT, 0b111000), Fault(1200 * MS, FaultKind.HEAL))
    world = World(Plan(seed=4, duration_ms=1500, faults=split))
    while world.now < 1150 * MS and world.step():
        pass
    commits = [machine.node.commit for machine in world.machines[1:] if machine.node is not None]
    assert max(commits[:2]) < min(commits[2:])
    assert world.run().violation == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"nodes": 0}, "nodes must be from 1"),
        ({"voters": 6}, "voters must be from 1 to 5"),
        ({"loss": 1001}, "loss must be from 0 to 1,000"),
        ({"faults": (Fault(0, FaultKind.CRASH, 6),)}, "there is no node 6"),
        ({"faults": (Fault(0, FaultKind.SPLIT, 1),)}, "no such set of nodes"),
        ({"faults": (Fault(0, FaultKind.SKEW, 1, 500),)}, "does not run at 500 permille"),
        ({"faults": (Fault(0, FaultKind.LOSSY, 1001),)}, "cannot be lost"),
        ({"faults": (Fault(0, FaultKind.HEAL),) * 201}, "at most 200 faults"),
    ],
)
def test_plan_that_cannot_be_run_is_refused(change: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        World(Plan(seed=1)._replace(**change))


@pytest.mark.parametrize("seed", range(200))
def test_days_draw_plans_that_can_be_run(seed: int) -> None:
    plan = plan_of(seed)
    assert plan.problems() == []
    assert plan.settings().problems() == []
    assert list(plan.faults) == sorted(plan.faults)


def test_damaged_disk_keeps_its_node_down_and_the_others_go_on() -> None:
    faults = (Fault(400 * MS, FaultKind.BIT_FLIP, 1), Fault(401 * MS, FaultKind.CRASH, 1))
    world = World(Plan(seed=3, duration_ms=1000, faults=faults))
    assert world.run().violation == ""
    assert world.machines[1].node is None


def test_full_disk_stops_its_node_until_there_is_room() -> None:
    faults = (Fault(400 * MS, FaultKind.DISK_FULL, 1), Fault(900 * MS, FaultKind.DISK_FREE, 1))
    world = World(Plan(seed=3, duration_ms=1200, faults=faults))
    while world.now < 800 * MS and world.step():
        pass
    assert world.machines[1].node is None
    assert world.run().violation == ""
    assert world.machines[1].node is not None


QUICK = {
    "old-votes-ignored",
    "fsync-before-reply",
    "own-fsync-before-counting",
    "vote-up-to-date-only",
    "vote-once",
    "match-from-the-message",
    "followers-ask-to-read",
    "sessions",
}
"""Rules whose absence a few seeds show; docs/raft-rules.md has them all."""


@pytest.mark.parametrize("name", sorted(QUICK))
def test_absence_of_a_rule_is_noticed(name: str) -> None:
    assert any(World(plan_of(seed, name), spec=False).run().violation for seed in range(60))


def test_rules_are_named_and_the_shipping_node_is_none_of_them() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES) >= 20
    assert node_class("").__module__ == "plugins.raft.core.node"
    assert node_class("sessions") is rule_named("sessions").without
    with pytest.raises(ValueError, match="there is no rule 'x'; there are commit-own-term-only"):
        rule_named("x")


# --- The invariants and the specification say so when something is wrong: each is broken by hand here.


def led(seed: int = 2) -> tuple[World, int]:
    """A calm run at a moment when somebody leads, and who."""
    world = World(Plan(seed=seed, clients=2))
    while world.now < 500 * MS:
        world.step()
    return world, next(m.id for m in world.machines if m.led_term)


def to_the_end(world: World) -> None:
    while world.step():
        pass


def go_on(world: World, name: str) -> None:
    with pytest.raises(Violation) as caught:
        to_the_end(world)
    assert caught.value.name == name


def test_second_leader_of_a_term_is_noticed() -> None:
    world, leader = led()
    world.spec = None
    world.invariants._leaders[world.machines[leader].node.term + 1] = 99  # type: ignore[union-attr]
    world._do(FaultKind.CRASH, leader, 0)
    go_on(world, "ElectionSafety")


def test_commit_index_that_falls_is_noticed() -> None:
    world, leader = led()
    world.spec = None
    node = world.machines[leader % 5 + 1].node
    assert node is not None
    node.commit -= 1
    go_on(world, "Order")


def test_entry_that_differs_is_noticed() -> None:
    world, leader = led()
    world.spec = None
    index = max(world.invariants._entries)[0]
    term = world.machines[leader].term
    entry, before = world.invariants._entries[index, term]
    for ahead in range(1, 4):
        world.invariants._entries[index + ahead, term] = (entry._replace(data=b"other"), before)
    go_on(world, "LogMatching")


def test_commit_without_a_quorum_on_disk_is_noticed() -> None:
    world, leader = led()
    world.spec = None
    empty = Disk(Durable.empty(), Prng(1))
    world.invariants._disks = [disk if n == leader else empty for n, disk in enumerate(world.invariants._disks)]
    go_on(world, "CommitDurable")


def test_specification_objects_to_a_commit_that_it_does_not_allow() -> None:
    world, leader = led()
    node = world.machines[leader].node
    assert node is not None
    assert node.role is Role.LEADER
    world._do(FaultKind.SPLIT, 1 << leader, 0)
    node.log.append(node.log.entry(node.log.last_index)._replace(index=node.log.last_index + 1))
    node.commit = node.log.last_index
    go_on(world, "CommitDurable")


def test_specification_names_the_first_step_that_it_does_not_allow() -> None:
    world, leader = led()
    node = world.machines[leader].node
    assert node is not None
    node.vote = leader % 5 + 1
    with pytest.raises(Violation, match=rf"node {leader}: \(term, vote, state, commit, last index, last term\)"):
        to_the_end(world)
