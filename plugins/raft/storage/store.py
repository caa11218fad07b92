"""The store of one node: batches go in, each with one fsync; segments come and go."""

import fcntl
import os
import secrets
from pathlib import Path
from typing import Final, NamedTuple

from plugins.raft.core.base import Durable
from plugins.raft.core.effects import Persist
from plugins.raft.core.messages import Snapshot
from plugins.raft.storage.errors import StorageFailed, StorageInUse
from plugins.raft.storage.files import Files
from plugins.raft.storage.frames import (
    FRAME_HEAD,
    SEGMENT_HEAD,
    SegmentHead,
    encode_frame,
    encode_record,
    encode_segment_head,
)
from plugins.raft.storage.recovery import Recovered, Segment, encode_mark, recover
from plugins.raft.storage.snapshot_files import read_snapshot, remove_others, write_snapshot

SEGMENT_BYTES: Final = 16 * 1024 * 1024
"""When a segment has as much, the next begins. Space for it is reserved at once."""


class Batch(NamedTuple):
    """`Persist`s as bytes: one frame. `token` is the last that it covers."""

    token: int
    body: bytes
    snapshots: tuple[Snapshot, ...]
    head: Persist
    """The last `Persist`, without its entries: what a new segment begins with."""
    compact_to: int
    reset: bool
    last_index: int
    """The highest index that the batch leaves behind; 0 when it has no entries."""


class Storage:
    """Not for concurrent use: one batch is prepared and written at a time. `is_poisoned` says that it takes no more."""

    def __init__(self, folder: Path, node: int, files: Files, segment_bytes: int) -> None:
        self.folder = folder
        self.node = node
        self.files = files
        self.segment_bytes = segment_bytes
        self.is_poisoned = False
        self.syncs = 0
        self.bytes_written = 0
        self._lock = -1
        self._mark = -1
        self._descriptor = -1
        self._segments: list[Segment] = []
        self._sequence = 0
        self._snapshot: tuple[int, int] | None = None
        self._compact_to = 0

    @classmethod
    def open(
        cls,
        folder: Path,
        node: int,
        *,
        first: Durable,
        files: Files | None = None,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> tuple["Storage", Durable]:
        """Open the store of `node` in `folder`, made with `first` in it when there is none. Blocks.

        Raises:
            StorageInUse: another process has it.
            StorageDamaged: something durable cannot be read back.
            StorageFailed: the disk takes nothing.
        """
        folder.mkdir(parents=True, exist_ok=True)
        store = cls(folder, node, files or Files(), segment_bytes)
        try:
            return store, store._open(first)
        except OSError as error:
            store.close()
            raise StorageFailed(f"{folder} cannot be opened: {error}") from error
        except BaseException:
            store.close()
            raise

    def _open(self, first: Durable) -> Durable:
        self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StorageInUse(f"{self.folder} is in use by another process — give each node its own") from None
        found = recover(self.folder, self.node)
        self._mark = os.open(self.folder / "synced", os.O_WRONLY | os.O_CREAT, 0o600)
        for path in found.torn:
            path.unlink()
        if not found.segments or found.sequence < found.segments[0].head.first_sequence:
            return self._begin(first, found)
        snapshot = read_snapshot(self.folder, *found.snapshot) if found.snapshot is not None else None
        remove_others(self.folder, found.snapshot)
        self._segments = found.segments
        self._sequence = found.sequence
        self._snapshot, self._compact_to = found.snapshot, found.compact_to
        self._cut_tail()
        # What a crash left in the page cache was read, but is not on the disk yet; the node would count it as such.
        self.files.sync(self._descriptor)
        self.files.sync_folder(self.folder)
        self._note_synced()
        entries = tuple(e for e in found.entries if snapshot is None or e.index > snapshot.index)
        return Durable(found.term, found.vote, snapshot, entries)

    def _begin(self, first: Durable, found: Recovered) -> Durable:
        """Write the first frame of a new log; what a crash left of an earlier beginning goes."""
        for segment in found.segments:
            segment.path.unlink()
        persist = Persist(0, first.term, first.vote, 0, False, first.snapshot, first.entries)
        self._write(self.prepare([persist]))
        return first

    def _cut_tail(self) -> None:
        """Open the last segment behind its last frame, and let zeros stand there."""
        last = self._segments[-1]
        self._descriptor = os.open(last.path, os.O_RDWR)
        os.ftruncate(self._descriptor, last.end)
        self.files.allocate(self._descriptor, max(self.segment_bytes, last.end))

    def prepare(self, persists: list[Persist]) -> Batch:
        """Turn some `Persist`s, in the order of their tokens, into one batch. No I/O."""
        last_index, compact_to, reset = 0, 0, False
        for persist in persists:
            compact_to = max(compact_to, persist.compact_to)
            if persist.reset:
                reset, last_index = True, 0
            if persist.entries:
                last_index = max(last_index, persist.entries[-1].index)
        last = persists[-1]
        return Batch(
            last.token,
            b"".join([encode_record(persist) for persist in persists]),
            tuple([persist.snapshot for persist in persists if persist.snapshot is not None]),
            last,
            compact_to,
            reset,
            last_index,
        )

    def write(self, batch: Batch) -> None:
        """Write and fsync a batch. Blocks; afterwards all of it survives a crash.

        Raises:
            StorageFailed: it may or may not be durable, and the store takes nothing more.
        """
        if self.is_poisoned:
            raise StorageFailed(f"an earlier write to {self.folder} failed — restart the node once the disk is well")
        try:
            self._write(batch)
        except OSError as error:
            self.is_poisoned = True
            raise StorageFailed(f"writing to {self.folder} failed: {error.strerror or error}") from error

    def _write(self, batch: Batch) -> None:
        for snapshot in batch.snapshots:
            write_snapshot(self.folder, snapshot, self.files)
        body = batch.body
        if not self._segments or self._segments[-1].end + FRAME_HEAD + len(body) > self.segment_bytes:
            body = self._begin_segment(len(body)) + body
        segment = self._segments[-1]
        frame = encode_frame(self._sequence + 1, segment.head.salt, body)
        self.files.write(self._descriptor, frame, segment.end)
        self.files.sync(self._descriptor)
        self._sequence += 1
        self.syncs += 1
        self.bytes_written += len(frame)
        segment.end += len(frame)
        self._note_synced()
        if batch.reset:
            for earlier in self._segments[:-1]:
                earlier.last_index = 0
        segment.last_index = max(segment.last_index, batch.last_index)
        self._compact_to = max(self._compact_to, batch.compact_to)
        self._forget(batch)

    def _note_synced(self) -> None:
        # Not fsynced, on purpose: it survives a killed process, and after a power cut an older mark is still true.
        os.pwrite(self._mark, encode_mark(self._sequence), 0)

    def _begin_segment(self, size: int) -> bytes:
        """Open the next file. Returns the record that its first frame must begin with: where the snapshot is."""
        head = SegmentHead(self.node, secrets.randbits(32), self._sequence + 1)
        path = self.folder / f"{head.first_sequence:016x}.wal"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            self.files.allocate(descriptor, max(self.segment_bytes, SEGMENT_HEAD + FRAME_HEAD + size + 1024))
            self.files.write(descriptor, encode_segment_head(head), 0)
            self.files.sync(descriptor)
            self.files.sync_folder(self.folder)
        except BaseException:
            os.close(descriptor)
            raise
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = descriptor
        self._segments.append(Segment(path, head, SEGMENT_HEAD))
        if self._snapshot is None:
            return b""
        # Term and vote follow in the batch's own records; only the snapshot may be older than all of them.
        place = Snapshot(*self._snapshot, b"", b"")
        return encode_record(Persist(0, 0, 0, self._compact_to, False, place, ()))

    def _forget(self, batch: Batch) -> None:
        """Delete what nothing refers to any more, now that the batch is durable."""
        if batch.snapshots:
            newest = batch.snapshots[-1]
            self._snapshot = (newest.index, newest.term)
            remove_others(self.folder, self._snapshot)
        while len(self._segments) > 1 and self._segments[0].last_index <= self._compact_to:
            self._segments.pop(0).path.unlink()
            # In this order also after a power cut: a gap between two segments would look like damage.
            self.files.sync_folder(self.folder)

    def close(self) -> None:
        """Let go of the files. Durable is what `write` made durable, nothing else. May be called twice."""
        for descriptor in (self._descriptor, self._mark, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptor = self._mark = self._lock = -1
