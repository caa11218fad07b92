"""The canonical encoding of messages and inputs: one byte string for one record, and back.

A record is its tag (one byte), its integer fields (8 bytes each, little-endian, signed), then its other fields. It is
what a trace hash is made of, what a recorder keeps, and what may go over TCP; it carries no length of its own.
"""

import struct
from collections.abc import Callable
from typing import Any, Final

from plugins.raft.core import inputs, messages
from plugins.raft.core.effects import Persist
from plugins.raft.core.inputs import Input
from plugins.raft.core.messages import Entry, Message, Snapshot

ITEMS_MAX: Final = 1 << 20
"""More entries or ids than any record holds; a length beyond it is damage."""

_ENTRY: Final = struct.Struct("<qqBI")
_ITEM: Final = struct.Struct("<qI")
_LENGTH: Final = struct.Struct("<I")
_PAIR: Final = struct.Struct("<II")


class Malformed(ValueError):
    """Bytes that no record encodes to, in words."""


def encode_entries(entries: tuple[Entry, ...]) -> bytes:
    """Number of entries, then each: index, term, kind, length, data."""
    parts = [_LENGTH.pack(len(entries))]
    for index, term, kind, data in entries:
        parts.append(_ENTRY.pack(index, term, kind, len(data)))
        parts.append(data)
    return b"".join(parts)


def decode_entries(data: bytes, at: int) -> tuple[tuple[Entry, ...], int]:
    """The entries at `at`, and where they end. Raises Malformed."""
    count, at = _count(data, at)
    entries = []
    for _ in range(count):
        if at + _ENTRY.size > len(data):
            raise Malformed("entries are cut short")
        index, term, kind, size = _ENTRY.unpack_from(data, at)
        at += _ENTRY.size
        if at + size > len(data):
            raise Malformed("an entry is cut short")
        entries.append(Entry(index, term, kind, bytes(data[at : at + size])))
        at += size
    return tuple(entries), at


def _count(data: bytes, at: int) -> tuple[int, int]:
    if at + 4 > len(data):
        raise Malformed("a length is missing")
    (count,) = _LENGTH.unpack_from(data, at)
    if count > ITEMS_MAX:
        raise Malformed(f"{count} items are more than any record has")
    return count, at + 4


def _encode_items(items: tuple[tuple[int, bytes], ...]) -> bytes:
    parts = [_LENGTH.pack(len(items))]
    for request, data in items:
        parts.append(_ITEM.pack(request, len(data)))
        parts.append(data)
    return b"".join(parts)


def _decode_items(data: bytes, at: int) -> tuple[tuple[tuple[int, bytes], ...], int]:
    count, at = _count(data, at)
    items = []
    for _ in range(count):
        if at + _ITEM.size > len(data):
            raise Malformed("items are cut short")
        request, size = _ITEM.unpack_from(data, at)
        at += _ITEM.size
        if at + size > len(data):
            raise Malformed("an item is cut short")
        items.append((request, bytes(data[at : at + size])))
        at += size
    return tuple(items), at


def _encode_bytes(data: bytes) -> bytes:
    return _LENGTH.pack(len(data)) + data


def _decode_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    if at + 4 > len(data):
        raise Malformed("a length is missing")
    (size,) = _LENGTH.unpack_from(data, at)
    at += 4
    if at + size > len(data):
        raise Malformed("bytes are cut short")
    return bytes(data[at : at + size]), at + size


def _encode_ids(ids: tuple[int, ...]) -> bytes:
    return struct.pack(f"<I{len(ids)}q", len(ids), *ids)


def _decode_ids(data: bytes, at: int) -> tuple[tuple[int, ...], int]:
    count, at = _count(data, at)
    if at + 8 * count > len(data):
        raise Malformed("ids are cut short")
    return struct.unpack_from(f"<{count}q", data, at), at + 8 * count


Encoder = Callable[[Any], bytes]
Decoder = Callable[[bytes, int], tuple[Any, int]]
_ENTRIES: Final[tuple[Encoder, Decoder]] = (encode_entries, decode_entries)
_BYTES: Final[tuple[Encoder, Decoder]] = (_encode_bytes, _decode_bytes)
_IDS: Final[tuple[Encoder, Decoder]] = (_encode_ids, _decode_ids)
_ITEMS: Final[tuple[Encoder, Decoder]] = (_encode_items, _decode_items)

# Tags are for ever: recordings and links hold them.
_TABLE: Final[list[tuple[int, type[Any], tuple[tuple[Encoder, Decoder], ...]]]] = [
    (1, messages.AppendEntries, (_ENTRIES,)),
    (2, messages.AppendResponse, ()),
    (3, messages.RequestVote, ()),
    (4, messages.VoteResponse, ()),
    (5, messages.InstallSnapshot, (_BYTES, _BYTES)),
    (6, messages.SnapshotResponse, ()),
    (7, messages.TimeoutNow, ()),
    (8, messages.ReadIndex, ()),
    (9, messages.ReadIndexResponse, ()),
    (32, inputs.Tick, ()),
    (33, inputs.Propose, (_ITEMS,)),
    (34, inputs.Read, ()),
    (35, inputs.Persisted, ()),
    (36, inputs.SnapshotTaken, (_BYTES,)),
    (37, inputs.ChangeMembership, (_IDS, _IDS)),
    (38, inputs.LeaveJoint, ()),
    (39, inputs.TransferLeadership, ()),
    (40, inputs.Campaign, ()),
    (41, inputs.ForgetLeader, ()),
    (42, inputs.Unreachable, ()),
]
_BOOLEANS: Final = frozenset({"success", "granted", "pre", "transfer", "done", "lease"})


def _integers(kind: type[Any], tails: int) -> int:
    fields: tuple[str, ...] = kind._fields
    return len(fields) - tails


_ENCODERS: Final = {
    kind: (struct.Struct(f"<B{_integers(kind, len(tails))}q"), tag, _integers(kind, len(tails)), tails)
    for tag, kind, tails in _TABLE
}
_DECODERS: Final = {
    tag: (
        kind,
        struct.Struct(f"<{_integers(kind, len(tails))}q"),
        tuple(place for place, name in enumerate(kind._fields) if name in _BOOLEANS),
        tails,
    )
    for tag, kind, tails in _TABLE
}


def encode(record: Input) -> bytes:
    """The bytes of a message or of a local input."""
    head, tag, integers, tails = _ENCODERS[type(record)]
    if not tails:
        return head.pack(tag, *record)
    data = head.pack(tag, *record[:integers])
    for place, (encoder, _) in enumerate(tails):
        data += encoder(record[integers + place])
    return data


def decode(data: bytes) -> Input:
    """The record that `encode` made these bytes of. Raises Malformed for any others."""
    if not data or data[0] not in _DECODERS:
        raise Malformed("no record begins so")
    kind, head, booleans, tails = _DECODERS[data[0]]
    at = 1 + head.size
    if len(data) < at:
        raise Malformed(f"{kind.__name__} is cut short")
    fields: list[Any] = list(head.unpack_from(data, 1))
    for place in booleans:
        if fields[place] not in (0, 1):
            raise Malformed(f"{kind.__name__} has a truth value of {fields[place]}")
        fields[place] = bool(fields[place])
    for _, decoder in tails:
        value, at = decoder(data, at)
        fields.append(value)
    if at != len(data):
        raise Malformed(f"{kind.__name__} is followed by {len(data) - at} bytes that do not belong to it")
    record: Input = kind(*fields)
    return record


def decode_message(data: bytes) -> Message:
    """As `decode`, for what comes from a peer: only messages."""
    if data and data[0] >= 32:
        raise Malformed("a peer sends messages, not inputs")
    message: Any = decode(data)
    return message  # type: ignore[no-any-return]


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """For a disk: index, term, then the configuration and the data with their lengths."""
    index, term, configuration, data = snapshot
    return struct.pack("<qq", index, term) + _PAIR.pack(len(configuration), len(data)) + configuration + data


def decode_snapshot(data: bytes) -> Snapshot:
    """The snapshot that `encode_snapshot` made these bytes of. Raises Malformed for any others."""
    if len(data) < 24:
        raise Malformed("a snapshot is cut short")
    index, term = struct.unpack_from("<qq", data)
    first, second = _PAIR.unpack_from(data, 16)
    if len(data) != 24 + first + second:
        raise Malformed("a snapshot has the wrong length")
    return Snapshot(index, term, bytes(data[24 : 24 + first]), bytes(data[24 + first :]))


def encode_persist(persist: Persist) -> bytes:
    """For a trace: everything that a `Persist` says."""
    token, term, vote, compact_to, reset, snapshot, entries = persist
    head = struct.pack("<qqqqB", token, term, vote, compact_to, reset)
    return head + (b"" if snapshot is None else encode_snapshot(snapshot)) + encode_entries(entries)
