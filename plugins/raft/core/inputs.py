"""What a shell feeds into a node besides the messages of its peers.

Request ids are the shell's own: any integers in the signed 64-bit range that are not in use at the moment.
"""

from typing import Final, NamedTuple

from plugins.raft.core.messages import Message

AUTO: Final = 0
"""A change of one voter is made in a single step, any other through joint consensus."""
JOINT: Final = 1
"""Go through joint consensus in any case, and leave it once it is committed."""
JOINT_EXPLICIT: Final = 2
"""Go through joint consensus and stay there until `LeaveJoint`."""


class Tick(NamedTuple):
    """The deadline is there. Fed too early or twice it does nothing."""


class Propose(NamedTuple):
    """Append commands, each with its request id, in this order. The answer is one `Accepted`, or `Refused` for all."""

    items: tuple[tuple[int, bytes], ...]


class Read(NamedTuple):
    """Ask for a linearizable read: `ReadReady` when it may be served here, or `Refused`.

    `lease` lets the leader answer from its lease when `Settings.lease_reads` allows it (thesis §6.4.1).
    """

    request_id: int
    lease: bool


class Persisted(NamedTuple):
    """Every `Persist` up to `token` is durable."""

    token: int


class SnapshotTaken(NamedTuple):
    """The state machine as it was after `index`. An index that was not applied yet is a programmer's mistake."""

    index: int  # type: ignore[assignment]
    data: bytes


class ChangeMembership(NamedTuple):
    """Make `voters` and `learners` the members: `Changed` once committed, or `Refused`. `transition` is AUTO etc."""

    request_id: int
    transition: int
    voters: tuple[int, ...]
    learners: tuple[int, ...]


class LeaveJoint(NamedTuple):
    """Leave a joint configuration that was entered by JOINT_EXPLICIT."""

    request_id: int


class TransferLeadership(NamedTuple):
    """Make `target` the leader: it is brought up to date, then told to stand. Given up after an election time-out."""

    request_id: int
    target: int


class Campaign(NamedTuple):
    """Stand for election now, as if the time-out had passed."""


class ForgetLeader(NamedTuple):
    """A follower no longer counts on its leader, so that pre-votes pass. Ignored under lease reads: unsafe there."""


class Unreachable(NamedTuple):
    """The transport knows that messages to `peer` were lost: the leader goes back to probing it."""

    peer: int


LocalInput = (
    Tick
    | Propose
    | Read
    | Persisted
    | SnapshotTaken
    | ChangeMembership
    | LeaveJoint
    | TransferLeadership
    | Campaign
    | ForgetLeader
    | Unreachable
)
Input = LocalInput | Message
