"""WebSocket frames: against `websockets`' own, in any split, and under garbage."""

import itertools
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from host.http.lane.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    FrameError,
    MessageReader,
    decode_close,
    encode_close,
    encode_frame,
)

MAX = 100_000


def client_frame(opcode: int, payload: bytes, *, fin: bool = True, first: int = 0) -> bytes:
    """A masked frame as `websockets` sends it; `first` adds bits."""
    frame = bytearray(Frame(Opcode(opcode), payload, fin).serialize(mask=True))
    frame[0] |= first
    return bytes(frame)


def read(pieces: list[bytes], reader: MessageReader | None = None) -> list[Any]:
    """The messages in these pieces, and the code of the failure."""
    reader = reader or MessageReader(MAX)
    found: list[Any] = []
    try:
        for piece in pieces:
            reader.feed(piece)
            while (event := reader.next()) is not None:
                found.append(event)
    except FrameError as error:
        found.append(error.code)
    return found


sizes = st.sampled_from([0, 1, 125, 126, 127, 4096, 4097, 65535, 65536, 70000])
payloads = st.one_of(
    st.tuples(st.just(BINARY), st.one_of(st.binary(max_size=300), sizes.map(bytes))),
    st.tuples(st.just(TEXT), st.text(max_size=300)),
)


@given(st.lists(payloads, max_size=4), st.lists(st.integers(0, 10**6), max_size=10), st.integers(1, 5))
@settings(max_examples=150, deadline=None)
def test_messages_are_the_same_in_any_fragments_and_split(
    messages: list[Any], places: list[int], fragments: int
) -> None:
    sent, expected = b"", []
    for opcode, payload in messages:
        data = payload.encode() if isinstance(payload, str) else payload
        step = len(data) // fragments + 1
        parts = [data[start : start + step] for start in range(0, len(data), step)] or [b""]
        for index, part in enumerate(parts):
            sent += client_frame(CONTINUATION if index else opcode, part, fin=index == len(parts) - 1)
            if index == 0 and len(parts) > 1:
                sent += client_frame(PING, b"between")
                expected.append((PING, b"between"))
        expected.append((opcode, payload))
    edges = sorted({0, len(sent), *(place % (len(sent) + 1) for place in places)})
    pieces = [sent[start:end] for start, end in itertools.pairwise(edges)]
    assert read(pieces) == expected


@given(st.lists(st.binary(max_size=50), max_size=20))
@settings(max_examples=200, deadline=None)
def test_garbage_fails_the_same_way_in_any_split(pieces: list[bytes]) -> None:
    found = read(pieces)
    assert read([b"".join(pieces)]) == found
    assert read([bytes([byte]) for piece in pieces for byte in piece]) == found


BROKEN = {
    "unmasked": (encode_frame(TEXT, b"a"), 1002),
    "reserved bit 1": (client_frame(TEXT, b"a", first=0x40), 1002),
    "reserved bit 2": (client_frame(TEXT, b"a", first=0x20), 1002),
    "reserved bit 3": (client_frame(TEXT, b"a", first=0x10), 1002),
    "reserved opcode": (bytes((0x83, 0x80)) + bytes(4), 1002),
    "reserved control opcode": (bytes((0x8B, 0x80)) + bytes(4), 1002),
    "fragmented ping": (bytes((PING, 0x80)) + bytes(4), 1002),
    "long ping": (bytes((0x80 | PING, 0x80 | 126)) + struct.pack("!H", 126) + bytes(4), 1002),
    "continuation of nothing": (client_frame(CONTINUATION, b"a"), 1002),
    "message inside a message": (client_frame(TEXT, b"a", fin=False) + client_frame(TEXT, b"b"), 1002),
    "length not in its shortest form": (bytes((0x82, 0x80 | 126)) + struct.pack("!H", 125) + bytes(4), 1002),
    "long length not in its shortest form": (bytes((0x82, 0x80 | 127)) + struct.pack("!Q", 65535) + bytes(4), 1002),
    "negative length": (bytes((0x82, 0x80 | 127)) + struct.pack("!Q", 1 << 63) + bytes(4), 1002),
    "too long": (bytes((0x82, 0x80 | 127)) + struct.pack("!Q", MAX + 1), 1009),
    "too long in fragments": (
        client_frame(BINARY, bytes(60_000), fin=False) + bytes((0x80, 0x80 | 126)) + struct.pack("!H", 60_000),
        1009,
    ),
    "not UTF-8": (client_frame(TEXT, b"\xff"), 1007),
    "a surrogate": (client_frame(TEXT, b"\xed\xa0\x80"), 1007),
    "not UTF-8 in the first fragment": (client_frame(TEXT, b"a\xff", fin=False), 1007),
    "a character cut at the end": (client_frame(TEXT, b"\xc3", fin=False) + client_frame(CONTINUATION, b""), 1007),
}


@pytest.mark.parametrize(("sent", "code"), BROKEN.values(), ids=BROKEN)
def test_a_broken_frame_fails_the_connection_with_its_code(sent: bytes, code: int) -> None:
    assert read([sent])[-1] == code


@pytest.mark.parametrize("before", [b"", client_frame(TEXT, b"h\xc3", fin=False) + client_frame(PING, b"")])
def test_text_is_refused_at_its_first_wrong_byte_not_at_the_end_of_its_frame(before: bytes) -> None:
    good = b"\xa9" if before else b"a"
    sent = client_frame(CONTINUATION if before else TEXT, good + "zwölf".encode() + b"\xf4\x90" + bytes(100))
    # The mask may begin anywhere in what is looked at.
    for step in (1, 2, 3, 5, 1000):
        pieces = [sent[start : start + step] for start in range(0, 15, step)]
        assert read([before, *pieces])[-1] == 1007, step
    up_to_the_fault = sent[: 6 + len(good) + len("zwölf".encode()) + 1]
    assert read([before, *(bytes([byte]) for byte in up_to_the_fault)]) == ([(PING, b"")] if before else [])


def test_a_size_is_refused_before_anything_of_it_is_stored() -> None:
    assert read([bytes((0x82, 0x80 | 127)) + struct.pack("!Q", MAX + 1)]) == [1009]


def test_empty_fragments_are_not_kept() -> None:
    reader = MessageReader(MAX)
    assert (
        read([client_frame(BINARY, b"", fin=False)] + [client_frame(CONTINUATION, b"", fin=False)] * 5000, reader) == []
    )
    assert not reader._parts
    reader = MessageReader(MAX)
    assert (
        read([client_frame(TEXT, b"", fin=False)] + [client_frame(CONTINUATION, b"", fin=False)] * 9000, reader) == []
    )
    assert len(reader._text) < 5000


@pytest.mark.parametrize("code", [1000, 1003, 1011, 1014, 3000, 4999])
def test_close_codes_that_may_be_sent(code: int) -> None:
    assert decode_close(encode_close(code, "why")[2:]) == (code, "why")


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
def test_close_codes_that_may_not(code: int) -> None:
    with pytest.raises(FrameError):
        decode_close(struct.pack("!H", code))


def test_a_close_without_a_code_and_one_with_half() -> None:
    assert decode_close(b"") == (1005, "")
    assert encode_close(1005) == encode_frame(CLOSE, b"")
    with pytest.raises(FrameError):
        decode_close(b"\x03")


def test_a_long_reason_is_cut_between_characters() -> None:
    frame = encode_close(1000, "é" * 100)
    assert len(frame) <= 2 + 125
    assert decode_close(frame[2:]) == (1000, "é" * 61)


@given(st.integers(0, 70000), st.sampled_from([TEXT, BINARY, PONG]))
@settings(max_examples=50, deadline=None)
def test_our_frames_are_those_of_websockets(size: int, opcode: int) -> None:
    payload = bytes(size if opcode != PONG else size % 126)
    assert encode_frame(opcode, payload) == Frame(Opcode(opcode), payload).serialize(mask=False)


def deflate() -> PerMessageDeflate:
    return PerMessageDeflate(False, False, 12, 12, {"memLevel": 5})


@given(st.lists(payloads, max_size=4))
@settings(max_examples=50, deadline=None)
def test_compressed_messages(messages: list[Any]) -> None:
    client, sent = deflate(), []
    for opcode, payload in messages:
        data = payload.encode() if isinstance(payload, str) else payload
        sent.append(Frame(Opcode(opcode), data).serialize(mask=True, extensions=[client]))
    assert read(sent, MessageReader(MAX, deflate())) == messages


def test_a_message_that_inflates_beyond_the_limit_is_1009() -> None:
    bomb = Frame(Opcode.BINARY, bytes(MAX + 1)).serialize(mask=True, extensions=[deflate()])
    assert len(bomb) < 1000
    assert read([bomb], MessageReader(MAX, deflate())) == [1009]


def test_compression_that_is_none_is_1007() -> None:
    assert read([client_frame(BINARY, b"\xff\xff\xff", first=0x40)], MessageReader(MAX, deflate())) == [1007]
