"""How requests are framed, and which are refused before a byte is sent."""

import httpx
import pytest

from host.http.client_request import encode


def request(method: str = "GET", url: str = "http://h/p?q=1", **more: object) -> httpx.Request:
    return httpx.Request(method, url, **more)  # type: ignore[arg-type]


def raw(fields: list[tuple[bytes, bytes]], method: str = "GET", body: bytes = b"") -> httpx.Request:
    return httpx.Request(method, "http://h/p", headers=fields, stream=httpx.ByteStream(body))


def test_request_line_and_headers_keep_order_and_case() -> None:
    encoded = encode(raw([(b"Host", b"h"), (b"X-B", b"2"), (b"x-a", b"1")]))
    assert encoded.head == b"GET /p HTTP/1.1\r\nHost: h\r\nX-B: 2\r\nx-a: 1\r\n\r\n"
    assert (encoded.body, encoded.length, encoded.is_replayable) == (b"", 0, True)


def test_target_extension_replaces_the_path() -> None:
    encoded = encode(request(url="http://h/p", extensions={"target": b"*"}))
    assert encoded.head.startswith(b"GET * HTTP/1.1\r\n")


def test_body_in_memory_is_replayable_and_a_stream_is_not() -> None:
    async def parts():
        yield b"x"

    assert encode(request("POST", json={"a": 1})).is_replayable
    streamed = encode(request("POST", content=parts()))
    assert (streamed.is_replayable, streamed.length) == (False, None)


@pytest.mark.parametrize(("body", "framed"), [(b"abc", b"3\r\nabc\r\n0\r\n\r\n"), (b"", b"0\r\n\r\n")])
def test_chunked_body_in_memory_is_framed(body: bytes, framed: bytes) -> None:
    encoded = encode(raw([(b"Host", b"h"), (b"Transfer-Encoding", b"chunked")], "POST", body))
    assert encoded.body == framed


@pytest.mark.parametrize(
    ("method", "headers", "idempotent"),
    [("GET", {}, True), ("PUT", {}, True), ("POST", {}, False), ("POST", {"Idempotency-Key": "k"}, True)],
)
def test_idempotence_follows_method_and_key(method: str, headers: dict[str, str], idempotent: bool) -> None:
    assert encode(request(method, headers=headers)).is_idempotent is idempotent


@pytest.mark.parametrize(("value", "closes"), [("close", True), ("x, Close", True), ("keep-alive", False)])
def test_connection_close_is_noticed(value: str, closes: bool) -> None:
    assert encode(request(headers={"Connection": value})).closes is closes


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ([(b"Host", b"h"), (b"X", b"a\r\nEvil: b")], b""),
        ([(b"Host", b"h"), (b"X", b"a\nb")], b""),
        ([(b"Host", b"h"), (b"X", b"a\rb")], b""),
        ([(b"Host", b"h"), (b"X", b"a\0b")], b""),
        ([(b"Host", b"h"), (b"X: y\r\nZ", b"a")], b""),
        ([(b"Host", b"h"), (b"X Y", b"a")], b""),
        ([(b"Host", b"h"), (b"", b"a")], b""),
        ([(b"Host", b"h"), (b"Host", b"i")], b""),
        ([(b"Host", b"h"), (b"Content-Length", b"1"), (b"Content-Length", b"1")], b"a"),
        ([(b"Host", b"h"), (b"Content-Length", b"1"), (b"Transfer-Encoding", b"chunked")], b"a"),
        ([(b"Host", b"h"), (b"Transfer-Encoding", b"gzip")], b"a"),
        ([(b"Host", b"h"), (b"Content-Length", b"-1")], b"a"),
        ([(b"Host", b"h"), (b"Content-Length", b"+1")], b"a"),
        ([(b"Host", b"h"), (b"Content-Length", b"1, 1")], b"a"),
        ([(b"Host", b"h"), (b"Content-Length", b"2")], b"a"),
        ([(b"Host", b"h"), (b"Content-Length", b"0")], b"a"),
        ([(b"Host", b"h")], b"a"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_request_that_could_be_read_in_two_ways_is_refused(fields: list[tuple[bytes, bytes]], body: bytes) -> None:
    with pytest.raises(httpx.LocalProtocolError):
        encode(raw(fields, "POST", body))


@pytest.mark.parametrize("target", [b"/a b", b"/a\r\nX: y", b"/\xc3\xa9", b""])
def test_target_that_breaks_the_request_line_is_refused(target: bytes) -> None:
    if not target:
        assert encode(request(extensions={"target": target})).head.startswith(b"GET /p?q=1 ")
        return
    with pytest.raises(httpx.LocalProtocolError, match="target"):
        encode(request(extensions={"target": target}))


@pytest.mark.parametrize("method", ["GE T", "GET\r\n", "", "É"])
def test_method_that_is_no_token_is_refused(method: str) -> None:
    with pytest.raises(httpx.LocalProtocolError):
        encode(request(method))


def test_connect_is_refused() -> None:
    with pytest.raises(httpx.LocalProtocolError, match="proxy"):
        encode(request("CONNECT"))


def test_request_without_host_is_refused() -> None:
    made = request()
    del made.headers["host"]
    with pytest.raises(httpx.LocalProtocolError, match="Host"):
        encode(made)
