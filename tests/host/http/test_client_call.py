"""`TrioTransport.call`: what it sends and what comes back, with the promises that hold for httpx's requests."""

import gzip

import httpx
import pytest
import trio

from host.http.client import TrioTransport
from host.http.client_body import Reply
from host.http.client_clocks import Clocks, Timer, clock_of
from host.http.client_request import RequestTemplate, encode
from tests.host.http.client_peers import OK, answering, read_request, serving
from tests.host.http.test_client_cancellation import never_answers, stops_within_the_body

OWN = [(b"authorization", b"Bearer key"), (b"content-type", b"application/json")]
SHORT_S = 0.05


def template(url: str = "http://h:81/p?q=1", headers: list[tuple[bytes, bytes]] = OWN) -> RequestTemplate:
    return RequestTemplate("POST", httpx.URL(url), headers)


async def body_of(reply: Reply) -> bytes:
    return b"".join([part async for part in reply])


def test_template_sends_the_bytes_that_httpx_s_request_would() -> None:
    like = httpx.Request("POST", "http://h:81/p?q=1", headers=[(b"host", b"h:81"), *OWN], content=b"{}")
    filled, encoded = template().fill(b"{}"), encode(like)
    assert (filled.head.lower(), filled.body) == (encoded.head.lower(), encoded.body)
    assert (filled.length, filled.closes, filled.is_idempotent, filled.is_replayable) == (2, False, False, True)


def test_headers_of_a_call_take_the_place_of_the_template_s() -> None:
    head = template().fill(b"xyz", [(b"Content-Type", b"text/plain"), (b"x-more", b"1")]).head
    assert head == (
        b"POST /p?q=1 HTTP/1.1\r\nhost: h:81\r\nauthorization: Bearer key\r\n"
        b"Content-Type: text/plain\r\nx-more: 1\r\ncontent-length: 3\r\n\r\n"
    )
    assert template().fill(b"x", [(b"idempotency-key", b"k")]).is_idempotent


@pytest.mark.parametrize(
    "fields",
    [
        [(b"x", b"a\r\nEvil: b")],
        [(b"x y", b"a")],
        [(b"content-length", b"7")],
        [(b"transfer-encoding", b"chunked")],
        [(b"host", b"a"), (b"host", b"b")],
    ],
)
def test_call_that_could_be_read_in_two_ways_is_refused(fields: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(httpx.LocalProtocolError):
        template().fill(b"x", fields)
    with pytest.raises(httpx.LocalProtocolError):
        template(headers=fields)


def test_template_keeps_what_its_headers_ask_of_the_connection() -> None:
    filled = template(headers=[(b"connection", b"close"), (b"idempotency-key", b"k")]).fill(b"x")
    assert filled.closes
    assert filled.is_idempotent


async def test_call_returns_what_came_and_the_connection_serves_again() -> None:
    async with serving(answering(OK)) as peer, TrioTransport() as transport:
        for content in (b"one", b"two"):
            reply = await transport.call(template(peer.url), content, Timer(Clocks()))
            assert (reply.status, reply.header(b"content-length"), reply.header(b"x")) == (200, b"2", None)
            assert await body_of(reply) == b"ok"
        assert peer.connections == 1
        assert bytes(peer.received[0]).endswith(b"content-length: 3\r\n\r\ntwo")
        assert transport.statistics().reused_total == 1


async def test_body_is_decoded_for_who_asks() -> None:
    packed = gzip.compress(b"hello")
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    async with serving(answering(head + packed)) as peer, TrioTransport() as transport:
        reply = await transport.call(template(peer.url), b"", Timer(Clocks()))
        assert b"".join([part async for part in reply.decoded()]) == b"hello"
        reply = await transport.call(template(peer.url), b"", Timer(Clocks()))
        assert await body_of(reply) == packed


async def test_reply_closed_before_its_end_closes_its_connection() -> None:
    async with serving(stops_within_the_body) as peer, TrioTransport() as transport:
        reply = await transport.call(template(peer.url), b"", Timer(Clocks()))
        reply.close()
        assert transport.statistics().open == 0


@pytest.mark.parametrize("handler", [never_answers, stops_within_the_body])
async def test_a_total_that_the_caller_sets_ends_the_exchange(handler: object) -> None:
    async with serving(handler) as peer, TrioTransport() as transport:  # type: ignore[arg-type]
        timer = Timer(Clocks(connect_s=30.0), trio.current_time() + SHORT_S)
        with pytest.raises(httpx.ReadTimeout, match="total passed") as caught:
            await body_of(await transport.call(template(peer.url), b"", timer))
        assert clock_of(caught.value) == "total"
        assert transport.statistics().open == 0


async def test_a_total_that_is_moved_holds_from_the_next_wait_on() -> None:
    go_on = trio.Event()

    async def two_halves(stream: trio.abc.Stream, number: int) -> None:
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
        await go_on.wait()
        await stream.send_all(b"k")
        await trio.sleep_forever()

    async with serving(two_halves) as peer, TrioTransport() as transport:
        ends_at = trio.current_time() + 1.0
        timer = Timer(Clocks(), ends_at)
        reply = await transport.call(template(peer.url), b"", timer)
        assert await anext(reply) == b"o"
        timer.total_at = ends_at + 60.0
        await trio.sleep_until(ends_at + SHORT_S)
        go_on.set()
        assert await anext(reply) == b"k"


async def test_cancelled_call_closes_its_connection() -> None:
    async with serving(never_answers) as peer, TrioTransport() as transport:
        with trio.move_on_after(SHORT_S) as scope:
            await transport.call(template(peer.url), b"", Timer(Clocks()))
        assert scope.cancelled_caught
        assert transport.statistics().open == 0
