"""Responses a server may send, each with its clause and what a client has to make of it.

RFC numbers: "9112 6.3" is RFC 9112 section 6.3. `whole`: the response is delivered with this status and body; else the
client must raise RemoteProtocolError (before the body, or after the part of it that came). `kept`: the connection may
serve another request. `hangs_up`: the server closes after these bytes; otherwise it goes on listening.
"""

from dataclasses import dataclass

H = b"HTTP/1.1 200 OK\r\n"
CHUNKED = H + b"Transfer-Encoding: chunked\r\n\r\n"
NEXT = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"


@dataclass(frozen=True)
class Case:
    name: str
    clause: str
    sent: bytes
    status: int = 200
    body: bytes = b""
    whole: bool = True
    kept: bool = True
    hangs_up: bool = False
    method: str = "GET"


def good(name: str, clause: str, sent: bytes, body: bytes = b"", **more: object) -> Case:
    return Case(name, clause, sent, body=body, **more)  # type: ignore[arg-type]


def bad(name: str, clause: str, sent: bytes, body: bytes = b"", **more: object) -> Case:
    return Case(name, clause, sent, body=body, whole=False, kept=False, **more)  # type: ignore[arg-type]


CASES = [
    # The status line.
    good("content-length", "9112 6.2", H + b"Content-Length: 2\r\n\r\nab", b"ab"),
    good("content-length-zero", "9112 6.2", H + b"Content-Length: 0\r\n\r\n"),
    good("no-reason-no-space", "9112 4", b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\na", b"a"),
    good("no-reason", "9112 4", b"HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\na", b"a"),
    good("reason-of-several-words", "9112 4", b"HTTP/1.1 404 Not Here Now\r\nContent-Length: 0\r\n\r\n", status=404),
    good("reason-with-obs-text", "9112 4", b"HTTP/1.1 200 \xe9t\xe9\r\nContent-Length: 0\r\n\r\n"),
    good("unknown-status-of-known-class", "9110 15", b"HTTP/1.1 299 X\r\nContent-Length: 0\r\n\r\n", status=299),
    bad("reason-with-nul", "9112 4", b"HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n"),
    bad("status-of-two-digits", "9112 4", b"HTTP/1.1 99 X\r\nContent-Length: 0\r\n\r\n"),
    bad("status-of-four-digits", "9112 4", b"HTTP/1.1 2000 X\r\nContent-Length: 0\r\n\r\n"),
    bad("status-below-100", "9110 15", b"HTTP/1.1 000 X\r\nContent-Length: 0\r\n\r\n"),
    bad("status-not-a-number", "9112 4", b"HTTP/1.1 2x0 X\r\nContent-Length: 0\r\n\r\n"),
    bad("two-spaces-before-status", "9112 4", b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n"),
    bad("version-lower-case", "9112 2.3", b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    bad("version-1.2", "9112 2.3", b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n"),
    bad("version-2.0", "9112 2.3", b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    bad("version-0.9", "9112 2.3", b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n"),
    bad("not-http", "9112 2.1", b"SSH-2.0-OpenSSH_9.9\r\n"),
    bad("no-status-line", "9112 2.1", b"<html>hello</html>", hangs_up=True),
    bad("bare-lf-after-status-line", "9112 2.2", b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"),
    bad("space-before-first-header", "9112 2.2", H + b" X: y\r\nContent-Length: 0\r\n\r\n"),
    # Header fields.
    good("header-value-empty", "9110 5.5", H + b"X-Empty:\r\nContent-Length: 1\r\n\r\na", b"a"),
    good("header-value-padded", "9112 5", H + b"X: \t y \t \r\nContent-Length:  1  \r\n\r\na", b"a"),
    good("header-name-in-any-case", "9110 5.1", H + b"cOnTeNt-LeNgTh: 1\r\n\r\na", b"a"),
    good("header-value-obs-text", "9110 5.5", H + b"X: \xe9\r\nContent-Length: 0\r\n\r\n"),
    bad("space-before-colon", "9112 5.1", H + b"Content-Length : 1\r\n\r\na"),
    bad("space-in-header-name", "9110 5.1", H + b"X Y: z\r\nContent-Length: 0\r\n\r\n"),
    bad("no-colon", "9112 5", H + b"X\r\nContent-Length: 0\r\n\r\n"),
    bad("no-header-name", "9112 5", H + b": x\r\nContent-Length: 0\r\n\r\n"),
    bad("obs-fold", "9112 5.2", H + b"X: y\r\n z\r\nContent-Length: 0\r\n\r\n"),
    bad("obs-fold-with-tab", "9112 5.2", H + b"X: y\r\n\tz\r\nContent-Length: 0\r\n\r\n"),
    bad("bare-lf-after-header", "9112 2.2", H + b"X: y\nContent-Length: 0\r\n\r\n"),
    bad("bare-cr-in-header", "9112 2.2", H + b"X: y\rz\r\nContent-Length: 0\r\n\r\n"),
    bad("bare-lf-ends-headers", "9112 2.2", H + b"Content-Length: 0\r\n\n"),
    bad("nul-in-header", "9110 5.5", H + b"X: y\0z\r\nContent-Length: 0\r\n\r\n"),
    bad("header-section-broken-off", "9112 8", H + b"Content-Len", hangs_up=True),
    bad("nothing-at-all", "9112 8", b"", hangs_up=True),
    # Content-Length.
    bad("length-negative", "9110 8.6", H + b"Content-Length: -1\r\n\r\n"),
    bad("length-signed", "9110 8.6", H + b"Content-Length: +1\r\n\r\na"),
    bad("length-hexadecimal", "9110 8.6", H + b"Content-Length: 0x1\r\n\r\na"),
    bad("length-empty", "9110 8.6", H + b"Content-Length:\r\n\r\na"),
    bad("length-with-letters", "9110 8.6", H + b"Content-Length: 1a\r\n\r\na"),
    bad("length-overflowing", "9110 8.6", H + b"Content-Length: 99999999999999999999999\r\n\r\na"),
    bad("length-list", "9110 8.6", H + b"Content-Length: 1, 1\r\n\r\na"),
    bad("length-twice-the-same", "9112 6.3", H + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na"),
    bad("length-twice-different", "9112 6.3", H + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    bad("body-truncated", "9112 8", H + b"Content-Length: 5\r\n\r\nab", b"ab", hangs_up=True),
    bad("body-missing", "9112 8", H + b"Content-Length: 5\r\n\r\n", hangs_up=True),
    good("bytes-after-body", "9112 6.3", H + b"Content-Length: 2\r\n\r\nab" + NEXT, b"ab", kept=False),
    good("rubbish-after-body", "9112 6.3", H + b"Content-Length: 2\r\n\r\nabX", b"ab", kept=False),
    # Transfer-Encoding.
    good("chunked", "9112 7.1", CHUNKED + b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", b"abc"),
    good("chunked-empty", "9112 7.1", CHUNKED + b"0\r\n\r\n"),
    good("chunk-size-hexadecimal", "9112 7.1", CHUNKED + b"00A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    good("chunk-extension", "9112 7.1.1", CHUNKED + b'2;a=b;c="d e"\r\nab\r\n0;z\r\n\r\n', b"ab"),
    good("chunked-with-trailers", "9112 7.1.2", CHUNKED + b"2\r\nab\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n", b"ab"),
    good("chunked-in-capitals", "9112 7", H + b"TRANSFER-ENCODING: Chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", b"a"),
    good("bytes-after-last-chunk", "9112 6.3", CHUNKED + b"1\r\na\r\n0\r\n\r\n" + NEXT, b"a", kept=False),
    bad("chunked-and-length", "9112 6.3", H + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n"),
    bad("length-and-chunked", "9112 6.3", H + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    bad("chunked-twice", "9112 7", H + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    bad("chunked-in-two-headers", "9112 7", H + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n"),
    bad("chunked-not-last", "9112 6.3", H + b"Transfer-Encoding: chunked, gzip\r\n\r\nab", hangs_up=True),
    bad("coding-not-asked-for", "9112 7.4", H + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    bad("coding-without-chunked", "9112 6.3", H + b"Transfer-Encoding: gzip\r\n\r\nab", hangs_up=True),
    bad("coding-identity", "9112 7", H + b"Transfer-Encoding: identity\r\n\r\nab", hangs_up=True),
    bad("coding-unknown", "9112 7", H + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", hangs_up=True),
    bad("coding-empty", "9112 6.1", H + b"Transfer-Encoding:\r\n\r\nab", hangs_up=True),
    bad("coding-in-http-1.0", "9112 6.1", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    bad("chunk-size-negative", "9112 7.1", CHUNKED + b"-1\r\n"),
    bad("chunk-size-missing", "9112 7.1", CHUNKED + b"\r\nab\r\n"),
    bad("chunk-size-prefixed", "9112 7.1", CHUNKED + b"0x2\r\nab\r\n0\r\n\r\n"),
    bad("chunk-size-overflowing", "9112 7.1", CHUNKED + b"FFFFFFFFFFFFFFFFF\r\nab\r\n"),
    bad("chunk-size-with-space", "9112 7.1", CHUNKED + b"2 \r\nab\r\n0\r\n\r\n"),
    bad("chunk-size-bare-lf", "9112 2.2", CHUNKED + b"2\nab\r\n0\r\n\r\n"),
    bad("chunk-extension-bare-lf", "9112 7.1.1", CHUNKED + b"2;x\nab\r\n0\r\n\r\n"),
    bad("chunk-longer-than-its-size", "9112 7.1", CHUNKED + b"2\r\nabX\r\n0\r\n\r\n", b"ab"),
    bad("chunk-ended-by-lf", "9112 7.1", CHUNKED + b"2\r\nab\n0\r\n\r\n", b"ab"),
    bad("second-chunk-bad", "9112 7.1", CHUNKED + b"2\r\nab\r\nzz\r\n", b"ab"),
    bad("chunk-truncated", "9112 8", CHUNKED + b"5\r\nab", b"ab", hangs_up=True),
    bad("last-chunk-missing", "9112 8", CHUNKED + b"2\r\nab\r\n", b"ab", hangs_up=True),
    bad("last-chunk-unfinished", "9112 8", CHUNKED + b"2\r\nab\r\n0\r\n", b"ab", hangs_up=True),
    bad("trailers-unfinished", "9112 8", CHUNKED + b"2\r\nab\r\n0\r\nX: y\r\n", b"ab", hangs_up=True),
    bad("length-in-trailers", "9110 6.5.1", CHUNKED + b"2\r\nab\r\n0\r\nContent-Length: 9\r\n\r\n", b"ab"),
    # A body that ends with the connection.
    good("until-close", "9112 6.3", H + b"\r\nabc", b"abc", kept=False, hangs_up=True),
    good("until-close-empty", "9112 6.3", H + b"\r\n", kept=False, hangs_up=True),
    good("until-close-http-1.0", "9112 6.3", b"HTTP/1.0 200 OK\r\n\r\nabc", b"abc", kept=False, hangs_up=True),
    # Persistence.
    good("close", "9112 9.6", H + b"Connection: close\r\nContent-Length: 1\r\n\r\na", b"a", kept=False),
    good("close-in-capitals", "9112 9.6", H + b"Connection: CLOSE\r\nContent-Length: 1\r\n\r\na", b"a", kept=False),
    good("close-in-a-list", "9112 9.6", H + b"Connection: x, close\r\nContent-Length: 1\r\n\r\na", b"a", kept=False),
    good("bytes-after-close", "9112 9.6", H + b"Connection: close\r\nContent-Length: 1\r\n\r\naX", b"a", kept=False),
    good("http-1.0", "9112 9.3", b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", b"a", kept=False),
    good(
        "http-1.0-keep-alive",
        "9112 9.3",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na",
        b"a",
    ),
    # Responses that have no body.
    good("204", "9112 6.3", b"HTTP/1.1 204 No Content\r\n\r\n", status=204),
    good("204-with-length", "9112 6.3", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", status=204),
    good("204-with-chunked", "9112 6.3", b"HTTP/1.1 204 X\r\nTransfer-Encoding: chunked\r\n\r\n", status=204),
    good("204-with-body", "9112 6.3", b"HTTP/1.1 204 X\r\nContent-Length: 1\r\n\r\na", status=204, kept=False),
    good("304-with-length", "9112 6.3", b"HTTP/1.1 304 X\r\nContent-Length: 500\r\n\r\n", status=304),
    good("head-with-length", "9112 6.3", H + b"Content-Length: 500\r\n\r\n", method="HEAD"),
    good("head-with-chunked", "9112 6.3", CHUNKED, method="HEAD"),
    good("head-without-length", "9112 6.3", H + b"X: y\r\n\r\n", method="HEAD"),
    good("head-with-close", "9112 9.6", H + b"Connection: x, close\r\n\r\n", method="HEAD", kept=False),
    good("head-http-1.0", "9112 9.3", b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\n", method="HEAD", kept=False),
    good("head-with-body", "9112 6.3", H + b"Content-Length: 1\r\n\r\na", method="HEAD", kept=False),
    good("head-with-chunked-body", "9112 6.3", CHUNKED + b"1\r\na\r\n0\r\n\r\n", method="HEAD", kept=False),
    # Informational responses.
    good("100-first", "9110 15.2", b"HTTP/1.1 100 Continue\r\n\r\n" + H + b"Content-Length: 1\r\n\r\na", b"a"),
    good(
        "103-twice",
        "9110 15.2",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 2 + H + b"Content-Length: 1\r\n\r\na",
        b"a",
    ),
    good("unknown-1xx", "9110 15.2", b"HTTP/1.1 142 X\r\nA: b\r\n\r\n" + H + b"Content-Length: 1\r\n\r\na", b"a"),
    bad("1xx-with-length", "9110 8.6", b"HTTP/1.1 142 X\r\nContent-Length: 5\r\n\r\n" + H),
    bad("1xx-with-chunked", "9112 6.1", b"HTTP/1.1 103 X\r\nTransfer-Encoding: chunked\r\n\r\n" + H),
    bad("1xx-and-no-more", "9110 15.2", b"HTTP/1.1 100 Continue\r\n\r\n", hangs_up=True),
    bad("upgrade-not-asked-for", "9110 7.8", b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nab"),
    bad("101-without-upgrade", "9110 15.2.2", b"HTTP/1.1 101 X\r\n\r\n"),
    good(
        "upgrade-offered",
        "9110 7.8",
        H + b"Connection: Upgrade, Keep-Alive\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\na",
        b"a",
    ),
    good("426", "9110 15.5.22", b"HTTP/1.1 426 X\r\nUpgrade: x\r\nContent-Length: 1\r\n\r\na", b"a", status=426),
]
