"""The one state machine of a run: the committed entries in order, what they returned, and every version of every key.

It is run once, not once for each node: invariant State Machine Safety says that each node applies these same entries,
and is checked for each of them. A node that has applied up to an index therefore has the state kept here for it.
"""

import struct
from bisect import bisect_right
from typing import Final

from plugins.raft.core.kv import MISSING, KeyValue
from plugins.raft.core.messages import COMMAND, Entry
from plugins.raft.core.sessions import Sessions
from plugins.raft.sim.violation import Violation

_STAMP: Final = struct.Struct("<q")
_REPEAT: Final = 96
"""So often the stamp stands in a snapshot, which makes three chunks of it."""


class Oracle:
    """What was committed, and what followed from it."""

    __slots__ = ("_machine", "_sessions", "_versions", "deduplicates", "entries", "first_index", "results")

    def __init__(self) -> None:
        self._machine = KeyValue()
        self._sessions = Sessions(self._machine)
        self.deduplicates = True
        """Off, each copy of a command is applied: the rule "sessions"."""
        self.entries: list[Entry] = []
        self.results: list[bytes] = [b""]
        """By index."""
        self.first_index: dict[bytes, int] = {}
        """Where a command of a session was applied; a copy further on only repeats its result."""
        self._versions: dict[bytes, tuple[list[int], list[bytes]]] = {}

    def apply(self, entry: Entry, node: int) -> None:
        """`node` applies an entry. Raises Violation when another node applied something else there."""
        index = entry.index
        if index <= len(self.entries):
            known = self.entries[index - 1]
            if known is not entry and known != entry:
                raise Violation(
                    "StateMachineSafety",
                    f"node {node} applied an entry of term {entry.term} at {index}, where one of term {known.term} was",
                )
            return
        self.entries.append(entry)
        sessions = self._sessions
        if entry.kind != COMMAND:
            sessions.apply(entry)
            self.results.append(b"")
            return
        data = entry.data
        if not self.deduplicates and data[:8] != b"\0" * 8:
            result = self._machine.apply(data[16:])
            sessions.applied_index = index
        else:
            result = sessions.apply(entry)
        self.results.append(result)
        if data not in self.first_index or not self.deduplicates:
            self.first_index[data] = index
            key_size = int.from_bytes(data[17:19], "little")
            key = data[23 : 23 + key_size]
            if key:
                indexes, values = self._versions.setdefault(key, ([], []))
                indexes.append(index)
                values.append(self._machine.get(key))

    def read(self, key: bytes, index: int) -> bytes:
        """What a node that has applied up to `index` answers to a read."""
        versions = self._versions.get(key)
        if versions is None:
            return MISSING
        place = bisect_right(versions[0], index)
        return versions[1][place - 1] if place else MISSING

    def snapshot(self, index: int) -> bytes:
        """The snapshot of a node at `index`: a stamp, repeated, which `check_snapshot` knows again."""
        return _STAMP.pack(index) * _REPEAT

    def check_snapshot(self, index: int, data: bytes, node: int) -> None:
        """`node` installs a snapshot. Raises Violation when it is not the one of that index, or not all of it."""
        if index > len(self.entries) or data != self.snapshot(index):
            raise Violation("SnapshotIntegrity", f"node {node} installed at {index} what is not the state there")
