"""The invariants of Raft, looked at after every step of the live cluster, in memory that does not grow.

The same promises as in `sim.invariants`, which keeps all of a run; a cluster that lives for weeks keeps a window: what
is older than `WINDOW` entries can no longer be contradicted but by a node that was away as long, and such a node gets
a snapshot.
"""

from collections import OrderedDict
from typing import Any, Final
from zlib import crc32

from plugins.raft.core.effects import Effects, Persist, Role
from plugins.raft.core.inputs import Input
from plugins.raft.core.messages import Entry, Message, RequestVote, VoteResponse
from plugins.raft.core.node import Node
from plugins.raft.lab.explain import Explainer

WINDOW: Final = 8192
"""Entries, terms and votes that are remembered."""

STATEMENTS: Final = {
    "ElectionSafety": "at most one leader in a term",
    "VoteOnce": "a node votes for one candidate in a term, restarts included",
    "LeaderAppendOnly": "a leader replaces or removes no entry of its log",
    "LogMatching": "an index and a term name one entry, and one entry before it",
    "LeaderCompleteness": "what was committed is in the logs of the leaders of all later terms",
    "CommitDurable": "what a leader commits is on the disks of a quorum",
    "CommitStable": "an index is committed with one term for ever",
    "StateMachineSafety": "all nodes apply the same entries, and come to the same results",
    "Specification": "every step is one that the published TLA+ specification allows",
    "Order": "term and commit never go back, each index is applied once, in order",
}


class _Window(OrderedDict[Any, Any]):
    """A dictionary that forgets the oldest."""

    def note(self, key: Any, value: Any) -> Any:
        """Set the key unless it is there. Returns what is there."""
        known = self.get(key)
        if known is None:
            self[key] = known = value
            if len(self) > WINDOW:
                self.popitem(last=False)
        return known


class _Life:
    """What is remembered of one running node."""

    __slots__ = ("applied", "commit", "last", "led_term", "term")

    def __init__(self, node: Node) -> None:
        self.term, self.commit = node.term, node.commit
        self.applied = node.delivered
        self.last, self.led_term = node.log.last_index, 0


class Watch:
    """What was seen so far. `found` maps the name of a broken promise to what broke it first."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self.checked = dict.fromkeys(STATEMENTS, 0)
        self.explainer = Explainer()
        self.newest_commit = 0
        """The highest index that anybody knew to be committed."""
        self._lives: dict[int, _Life] = {}
        self._nodes: dict[int, Node] = {}
        self._leaders = _Window()
        self._votes = _Window()
        self._entries = _Window()
        self._committed = _Window()
        self._applied = _Window()

    def started(self, node: Node) -> None:
        """A node begins from its disk."""
        self._lives[node.id] = _Life(node)
        self._nodes[node.id] = node
        if denied := self.explainer.started(node):
            self.found.setdefault("Specification", denied)

    def stopped(self, number: int) -> None:
        """A node is gone. What it had made durable still counts."""
        life = self._lives.get(number)
        if life is not None:
            life.led_term = 0

    def removed(self, number: int) -> None:
        """A node and its disk are gone for good."""
        self._lives.pop(number, None)
        self._nodes.pop(number, None)
        self.explainer.removed(number)

    def check(self, node: Node, event: Input, effects: Effects, results: list[bytes]) -> list[tuple[str, str]]:
        """`node` took a step, and its machine gave these results. Returns the promises that it broke: name, detail."""
        life = self._lives[node.id]
        broken: list[tuple[str, str]] = []
        self.checked["Specification"] += 1
        if denied := self.explainer.step(node, event, effects):
            broken.append(("Specification", denied))
        if effects.send:
            self._check_votes(node, effects.send, broken)
        if effects.persist is not None:
            self._check_persist(life, node, effects.persist, broken)
        if effects.status is not None:
            self._check_status(life, node, broken)
        if node.commit != life.commit:
            self._check_commit(life, node, broken)
        if effects.restore is not None:
            life.applied = max(life.applied, effects.restore.index)
        if effects.apply:
            self._check_applied(life, node, effects.apply, results, broken)
        for name, detail in broken:
            self.found.setdefault(name, detail)
        return broken

    def _check_votes(self, node: Node, sends: tuple[Message, ...], broken: list[tuple[str, str]]) -> None:
        # A vote is given when it is said. One that was only on its way to the disk may be forgotten in a crash.
        for message in sends:
            if type(message) is VoteResponse and message.granted and not message.pre:
                candidate = message.to
            elif type(message) is RequestVote and not message.pre:
                candidate = node.id
            else:
                continue
            self.checked["VoteOnce"] += 1
            known = self._votes.note((node.id, message.term), candidate)
            if known != candidate:
                broken.append(("VoteOnce", f"n{node.id} voted for n{known} and n{candidate} in term {message.term}"))

    def _check_persist(self, life: _Life, node: Node, persist: Persist, broken: list[tuple[str, str]]) -> None:
        if persist.entries:
            first = persist.entries[0].index
            self.checked["LeaderAppendOnly"] += 1
            if node.role is Role.LEADER and life.led_term == node.term and first <= life.last:
                broken.append(("LeaderAppendOnly", f"leader n{node.id} replaced its entry {first}"))
            self._check_matching(node, persist.entries, broken)
        life.last = node.log.last_index

    def _check_matching(self, node: Node, entries: tuple[Entry, ...], broken: list[tuple[str, str]]) -> None:
        before = node.log.term_at(entries[0].index - 1)
        for entry in entries:
            self.checked["LogMatching"] += 1
            mine = (_digest(entry), before)
            known = self._entries.note((entry.index, entry.term), mine)
            if known[0] != mine[0] or (known[1] != before and -1 not in (known[1], before)):
                detail = f"n{node.id} has another entry {entry.index} of term {entry.term}"
                broken.append(("LogMatching", detail))
            before = entry.term

    def _check_status(self, life: _Life, node: Node, broken: list[tuple[str, str]]) -> None:
        self.checked["Order"] += 1
        if node.term < life.term:
            broken.append(("Order", f"n{node.id} went from term {life.term} back to {node.term}"))
        life.term = node.term
        if node.role is not Role.LEADER:
            life.led_term = 0
            return
        if life.led_term == node.term:
            return
        life.led_term = node.term
        life.last = node.log.last_index
        self.checked["ElectionSafety"] += 1
        known = self._leaders.note(node.term, node.id)
        if known != node.id:
            broken.append(("ElectionSafety", f"n{known} and n{node.id} both lead term {node.term}"))
        self.checked["LeaderCompleteness"] += 1
        for index in range(self.newest_commit, max(node.log.start_index, self.newest_commit - WINDOW), -1):
            committed = self._committed.get(index)
            if committed is not None and committed[1] < node.term and node.log.term_at(index) != committed[0]:
                detail = f"leader n{node.id} of term {node.term} lacks entry {index} of term {committed[0]}"
                broken.append(("LeaderCompleteness", detail))
                return

    def _check_commit(self, life: _Life, node: Node, broken: list[tuple[str, str]]) -> None:
        commit, log = node.commit, node.log
        self.checked["Order"] += 1
        if commit < life.commit or not node.snapshot.index <= commit <= log.last_index:
            broken.append(("Order", f"n{node.id} went from commit {life.commit} to {commit}"))
        first = max(life.commit, log.start_index) + 1
        life.commit = commit
        for index in range(first, commit + 1):
            self.checked["CommitStable"] += 1
            term = log.term_at(index)
            known = self._committed.note(index, (term, node.term))
            if known[0] != term:
                detail = f"n{node.id} commits term {term} at {index}, where term {known[0]} was committed"
                broken.append(("CommitStable", detail))
        if commit > self.newest_commit:
            self.newest_commit = commit
            if node.role is Role.LEADER:
                self._check_durable(node, commit, broken)

    def _check_durable(self, node: Node, index: int, broken: list[tuple[str, str]]) -> None:
        self.checked["CommitDurable"] += 1
        for at in (node.configuration_index, index):
            configuration = node.configuration_at(at)
            groups = (configuration.voters, configuration.outgoing)
            if all(self._is_held(group, index, node.log.term_at(index)) for group in groups):
                return
        broken.append(("CommitDurable", f"leader n{node.id} commits {index}, which no quorum has on its disks"))

    def _is_held(self, group: tuple[int, ...], index: int, term: int) -> bool:
        def holds(number: int) -> bool:
            log = self._nodes[number].log if number in self._nodes else None
            return log is not None and (
                index <= log.start_index or (index <= log.durable and log.term_at(index) == term)
            )

        return not group or sum(map(holds, group)) * 2 > len(group)

    def _check_applied(
        self, life: _Life, node: Node, entries: tuple[Entry, ...], results: list[bytes], broken: list[tuple[str, str]]
    ) -> None:
        self.checked["Order"] += 1
        if entries[0].index != life.applied + 1 or node.delivered > node.commit:
            broken.append(("Order", f"n{node.id} applied {entries[0].index} after {life.applied}"))
        life.applied = entries[-1].index
        for entry, result in zip(entries, results, strict=True):
            self.checked["StateMachineSafety"] += 1
            mine = (_digest(entry), entry.term, result)
            if self._applied.note(entry.index, mine) != mine:
                broken.append(("StateMachineSafety", f"n{node.id} applied another entry at {entry.index}"))

    def document(self) -> list[dict[str, Any]]:
        """For a page: what was checked, how often, and what was found."""
        return [
            {
                "name": name,
                "statement": statement,
                "holds": name not in self.found,
                "checked": self.checked[name],
                "found": self.found.get(name, ""),
            }
            for name, statement in STATEMENTS.items()
        ]


def _digest(entry: Entry) -> int:
    return crc32(entry.data, entry.kind)
