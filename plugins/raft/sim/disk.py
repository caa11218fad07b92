"""A disk that keeps what was fsynced, and loses what was not.

Writes queue; one fsync at a time makes all that were queued when it began durable (group commit). At a crash a prefix
of the writes that were not fsynced may have reached the disk, and the next may be torn: recovery finds its checksum
wrong, at the end of the log, and drops it. Damage to anything durable is found at start, and the node does not start.
"""

from plugins.raft.core.base import Durable
from plugins.raft.core.effects import Persist
from plugins.raft.core.messages import Entry, Snapshot
from plugins.raft.core.prng import Prng


class Disk:
    """The disk of one node."""

    __slots__ = ("entries", "is_damaged", "is_full", "prng", "queue", "slow_us", "snapshot", "syncing", "term", "vote")

    def __init__(self, durable: Durable, prng: Prng) -> None:
        self.prng = prng
        self.term = durable.term
        self.vote = durable.vote
        self.snapshot: Snapshot | None = durable.snapshot
        self.entries: list[Entry] = list(durable.entries)
        self.queue: list[Persist] = []
        self.syncing = 0
        """How many of the queue the fsync under way covers; 0 when none is."""
        self.is_full = False
        self.is_damaged = False
        self.slow_us = 0

    def synced(self) -> int:
        """The fsync under way is done. Returns the last token that it covers."""
        count, self.syncing = self.syncing, 0
        for persist in self.queue[:count]:
            self._write(persist)
        token = self.queue[count - 1].token
        del self.queue[:count]
        return token

    def crash(self) -> None:
        """Power is gone: some of the queue made it, in order; nothing else did."""
        if self.queue:
            for persist in self.queue[: self.prng.below(len(self.queue) + 1)]:
                self._write(persist)
            self.queue.clear()
        self.syncing = 0

    def recover(self) -> Durable:
        """What a node finds at its start."""
        return Durable(self.term, self.vote, self.snapshot, tuple(self.entries))

    def term_at(self, index: int) -> int:
        """The term of the durable entry at `index`; -1 when there is none; of a snapshot, that of its last entry."""
        entries = self.entries
        if entries and entries[0].index <= index <= entries[-1].index:
            return entries[index - entries[0].index].term
        return self.snapshot.term if self.snapshot is not None and self.snapshot.index == index else -1

    def holds(self, index: int, term: int) -> bool:
        """Whether an entry is durable here, in the log or in what the snapshot covers."""
        snapshot = self.snapshot
        return (snapshot is not None and index <= snapshot.index) or self.term_at(index) == term

    def _write(self, persist: Persist) -> None:
        self.term, self.vote = persist.term, persist.vote
        entries = self.entries
        if persist.snapshot is not None:
            self.snapshot = persist.snapshot
        if persist.reset:
            entries.clear()
        elif entries and entries[0].index <= persist.compact_to:
            del entries[: persist.compact_to + 1 - entries[0].index]
        if persist.entries:
            first = persist.entries[0].index
            if entries:
                del entries[max(0, first - entries[0].index) :]
            entries.extend(persist.entries)
