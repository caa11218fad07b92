"""The format on disk: a segment's header, frames, and the records in a frame.

    segment   MAGIC(8) version u32, node u32, salt u32, reserved u32, first sequence u64, crc u32
    frame     MAGIC(4) body length u32, sequence u64, body crc u32, header crc u32, body
    body      records, each: length u32, record
    record    term i64, vote i64, compact_to i64, flags u8, snapshot index i64, snapshot term i64, entries

All little-endian. Frames are numbered through all segments. Checksums are CRC-32 begun with the segment's salt, drawn
by lot, so that no client can write a value that looks like a frame. Behind the last frame a segment holds zeros.
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple
from zlib import crc32

from plugins.raft.core.codec import Malformed, decode_entries, encode_entries
from plugins.raft.core.effects import Persist
from plugins.raft.core.messages import Entry

VERSION: Final = 1
SEGMENT_MAGIC: Final = b"QRAFTWAL"
FRAME_MAGIC: Final = b"\xf5RF\x01"
FRAME_BYTES_MAX: Final = 1 << 30
"""A length beyond it is damage."""

_SEGMENT: Final = struct.Struct("<8sIIIIQ")
_CRC: Final = struct.Struct("<I")
SEGMENT_HEAD: Final = _SEGMENT.size + _CRC.size
_FRAME: Final = struct.Struct("<4sIQI")
FRAME_HEAD: Final = _FRAME.size + _CRC.size
_RECORD: Final = struct.Struct("<qqqBqq")
_RESET: Final = 1
_SNAPSHOT: Final = 2


class SegmentHead(NamedTuple):
    """What a segment says of itself."""

    node: int
    salt: int
    first_sequence: int


class Record(NamedTuple):
    """One `Persist` as it stands on disk: of a snapshot only where to find it."""

    term: int
    vote: int
    compact_to: int
    reset: bool
    snapshot: tuple[int, int] | None
    entries: tuple[Entry, ...]


def encode_segment_head(head: SegmentHead) -> bytes:
    """The first bytes of a segment."""
    data = _SEGMENT.pack(SEGMENT_MAGIC, VERSION, head.node, head.salt, 0, head.first_sequence)
    return data + _CRC.pack(crc32(data))


def decode_segment_head(data: bytes) -> SegmentHead | None:
    """The head that these bytes begin with; None when it is torn or damaged."""
    if len(data) < SEGMENT_HEAD:
        return None
    magic, version, node, salt, _, first = _SEGMENT.unpack_from(data)
    (crc,) = _CRC.unpack_from(data, _SEGMENT.size)
    if magic != SEGMENT_MAGIC or version != VERSION or crc != crc32(data[: _SEGMENT.size]):
        return None
    return SegmentHead(node, salt, first)


def encode_record(persist: Persist) -> bytes:
    """One record, with its length before it."""
    _, term, vote, compact_to, reset, snapshot, entries = persist
    flags = (_RESET if reset else 0) | (_SNAPSHOT if snapshot is not None else 0)
    place = (snapshot.index, snapshot.term) if snapshot is not None else (0, 0)
    data = _RECORD.pack(term, vote, compact_to, flags, *place) + encode_entries(entries)
    return _CRC.pack(len(data)) + data


def decode_record(data: bytes) -> Record:
    """The record in these bytes. Raises Malformed."""
    if len(data) < _RECORD.size:
        raise Malformed("a record is cut short")
    term, vote, compact_to, flags, index, snapshot_term = _RECORD.unpack_from(data)
    entries, end = decode_entries(data, _RECORD.size)
    if end != len(data) or flags > 3:
        raise Malformed("a record has the wrong form")
    snapshot = (index, snapshot_term) if flags & _SNAPSHOT else None
    return Record(term, vote, compact_to, bool(flags & _RESET), snapshot, entries)


def encode_frame(sequence: int, salt: int, body: bytes) -> bytes:
    """A frame around records."""
    head = _FRAME.pack(FRAME_MAGIC, len(body), sequence, crc32(body, salt))
    return head + _CRC.pack(crc32(head, salt)) + body


def decode_frame(data: bytes | memoryview, at: int, salt: int) -> tuple[int, bytes] | None:
    """The sequence and the body of the frame at `at`; None when there is no whole, undamaged frame."""
    body_at = at + FRAME_HEAD
    if body_at > len(data):
        return None
    magic, size, sequence, body_crc = _FRAME.unpack_from(data, at)
    (head_crc,) = _CRC.unpack_from(data, at + _FRAME.size)
    if magic != FRAME_MAGIC or head_crc != crc32(data[at : at + _FRAME.size], salt) or size > FRAME_BYTES_MAX:
        return None
    body = bytes(data[body_at : body_at + size])
    if len(body) != size or crc32(body, salt) != body_crc:
        return None
    return sequence, body


def records_of(body: bytes) -> Iterator[Record]:
    """The records in a frame's body. Raises Malformed: a checksum was right, so a program wrote it wrong."""
    at = 0
    while at < len(body):
        if at + 4 > len(body):
            raise Malformed("a length is missing")
        (size,) = _CRC.unpack_from(body, at)
        at += 4
        if at + size > len(body):
            raise Malformed("a record is cut short")
        yield decode_record(body[at : at + size])
        at += size
