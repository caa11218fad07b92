"""Requests that try a server, each with the clause that decides what it is owed.

`answers` lists the statuses of the answers, in order. "next" is the answer to a correct request that follows each case
on the same connection (it asks for the close): where it is there, the server read the case to its exact end; where it
is not, the server closed, and nothing of what followed was taken for a request. "silent" is no answer at all.
`HYPERCORN` says where that engine answers otherwise, and why.
"""

from dataclasses import dataclass

H = b"Host: localhost\r\n"
END = b"\r\n"


@dataclass(frozen=True)
class Case:
    clause: str
    name: str
    sent: bytes
    answers: str
    seen: bytes = b""
    # The correct request that follows may belong to the body.
    followed: bool = True


def get(
    target: bytes = b"/a", *headers: bytes, version: bytes = b"1.1", method: bytes = b"GET", host: bytes = H
) -> bytes:
    """A request without a body."""
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"%b %b HTTP/%b\r\n%b%b\r\n" % (method, target, version, host, lines)


def post(body: bytes, *headers: bytes, version: bytes = b"1.1", host: bytes = H) -> bytes:
    """A request with whatever follows its head."""
    return get(b"/p", *headers, version=version, method=b"POST", host=host) + body


CHUNKED = b"Transfer-Encoding: chunked"
LENGTH_3 = b"Content-Length: 3"


def chunked(body: bytes, *headers: bytes) -> bytes:
    """A request with a chunked body, written out."""
    return post(body, CHUNKED, *headers)


REQUEST_LINE = [
    Case("9112 §3", "plain get", get(), "200 next", b"GET /a"),
    Case("9112 §3", "query", get(b"/a?b=c&d"), "200 next", b"GET /a ? b=c&d"),
    Case("9112 §3", "empty query", get(b"/a?"), "200 next", b"GET /a ? "),
    Case("9112 §3", "percent-encoded path", get(b"/%C3%A9%2Fb"), "200 next", "GET /é/b".encode()),
    Case("9112 §3", "lower-case method", get(method=b"get"), "400"),
    Case("9110 §9.1", "unknown method", get(method=b"BREW"), "400"),
    Case("9112 §3", "method with a bad character", get(method=b"GE(T"), "400"),
    Case("9112 §3", "empty method", get(method=b""), "400"),
    Case("9112 §2.2", "space before the method", b" " + get(), "400"),
    Case("9112 §3", "tab between the parts", b"GET\t/a\tHTTP/1.1\r\n" + H + END, "400"),
    Case("9112 §3", "two spaces", b"GET  /a HTTP/1.1\r\n" + H + END, "200 next"),
    Case("9112 §3", "space at the end", b"GET /a HTTP/1.1 \r\n" + H + END, "400"),
    Case("9112 §3", "no target", b"GET HTTP/1.1\r\n" + H + END, "400"),
    Case("9112 §3", "no version", b"GET /a\r\n" + H + END, "505"),
    Case("9112 §2.3", "lower-case protocol", b"GET /a http/1.1\r\n" + H + END, "400"),
    Case("9112 §2.3", "version 1", b"GET /a HTTP/1\r\n" + H + END, "400"),
    Case("9112 §2.3", "version 1.10", b"GET /a HTTP/1.10\r\n" + H + END, "400"),
    Case("9112 §2.3", "version 1.2", b"GET /a HTTP/1.2\r\n" + H + END, "400"),
    Case("9112 §2.3", "version 01.1", b"GET /a HTTP/01.1\r\n" + H + END, "400"),
    Case("9110 §15.6.6", "version 2.0", b"GET /a HTTP/2.0\r\n" + H + END, "505"),
    Case("9110 §15.6.6", "version 0.9", b"GET /a HTTP/0.9\r\n" + H + END, "505"),
    Case("9112 §2.3", "another protocol", b"GET /a ICE/1.0\r\n" + H + END, "400"),
    Case("9113 §3.4", "HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400", followed=False),
    Case("9112 §2.2", "empty line before", b"\r\n" + get(), "200 next", b"GET /a"),
    Case("9112 §2.2", "empty lines before", b"\r\n\r\n\r\n" + get(), "200 next", b"GET /a"),
    Case("9112 §2.2", "bare LF after the line", b"GET /a HTTP/1.1\n" + H + END, "400"),
    Case("9112 §2.2", "bare CR after the line", b"GET /a HTTP/1.1\r" + H + END, "400"),
    Case("9112 §2.2", "CR in the line", b"GET /a\rb HTTP/1.1\r\n" + H + END, "400"),
    Case("9112 §3.2", "space in the target", get(b"/a b"), "400"),
    Case("9112 §3.2", "tab in the target", get(b"/a\tb"), "400"),
    Case("9112 §3.2", "NUL in the target", get(b"/a\0b"), "400"),
    Case("9112 §3.2", "control character in the target", get(b"/a\x01b"), "400"),
    Case("9112 §3.2", "DEL in the target", get(b"/a\x7fb"), "400"),
    Case("9112 §3.2", "raw UTF-8 in the target", get(b"/\xc3\xa9"), "400"),
    Case("9112 §3.2", "fragment", get(b"/a#b"), "400"),
    Case("9112 §3.2.1", "relative path", get(b"a"), "400"),
    Case("9112 §3.2.2", "absolute form", get(b"http://localhost/a"), "200 next", b"GET http://localhost/a"),
    Case("9112 §3.2.4", "asterisk form", get(b"*", method=b"OPTIONS"), "200 next", b"OPTIONS *"),
    Case("9112 §3.2.4", "asterisk for GET", get(b"*"), "400"),
    Case("9112 §3.2.3", "CONNECT", get(b"localhost:80", method=b"CONNECT"), "501"),
    Case("9112 §3", "target at the limit", get(b"/" + b"a" * 8191), "200 next"),
    Case("9110 §15.5.15", "target beyond the limit", get(b"/" + b"a" * 8192), "414"),
    Case("9110 §15.5.15", "target far beyond the limit", get(b"/" + b"a" * 60000), "414"),
    *[
        Case("9110 §9", f"method {name}", get(method=name.encode()), "200 next", name.encode())
        for name in ("PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "QUERY", "PURGE")
    ],
    Case("9110 §9.3.2", "HEAD", get(method=b"HEAD"), "200 next"),
    Case("9112 §3", "RTSP method", get(method=b"DESCRIBE"), "400"),
    Case("9112 §3", "ICE method", get(method=b"SOURCE"), "501"),
    Case("9112 §3", "TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40), "400"),
    Case("9112 §3", "garbage", bytes(range(128, 256)), "400"),
]

HEADERS = [
    Case("9112 §3.2", "no Host", get(host=b""), "400"),
    Case("9112 §3.2", "no Host in 1.0", get(host=b"", version=b"1.0"), "200", followed=False),
    Case("9112 §3.2", "two Hosts", get(b"/a", b"Host: localhost"), "400"),
    Case("9112 §3.2", "two different Hosts", get(b"/a", b"Host: evil"), "400"),
    Case("9112 §3.2", "two Hosts in 1.0", get(b"/a", b"Host: evil", version=b"1.0"), "400"),
    Case("9112 §3.2", "empty Host", get(host=b"Host:\r\n"), "200 next"),
    Case("9112 §3.2", "Host with a port", get(host=b"Host: localhost:8000\r\n"), "200 next"),
    Case("9112 §3.2", "IPv6 Host", get(host=b"Host: [::1]:8000\r\n"), "200 next"),
    Case("9112 §3.2", "Host with a space", get(host=b"Host: a b\r\n"), "400"),
    Case("9112 §3.2", "Host with a path", get(host=b"Host: a/b\r\n"), "400"),
    Case("9112 §3.2", "Host with userinfo", get(host=b"Host: u@a\r\n"), "400"),
    Case("9112 §3.2", "Host with two values", get(host=b"Host: a, b\r\n"), "400"),
    Case("9112 §3.2", "Host with a letter for a port", get(host=b"Host: a:b\r\n"), "400"),
    Case("9112 §3.2", "Host with an open bracket", get(host=b"Host: [::1\r\n"), "400"),
    Case("9110 §5.1", "upper-case name", get(b"/a", b"X-TEST: v"), "200 next", b"x-test=v"),
    Case("9112 §5.1", "space before the colon", get(b"/a", b"X-Test : v"), "400"),
    Case("9112 §5.1", "tab before the colon", get(b"/a", b"X-Test\t: v"), "400"),
    Case("9112 §5.1", "no space after the colon", get(b"/a", b"X-Test:v"), "200 next", b"x-test=v"),
    Case("9112 §5.1", "white space around the value", get(b"/a", b"X-Test: \t v \t "), "200 next", b"x-test=v;"),
    Case("9110 §5.5", "empty value", get(b"/a", b"X-Test:"), "200 next", b"x-test=;"),
    Case("9110 §5.5", "white space for a value", get(b"/a", b"X-Test:   "), "200 next", b"x-test=;"),
    Case("9110 §5.5", "obs-text in a value", get(b"/a", b"X-Test: \xe9"), "200 next", b"x-test=\xe9;"),
    Case("9110 §5.5", "NUL in a value", get(b"/a", b"X-Test: a\0b"), "400"),
    Case("9110 §5.5", "control character in a value", get(b"/a", b"X-Test: a\x01b"), "400"),
    Case("9110 §5.5", "DEL in a value", get(b"/a", b"X-Test: a\x7fb"), "400"),
    Case("9110 §5.5", "tab in a value", get(b"/a", b"X-Test: a\tb"), "200 next", b"x-test=a\tb;"),
    Case("9112 §2.2", "bare LF in a header", get(b"/a", b"X-Test: a\nX-Evil: b"), "400"),
    Case("9112 §2.2", "bare CR in a header", get(b"/a", b"X-Test: a\rX-Evil: b"), "400"),
    Case("9112 §2.2", "bare LF ends the head", b"GET /a HTTP/1.1\r\n" + H + b"\n", "400"),
    Case("9112 §5.2", "obsolete folding", get(b"/a", b"X-Test: a", b" b"), "400"),
    Case("9112 §5.2", "obsolete folding by tab", get(b"/a", b"X-Test: a", b"\tb"), "400"),
    Case("9112 §5.2", "folded empty value", get(b"/a", b"X-Test:", b" b"), "400"),
    Case("9112 §2.2", "white space before the first header", get(host=b" " + H), "400"),
    Case("9112 §5", "no colon", get(b"/a", b"X-Test"), "400"),
    Case("9112 §5", "empty name", get(b"/a", b": v"), "400"),
    Case("9112 §5", "space in a name", get(b"/a", b"X Test: v"), "400"),
    Case("9112 §5", "bracket in a name", get(b"/a", b"X(Test: v"), "400"),
    Case("9112 §5", "obs-text in a name", get(b"/a", b"X\xe9: v"), "400"),
    Case("9112 §5", "NUL in a name", get(b"/a", b"X\0: v"), "400"),
    Case("9110 §5.1", "all of a token's marks in a name", get(b"/a", b"!#$%&'*+-.^_`|~0A: v"), "200 next"),
    Case("9110 §5.3", "repeated header", get(b"/a", b"X-Test: a", b"X-Test: b"), "200 next", b"x-test=a;x-test=b"),
    Case("6585 §5", "99 headers", get(b"/a", *[b"X-%d: v" % number for number in range(98)]), "200 next"),
    Case("6585 §5", "101 headers", get(b"/a", *[b"X-%d: v" % number for number in range(100)]), "431"),
    Case("6585 §5", "1,000 headers", get(b"/a", *[b"X-%d: v" % number for number in range(1000)]), "431"),
    Case("6585 §5", "30 KiB in one header", get(b"/a", b"X-Test: " + b"v" * 30000), "200 next"),
    Case("6585 §5", "40 KiB in one header", get(b"/a", b"X-Test: " + b"v" * 40000), "431"),
    Case("6585 §5", "40 KiB in a name", get(b"/a", b"X" * 40000 + b": v"), "431"),
    Case("6585 §5", "40 KiB in many headers", get(b"/a", *[b"X-%d: " % n + b"v" * 1000 for n in range(40)]), "431"),
]

LENGTHS = [
    Case("9112 §6.2", "body by length", post(b"abc", LENGTH_3), "200 next", b"POST /p body=abc"),
    Case("9112 §6.2", "length 0", post(b"", b"Content-Length: 0"), "200 next", b"body= "),
    Case("9112 §6.2", "leading zeros", post(b"abc", b"Content-Length: 003"), "200 next", b"body=abc"),
    Case("9112 §6.2", "white space after", post(b"abc", b"Content-Length: 3 "), "200 next", b"body=abc"),
    Case("9112 §6.3", "no length, no body", post(b""), "200 next", b"body= "),
    Case("9110 §9.3.1", "GET with a body", get(b"/a", LENGTH_3) + b"abc", "200 next", b"GET /a body=abc"),
    Case("9110 §9.3.2", "HEAD with a body", get(b"/a", LENGTH_3, method=b"HEAD") + b"abc", "200 next"),
    Case("9112 §6.3", "the same length twice", post(b"abc", LENGTH_3, LENGTH_3), "400"),
    Case("9112 §6.3", "two lengths", post(b"abc", LENGTH_3, b"Content-Length: 4"), "400"),
    Case("9112 §6.3", "a list of the same length", post(b"abc", b"Content-Length: 3, 3"), "400"),
    Case("9112 §6.3", "a list of lengths", post(b"abc", b"Content-Length: 3, 4"), "400"),
    Case("9110 §8.6", "plus sign", post(b"abc", b"Content-Length: +3"), "400"),
    Case("9110 §8.6", "minus sign", post(b"abc", b"Content-Length: -3"), "400"),
    Case("9110 §8.6", "fraction", post(b"abc", b"Content-Length: 3.0"), "400"),
    Case("9110 §8.6", "hexadecimal", post(b"abc", b"Content-Length: 0x3"), "400"),
    Case("9110 §8.6", "underscore", post(b"abc", b"Content-Length: 0_3"), "400"),
    Case("9110 §8.6", "space inside", post(b"abc", b"Content-Length: 3 3"), "400"),
    Case("9110 §8.6", "letters", post(b"abc", b"Content-Length: abc"), "400"),
    Case("9110 §8.6", "empty", post(b"abc", b"Content-Length: "), "400"),
    Case("9110 §8.6", "more than 64 bits", post(b"abc", b"Content-Length: " + b"9" * 30), "400"),
    Case("9110 §8.6", "other digits", post(b"abc", "Content-Length: ３".encode()), "400"),
    Case("9112 §6.1", "length and chunked", post(b"0\r\n\r\n", LENGTH_3, CHUNKED), "400"),
    Case("9112 §6.1", "chunked and length", post(b"0\r\n\r\n", CHUNKED, LENGTH_3), "400"),
    Case("9112 §6.1", "length 0 and chunked", post(b"0\r\n\r\n", b"Content-Length: 0", CHUNKED), "400"),
    Case("9112 §5.1", "length with a space before its colon", post(b"abc", b"Content-Length : 3"), "400"),
    Case("9112 §6.3", "an underscore in the name", post(b"", b"Content_Length: 3"), "200 next", b"body= "),
    Case(
        "9110 §8.6",
        "body with a request in it",
        post(get(b"/evil"), b"Content-Length: %d" % len(get(b"/evil"))),
        "200 next",
    ),
]

CODINGS = [
    Case("9112 §7.1", "chunked", chunked(b"3\r\nabc\r\n0\r\n\r\n"), "200 next", b"body=abc"),
    Case("9112 §7.1", "several chunks", chunked(b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"), "200 next", b"body=abc"),
    Case("9112 §7.1", "no chunks", chunked(b"0\r\n\r\n"), "200 next", b"body= "),
    Case("9112 §7.1", "lower-case size", chunked(b"a\r\n0123456789\r\n0\r\n\r\n"), "200 next", b"body=0123456789"),
    Case("9112 §7.1", "upper-case size", chunked(b"A\r\n0123456789\r\n0\r\n\r\n"), "200 next", b"body=0123456789"),
    Case("9112 §7.1", "leading zeros of a size", chunked(b"0003\r\nabc\r\n000\r\n\r\n"), "200 next", b"body=abc"),
    Case("9112 §7", "upper-case coding", post(b"0\r\n\r\n", b"Transfer-Encoding: CHUNKED"), "200 next"),
    Case("9112 §7.1.1", "extension", chunked(b"3;a=b\r\nabc\r\n0\r\n\r\n"), "200 next", b"body=abc"),
    Case("9112 §7.1.1", "quoted extension", chunked(b'3;a="b;c"\r\nabc\r\n0\r\n\r\n'), "200 next", b"body=abc"),
    Case("9112 §7.1.1", "bare LF in an extension", chunked(b"3;a\nabc\r\n0\r\n\r\n"), "400"),
    Case("9112 §7.1.1", "bare CR in an extension", chunked(b"3;a\rb\r\nabc\r\n0\r\n\r\n"), "400"),
    Case("9112 §7.1", "bare LF after a size", chunked(b"3\nabc\r\n0\r\n\r\n"), "400"),
    Case("9112 §7.1", "bare LF after the data", chunked(b"3\r\nabc\n0\r\n\r\n"), "400"),
    Case("9112 §7.1", "bare CR after the data", chunked(b"3\r\nabc\r0\r\n\r\n"), "400"),
    Case("9112 §7.1", "0x in a size", chunked(b"0x3\r\nabc\r\n0\r\n\r\n"), "400"),
    Case("9112 §7.1", "minus sign in a size", chunked(b"-3\r\nabc\r\n0\r\n\r\n"), "400"),
    Case("9112 §7.1", "plus sign in a size", chunked(b"+3\r\nabc\r\n0\r\n\r\n"), "400"),
    Case("9112 §7.1", "underscore in a size", chunked(b"0_3\r\nabc\r\n0\r\n\r\n"), "400"),
    Case("9112 §7.1", "space after a size", chunked(b"3 \r\nabc\r\n0\r\n\r\n"), "400"),
    Case("9112 §7.1", "space before a size", chunked(b" 3\r\nabc\r\n0\r\n\r\n"), "400"),
    Case("9112 §7.1", "no size", chunked(b"\r\nabc\r\n0\r\n\r\n"), "400"),
    Case("9112 §7.1", "no number", chunked(b"xyz\r\nabc\r\n0\r\n\r\n"), "400"),
    Case("9112 §7.1", "a size of more than 64 bits", chunked(b"f" * 17 + b"\r\nabc\r\n0\r\n\r\n"), "400"),
    Case("9112 §7.1", "less data than the size", chunked(b"4\r\nabc\r\n0\r\n\r\n"), "400"),
    Case("9112 §7.1", "more data than the size", chunked(b"3\r\nabcd\r\n0\r\n\r\n"), "400"),
    Case("9112 §7.1.2", "trailer", chunked(b"0\r\nX-Test: v\r\n\r\n"), "200 next", b"body= "),
    Case(
        "9112 §7.1.2", "trailers after data", chunked(b"3\r\nabc\r\n0\r\nA: b\r\nC: d\r\n\r\n"), "200 next", b"body=abc"
    ),
    Case("9110 §6.5.1", "Host as a trailer", chunked(b"0\r\nHost: evil\r\n\r\n"), "200 next"),
    Case("9110 §6.5.1", "length as a trailer", chunked(b"0\r\nContent-Length: 30\r\n\r\n"), "400"),
    Case("9112 §7.1.2", "malformed trailer", chunked(b"0\r\nX Test: v\r\n\r\n"), "400"),
    Case("9112 §7.1.2", "bare LF in the trailers", chunked(b"0\r\nX-Test: v\n\r\n"), "400"),
    Case("6585 §5", "trailers beyond the limit", chunked(b"0\r\nX: " + b"v" * 40000 + b"\r\n\r\n"), "431"),
    Case("9112 §6.1", "gzip", post(b"0\r\n\r\n", b"Transfer-Encoding: gzip"), "501"),
    Case("9112 §6.1", "gzip, chunked", post(b"0\r\n\r\n", b"Transfer-Encoding: gzip, chunked"), "501"),
    Case("9112 §6.1", "chunked, gzip", post(b"0\r\n\r\n", b"Transfer-Encoding: chunked, gzip"), "400"),
    Case("9112 §6.1", "chunked twice", post(b"0\r\n\r\n", CHUNKED, CHUNKED), "400"),
    Case("9112 §6.1", "chunked, chunked", post(b"0\r\n\r\n", b"Transfer-Encoding: chunked, chunked"), "400"),
    Case("9112 §6.1", "chunked and identity", post(b"0\r\n\r\n", CHUNKED, b"Transfer-Encoding: identity"), "400"),
    Case("9112 §6.1", "identity", post(b"abc", b"Transfer-Encoding: identity", LENGTH_3), "400"),
    Case("9112 §6.1", "xchunked", post(b"0\r\n\r\n", b"Transfer-Encoding: xchunked"), "501"),
    Case("9112 §6.1", "chunked with a parameter", post(b"0\r\n\r\n", b"Transfer-Encoding: chunked;x=1"), "501"),
    Case("9112 §6.1", "quoted", post(b"0\r\n\r\n", b'Transfer-Encoding: "chunked"'), "501"),
    Case("9112 §6.1", "vertical tab", post(b"0\r\n\r\n", b"Transfer-Encoding: \x0bchunked"), "400"),
    Case("9112 §6.1", "empty coding", post(b"0\r\n\r\n", b"Transfer-Encoding:"), "501"),
    Case("9112 §6.1", "chunked in 1.0", post(b"0\r\n\r\n", CHUNKED, version=b"1.0"), "400"),
    Case(
        "9112 §6.3", "GET with chunks", get(b"/a", CHUNKED) + b"3\r\nabc\r\n0\r\n\r\n", "200 next", b"GET /a body=abc"
    ),
    Case("9112 §6.1", "TE is no coding", get(b"/a", b"TE: trailers"), "200 next"),
]

CONNECTIONS = [
    Case("9112 §9.3.2", "two at once", get(b"/1") + get(b"/2"), "200 200 next", b"GET /2"),
    Case("9112 §9.3.2", "ten at once", b"".join(get(b"/%d" % n) for n in range(10)), "200 " * 10 + "next", b"GET /9"),
    Case(
        "9112 §9.3.2",
        "bodies in between",
        post(b"abc", LENGTH_3) + chunked(b"1\r\nx\r\n0\r\n\r\n") + get(),
        "200 200 200 next",
    ),
    Case("9112 §9.3.2", "good before bad", get() + b"GARBAGE\r\n\r\n", "200 400"),
    Case("9112 §9.6", "close", get(b"/a", b"Connection: close"), "200", followed=False),
    Case("9112 §9.6", "close in capitals", get(b"/a", b"Connection: CLOSE"), "200", followed=False),
    Case("9112 §9.6", "close in a list", get(b"/a", b"Connection: x, close"), "200", followed=False),
    Case("9112 §9.3", "keep-alive in 1.1", get(b"/a", b"Connection: keep-alive"), "200 next"),
    Case("9112 §9.3", "1.0", get(version=b"1.0"), "200", followed=False),
    Case("9112 §9.3", "keep-alive in 1.0", get(b"/a", b"Connection: keep-alive", version=b"1.0"), "200 next"),
    Case("9112 §9.3", "1.0 with a body", post(b"abc", LENGTH_3, version=b"1.0"), "200", b"body=abc", followed=False),
    Case("9112 §2.2", "empty line after a body", post(b"abc", LENGTH_3) + b"\r\n", "200 next", b"body=abc"),
    Case(
        "9110 §10.1.1",
        "expect, with the body",
        post(b"abc", LENGTH_3, b"Expect: 100-continue"),
        "200 next",
        b"body=abc",
    ),
    Case("9110 §10.1.1", "expect in capitals", post(b"abc", LENGTH_3, b"Expect: 100-Continue"), "200 next"),
    Case("9110 §10.1.1", "expect without a body", get(b"/a", b"Expect: 100-continue"), "200 next"),
    Case(
        "9110 §10.1.1",
        "expect in 1.0",
        post(b"abc", LENGTH_3, b"Expect: 100-continue", version=b"1.0"),
        "200",
        followed=False,
    ),
    Case("9110 §10.1.1", "unknown expectation", post(b"abc", LENGTH_3, b"Expect: pizza"), "417"),
    Case("9110 §7.8", "unknown upgrade", get(b"/a", b"Connection: upgrade", b"Upgrade: foo"), "200 next", b"GET /a"),
    Case(
        "9110 §7.8",
        "upgrade with a body",
        post(b"abc", LENGTH_3, b"Connection: upgrade", b"Upgrade: foo"),
        "200 next",
        b"body=abc",
    ),
    Case(
        "9110 §7.8",
        "upgrade with chunks",
        chunked(b"1\r\na\r\n0\r\n\r\n", b"Connection: upgrade", b"Upgrade: foo"),
        "200 next",
        b"body=a",
    ),
    Case("9110 §7.8", "upgrade without Connection", get(b"/a", b"Upgrade: websocket"), "200 next"),
    Case(
        "9110 §7.8",
        "upgrade in 1.0",
        get(b"/a", b"Connection: upgrade", b"Upgrade: websocket", version=b"1.0"),
        "200",
        followed=False,
    ),
    Case("9110 §15.3.5", "204 has no body", get(b"/204"), "204 next"),
    Case("9110 §15.4.5", "304 has no body", get(b"/304"), "304 next"),
    Case("9112 §7.1", "an answer in chunks", get(b"/stream"), "200 next"),
    Case("9112 §6.3", "a stream for HEAD", get(b"/stream", method=b"HEAD"), "200 next"),
    Case("9112 §6.3", "a stream for 1.0", get(b"/stream", version=b"1.0"), "200", followed=False),
    Case("9110 §15.6.1", "an app that crashes", get(b"/crash"), "500"),
    Case(
        "9112 §6.3", "an unread body", post(b"abc" * 10, b"Content-Length: 30").replace(b"/p", b"/unread"), "200 next"
    ),
    Case("9112 §6.3", "unread chunks", chunked(b"3\r\nabc\r\n0\r\n\r\n").replace(b"/p", b"/unread"), "200 next"),
    Case(
        "6455 §4.2.1",
        "WebSocket by POST",
        post(
            b"",
            b"Connection: upgrade",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ),
        "400",
    ),
    Case(
        "6455 §4.2.2",
        "WebSocket of another version",
        get(
            b"/a",
            b"Connection: upgrade",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Version: 8",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ),
        "426",
    ),
    Case(
        "6455 §4.2.1",
        "WebSocket without a key",
        get(b"/a", b"Connection: upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"),
        "400",
    ),
    Case(
        "6455 §4.2.1",
        "WebSocket with a short key",
        get(
            b"/a",
            b"Connection: upgrade",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: YWJj",
        ),
        "400",
    ),
]

CASES = [*REQUEST_LINE, *HEADERS, *LENGTHS, *CODINGS, *CONNECTIONS]

# By answer and reason, the names of the cases that hypercorn answers otherwise.
HYPERCORN: dict[tuple[str, str], tuple[str, ...]] = {
    ("200 next", "h11 leaves methods, versions, targets and Host to the app; the dispatcher checks what it must"): (
        "lower-case method",
        "unknown method",
        "RTSP method",
        "ICE method",
        "version 1.2",
        "version 2.0",
        "fragment",
        "relative path",
        "asterisk for GET",
        "target beyond the limit",
        "target far beyond the limit",
        "Host with a space",
        "Host with a path",
        "Host with userinfo",
        "Host with two values",
        "Host with a letter for a port",
        "Host with an open bracket",
    ),
    ("200 next", "h11 takes a bare LF for a line's end, and what RFC 9112 §2.2 allows beside it"): (
        "bare LF after the line",
        "bare LF in a header",
        "bare LF ends the head",
        "bare LF in the trailers",
        "bare CR in an extension",
        "space after a size",
    ),
    ("200 next", "h11 unfolds headers and lets control characters but NUL through"): (
        "obsolete folding",
        "obsolete folding by tab",
        "folded empty value",
        "control character in a value",
        "DEL in a value",
    ),
    ("200 next", "h11 takes equal lengths for one, and prefers chunked to a length (RFC 9112 §6.3 allows it)"): (
        "the same length twice",
        "a list of the same length",
        "length and chunked",
        "chunked and length",
        "length 0 and chunked",
        "length as a trailer",
    ),
    ("200 next", "h11 limits only a head that is not there at once; the dispatcher counts"): (
        "101 headers",
        "1,000 headers",
        "40 KiB in one header",
        "40 KiB in a name",
        "40 KiB in many headers",
        "trailers beyond the limit",
    ),
    ("200 next", "hypercorn knows neither"): ("unknown expectation", "WebSocket by POST"),
    ("501", "h11 answers so to every coding that is not chunked, once"): (
        "chunked, gzip",
        "chunked twice",
        "chunked, chunked",
        "chunked and identity",
        "identity",
    ),
    ("400", "h11 is stricter, or says so otherwise"): (
        "two spaces",
        "no version",
        "version 0.9",
        "empty line before",
        "empty lines before",
        "keep-alive in 1.0",
    ),
    ("200 400", "h11 is stricter"): ("empty line after a body",),
    ("200", "h11 serves CONNECT like any other"): ("CONNECT",),
    ("100 200 next", "hypercorn sends 100 before it looks for the body"): (
        "expect, with the body",
        "expect in capitals",
        "expect without a body",
    ),
    ("silent", "hypercorn waits for what is not to come, or takes it for HTTP/2"): (
        "HTTP/2 preface",
        "a size of more than 64 bits",
    ),
    ("400", "hypercorn refuses every handshake that it does not like so"): (
        "upgrade in 1.0",
        "WebSocket of another version",
    ),
}
