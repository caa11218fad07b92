"""What must hold after every single step, checked on what the step changed.

| name | statement | source |
| --- | --- | --- |
| ElectionSafety | at most one leader in a term | paper Fig. 3; TLA+ ElectionSafetyInv, MoreThanOneLeaderInv |
| VoteOnce | a node votes for one candidate in a term, restarts included | paper §5.2 |
| LeaderAppendOnly | a leader replaces or removes no entry of its log | paper Fig. 3 |
| LogMatching | an index and a term name one entry, and one entry before it | paper Fig. 3; TLA+ LogMatchingInv |
| LeaderCompleteness | what was committed in a term is in the logs of the leaders of all later terms | paper Fig. 3 |
| CommitDurable | what a leader commits is on the disks of a quorum | TLA+ QuorumLogInv, CommittedIsDurableInv |
| CommitStable | an index is committed with one term for ever | TLA+ LogInv; Vanlightly's NoLogDivergence |
| StateMachineSafety | all nodes apply the same entries (in `oracle`) | paper Fig. 3 |
| Order | snapshot ≤ commit ≤ last; term and commit never go back; each index is applied once | openraft |
| SnapshotIntegrity | a snapshot is the state that its label says (in `oracle`) | d-engine #118 |
| StaleRead | a read sees all that anybody saw before it was asked (in `clients`) | thesis §6.4 |

"Every leader has every committed entry" is not among them: a leader that was cut off has not heard of what later
terms committed. Only leaders of later terms must have it. "TLA+" are the invariants that etcd-io/raft checks in `tla/`.

Log Matching is checked in constant time: a map from (index, term) to the entry and the term before it. That every
pair of logs then agrees up to any common entry follows by induction, which is the proof in the paper.
"""

from typing import TYPE_CHECKING

from plugins.raft.core.effects import Effects, Persist, Role
from plugins.raft.core.messages import Entry
from plugins.raft.core.node import Node
from plugins.raft.sim.disk import Disk
from plugins.raft.sim.violation import Violation

if TYPE_CHECKING:
    from plugins.raft.sim.machine import Machine

LEADER = Role.LEADER


class Invariants:
    """What was seen so far, of all nodes."""

    __slots__ = ("_commit_terms", "_committed", "_disks", "_entries", "_leaders", "_nodes", "_votes")

    def __init__(self, disks: list[Disk], nodes: "list[Machine]") -> None:
        self._disks = disks
        self._nodes = nodes
        self._leaders: dict[int, int] = {}
        self._votes: dict[tuple[int, int], int] = {}
        self._entries: dict[tuple[int, int], tuple[Entry, int]] = {}
        self._committed: list[int] = [0]
        """By index, the term of the entry that is committed there."""
        self._commit_terms: list[int] = [0]
        """By index, the term of the leader, or follower, that first knew it committed."""

    def check(self, machine: "Machine", node: Node, effects: Effects) -> None:
        """`node` took a step. Raises Violation."""
        if effects.persist is not None:
            self._check_persist(machine, node, effects.persist)
        if effects.status is not None:
            self._check_status(machine, node)
        if node.commit != machine.commit:
            self._check_commit(machine, node)
        if effects.apply:
            if effects.apply[0].index != machine.applied + 1 or node.delivered > node.commit:
                raise Violation("Order", f"node {node.id} applied {effects.apply[0].index} after {machine.applied}")
            machine.applied = node.delivered

    def _check_persist(self, machine: "Machine", node: Node, persist: Persist) -> None:
        entries = persist.entries
        if not entries:
            machine.last = node.log.last_index
            return
        first = entries[0].index
        if node.role is LEADER and machine.led_term == node.term and first <= machine.last:
            raise Violation("LeaderAppendOnly", f"leader {node.id} replaced its entry {first}")
        machine.last = node.log.last_index
        before = node.log.term_at(first - 1)
        seen = self._entries
        for entry in entries:
            key = (entry.index, entry.term)
            known_entry = seen.get(key)
            if known_entry is None:
                seen[key] = (entry, before)
            elif (known_entry[0] is not entry and known_entry[0] != entry) or known_entry[1] != before:
                raise Violation("LogMatching", f"node {node.id} has another entry {entry.index} of term {entry.term}")
            before = entry.term

    def check_disk(self, node: int, disk: Disk) -> None:
        """Something became durable. A vote counts from then on: before, nobody was told of it. Raises Violation."""
        vote = disk.vote
        if vote:
            known = self._votes.setdefault((node, disk.term), vote)
            if known != vote:
                raise Violation("VoteOnce", f"node {node} voted for {known} and for {vote} in term {disk.term}")

    def _check_status(self, machine: "Machine", node: Node) -> None:
        term = node.term
        if term < machine.term:
            raise Violation("Order", f"node {node.id} went from term {machine.term} back to {term}")
        machine.term = term
        if node.role is not LEADER:
            machine.led_term = 0
            return
        if machine.led_term == term:
            return
        machine.led_term = term
        machine.last = node.log.last_index
        known = self._leaders.setdefault(term, node.id)
        if known != node.id:
            raise Violation("ElectionSafety", f"nodes {known} and {node.id} both lead term {term}")
        index = len(self._committed) - 1
        while index > 0 and self._commit_terms[index] >= term:
            index -= 1
        self._must_have(node, index)

    def _must_have(self, node: Node, index: int) -> None:
        log = node.log
        if index > log.start_index and log.term_at(index) != self._committed[index]:
            raise Violation(
                "LeaderCompleteness",
                f"leader {node.id} of term {node.term} lacks entry {index} of term {self._commit_terms[index]}",
            )

    def _check_commit(self, machine: "Machine", node: Node) -> None:
        commit, log = node.commit, node.log
        if commit < machine.commit:
            raise Violation("Order", f"node {node.id} went from commit {machine.commit} back to {commit}")
        if not node.snapshot.index <= commit <= log.last_index:
            raise Violation("Order", f"node {node.id} counts {commit} as committed, its log ends at {log.last_index}")
        committed = self._committed
        first = max(machine.commit, log.start_index) + 1
        machine.commit = commit
        for index in range(first, commit + 1):
            term = log.term_at(index)
            if index < len(committed):
                if committed[index] != term:
                    raise Violation(
                        "CommitStable",
                        f"node {node.id} commits term {term} at {index}, where term {committed[index]} was committed",
                    )
            else:
                committed.append(term)
                self._commit_terms.append(node.term)
                if index == commit:
                    self._newly_committed(node, index, term)

    def _newly_committed(self, node: Node, index: int, term: int) -> None:
        """Nobody knew so much to be committed before."""
        for other in self._nodes:
            if other.led_term > node.term and other.node is not None:
                self._must_have(other.node, index)
        if node.role is LEADER and not any(
            self._has_quorum(node, index, term, at) for at in (node.configuration_index, index)
        ):
            raise Violation("CommitDurable", f"leader {node.id} commits {index}, which no quorum has on its disks")

    def _has_quorum(self, node: Node, index: int, term: int, at: int) -> bool:
        """Whether a majority of each voting group of the configuration in force at `at` holds the entry durably."""
        configuration = node.configuration_at(at)
        for group in (configuration.voters, configuration.outgoing):
            holding = sum(1 for voter in group if self._disks[voter].holds(index, term))
            if group and holding * 2 <= len(group):
                return False
        return True
