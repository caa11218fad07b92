"""The messages that nodes exchange, and the entries of the log. All are frozen; the first fields are integers.

Named tuples, because a busy node makes tens of thousands of them in a second (that `index` hides a method of tuples is
meant: it is the paper's word). `term`, `sender` and `to` come first in
each. There is no separate heartbeat: it is an `AppendEntries` without entries and runs the same consistency check
(paper §5.2, "AppendEntries RPCs that carry no log entries").
"""

from typing import Final, NamedTuple

COMMAND: Final = 0
"""An entry for the state machine."""
NOOP: Final = 1
"""The empty entry with which a leader starts its term (paper §8)."""
CONFIGURATION: Final = 2
"""An entry whose data is an encoded `Configuration`, in force as soon as it is in the log (paper §6)."""


class Entry(NamedTuple):
    """One entry of the log. `index` counts from 1; `data` is opaque to the core unless it is a configuration."""

    index: int  # type: ignore[assignment]
    term: int
    kind: int
    data: bytes


class Snapshot(NamedTuple):
    """The state machine after `index`, whose entry had `term`, and the encoded configuration in force there."""

    index: int  # type: ignore[assignment]
    term: int
    configuration: bytes
    data: bytes


class AppendEntries(NamedTuple):
    """Leader to others: entries after (`prev_index`, `prev_term`), how far is committed, and the round it belongs to.

    The answer returns `round`: a leader that hears a round back from a quorum was the leader when the round began,
    which is what reads and leases stand on (thesis §6.4). Rounds are counted by the leader itself in its term.
    """

    term: int
    sender: int
    to: int
    prev_index: int
    prev_term: int
    commit: int
    round: int
    entries: tuple[Entry, ...]


class AppendResponse(NamedTuple):
    """Answer to `AppendEntries`, or to a whole snapshot.

    When `success`, the log here is equal to the leader's up to `index`, durably. Otherwise `index` repeats the
    `prev_index` that did not match, and (`hint_index`, `hint_term`) is the last entry here that could match.
    """

    term: int
    sender: int
    to: int
    success: bool
    index: int  # type: ignore[assignment]
    hint_index: int
    hint_term: int
    round: int


class RequestVote(NamedTuple):
    """A candidate's plea. `pre` asks whether a vote would be given (thesis §9.6); `transfer`: the leader wants it."""

    term: int
    sender: int
    to: int
    last_index: int
    last_term: int
    pre: bool
    transfer: bool


class VoteResponse(NamedTuple):
    """Answer to `RequestVote`. A granted pre-vote carries the term that it was asked for, a refusal the voter's own."""

    term: int
    sender: int
    to: int
    granted: bool
    pre: bool


class InstallSnapshot(NamedTuple):
    """One chunk of a snapshot: `data` stands at byte `offset`; `done` marks the last (paper §7)."""

    term: int
    sender: int
    to: int
    index: int  # type: ignore[assignment]
    snapshot_term: int
    offset: int
    done: bool
    configuration: bytes
    data: bytes


class SnapshotResponse(NamedTuple):
    """The receiver has the first `offset` bytes of the snapshot at `index` and wants the chunk that comes then."""

    term: int
    sender: int
    to: int
    index: int  # type: ignore[assignment]
    offset: int


class TimeoutNow(NamedTuple):
    """The leader asks `to` to stand for election at once (thesis §3.10)."""

    term: int
    sender: int
    to: int


class ReadIndex(NamedTuple):
    """A follower asks the leader up to where a read must see (thesis §6.4). `nonce` is never used again."""

    term: int
    sender: int
    to: int
    nonce: int


class ReadIndexResponse(NamedTuple):
    """Answer to `ReadIndex`: a read that waits for `index` is linearizable; -1 says that the leader cannot tell."""

    term: int
    sender: int
    to: int
    nonce: int
    index: int  # type: ignore[assignment]


Message = (
    AppendEntries
    | AppendResponse
    | RequestVote
    | VoteResponse
    | InstallSnapshot
    | SnapshotResponse
    | TimeoutNow
    | ReadIndex
    | ReadIndexResponse
)
