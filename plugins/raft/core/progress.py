"""What a leader knows of one peer, and how much it may send to it.

States, as in etcd-io/raft's `tracker`: PROBE sends one message and waits, because `next` is a guess; REPLICATE sends
ahead without waiting, up to a window; SNAPSHOT sends chunks, because the log no longer reaches back far enough.
"""

from collections import deque
from typing import Final

from plugins.raft.core.messages import Snapshot

PROBE: Final = 0
REPLICATE: Final = 1
SNAPSHOT: Final = 2


class Progress:
    """One peer. `match` is known to be equal and durable there; `next` is what to send next."""

    __slots__ = (
        "acked_round",
        "id",
        "inflight",
        "is_active",
        "is_paused",
        "match",
        "next",
        "offset",
        "snapshot",
        "state",
    )

    def __init__(self, node: int, next_index: int) -> None:
        self.id = node
        self.match = 0
        self.next = next_index
        self.state = PROBE
        self.is_paused = False
        """In PROBE: a message is on its way; only a heartbeat may follow before the answer."""
        self.is_active = False
        """It answered since the leader last checked its quorum."""
        self.acked_round = 0
        self.inflight: deque[int] = deque()
        """In REPLICATE: the last index of each unanswered message with entries."""
        self.snapshot: Snapshot | None = None
        self.offset = 0
        """In SNAPSHOT: what is being sent, and how many bytes of it have arrived."""

    def probe(self) -> None:
        """Go back to a guess: right after `match`, which is the one place known to be equal."""
        self.state = PROBE
        self.is_paused = False
        self.next = self.match + 1
        self.inflight.clear()
        self.snapshot = None

    def replicate(self) -> None:
        """The guess was right: send ahead from now on."""
        self.state = REPLICATE
        self.is_paused = False
        self.next = self.match + 1
        self.inflight.clear()
        self.snapshot = None

    def install(self, snapshot: Snapshot) -> None:
        """Send a snapshot; entries follow from the one after it."""
        self.state = SNAPSHOT
        self.snapshot = snapshot
        self.offset = 0
        self.next = snapshot.index + 1
        self.inflight.clear()

    def acknowledged(self, index: int) -> bool:
        """The peer has everything up to `index`. Says whether that was news."""
        inflight = self.inflight
        while inflight and inflight[0] <= index:
            inflight.popleft()
        if index <= self.match:
            return False
        self.match = index
        if self.next <= index:
            self.next = index + 1
        return True
