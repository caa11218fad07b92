"""A key-value store as a replicated state machine: a function of the entries applied, nothing else.

Commands and results are bytes. Nodes that applied the same entries have equal `snapshot()`s.
"""

import struct
from typing import Final, Literal, NamedTuple

Kind = Literal["put", "append", "delete", "swap", "get"]
KINDS: Final[tuple[Kind, ...]] = ("put", "append", "delete", "swap", "get")

_HEAD: Final = struct.Struct("<BHI")

OK: Final = b"+"
MISSING: Final = b"-"
MISMATCH: Final = b"!"
BAD: Final = b"?"
"""First byte of a result: done (and, for a get, the value follows), no such key, a swap's expectation was wrong, not
a command at all."""


class Operation(NamedTuple):
    """What to do with `key`. `swap` puts `value` if the key holds `expected` (b"" also stands for "is not there")."""

    kind: Kind
    key: bytes
    value: bytes = b""
    expected: bytes = b""


def encode_operation(operation: Operation) -> bytes:
    """The bytes for a command."""
    kind, key, value, expected = operation
    return _HEAD.pack(KINDS.index(kind), len(key), len(value)) + key + value + expected


def decode_operation(data: bytes) -> Operation | None:
    """The operation in a command; None for bytes that hold none, which every node then answers with `BAD` alike."""
    if len(data) < _HEAD.size:
        return None
    kind, key_size, value_size = _HEAD.unpack_from(data)
    end = _HEAD.size + key_size + value_size
    if kind >= len(KINDS) or end > len(data):
        return None
    middle = _HEAD.size + key_size
    return Operation(KINDS[kind], data[_HEAD.size : middle], data[middle:end], data[end:])


class KeyValue:
    """The store. `apply` is called once for each committed command, in order."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}

    def apply(self, command: bytes) -> bytes:
        """Do what the command says; the result."""
        operation = decode_operation(command)
        if operation is None:
            return BAD
        kind, key, value, expected = operation
        values = self.values
        if kind == "put":
            values[key] = value
            return OK
        if kind == "get":
            return self.get(key)
        if kind == "append":
            values[key] = values.get(key, b"") + value
            return OK + values[key]
        if kind == "delete":
            return MISSING if values.pop(key, None) is None else OK
        if values.get(key, b"") != expected:
            return MISMATCH
        values[key] = value
        return OK

    def get(self, key: bytes) -> bytes:
        """What a read answers: OK and the value, or MISSING."""
        value = self.values.get(key)
        return MISSING if value is None else OK + value

    def snapshot(self) -> bytes:
        """The whole store, in the order of the keys."""
        parts = []
        for key in sorted(self.values):
            value = self.values[key]
            parts += [_HEAD.pack(0, len(key), len(value)), key, value]
        return b"".join(parts)

    def restore(self, data: bytes) -> None:
        """Become the store that a snapshot was made of. Raises ValueError for any other bytes."""
        values = {}
        at = 0
        while at < len(data):
            if at + _HEAD.size > len(data):
                raise ValueError("a snapshot of the store is cut short")
            _, key_size, value_size = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            end = at + key_size + value_size
            if end > len(data):
                raise ValueError("a snapshot of the store is cut short")
            values[data[at : at + key_size]] = data[at + key_size : end]
            at = end
        self.values = values
