"""Amazon's event streams: botocore's parser is the judge of what is read, whatever the cuts, and of what is written."""

import struct
from itertools import pairwise
from typing import Any
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from plugins.gateway.core.eventstream import (
    EXCEPTION,
    HEADERS_BYTES_MAX,
    EventStreamDecoder,
    encode_event,
    encode_message,
)
from plugins.gateway.core.reading import Malformed
from plugins.gateway.core.sse import Event, EventTooLarge

OF_ALL_TYPES = (
    b"\x01t\x00"
    b"\x01f\x01"
    b"\x01b\x02\x7f"
    b"\x01s\x03\x00\x01"
    b"\x01i\x04\x00\x00\x00\x01"
    b"\x01l\x05\x00\x00\x00\x00\x00\x00\x00\x01"
    b"\x01y\x06\x00\x02\xff\xfe"
    b"\x01m\x08\x00\x00\x00\x00\x00\x00\x00\x01"
    b"\x01u\x090123456789abcdef"
    b"\x0d:message-type\x07\x00\x05event"
    b"\x0b:event-type\x07\x00\x03odd"
)


def raw_message(headers: bytes, payload: bytes) -> bytes:
    lengths = struct.pack("!II", len(headers) + len(payload) + 16, len(headers))
    message = lengths + struct.pack("!I", crc32(lengths)) + headers + payload
    return message + struct.pack("!I", crc32(message))


def decode(parts: list[bytes]) -> list[Event]:
    decoder = EventStreamDecoder()
    events = [event for part in parts for event in decoder.feed(part)]
    return events + decoder.end()


def judged(stream: bytes) -> list[Event]:
    """What botocore reads."""
    buffer = EventStreamBuffer()
    buffer.add_data(stream)
    return [(str(message.headers[":event-type"]), message.payload) for message in buffer]


EVENTS = st.lists(
    st.tuples(st.text(min_size=1, max_size=8), st.text(max_size=6), st.binary(max_size=300)), min_size=1, max_size=6
)


@given(EVENTS, st.lists(st.integers(0, 4000), max_size=20))
def test_messages_are_read_and_written_as_botocore_does_whatever_the_cuts(events: Any, cuts: list[int]) -> None:
    stream = b"".join(
        encode_message({":event-type": kind, "x-more": more, ":message-type": "event"}, payload)
        for kind, more, payload in events
    )
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    read = decode([stream[a:b] for a, b in pairwise(places)])
    assert read == [(kind, payload) for kind, _, payload in events] == judged(stream)


STREAM = encode_event("messageStart", {"role": "assistant"}) + raw_message(OF_ALL_TYPES, b"payload")


def test_headers_of_all_types_are_stepped_over() -> None:
    assert decode([STREAM]) == judged(STREAM) == [("messageStart", b'{"role":"assistant"}'), ("odd", b"payload")]


def test_a_stream_cut_at_any_byte_is_not_whole() -> None:
    first = len(encode_event("messageStart", {"role": "assistant"}))
    for at in range(len(STREAM)):
        decoder = EventStreamDecoder()
        events = decoder.feed(STREAM[:at])
        assert len(events) == (1 if at >= first else 0), at
        if at in (0, first):
            assert decoder.end() == []
        else:
            with pytest.raises(Malformed):
                decoder.end()


def test_a_stream_with_any_byte_changed_is_refused() -> None:
    for at in range(len(STREAM)):
        broken = bytearray(STREAM)
        broken[at] ^= 0x20
        with pytest.raises((Malformed, EventTooLarge)):
            decode([bytes(broken)])


def test_lengths_are_refused_before_anything_is_kept_for_them() -> None:
    def prelude(size: int, headers_size: int) -> bytes:
        lengths = struct.pack("!II", size, headers_size)
        return lengths + struct.pack("!I", crc32(lengths))

    with pytest.raises(EventTooLarge):
        EventStreamDecoder(100).feed(prelude(101, 0))
    with pytest.raises(EventTooLarge):
        EventStreamDecoder(2**31).feed(prelude(2**30, 0))
    with pytest.raises(Malformed):
        EventStreamDecoder().feed(prelude(HEADERS_BYTES_MAX + 17, HEADERS_BYTES_MAX + 1))
    with pytest.raises(Malformed):
        EventStreamDecoder().feed(prelude(20, 5))
    # A length that was hurt on its way is not waited for.
    hurt = bytearray(prelude(100, 84))
    hurt[3] ^= 1
    with pytest.raises(Malformed, match="prelude"):
        EventStreamDecoder().feed(bytes(hurt))
    # At the limits nothing is wrong.
    assert EventStreamDecoder(100).feed(prelude(100, 84)) == []


def test_failures_have_names_of_their_own() -> None:
    exception = encode_event("throttlingException", {"message": "slow down"}, message_type="exception")
    unmodelled = {":message-type": "error", ":error-code": "InternalError", ":error-message": "oh"}
    assert decode([exception, encode_message(unmodelled, b"")]) == [
        (f"{EXCEPTION}throttlingException", b'{"message":"slow down"}'),
        (f"{EXCEPTION}InternalError", b'{"message":"oh"}'),
    ]


@pytest.mark.parametrize(
    "headers",
    [
        b"",
        b"\x0d:message-type\x07\x00\x05other",
        b"\x0d:message-type\x07\x00\x06event",
        b"\x0d:message-type\x07\x00",
        b"\x0d:message-type",
        b"\x01x\x0a",
        b"\x01\xff\x00",
        b"\x01x\x04\x00",
    ],
)
def test_headers_that_are_none_are_refused(headers: bytes) -> None:
    with pytest.raises(Malformed):
        decode([raw_message(headers, b"")])
