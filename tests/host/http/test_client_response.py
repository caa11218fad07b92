"""The response parser against the table of responses, cut in every way."""

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from host.http.client_response import ResponseParser
from tests.host.http.client_cases import CASES, CHUNKED, Case, H

HEADER_BYTES_MAX = 4096


def parse(parts: list[bytes], method: str = "GET", eof: bool = False, limit: int = HEADER_BYTES_MAX) -> tuple:
    parser = ResponseParser(limit)
    parser.begin(is_head=method == "HEAD")
    for part in filter(None, parts):
        if parser.complete or parser.fault:
            # The connection reads no further; whether anything lies there still decides only whether it is kept.
            return outcome(parser, surplus=True)
        parser.feed(part)
    if eof:
        parser.feed_eof()
    return outcome(parser, surplus=False)


def outcome(parser: ResponseParser, surplus: bool) -> tuple:
    head = (parser.status, parser.reason, parser.headers, parser.version) if parser.head_complete else None
    kept = parser.complete and parser.keep_alive and not surplus
    return head, parser.take(), parser.complete, bool(parser.fault), kept


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("cut", ["whole", "bytewise"])
def test_response_of_the_table_gives_its_outcome(case: Case, cut: str) -> None:
    parts = [case.sent] if cut == "whole" else [bytes([byte]) for byte in case.sent]
    head, body, complete, has_fault, kept = parse(parts, case.method, case.hangs_up)
    assert complete is case.whole, case.clause
    assert has_fault is not case.whole
    assert body == case.body
    assert kept is case.kept
    if case.whole:
        assert head is not None
        assert head[0] == case.status


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(CASES), st.data())
def test_any_cut_of_the_bytes_gives_the_same_outcome(case: Case, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(case.sent)), max_size=8)))
    edges = [0, *cuts, len(case.sent)]
    parts = [case.sent[begin:end] for begin, end in pairwise(edges)]
    assert parse(parts, case.method, case.hangs_up) == parse([case.sent], case.method, case.hangs_up)


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=80), st.sampled_from([b"", H, H + b"Content-Length: 3\r\n", CHUNKED]), st.data())
@example(b"\r\n\r\n", b"", None)
def test_rubbish_never_escapes_as_an_exception_and_cuts_do_not_matter(
    rubbish: bytes, prefix: bytes, data: object
) -> None:
    sent = prefix + rubbish
    cut = data.draw(st.integers(0, len(sent))) if isinstance(data, st.DataObject) else 2
    whole = parse([sent], eof=True)[:4]  # a stray CRLF after the response is forgiven if it came with it
    assert parse([sent[:cut], sent[cut:]], eof=True)[:4] == whole
    assert parse([bytes([byte]) for byte in sent], eof=True)[:4] == whole


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.integers(0, 400))
def test_chunked_body_cut_short_is_never_whole(chunks: list[bytes], cut: int) -> None:
    sent = CHUNKED + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    assert parse([sent], eof=True)[1:3] == (b"".join(chunks), True)
    _, body, complete, has_fault, kept = parse([sent[: min(cut, len(sent) - 1)]], eof=True)
    assert (complete, has_fault, kept) == (False, True, False)
    assert b"".join(chunks).startswith(body)


def section(size: int) -> bytes:
    """A header section of exactly `size` bytes."""
    fixed = H + b"Content-Length: 1\r\nX: \r\n\r\n"
    return H + b"Content-Length: 1\r\nX: " + b"x" * (size - len(fixed)) + b"\r\n\r\n"


@pytest.mark.parametrize("step", [1, 7, 300, 9000])
def test_header_section_at_the_limit_passes_and_one_byte_more_does_not(step: int) -> None:
    def cut(sent: bytes) -> list[bytes]:
        return [sent[at : at + step] for at in range(0, len(sent), step)]

    assert parse(cut(section(500) + b"a"), limit=500)[1:4] == (b"a", True, False)
    head, _, complete, has_fault, _ = parse(cut(section(501) + b"a"), limit=500)
    assert (head, complete, has_fault) == (None, False, True)


def test_bytes_behind_a_header_section_at_the_limit_end_the_connection() -> None:
    sent = H + b"Content-Length: 0\r\n\r\n"
    assert parse([sent], limit=len(sent))[2:] == (True, False, True)
    assert parse([sent + b"evil"], limit=len(sent))[2:] == (True, False, False)


@pytest.mark.parametrize("headers", [b"", b"Connection: Upgrade\r\nUpgrade: x\r\n"])
def test_upgrade_is_refused_by_name(headers: bytes) -> None:
    parser = ResponseParser(4096)
    parser.feed(b"HTTP/1.1 101 Switching Protocols\r\n" + headers + b"\r\n")
    assert "101 Switching Protocols without being asked" in parser.fault


def test_informational_responses_without_end_hit_the_header_limit() -> None:
    parser = ResponseParser(1000)
    fed = 0
    while not parser.fault:
        parser.feed(b"HTTP/1.1 103 X\r\nA: b\r\n\r\n")
        fed += 1
    assert fed < 50
    assert "1000" in parser.fault


@pytest.mark.parametrize("endless", [b"x=y;", b"\r\nX: "], ids=["chunk-extension", "trailer"])
def test_chunk_framing_without_end_is_a_fault(endless: bytes) -> None:
    parser = ResponseParser(4096)
    parser.feed(CHUNKED + b"0" + (b";" if endless[:1] == b"x" else b""))
    fed = 0
    while not parser.fault:
        parser.feed(endless if not fed else b"y" * 1024)
        fed += 1
        assert fed < 200
    assert not parser.complete


def test_values_are_stripped_and_trailers_do_not_become_headers() -> None:
    parser = ResponseParser(4096)
    parser.feed(H + b"A: \t b \t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: c\r\n\r\n")
    assert parser.complete
    assert parser.headers == [(b"A", b"b"), (b"Transfer-Encoding", b"chunked")]


def test_one_parser_reads_response_after_response() -> None:
    parser = ResponseParser(4096)
    for is_head in (False, True, False, True, True, False):
        parser.begin(is_head=is_head)
        parser.feed(H + b"Content-Length: 2\r\n\r\n" + (b"" if is_head else b"ab"))
        assert parser.complete
        assert parser.keep_alive
        assert parser.take() == (b"" if is_head else b"ab")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"timeout=5", 5.0),
        (b"max=100, Timeout=7", 7.0),
        (b"timeout=x", None),
        (b"max=3", None),
        (b"timeout=-1", None),
        (b"timeout=99999999999", None),
    ],
)
def test_keep_alive_header_limits_idle_time(value: bytes, seconds: float | None) -> None:
    parser = ResponseParser(4096)
    parser.feed(H + b"Keep-Alive: " + value + b"\r\nContent-Length: 0\r\n\r\n")
    assert parser.idle_hint_s == seconds
