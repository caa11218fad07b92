"""The request parser under fuzz: any split of the bytes gives the same requests, and garbage gives a refusal."""

import itertools
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from host.http.lane.request import HEAD_SLICE_BYTES, Refusal, RequestParser
from host.http.limits import Limits
from tests.host.http.torture_cases import CASES

CORPUS = [case.sent for case in CASES if len(case.sent) < 2000]


def parsed(pieces: list[bytes], limits: Limits | None = None) -> tuple[list[Any], int | None]:
    """What becomes of bytes that come in these pieces: the requests with their bodies, and the status of the fault."""
    parser = RequestParser(limits or Limits())
    requests = []
    for piece in pieces:
        if parser.fault is not None:
            break
        rest = piece
        while rest:
            parser.advance(rest)
            assert len(parser.pending) < len(rest)
            rest = bytes(parser.pending)
            while parser.ready:
                request = parser.ready.popleft()
                requests.append(request)
                if request.has_upgrade:
                    parser.ignore_upgrade(request)
    return (
        [
            (found.method, found.target, found.http_version, found.headers, b"".join(found.parts), found.is_complete)
            for found in requests
        ],
        parser.fault.status if parser.fault is not None else None,
    )


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A correct request."""
    method = draw(st.sampled_from([b"GET", b"POST", b"PUT", b"OPTIONS", b"PROPFIND"]))
    target = b"/" + draw(st.text("abc/%20?&=", max_size=20)).encode()
    name = st.text("abcdefXYZ-_", min_size=1, max_size=10).map(lambda text: b"X" + text.encode())
    value = st.binary(max_size=20).map(lambda data: bytes(byte for byte in data if byte == 9 or 32 <= byte != 127))
    lines = [key + b": " + text for key, text in draw(st.lists(st.tuples(name, value), max_size=5))]
    body = draw(st.binary(max_size=100))
    framing = draw(st.sampled_from(["none", "length", "chunked"]))
    if framing == "length":
        lines.append(b"Content-Length: %d" % len(body))
    elif framing == "chunked":
        lines.append(b"Transfer-Encoding: chunked")
        cut = draw(st.integers(0, len(body)))
        chunks = [part for part in (body[:cut], body[cut:]) if part]
        body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in chunks) + b"0\r\n\r\n"
    else:
        body = b""
    return b"%b %b HTTP/1.1\r\nHost: localhost\r\n%b\r\n%b" % (
        method,
        target,
        b"".join(line + b"\r\n" for line in lines),
        body,
    )


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(st.lists(requests(), min_size=1, max_size=4), st.lists(st.integers(0, 1000), max_size=20))
@settings(max_examples=200, deadline=None)
def test_correct_requests_are_the_same_however_they_are_split(sent: list[bytes], places: list[int]) -> None:
    data = b"".join(sent)
    whole, fault = parsed([data])
    assert fault is None
    assert len(whole) == len(sent)
    assert all(is_complete for *_, is_complete in whole)
    assert parsed(cut(data, places)) == (whole, None)


@pytest.mark.parametrize("data", CORPUS)
def test_every_request_of_the_table_is_the_same_byte_by_byte(data: bytes) -> None:
    assert parsed([bytes([byte]) for byte in data]) == parsed([data])


@given(st.binary(max_size=200), st.sampled_from(CORPUS), st.lists(st.integers(0, 1000), max_size=8))
@example(b"\r\n" * 100, CORPUS[0], [])
@settings(max_examples=300, deadline=None)
def test_garbage_in_a_request_neither_crashes_nor_depends_on_the_split(
    garbage: bytes, data: bytes, places: list[int]
) -> None:
    for start in [place % (len(data) + 1) for place in places] or [0]:
        spoilt = data[:start] + garbage + data[start:]
        found, fault = parsed([spoilt])
        # Bytes of an unfinished body are not compared: their parts are the same, joined.
        assert parsed([bytes([byte]) for byte in spoilt]) == (found, fault)
        assert fault is None or 400 <= fault <= 505


def test_a_flood_of_pipelined_requests_becomes_few_objects_at_a_time() -> None:
    tiny = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    parser = RequestParser(Limits())
    parser.advance(tiny * 1500)
    assert len(parser.ready) <= HEAD_SLICE_BYTES / len(tiny)


@pytest.mark.parametrize(
    ("endless", "status"),
    [
        (b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nX: " + b"v" * 5000, 431),
        (b"GET / HTTP/1.1\r\nX:" + b" " * 5000, 431),
        (b"GET / HTTP/1.1\r\n" + b"a:\r\n" * 2000, 431),
        (b"GET /" + b"a" * 5000, 414),
    ],
)
def test_a_head_that_never_ends_is_refused_at_its_limit(endless: bytes, status: int) -> None:
    limits = Limits(header_bytes_max=4096, target_bytes_max=2048)
    pieces = [endless] * 3000 if len(endless) < 10 else [endless]
    assert parsed(pieces, limits) == ([], status)


def test_a_refusal_says_what_is_wrong() -> None:
    parser = RequestParser(Limits())
    parser.advance(b"GET / HTTP/1.1\r\n\r\n")
    assert isinstance(parser.fault, Refusal)
    assert (parser.fault.status, parser.fault.detail) == (400, "a request has exactly one Host")
