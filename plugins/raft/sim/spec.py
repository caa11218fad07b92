"""Raft's TLA+ specification in plain Python, and a validator that names the actions behind each step of a node.

The specification is D. Ongaro's `raft.tla` (https://github.com/ongardie/raft.tla), with its names for the actions. Its
state is kept for each node: currentTerm, state, votedFor, log (here the terms of the entries: that an index and a term
name one entry is the invariant LogMatching), commitIndex, votesGranted, matchIndex. A step of a node is explained by
the actions that it amounts to; each action's guard is checked, and afterwards the specification's state must be the
node's. The first step that has no explanation is a Violation with the step's place.

Where nodes do more than the specification knows, the mapping is:
- a pre-vote, a lease, a promise not to vote, a read: nothing happens, or a message is dropped (`Stutter`);
- an `AppendEntries` with n entries is n messages with one; a snapshot is the message with all entries up to its index;
- commitIndex does not fall on an old message, which the specification would let it do;
- `StepDown` (etcd-io/raft's specification has it too): a leader or a candidate becomes a follower in its term, which is
  always safe: it only does less from then on;
- votes for oneself are counted when the disk has them, as if they were messages;
- members are those of the newest configuration in the log, so `Quorum` is that of the node that counts;
- `Restart` may lose what was not fsynced, but nothing that was promised in a message: no vote, no acknowledged entry.
  That is checked, and the known gap of etcd's trace validation.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from plugins.raft.core.configuration import decode_configuration
from plugins.raft.core.effects import Role
from plugins.raft.core.inputs import Input, Persisted
from plugins.raft.core.messages import (
    CONFIGURATION,
    AppendEntries,
    AppendResponse,
    Entry,
    InstallSnapshot,
    Message,
    ReadIndex,
    ReadIndexResponse,
    RequestVote,
    VoteResponse,
)
from plugins.raft.core.node import Node
from plugins.raft.core.quorum import joint_index, joint_vote
from plugins.raft.sim.spec_state import CANDIDATE, FOLLOWER, LEADER, STATES, UNKNOWN, Server, Terms
from plugins.raft.sim.violation import Violation


class Action(NamedTuple):
    """An action of the specification, with the node it happens at and, for messages, the other one (else 0)."""

    name: str
    node: int
    other: int = 0


class Spec:
    """All servers. Feed it each step; `actions` holds the names of the last one's."""

    def __init__(self) -> None:
        self.servers: dict[int, Server] = {}
        self.committed = Terms()
        """Terms of the entries that somebody committed, by index from 1."""
        self.actions: list[Action] = []

    @classmethod
    def joined(cls, nodes: Iterable[Node], committed: Terms | None = None) -> "Spec":
        """Nodes that are in the middle of something; what they promised before is not known, and not checked.

        `committed` is what another `Spec` knows, perhaps of a node that is gone.
        """
        spec = cls()
        spec.servers = {node.id: Server.of(node) for node in nodes}
        newest = max(spec.servers.values(), key=lambda server: server.commit, default=None)
        if newest is not None:
            spec.committed = newest.log.upto(newest.commit, 0)
            if committed is not None:
                for index in range(newest.commit + 1, len(committed) + 1):
                    spec.committed.append(committed.at(index))
        return spec

    # --- Steps

    def started(self, number: int, node: Node, entries: Sequence[Entry]) -> None:
        """A node starts from its disk, which holds these entries: Init, or Restart(i)."""
        known = self.servers.get(number)
        self.actions = [Action("Restart" if known else "Init", number)]
        server = self.servers[number] = Server()
        index = node.snapshot.index
        if index > len(self.committed):
            self._deny(number, f"it starts from a snapshot at {index}, which nobody committed")
        server.log = self.committed.upto(index, node.snapshot.term)
        server.log.items += [entry.term for entry in entries if entry.index > index]
        server.term, server.vote, server.commit = node.term, node.vote, index
        server.configurations = [(index, decode_configuration(node.snapshot.configuration))]
        server.configurations += [
            (entry.index, decode_configuration(entry.data))
            for entry in entries
            if entry.kind == CONFIGURATION and entry.index > index
        ]
        if known is None:
            return
        server.votes, server.stood, server.acked = known.votes, known.stood, known.acked
        if known.votes:
            term = max(known.votes)
            if server.term < term or (server.term == term and server.vote != known.votes[term]):
                self._deny(number, f"it forgot that it voted for {known.votes[term]} in term {term}")
        if not server.log.agrees(known.log, 1, known.acked):
            self._deny(number, f"it lost entries that it had acknowledged up to {known.acked}")

    def step(self, number: int, event: Input, node: Node) -> None:
        """A node took `event` and is now as `node` says. Raises Violation when no actions explain that."""
        server = self.servers[number]
        self.actions = []
        kind = type(event)
        if kind in _MESSAGES:
            self._receive(number, server, event, node)  # type: ignore[arg-type]
        elif kind is Persisted and server.state == CANDIDATE and server.term == node.term:
            server.granted[number] = True
        if node.term == server.term + 1 and node.vote == number and node.role >= Role.CANDIDATE:
            self._timeout(number, server)
        if server.state == CANDIDATE and node.role is Role.LEADER and server.term == node.term:
            self._become_leader(number, server)
        if server.state == LEADER:
            self._lead(number, server, node)
        if server.state != FOLLOWER and STATES[node.role] == FOLLOWER and node.term == server.term:
            self._did("StepDown", number)
            server.state = FOLLOWER
        self._compare(number, server, node)

    def sent(self, number: int, messages: Sequence[Message]) -> None:
        """A node's messages leave. Raises Violation when one says what the node must not say."""
        server = self.servers[number]
        for message in messages:
            if isinstance(message, AppendEntries):
                self._sends_append(number, server, message)
            elif isinstance(message, AppendResponse):
                if message.success and message.term == server.term:
                    server.acked = max(server.acked, min(message.index, len(server.log)))
            elif isinstance(message, VoteResponse):
                if message.granted and not message.pre:
                    self._promises_vote(number, server, message.term, message.to)
            elif isinstance(message, RequestVote) and not message.pre:
                stood = (message.last_index, message.last_term)
                if message.term > server.since and server.stood.get(message.term) != stood:
                    self._deny(number, f"it asks for votes in term {message.term} with a log that it did not have")
                self._promises_vote(number, server, message.term, number)

    # --- Actions

    def _receive(self, number: int, server: Server, message: Message, node: Node) -> None:
        term = message.term
        if term > server.term and node.term >= term and not _is_pre(message):
            self._did("UpdateTerm", number, message.sender)
            server.term, server.state, server.vote = term, FOLLOWER, 0
        if term != server.term:
            self._did("DropStaleResponse" if term < server.term else "DropMessage", number, message.sender)
            return
        if isinstance(message, AppendEntries):
            self._handle_append(number, server, message)
        elif isinstance(message, AppendResponse):
            if server.state == LEADER and message.success:
                self._did("HandleAppendEntriesResponse", number, message.sender)
                server.match[message.sender] = max(server.match.get(message.sender, 0), message.index)
        elif isinstance(message, InstallSnapshot):
            self._handle_snapshot(number, server, message, node)
        elif isinstance(message, RequestVote):
            self._handle_request_vote(number, server, message, node)
        elif isinstance(message, VoteResponse) and not message.pre and server.state == CANDIDATE:
            self._did("HandleRequestVoteResponse", number, message.sender)
            server.granted.setdefault(message.sender, message.granted)

    def _handle_request_vote(self, number: int, server: Server, message: RequestVote, node: Node) -> None:
        if message.pre:
            return
        self._did("HandleRequestVoteRequest", number, message.sender)
        if node.vote == server.vote:
            return
        is_log_ok = (message.last_term, message.last_index) >= (server.log.last, len(server.log))
        if node.vote != message.sender or server.vote or not is_log_ok:
            self._deny(number, f"it votes for {node.vote} in term {server.term}")
        server.vote = node.vote

    def _handle_append(self, number: int, server: Server, message: AppendEntries) -> None:
        if server.state == CANDIDATE:
            self._did("ReturnToFollowerState", number, message.sender)
            server.state = FOLLOWER
        if server.state == LEADER:
            return
        log, prev = server.log, message.prev_index
        if prev < server.commit:
            self._did("DropMessage", number, message.sender)
            return
        if prev > len(log) or log.at(prev) != message.prev_term:
            self._did("RejectAppendEntriesRequest", number, message.sender)
            return
        for entry in message.entries:
            if entry.index <= len(log) and log.at(entry.index) != entry.term:
                self._did("ConflictAppendEntriesRequest", number, message.sender)
                if entry.index <= server.commit:
                    self._deny(number, f"it removes entry {entry.index}, which is committed")
                server.truncate(entry.index - 1)
            if entry.index == len(log) + 1:
                self._did("NoConflictAppendEntriesRequest", number, message.sender)
                log.append(entry.term)
                if entry.kind == CONFIGURATION:
                    server.configurations.append((entry.index, decode_configuration(entry.data)))
        self._did("AppendEntriesAlreadyDone", number, message.sender)
        self._follow_commit(number, server, min(message.commit, prev + len(message.entries)))

    def _handle_snapshot(self, number: int, server: Server, message: InstallSnapshot, node: Node) -> None:
        if server.state == CANDIDATE:
            self._did("ReturnToFollowerState", number, message.sender)
            server.state = FOLLOWER
        index = message.index
        if not message.done or node.commit != index or server.commit >= index:
            return
        if index > len(self.committed) or self.committed.at(index) not in (message.snapshot_term, UNKNOWN):
            self._deny(number, f"a snapshot at {index} holds what nobody committed")
        log = server.log
        if not (index <= len(log) and log.at(index) == message.snapshot_term):
            self._did("ConflictAppendEntriesRequest", number, message.sender)
            server.log = self.committed.upto(index, message.snapshot_term)
            server.acked = min(server.acked, server.commit)
            server.configurations = [(index, decode_configuration(message.configuration))]
        self._did("AppendEntriesAlreadyDone", number, message.sender)
        self._follow_commit(number, server, index)

    def _follow_commit(self, number: int, server: Server, commit: int) -> None:
        if commit > server.commit:
            if not server.log.agrees(self.committed, server.commit + 1, commit):
                self._deny(number, f"it counts entries up to {commit} as committed that were not")
            server.commit = commit

    def _timeout(self, number: int, server: Server) -> None:
        self._did("Timeout", number)
        if server.state == LEADER:
            self._deny(number, "it stands for election while it leads")
        server.term += 1
        server.state, server.vote = CANDIDATE, number
        server.granted = {}
        server.stood[server.term] = (len(server.log), server.log.last)

    def _become_leader(self, number: int, server: Server) -> None:
        self._did("BecomeLeader", number)
        configuration = server.configuration
        if joint_vote(configuration.voters, configuration.outgoing, server.granted) != "won":
            self._deny(number, f"it leads term {server.term} without the votes of a quorum")
        server.state = LEADER
        server.match = {}

    def _lead(self, number: int, server: Server, node: Node) -> None:
        """What a leader does by itself: ClientRequest, AdvanceCommitIndex."""
        if node.term == server.term and node.commit > server.commit:
            self._advance_commit(number, server, node)
        log, last = server.log, node.log.last_index
        while len(log) < last and node.log.term_at(len(log) + 1) == server.term:
            self._did("ClientRequest", number)
            log.append(server.term)
            entry = node.log.entry(len(log))
            if entry.kind == CONFIGURATION:
                server.configurations.append((entry.index, decode_configuration(entry.data)))

    def _advance_commit(self, number: int, server: Server, node: Node) -> None:
        self._did("AdvanceCommitIndex", number)
        server.match[number] = len(server.log)
        configuration = server.configuration
        agreed = joint_index(configuration.voters, configuration.outgoing, lambda voter: server.match.get(voter, 0))
        commit = node.commit
        if commit > agreed:
            self._deny(number, f"it commits {commit}, but a quorum agrees only up to {agreed}")
        if server.log.at(commit) != server.term:
            self._deny(number, f"it commits {commit}, whose term {server.log.at(commit)} is not its own")
        server.commit = commit
        for index in range(len(self.committed) + 1, commit + 1):
            self.committed.append(server.log.at(index))

    def _sends_append(self, number: int, server: Server, message: AppendEntries) -> None:
        log, prev = server.log, message.prev_index
        if message.term != server.term or server.state != LEADER:
            return  # sent in the step that ended its term: the step itself was explained
        place = prev - log.start
        if place < 0:
            return  # entries from before it was looked at
        if prev > len(log) or log.at(prev) != message.prev_term or message.commit > server.commit:
            self._deny(number, f"it sends entries after ({prev}, {message.prev_term}), which its log does not have")
        if [entry.term for entry in message.entries] != log.items[place : place + len(message.entries)]:
            self._deny(number, f"it sends entries after {prev} that are not in its log")

    def _promises_vote(self, number: int, server: Server, term: int, candidate: int) -> None:
        known = server.votes.setdefault(term, candidate)
        if known != candidate:
            self._deny(number, f"it gives its vote of term {term} to {candidate} after {known}")

    # --- Verdict

    def _compare(self, number: int, server: Server, node: Node) -> None:
        """The specification's state must be the node's."""
        log = node.log
        if (
            server.term != node.term
            or server.vote != node.vote
            or server.state != STATES[node.role]
            or server.commit != node.commit
            or len(server.log) != log.last_index
            or server.log.last != log.last_term
        ):
            spec = (server.term, server.vote, server.state, server.commit, len(server.log), server.log.last)
            mine = (node.term, node.vote, node.role.name, node.commit, log.last_index, log.last_term)
            self._deny(number, f"(term, vote, state, commit, last index, last term) is {mine}, allowed is {spec}")

    def _did(self, name: str, node: int, other: int = 0) -> None:
        self.actions.append(Action(name, node, other))

    def _deny(self, number: int, why: str) -> None:
        done = ", ".join(action.name for action in self.actions) or "nothing"
        raise Violation("Specification", f"node {number}: {why} (actions so far: {done})")


_MESSAGES: Final = frozenset({AppendEntries, AppendResponse, RequestVote, VoteResponse, InstallSnapshot})


def _is_pre(message: Message) -> bool:
    """Whether a message's higher term is only a question, which changes nobody's term."""
    if isinstance(message, RequestVote):
        return message.pre
    if isinstance(message, VoteResponse):
        return message.pre and message.granted
    return isinstance(message, ReadIndex | ReadIndexResponse)
