"""Frames on TCP: a length of four bytes, then a payload. The first says who speaks.

hello     b"QRAFT1" kind(1: P peer, C client) from u32, to u32, HTTP URL of the sender
peer      a message, as in `core.codec`
client →  b"W" and a `Propose` as in `core.codec` (tags are the client's own), or b"R" tag i64, key
→ client  b"A" answers, each: tag i64, fate u8, index i64, leader u32, size u32, result or reason
"""

import struct
from typing import Final, NamedTuple

from host.api import HostError
from plugins.raft.core.codec import Malformed, decode, encode
from plugins.raft.core.inputs import Propose

FRAME_BYTES_MAX: Final = 4 * 1024 * 1024
"""A larger frame ends the connection. Batches and chunks of snapshots are far below."""
PEER: Final = b"P"
CLIENT: Final = b"C"
MAGIC: Final = b"QRAFT1"

_LENGTH: Final = struct.Struct("<I")
_HELLO: Final = struct.Struct("<6sc2I")
_ANSWER: Final = struct.Struct("<qBqII")
_TAG: Final = struct.Struct("<q")


class WireError(HostError):
    """The other side does not speak this protocol; the connection ends."""


class Hello(NamedTuple):
    """Who speaks to whom. Clients are 0; `url` is where the sender serves HTTP, "" when nowhere."""

    kind: bytes
    sender: int
    to: int
    url: str


class Told(NamedTuple):
    """One answer to a client."""

    tag: int
    fate: int
    index: int  # type: ignore[assignment]
    leader: int
    value: bytes


def framed(payload: bytes) -> bytes:
    """A payload with its length."""
    return _LENGTH.pack(len(payload)) + payload


class Frames:
    """Cuts a stream of bytes into payloads."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; the payloads that are complete now. Raises WireError."""
        buffer = self._buffer + data if self._buffer else data
        found = []
        at, end = 0, len(buffer)
        while end - at >= 4:
            (size,) = _LENGTH.unpack_from(buffer, at)
            if size > FRAME_BYTES_MAX:
                raise WireError(f"a frame of {size:,} bytes is larger than {FRAME_BYTES_MAX:,}")
            if end - at - 4 < size:
                break
            found.append(buffer[at + 4 : at + 4 + size])
            at += 4 + size
        self._buffer = buffer[at:]
        return found


def encode_hello(hello: Hello) -> bytes:
    """The first payload of a connection."""
    return _HELLO.pack(MAGIC, hello.kind, hello.sender, hello.to) + hello.url.encode()


def decode_hello(payload: bytes) -> Hello:
    """Raises WireError for what is no hello."""
    if len(payload) < _HELLO.size or len(payload) > 512:
        raise WireError("a connection begins with a hello")
    magic, kind, sender, to = _HELLO.unpack_from(payload)
    if magic != MAGIC or kind not in (PEER, CLIENT):
        raise WireError("a connection begins with a hello of this protocol")
    return Hello(kind, sender, to, payload[_HELLO.size :].decode("utf-8", "replace"))


def encode_commands(items: tuple[tuple[int, bytes], ...]) -> bytes:
    """Commands, each with the client's own tag."""
    return b"W" + encode(Propose(items))


def encode_read(tag: int, key: bytes) -> bytes:
    """A linearizable read."""
    return b"R" + _TAG.pack(tag) + key


def decode_request(payload: bytes) -> tuple[tuple[int, bytes], ...] | tuple[int, bytes]:
    """A client's commands, or its read. Raises WireError."""
    if payload[:1] == b"R" and len(payload) >= 9:
        return _TAG.unpack_from(payload, 1)[0], payload[9:]
    if payload[:1] == b"W":
        try:
            event = decode(payload[1:])
        except Malformed as error:
            raise WireError(f"commands cannot be read: {error}") from None
        if type(event) is Propose:
            return event.items
    raise WireError("a client sends commands or reads")


def encode_answers(answers: list[Told]) -> bytes:
    """Answers to a client."""
    parts = [b"A"]
    for tag, fate, index, leader, value in answers:
        parts.append(_ANSWER.pack(tag, fate, index, leader, len(value)))
        parts.append(value)
    return b"".join(parts)


def decode_answers(payload: bytes) -> list[Told]:
    """The answers in a payload. Raises WireError."""
    if payload[:1] != b"A":
        raise WireError("a node sends answers")
    found = []
    at, end = 1, len(payload)
    while at < end:
        if end - at < _ANSWER.size:
            raise WireError("an answer is cut short")
        tag, fate, index, leader, size = _ANSWER.unpack_from(payload, at)
        at += _ANSWER.size
        if end - at < size:
            raise WireError("an answer is cut short")
        found.append(Told(tag, fate, index, leader, payload[at : at + size]))
        at += size
    return found
