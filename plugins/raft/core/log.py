"""The log of one node in memory: which entries it has, which of them are durable, and what must be written next.

Invariants: entries are contiguous from `start_index` + 1; (`start_index`, `start_term`) is the entry before them, from
a snapshot or 0; `durable` never counts an entry that was replaced after it was handed to the disk.
"""

from collections import deque

from plugins.raft.core.messages import Entry


class Log:
    """Entries after (`start_index`, `start_term`)."""

    __slots__ = (
        "_entries",
        "_writes",
        "durable",
        "last_index",
        "last_term",
        "start_index",
        "start_term",
        "unwritten_from",
    )

    def __init__(self, start_index: int, start_term: int, entries: tuple[Entry, ...]) -> None:
        self.start_index = start_index
        self.start_term = start_term
        self._entries = list(entries)
        for place, entry in enumerate(entries):
            if entry.index != start_index + 1 + place:
                raise ValueError(f"the log has entry {entry.index} where {start_index + 1 + place} belongs")
        self.last_index = start_index + len(entries)
        self.last_term = entries[-1].term if entries else start_term
        self.durable = self.last_index
        """The last index that is on disk as it stands here."""
        self._writes: deque[list[int]] = deque()
        self.unwritten_from = 0
        """The first index that no `Persist` has carried yet; 0 is none."""

    def term_at(self, index: int) -> int:
        """The term of the entry at `index`; -1 when the log does not have it (any more)."""
        place = index - self.start_index - 1
        if place >= 0:
            return self._entries[place].term if index <= self.last_index else -1
        return self.start_term if place == -1 else -1

    def entry(self, index: int) -> Entry:
        """The entry at `index`, which must be there."""
        place = index - self.start_index - 1
        if place < 0:
            raise IndexError(f"entry {index} was compacted")
        return self._entries[place]

    def between(self, first: int, last: int) -> tuple[Entry, ...]:
        """The entries from `first` to `last`, both included and both there."""
        start = self.start_index + 1
        return tuple(self._entries[first - start : last + 1 - start])

    def batch(self, first: int, entries_max: int, bytes_max: int) -> tuple[Entry, ...]:
        """Entries from `first` on, as many as fit both limits, but at least one if there is one."""
        place = first - self.start_index - 1
        chosen = self._entries[place : place + entries_max]
        size = 0
        for count, entry in enumerate(chosen):
            size += len(entry.data)
            if size > bytes_max and count:
                return tuple(chosen[:count])
        return tuple(chosen)

    def append(self, entry: Entry) -> None:
        """Put one entry at the end: what a leader does, which never replaces any (paper §5.3, Leader Append-Only)."""
        self._entries.append(entry)
        if not self.unwritten_from:
            self.unwritten_from = entry.index
        self.last_index = entry.index
        self.last_term = entry.term

    def merge(self, entries: tuple[Entry, ...]) -> int:
        """Take a leader's entries, which follow one that matched; only a real conflict removes anything.

        Returns the first index that was replaced or added, 0 when all were there already. An old message must not
        remove entries that follow those it carries (paper §5.3: "if an existing entry conflicts with a new one").
        """
        for place, entry in enumerate(entries):
            index = entry.index
            if index > self.last_index:
                for later in entries[place:] if place else entries:
                    self.append(later)
                return index
            if self.term_at(index) != entry.term:
                self.truncate(index)
                for later in entries[place:]:
                    self.append(later)
                return index
        return 0

    def truncate(self, first: int) -> None:
        """Remove the entries from `first` on; whoever calls appends others in their place at once."""
        del self._entries[first - self.start_index - 1 :]
        self.last_index = first - 1
        self.last_term = self.term_at(first - 1)
        self.durable = min(self.durable, first - 1)
        for write in self._writes:
            if write[1] >= first:
                write[1] = first - 1
        if not self.unwritten_from or self.unwritten_from > first:
            self.unwritten_from = first

    def handed_out(self, token: int) -> None:
        """The log as it stands is covered by the `Persist` with this token."""
        self._writes.append([token, self.last_index])

    def persisted(self, token: int) -> None:
        """The disk has the log as it was handed out with `token`; what was replaced since then does not count.

        An index that was written, replaced and written again is durable only with the last write (the "ABA" of
        etcd-io/raft's async_storage_writes_append_aba_race), which is why `truncate` cuts the writes under way.
        """
        writes = self._writes
        while writes and writes[0][0] <= token:
            self.durable = writes.popleft()[1]

    def find_conflict(self, index: int, term: int) -> tuple[int, int]:
        """The last place at or below `index` whose term is at most `term`, with its term: what a peer may have too.

        Skips whole terms, so that a probe needs a round for each term that differs, not for each entry (paper §5.3).
        """
        index = min(index, self.last_index)
        start = self.start_index
        entries = self._entries
        while index > start and entries[index - start - 1].term > term:
            index -= 1
        return index, self.term_at(index)

    def compact(self, index: int) -> None:
        """Forget the entries up to `index`, which a snapshot covers."""
        if index <= self.start_index:
            return
        term = self.term_at(index)
        del self._entries[: index - self.start_index]
        self.start_index, self.start_term = index, term

    def reset(self, index: int, term: int) -> None:
        """Begin anew after a snapshot of another node; nothing is durable until the snapshot is."""
        self._entries.clear()
        self.start_index = self.last_index = index
        self.start_term = self.last_term = term
        self.durable = 0
        for write in self._writes:
            write[1] = 0
        self.unwritten_from = 0

    def __len__(self) -> int:
        return len(self._entries)
