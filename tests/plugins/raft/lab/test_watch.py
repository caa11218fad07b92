"""Each invariant is noticed when it breaks: nodes are shown to the watch that do what no node does."""

from collections.abc import Callable
from typing import Any

import pytest

from plugins.raft.core.base import Durable
from plugins.raft.core.configuration import Configuration
from plugins.raft.core.effects import Effects, Persist, Role, Status
from plugins.raft.core.inputs import Tick
from plugins.raft.core.messages import COMMAND, Entry, VoteResponse
from plugins.raft.core.node import Node
from plugins.raft.core.prng import Prng
from plugins.raft.core.settings import Settings
from plugins.raft.lab.watch import STATEMENTS, Watch

NOTHING = Effects(None, (), None, (), (), None)


class Bench:
    """Three nodes that a test puts into any state."""

    def __init__(self) -> None:
        group = Durable.first(Configuration((1, 2, 3)))
        self.watch = Watch()
        self.nodes = {number: Node(number, Settings(), group, Prng(number), 0) for number in (1, 2, 3)}
        for node in self.nodes.values():
            self.watch.started(node)

    def show(self, number: int, effects: Effects = NOTHING, results: list[bytes] | None = None) -> None:
        self.watch.check(self.nodes[number], Tick(), effects, results or [b""] * len(effects.apply))

    def log(self, number: int, *terms: int) -> None:
        """Give a node a durable log of these terms, and show it."""
        node = self.nodes[number]
        entries = tuple(Entry(index, term, COMMAND, b"c") for index, term in enumerate(terms, start=1))
        for entry in entries:
            node.log.append(entry)
        node.log.durable = node.log.last_index
        self.show(number, NOTHING._replace(persist=Persist(1, node.term, 0, 0, False, None, entries)))

    def lead(self, number: int, term: int) -> None:
        node = self.nodes[number]
        node.term, node.role, node.leader = term, Role.LEADER, number
        node.progress = {}
        self.show(number, NOTHING._replace(status=Status(term, Role.LEADER, number, 0)))

    def commit(self, number: int, index: int) -> None:
        self.nodes[number].commit = index
        self.show(number)

    def apply(self, number: int, *entries: Entry, results: list[bytes] | None = None) -> None:
        self.nodes[number].delivered = entries[-1].index
        self.nodes[number].commit = max(self.nodes[number].commit, entries[-1].index)
        self.show(number, NOTHING._replace(apply=entries), results)


def two_leaders(bench: Bench) -> None:
    bench.lead(1, 3)
    bench.lead(2, 3)


def two_votes(bench: Bench) -> None:
    for candidate in (2, 3):
        bench.show(1, NOTHING._replace(send=(VoteResponse(4, 1, candidate, True, False),)))


def leader_replaces(bench: Bench) -> None:
    bench.log(1, 1, 1)
    bench.lead(1, 2)
    entry = Entry(2, 2, COMMAND, b"d")
    bench.show(1, NOTHING._replace(persist=Persist(2, 2, 0, 0, False, None, (entry,))))


def other_entry(bench: Bench) -> None:
    bench.log(1, 1)
    bench.show(2, NOTHING._replace(persist=Persist(1, 1, 0, 0, False, None, (Entry(1, 1, COMMAND, b"other"),))))


def leader_lacks(bench: Bench) -> None:
    bench.log(1, 1, 1)
    bench.log(2, 1, 1)
    bench.lead(1, 1)
    bench.commit(1, 2)
    bench.log(3, 1)
    bench.lead(3, 2)


def commit_alone(bench: Bench) -> None:
    bench.log(1, 1)
    bench.lead(1, 1)
    bench.commit(1, 1)


def commit_changes(bench: Bench) -> None:
    for number in (1, 2):
        bench.log(number, 1)
    bench.log(3, 2)
    bench.commit(1, 1)
    bench.commit(3, 1)


def other_applied(bench: Bench) -> None:
    bench.log(1, 1)
    bench.log(2, 1)
    bench.apply(1, Entry(1, 1, COMMAND, b"c"))
    bench.apply(2, Entry(1, 1, COMMAND, b"d"))


def other_result(bench: Bench) -> None:
    bench.log(1, 1)
    bench.log(2, 1)
    bench.apply(1, Entry(1, 1, COMMAND, b"c"), results=[b"+"])
    bench.apply(2, Entry(1, 1, COMMAND, b"c"), results=[b"-"])


def term_goes_back(bench: Bench) -> None:
    for term in (5, 4):
        bench.nodes[1].term = term
        bench.show(1, NOTHING._replace(status=Status(term, Role.FOLLOWER, 0, 0)))


def applied_twice(bench: Bench) -> None:
    bench.log(1, 1)
    for _ in range(2):
        bench.apply(1, Entry(1, 1, COMMAND, b"c"))


@pytest.mark.parametrize(
    ("name", "breaks"),
    [
        ("ElectionSafety", two_leaders),
        ("VoteOnce", two_votes),
        ("LeaderAppendOnly", leader_replaces),
        ("LogMatching", other_entry),
        ("LeaderCompleteness", leader_lacks),
        ("CommitDurable", commit_alone),
        ("CommitStable", commit_changes),
        ("StateMachineSafety", other_applied),
        ("StateMachineSafety", other_result),
        ("Order", term_goes_back),
        ("Specification", term_goes_back),
        ("Order", applied_twice),
    ],
)
def test_broken_promise_is_named(name: str, breaks: Callable[[Bench], Any]) -> None:
    bench = Bench()
    breaks(bench)
    assert name in bench.watch.found
    row = next(row for row in bench.watch.document() if row["name"] == name)
    assert row["holds"] is False
    assert row["found"]


def test_vote_that_was_never_said_may_be_forgotten_in_a_crash() -> None:
    bench = Bench()
    for candidate in (2, 3):
        bench.show(1, NOTHING._replace(persist=Persist(1, 4, candidate, 0, False, None, ())))
    assert "VoteOnce" not in bench.watch.found


def test_every_invariant_has_its_control() -> None:
    marks = test_broken_promise_is_named.pytestmark  # type: ignore[attr-defined]
    assert {name for name, _ in marks[0].args[1]} == set(STATEMENTS)


def test_honest_nodes_break_nothing() -> None:
    bench = Bench()
    for number in (1, 2, 3):
        bench.log(number, 1, 1)
    bench.lead(1, 1)
    bench.commit(1, 2)
    for number in (1, 2, 3):
        bench.apply(number, Entry(1, 1, COMMAND, b"c"), Entry(2, 1, COMMAND, b"c"))
    # That a field changes without a message is what no action of the specification does.
    assert set(bench.watch.found) <= {"Specification"}
