"""A node as a value: a copy that nothing touches any more, its bytes, and back.

The copy shares what cannot change (entries, messages, snapshots) and copies what can, so that taking one of five nodes
costs some hundred microseconds. The bytes hold only the types listed here; reading them runs no code.
"""

import hashlib
import struct
from collections import deque
from enum import Enum
from typing import Any, Final

from plugins.raft.core import effects, inputs, messages
from plugins.raft.core.base import Durable
from plugins.raft.core.configuration import Configuration
from plugins.raft.core.effects import Role
from plugins.raft.core.kv import KeyValue
from plugins.raft.core.log import Log
from plugins.raft.core.node import Node
from plugins.raft.core.prng import Prng
from plugins.raft.core.progress import Progress
from plugins.raft.core.sessions import Sessions
from plugins.raft.core.settings import Settings

DEPTH_MAX: Final = 40
ITEMS_MAX: Final = 2_000_000

# Numbers are for ever: recordings hold them. A type whose fields change gets a new number, and VERSION of the file.
_RECORDS: Final[dict[int, type[Any]]] = {
    1: messages.Entry,
    2: messages.Snapshot,
    3: messages.AppendEntries,
    4: messages.AppendResponse,
    5: messages.RequestVote,
    6: messages.VoteResponse,
    7: messages.InstallSnapshot,
    8: messages.SnapshotResponse,
    9: messages.TimeoutNow,
    10: messages.ReadIndex,
    11: messages.ReadIndexResponse,
    12: Configuration,
    13: effects.Status,
    14: Settings,
    15: effects.Accepted,
    16: effects.Refused,
    17: effects.ReadReady,
    18: effects.Changed,
    19: effects.Persist,
    20: inputs.Propose,
}
_OBJECTS: Final[dict[int, type[Any]]] = {
    64: Node,
    65: Log,
    66: Progress,
    67: Prng,
    68: Sessions,
    69: KeyValue,
    70: Durable,
}
_NUMBERS: Final = {kind: number for number, kind in (_RECORDS | _OBJECTS).items()}
_ATOMS: Final = frozenset({int, bool, bytes, str, type(None), Role})


class NotFrozen(ValueError):
    """Bytes that hold no value of these types, in words."""


def slots_of(kind: type[Any]) -> tuple[str, ...]:
    """All slots of a class and of those it is made of, in one order."""
    return tuple(sorted({name for part in kind.__mro__ for name in getattr(part, "__slots__", ())}))


_SLOTS: Final = {kind: slots_of(kind) for kind in _OBJECTS.values()}
FORMAT: Final = hashlib.sha256(
    repr(
        [(number, kind.__name__, kind._fields) for number, kind in _RECORDS.items()]
        + [(number, kind.__name__, _SLOTS[kind]) for number, kind in _OBJECTS.items()]
    ).encode()
).hexdigest()[:16]
"""Names all types and fields: bytes of another format are not read."""


def copy(value: Any) -> Any:
    """A copy that shares only what cannot change."""
    kind = type(value)
    if kind in _ATOMS or (isinstance(value, tuple) and kind is not tuple):
        return value
    if kind is tuple:
        return tuple([copy(item) for item in value])
    if kind is list:
        return value[:] if value and type(value[0]) is messages.Entry else [copy(item) for item in value]
    if kind is deque:
        return deque([copy(item) for item in value])
    if kind is dict:
        return {key: copy(item) for key, item in value.items()}
    if kind is bytearray:
        return bytearray(value)
    slots = _SLOTS.get(kind)
    if slots is None:
        raise TypeError(f"{kind.__name__} cannot be frozen")
    twin: Any = object.__new__(kind)
    for name in slots:
        if hasattr(value, name):
            # A frozen dataclass takes its fields only this way.
            object.__setattr__(twin, name, copy(getattr(value, name)))
    return twin


_LENGTH: Final = struct.Struct("<I")
_INT: Final = struct.Struct("<q")


def encode(value: Any) -> bytes:
    """The bytes of a value made of these types."""
    parts: list[bytes] = []
    _encode(value, parts)
    return b"".join(parts)


def _encode(value: Any, parts: list[bytes]) -> None:
    kind: Any = type(value)
    if value is None:
        parts.append(b"N")
    elif kind is bool:
        parts.append(b"T" if value else b"F")
    elif kind is int:
        if -(1 << 63) <= value < 1 << 63:
            parts.append(b"i" + _INT.pack(value))
        else:
            data = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
            parts.append(b"I" + _LENGTH.pack(len(data)) + data)
    elif kind is bytes or kind is bytearray:
        parts.append((b"b" if kind is bytes else b"a") + _LENGTH.pack(len(value)))
        parts.append(bytes(value))
    elif kind is str:
        data = value.encode()
        parts.append(b"s" + _LENGTH.pack(len(data)) + data)
    elif isinstance(value, Enum):
        parts.append(b"e" + bytes([value.value]))
    elif kind in _NUMBERS:
        number = _NUMBERS[kind]
        if number < 64:
            parts.append(b"R" + bytes([number]))
            for item in value:
                _encode(item, parts)
            return
        slots = [name for name in _SLOTS[kind] if hasattr(value, name)]
        parts.append(b"O" + bytes([number, len(slots)]))
        for name in slots:
            parts.append(bytes([_SLOTS[kind].index(name)]))
            _encode(getattr(value, name), parts)
    elif kind is dict:
        parts.append(b"d" + _LENGTH.pack(len(value)))
        for key, item in value.items():
            _encode(key, parts)
            _encode(item, parts)
    elif kind in (tuple, list, deque):
        parts.append({tuple: b"t", list: b"l", deque: b"q"}[kind] + _LENGTH.pack(len(value)))
        for item in value:
            _encode(item, parts)
    else:
        raise TypeError(f"{kind.__name__} cannot be frozen")


def decode(data: bytes) -> Any:
    """The value that `encode` made these bytes of. Raises NotFrozen for others."""
    reader = _Reader(data)
    try:
        value = reader.value(0)
    except (struct.error, LookupError, TypeError, ValueError) as error:
        raise NotFrozen(f"the recording makes no sense at byte {reader.at:,}: {error}") from None
    if reader.at != len(data):
        raise NotFrozen(f"{len(data) - reader.at:,} bytes follow the recording")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.items = 0

    def value(self, depth: int) -> Any:
        """The value here."""
        self.items += 1
        if depth > DEPTH_MAX or self.items > ITEMS_MAX:
            raise NotFrozen("the recording is larger than any that is made here")
        tag = self.data[self.at : self.at + 1]
        self.at += 1
        if tag in b"NTF" and tag:
            return {b"N": None, b"T": True, b"F": False}[tag]
        if tag == b"i":
            self.at += 8
            return _INT.unpack_from(self.data, self.at - 8)[0]
        if tag == b"e":
            return Role(self._byte())
        if tag == b"R":
            kind = _RECORDS[self._byte()]
            return kind(*[self.value(depth + 1) for _ in kind._fields])
        if tag == b"O":
            return self._object(depth)
        size = self._size()
        if tag in (b"b", b"a", b"s", b"I"):
            return self._bytes(tag, size)
        if tag == b"d":
            return {self.value(depth + 1): self.value(depth + 1) for _ in range(size)}
        if tag in (b"t", b"l", b"q"):
            items = [self.value(depth + 1) for _ in range(size)]
            return items if tag == b"l" else tuple(items) if tag == b"t" else deque(items)
        raise NotFrozen(f"no value begins with {tag!r}")

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def _size(self) -> int:
        self.at += 4
        size: int = _LENGTH.unpack_from(self.data, self.at - 4)[0]
        if size > len(self.data):
            raise NotFrozen(f"{size:,} items do not fit into {len(self.data):,} bytes")
        return size

    def _bytes(self, tag: bytes, size: int) -> Any:
        data = self.data[self.at : self.at + size]
        self.at += size
        if len(data) != size:
            raise NotFrozen("bytes are cut short")
        if tag == b"I":
            return int.from_bytes(data, "little", signed=True)
        return data if tag == b"b" else bytearray(data) if tag == b"a" else data.decode()

    def _object(self, depth: int) -> Any:
        kind = _OBJECTS[self._byte()]
        slots = _SLOTS[kind]
        twin: Any = object.__new__(kind)
        for _ in range(self._byte()):
            name = slots[self._byte()]
            object.__setattr__(twin, name, self.value(depth + 1))
        return twin
