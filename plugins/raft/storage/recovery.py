"""Reading the log back after a crash: all that was durable, nothing that was torn, no silence about damage."""

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from zlib import crc32

from plugins.raft.core.codec import Malformed
from plugins.raft.core.messages import Entry
from plugins.raft.storage.errors import StorageDamaged
from plugins.raft.storage.frames import (
    FRAME_HEAD,
    FRAME_MAGIC,
    SEGMENT_HEAD,
    Record,
    SegmentHead,
    decode_frame,
    decode_segment_head,
    records_of,
)

_MARK: Final = struct.Struct("<QI")
_MENDING: Final = "restore the node from another, under a new id"


@dataclass(slots=True)
class Segment:
    """A file of the log. `last_index` is the highest index of an entry in it that still counts."""

    path: Path
    head: SegmentHead
    end: int
    """Where its last frame ends."""
    last_index: int = 0


@dataclass(slots=True)
class Recovered:
    """What the frames say, applied in order."""

    term: int = 0
    vote: int = 0
    compact_to: int = 0
    snapshot: tuple[int, int] | None = None
    entries: list[Entry] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    sequence: int = 0
    """Of the last good frame."""
    torn: list[Path] = field(default_factory=list)
    """Segments whose very head was torn: they hold nothing."""

    def take(self, record: Record) -> None:
        """Apply one record. Raises StorageDamaged when it does not follow from those before."""
        self.term, self.vote = record.term, record.vote
        self.compact_to = max(self.compact_to, record.compact_to)
        if record.snapshot is not None:
            self.snapshot = record.snapshot
        entries = self.entries
        if record.reset:
            entries.clear()
            for segment in self.segments:
                segment.last_index = 0
        if record.entries:
            first = record.entries[0].index
            if entries:
                place = first - entries[0].index
                if place > len(entries):
                    raise StorageDamaged(f"the log has entry {first} after {entries[-1].index} — {_MENDING}")
                del entries[max(0, place) :]
            entries.extend(record.entries)
            segment = self.segments[-1]
            segment.last_index = max(segment.last_index, record.entries[-1].index)


def encode_mark(sequence: int) -> bytes:
    """The content of the file `synced`."""
    return _MARK.pack(sequence, crc32(sequence.to_bytes(8, "little")))


def read_mark(path: Path) -> int:
    """The last frame that is known to have been fsynced; 0 when that is not known (any more)."""
    try:
        sequence, crc = _MARK.unpack(path.read_bytes())
    except (OSError, struct.error):
        return 0
    return int(sequence) if crc == crc32(sequence.to_bytes(8, "little")) else 0


def recover(folder: Path, node: int) -> Recovered:
    """Read all segments of a folder. Changes nothing on disk.

    Raises:
        StorageDamaged: something durable cannot be read, or belongs to another node.
    """
    found = Recovered()
    paths = sorted(folder.glob("*.wal"))
    synced = read_mark(folder / "synced")
    for place, path in enumerate(paths):
        data = path.read_bytes()
        head = decode_segment_head(data)
        if head is None:
            # A crash while the segment was begun; nothing can be in it, and so nothing can follow it.
            if place + 1 < len(paths) or _has_frame(data, SEGMENT_HEAD, 0):
                raise StorageDamaged(f"the head of {path} is damaged — {_MENDING}")
            found.torn.append(path)
            break
        if head.node != node:
            raise StorageDamaged(f"{folder} belongs to node {head.node}, not to node {node} — give each its own")
        if not found.segments:
            found.sequence = head.first_sequence - 1
        elif head.first_sequence != found.sequence + 1:
            raise StorageDamaged(f"frames {found.sequence + 1} to {head.first_sequence - 1} are missing — {_MENDING}")
        found.segments.append(Segment(path, head, SEGMENT_HEAD))
        _read_segment(found, data, is_last=place + 1 == len(paths))
    if found.sequence < synced:
        raise StorageDamaged(f"frame {found.sequence + 1} was durable and cannot be read in {folder} — {_MENDING}")
    return found


def _read_segment(found: Recovered, data: bytes, *, is_last: bool) -> None:
    segment = found.segments[-1]
    at, salt = SEGMENT_HEAD, segment.head.salt
    while (frame := decode_frame(data, at, salt)) is not None:
        sequence, body = frame
        if sequence != found.sequence + 1:
            raise StorageDamaged(f"frame {sequence} follows frame {found.sequence} in {segment.path} — {_MENDING}")
        try:
            for record in records_of(body):
                found.take(record)
        except Malformed as error:
            raise StorageDamaged(f"frame {sequence} in {segment.path} makes no sense: {error} — {_MENDING}") from None
        found.sequence = sequence
        at += FRAME_HEAD + len(body)
    segment.end = at
    is_clean = not data[at:].strip(b"\0")
    if not is_clean and (not is_last or _has_frame(data, at + 1, salt)):
        raise StorageDamaged(
            f"frame {found.sequence + 1} in {segment.path} is damaged, and good ones follow it — {_MENDING}"
        )


def _has_frame(data: bytes, start: int, salt: int) -> bool:
    """Whether a whole frame begins anywhere from `start` on."""
    at = data.find(FRAME_MAGIC, start)
    while at >= 0:
        if decode_frame(data, at, salt) is not None:
            return True
        at = data.find(FRAME_MAGIC, at + 1)
    return False
