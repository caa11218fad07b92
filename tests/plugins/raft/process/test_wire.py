"""Frames between processes: what is sent arrives, however it is cut, and what is no frame ends the connection."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.raft.process.wire import (
    CLIENT,
    FRAME_BYTES_MAX,
    PEER,
    Frames,
    Hello,
    Told,
    WireError,
    decode_answers,
    decode_hello,
    decode_request,
    encode_answers,
    encode_commands,
    encode_hello,
    encode_read,
    framed,
)


@given(st.lists(st.binary(max_size=200), max_size=20), st.integers(0, 2**32))
def test_payloads_arrive_however_the_stream_is_cut(payloads: list[bytes], seed: int) -> None:
    lot = random.Random(seed)
    data = b"".join(map(framed, payloads))
    frames, found = Frames(), []
    while data:
        cut = lot.randint(1, 40)
        found += frames.feed(data[:cut])
        data = data[cut:]
    assert found == payloads


def test_frame_that_is_too_large_is_refused_before_it_is_read() -> None:
    with pytest.raises(WireError):
        Frames().feed((FRAME_BYTES_MAX + 1).to_bytes(4, "little"))


def test_hello_commands_reads_and_answers_are_read_back() -> None:
    hello = Hello(PEER, 1, 2, "http://127.0.0.1:8101")
    assert decode_hello(encode_hello(hello)) == hello
    items = ((7, b"a"), (8, b""))
    assert decode_request(encode_commands(items)) == items
    assert decode_request(encode_read(9, b"key")) == (9, b"key")
    answers = [Told(7, 0, 12, 0, b"+"), Told(-1, 3, 0, 2, b"not-leader")]
    assert decode_answers(encode_answers(answers)) == answers


@pytest.mark.parametrize(
    "payload", [b"", b"QRAFT1", b"QRAFT2" + bytes(9), encode_hello(Hello(CLIENT, 0, 1, "x" * 600))]
)
def test_what_is_no_hello_is_refused(payload: bytes) -> None:
    with pytest.raises(WireError):
        decode_hello(payload)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_request_or_refused(payload: bytes) -> None:
    try:
        decode_request(payload)
    except WireError:
        return


@given(st.binary(max_size=100))
def test_any_bytes_are_answers_or_refused(payload: bytes) -> None:
    try:
        decode_answers(payload)
    except WireError:
        return
