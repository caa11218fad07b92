"""Amazon's event streams, `application/vnd.amazon.eventstream`, off the bytes of an upstream, whatever the cuts.

A message is: its length and that of its headers (4 bytes each, big-endian), the CRC-32 of these eight bytes, headers,
payload, and the CRC-32 of all before it. What is broken, or ends in the middle of a message, raises.

Source: Amazon Transcribe and Lex developer guides, "Event stream encoding"; the limits are those of botocore.
"""

import struct
from collections.abc import Mapping
from typing import Final
from zlib import crc32

from pydantic_core import to_json

from plugins.gateway.core.reading import Malformed
from plugins.gateway.core.sse import Event, EventTooLarge

CONTENT_TYPE: Final = b"application/vnd.amazon.eventstream"
EXCEPTION: Final = "exception:"
"""Begins the names of events by which the upstream says that it failed."""
HEADERS_BYTES_MAX: Final = 128 * 1024
MESSAGE_BYTES_MAX: Final = 24 * 2**20
_PRELUDE: Final = struct.Struct("!III")
_CRC: Final = struct.Struct("!I")
_OVERHEAD_BYTES: Final = _PRELUDE.size + _CRC.size
_FIXED_BYTES: Final[Mapping[int, int]] = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Types of header values with a size of their own: booleans, integers, a timestamp, a UUID."""
_BYTES: Final = 6
_TEXT: Final = 7


class EventStreamDecoder:
    """Feed it bytes, get events: what `:event-type` says, or `EXCEPTION` and the exception's name, with the payload."""

    __slots__ = ("_buffer", "_message_bytes_max")

    def __init__(self, message_bytes_max: int = MESSAGE_BYTES_MAX) -> None:
        self._message_bytes_max = min(message_bytes_max, MESSAGE_BYTES_MAX)
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes.

        Raises:
            EventTooLarge: a message exceeds the limit.
            Malformed: a checksum is wrong, or a length or a header is none. The decoder is of no more use.
        """
        buffer = self._buffer
        buffer += data
        events: list[Event] = []
        at = 0
        while len(buffer) - at >= _PRELUDE.size:
            size, headers_size = self._lengths(buffer, at)
            if len(buffer) - at < size:
                break
            events.append(_event_of(bytes(buffer[at : at + size]), headers_size))
            at += size
        del buffer[:at]
        return events

    def end(self) -> list[Event]:
        """Nothing is left over at the end of the stream. Raises `Malformed` when it ends within a message."""
        if self._buffer:
            raise Malformed("its stream ended in the middle of a message")
        return []

    def _lengths(self, buffer: bytearray, at: int) -> tuple[int, int]:
        """The sizes of the message and of its headers, which count for something only with their checksum."""
        size, headers_size, checksum = _PRELUDE.unpack_from(buffer, at)
        if crc32(buffer[at : at + 8]) != checksum:
            raise Malformed("the checksum of a message's prelude is wrong")
        if size > self._message_bytes_max:
            raise EventTooLarge(f"a message of more than {self._message_bytes_max} bytes")
        if headers_size > HEADERS_BYTES_MAX or size < headers_size + _OVERHEAD_BYTES:
            raise Malformed("the lengths of a message are none")
        return size, headers_size


def encode_message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message, with headers of text."""
    block = b"".join(
        bytes([len(name)]) + name.encode("ascii") + bytes([_TEXT]) + struct.pack("!H", len(value)) + value
        for name, value in ((name, value.encode()) for name, value in headers.items())
    )
    lengths = struct.pack("!II", len(block) + len(payload) + _OVERHEAD_BYTES, len(block))
    message = lengths + _CRC.pack(crc32(lengths)) + block + payload
    return message + _CRC.pack(crc32(message))


def encode_event(kind: str, document: object, *, message_type: str = "event") -> bytes:
    """One event, or with `message_type` "exception" one of these, its payload as JSON."""
    headers = {f":{message_type}-type": kind, ":content-type": "application/json", ":message-type": message_type}
    return encode_message(headers, to_json(document))


def _event_of(message: bytes, headers_size: int) -> Event:
    body_size = len(message) - _CRC.size
    if crc32(message[:body_size]) != _CRC.unpack_from(message, body_size)[0]:
        raise Malformed("the checksum of a message is wrong")
    payload_at = _PRELUDE.size + headers_size
    headers = _headers_of(message[_PRELUDE.size : payload_at])
    payload = message[payload_at:body_size]
    kind = headers.get(":message-type")
    if kind == "event":
        return headers.get(":event-type", ""), payload
    if kind == "exception":
        return EXCEPTION + headers.get(":exception-type", ""), payload
    if kind == "error":
        # Not modelled by the service: its words are in the headers.
        told = {"message": headers.get(":error-message", "")}
        return EXCEPTION + headers.get(":error-code", ""), to_json(told)
    raise Malformed("a message of no known type")


def _headers_of(block: bytes) -> dict[str, str]:
    """The headers of text; those of other types are stepped over."""
    headers: dict[str, str] = {}
    at = 0
    try:
        while at < len(block):
            name_end = at + 1 + block[at]
            name, kind = block[at + 1 : name_end].decode(), block[name_end]
            at = name_end + 1
            if kind in (_BYTES, _TEXT):
                (size,) = struct.unpack_from("!H", block, at)
                at += 2
                if kind == _TEXT:
                    headers[name] = block[at : at + size].decode()
                at += size
            else:
                at += _FIXED_BYTES[kind]
    except (IndexError, KeyError, UnicodeDecodeError, struct.error):
        raise Malformed("the headers of a message are none") from None
    if at != len(block):
        raise Malformed("the headers of a message are none")
    return headers
