"""The variables of the specification: what `spec` keeps of each server."""

from collections.abc import Iterable
from typing import Final

from plugins.raft.core.base import CANDIDATE as CANDIDATE_ROLE
from plugins.raft.core.base import LEADER as LEADER_ROLE
from plugins.raft.core.configuration import Configuration
from plugins.raft.core.effects import Role
from plugins.raft.core.node import Node

FOLLOWER: Final = "Follower"
CANDIDATE: Final = "Candidate"
LEADER: Final = "Leader"
STATES: Final = {
    Role.FOLLOWER: FOLLOWER,
    Role.PRECANDIDATE: FOLLOWER,
    Role.CANDIDATE: CANDIDATE,
    Role.LEADER: LEADER,
}
UNKNOWN: Final = -1


class Terms:
    """The terms of a log's entries, by index from 1. Those before `start` are not known: a snapshot has taken them."""

    __slots__ = ("items", "start", "start_term")

    def __init__(self, start: int = 0, start_term: int = 0, items: Iterable[int] = ()) -> None:
        self.start = start
        self.start_term = start_term
        self.items = list(items)

    def __len__(self) -> int:
        """The index of the last entry."""
        return self.start + len(self.items)

    @property
    def last(self) -> int:
        """LastTerm(log)."""
        return self.items[-1] if self.items else self.start_term

    def at(self, index: int) -> int:
        """The term of an entry that is there; UNKNOWN before `start`."""
        place = index - self.start
        return self.items[place - 1] if place > 0 else self.start_term if place == 0 else UNKNOWN

    def append(self, term: int) -> None:
        """One entry more."""
        self.items.append(term)

    def truncate(self, length: int) -> None:
        """Remove the entries beyond `length`."""
        del self.items[max(0, length - self.start) :]

    def upto(self, index: int, term: int) -> "Terms":
        """The entries up to `index`, which is at most the last; `term` is its term, for when it is not known here."""
        if index < self.start:
            return Terms(index, term)
        return Terms(self.start, self.start_term, self.items[: index - self.start])

    def agrees(self, other: "Terms", first: int, last: int) -> bool:
        """Whether both have the same entries from `first` to `last`, as far as is known."""
        if first > last:
            return True
        if last > min(len(self), len(other)):
            return False
        pairs = ((self.at(index), other.at(index)) for index in range(first, last + 1))
        return all(mine == theirs or UNKNOWN in (mine, theirs) for mine, theirs in pairs)


class Server:
    """The specification's variables of one server."""

    __slots__ = (
        "acked",
        "commit",
        "configurations",
        "granted",
        "log",
        "match",
        "since",
        "state",
        "stood",
        "term",
        "vote",
        "votes",
    )

    def __init__(self) -> None:
        self.term = 0
        self.state = FOLLOWER
        self.vote = 0
        self.log = Terms()
        self.commit = 0
        self.granted: dict[int, bool] = {}
        self.match: dict[int, int] = {}
        self.configurations: list[tuple[int, Configuration]] = []
        self.votes: dict[int, int] = {}
        """By term, whom it told that it has its vote: what a restart may not undo."""
        self.stood: dict[int, tuple[int, int]] = {}
        """By term, index and term of its last entry when it stood: what its requests must say."""
        self.acked = 0
        """Up to where it acknowledged its log, as it still stands."""
        self.since = 0
        """What it asked for in terms up to here is not known: it was looked at only later."""

    @classmethod
    def of(cls, node: Node) -> "Server":
        """The variables as a running node says they are; what it promised before is not known."""
        server, log = cls(), node.log
        server.term, server.vote, server.commit = node.term, node.vote, node.commit
        server.since = node.term
        server.state = STATES[node.role]
        entries = log.between(log.start_index + 1, log.last_index)
        server.log = Terms(log.start_index, log.start_term, (entry.term for entry in entries))
        server.configurations = list(node.configurations)
        if node.role is CANDIDATE_ROLE:
            server.granted = dict(node.votes)
        elif node.role is LEADER_ROLE:
            server.match = {number: progress.match for number, progress in node.progress.items()}
        return server

    @property
    def configuration(self) -> Configuration:
        """The newest one in the log."""
        return self.configurations[-1][1]

    def truncate(self, length: int) -> None:
        """Remove the entries beyond `length`."""
        self.log.truncate(length)
        self.acked = min(self.acked, length)
        while self.configurations[-1][0] > length:
            self.configurations.pop()
