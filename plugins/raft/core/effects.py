"""What a node wants done. See the package's docstring for the order in which a shell does it."""

from enum import IntEnum
from typing import Literal, NamedTuple

from plugins.raft.core.messages import Entry, Message, Snapshot


class Role(IntEnum):
    """What a node is in its term."""

    FOLLOWER = 0
    PRECANDIDATE = 1
    CANDIDATE = 2
    LEADER = 3


Reason = Literal[
    "not-leader",
    "no-leader",
    "overloaded",
    "too-large",
    "transferring",
    "change-pending",
    "no-commit-in-term",
    "invalid-change",
    "invalid-target",
    "stepped-down",
]
"""Why a request was refused. "stepped-down" alone leaves open what became of it."""


class Persist(NamedTuple):
    """One unit for the disk; afterwards, and after every unit with a lower token, it must survive a crash.

    Order within: `term` and `vote` (0 is none) always replace what was there, as one record; `snapshot`, when not
    None, replaces the one before; `reset` empties the log, which then begins after the snapshot; otherwise entries up
    to `compact_to` may be deleted. Then `entries`: the log from `entries[0].index` on becomes exactly these.
    """

    token: int
    term: int
    vote: int
    compact_to: int
    reset: bool
    snapshot: Snapshot | None
    entries: tuple[Entry, ...]


class Accepted(NamedTuple):
    """The commands stand in the leader's log in `term`, the first at `index`, each next one at the next index."""

    index: int  # type: ignore[assignment]
    term: int
    request_ids: tuple[int, ...]


class Refused(NamedTuple):
    """The requests were not taken. `leader` is a hint where to go, 0 when nobody is known."""

    leader: int
    reason: Reason
    request_ids: tuple[int, ...]


class ReadReady(NamedTuple):
    """These reads may be served now from the state machine, which has applied at least `index`."""

    index: int  # type: ignore[assignment]
    request_ids: tuple[int, ...]


class Changed(NamedTuple):
    """The change of members, or the transfer of leadership, that was asked for is done."""

    request_id: int


Answer = Accepted | Refused | ReadReady | Changed


class Status(NamedTuple):
    """Where a node stands. `configuration` is the index of the entry that set the members."""

    term: int
    role: Role
    leader: int
    configuration: int


class Effects(NamedTuple):
    """What one input brought about."""

    persist: Persist | None
    send: tuple[Message, ...]
    restore: Snapshot | None
    apply: tuple[Entry, ...]
    answers: tuple[Answer, ...]
    status: Status | None
