"""Snapshots: taking them, sending them in chunks, installing them (paper §7).

The bytes of a snapshot are held in memory. One snapshot is received at a time; chunks come in order, and the answer to
each names the byte wanted next, so that a lost or doubled chunk costs a heartbeat and nothing else.
"""

from plugins.raft.core.configuration import decode_configuration, encode_configuration
from plugins.raft.core.inputs import SnapshotTaken
from plugins.raft.core.messages import AppendResponse, InstallSnapshot, Snapshot, SnapshotResponse
from plugins.raft.core.progress import SNAPSHOT, Progress
from plugins.raft.core.reads import Reads


class Snapshots(Reads):
    """Both sides of a snapshot."""

    __slots__ = ()

    def _on_snapshot_taken(self, event: SnapshotTaken) -> None:
        """Keep the state machine's snapshot and forget the log below it, but for some entries that peers may want."""
        assert event.index <= self.delivered, "a snapshot of what was not applied yet"
        if event.index <= self.snapshot.index:
            return
        configuration = encode_configuration(self.configuration_at(event.index))
        # What the label says is what was applied: the log's own term, not the newest one (d-engine #118).
        self.snapshot = Snapshot(event.index, self.log.term_at(event.index), configuration, event.data)
        self._snapshot_dirty = True
        self._forget_configurations(event.index)
        self.log.compact(event.index - self.settings.snapshot_trailing_entries)

    def _forget_configurations(self, index: int) -> None:
        """Keep the configuration in force at `index` and those after it."""
        kept = self._configurations
        while len(kept) > 1 and kept[1][0] <= index:
            kept.pop(0)

    # --- The leader

    def _begin_snapshot(self, peer: Progress) -> None:
        peer.install(self.snapshot)
        self._send_chunk(peer)

    def _send_chunk(self, peer: Progress) -> None:
        """Send the chunk that the peer wants next; sent anew at each heartbeat until it is answered."""
        snapshot = peer.snapshot
        assert snapshot is not None
        start = peer.offset
        end = start + self.settings.snapshot_chunk_bytes
        self._sends.append(
            InstallSnapshot(
                self.term,
                self.id,
                peer.id,
                snapshot.index,
                snapshot.term,
                start,
                end >= len(snapshot.data),
                snapshot.configuration,
                snapshot.data[start:end],
            )
        )

    def _on_snapshot_response(self, message: SnapshotResponse) -> None:
        peer = self._answered_by(message)
        if peer is None:
            return
        snapshot = peer.snapshot
        if peer.state != SNAPSHOT or snapshot is None or snapshot.index != message.index:
            return
        if message.offset != peer.offset and 0 <= message.offset < max(1, len(snapshot.data)):
            peer.offset = message.offset
            self._send_chunk(peer)

    # --- The follower

    def _on_install_snapshot(self, message: InstallSnapshot) -> None:
        if not self._hear(message.term, message.sender):
            if message.term < self.term:
                self._sends.append(AppendResponse(self.term, self.id, message.sender, False, 0, 0, 0, 0))
            return
        if message.index <= self.commit:
            self._incoming = None
            self._answer_installed(message, self.commit)
            return
        data = self._receive_chunk(message)
        if data is not None:
            self._install_snapshot(message, data)

    def _receive_chunk(self, message: InstallSnapshot) -> bytes | None:
        """Put a chunk to those that came before; the whole once it is there, else None."""
        incoming = self._incoming
        if incoming is None or incoming[:3] != (message.sender, message.index, message.snapshot_term):
            incoming = self._incoming = (message.sender, message.index, message.snapshot_term, bytearray())
        buffer = incoming[3]
        if message.offset == len(buffer):
            buffer += message.data
            if message.done:
                self._incoming = None
                return bytes(buffer)
        self._sends.append(SnapshotResponse(self.term, self.id, message.sender, message.index, len(buffer)))
        return None

    def _install_snapshot(self, message: InstallSnapshot, data: bytes) -> None:
        index, term = message.index, message.snapshot_term
        if self._log_holds(index, term):
            # "If existing log entry has same index and term as snapshot's last included entry, retain log entries
            # following it" (Fig. 13): all of it is here, and is now known to be committed.
            self.commit = index
        else:
            self._discard_log(Snapshot(index, term, message.configuration, data))
        self._answer_installed(message, index)

    def _log_holds(self, index: int, term: int) -> bool:
        return index <= self.log.last_index and self.log.term_at(index) == term

    def _discard_log(self, snapshot: Snapshot) -> None:
        """ "Discard the entire log" and begin after the snapshot: what conflicts goes with it (hashicorp/raft #697)."""
        self.snapshot = snapshot
        self.log.reset(snapshot.index, snapshot.term)
        self.commit = snapshot.index
        self._configurations = [(snapshot.index, decode_configuration(snapshot.configuration))]
        self.configuration_index, self.configuration = self._configurations[-1]
        self._members_changed()
        self._snapshot_dirty = self._reset = True

    def _answer_installed(self, message: InstallSnapshot, index: int) -> None:
        """Say, once it is durable, that the log is equal up to there; an append's answer says just that."""
        self._send_when_durable(AppendResponse(self.term, self.id, message.sender, True, index, 0, 0, 0))
