"""The transport under httpx's API, against real sockets."""

import contextlib
import gzip
import os
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trio.testing

from host.http import client_wire
from host.http.client import DEFAULT_CLOCKS, Clocks, PoolLimits, TrioTransport, clock_of, open_client
from host.http.client_connection import Connection
from tests.host.http.client_peers import OK, Listening, answering, open_sockets, read_request, serving


def answer(body: bytes = b"", status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def echoing(stream: Listening, number: int) -> None:
    """Sends every request back as the body of its response."""
    while (request := await read_request(stream)) is not None:
        await stream.send_all(answer(request))


async def test_requests_one_after_the_other_share_a_connection() -> None:
    async with serving(echoing) as peer, open_client() as client:
        for number in range(3):
            response = await client.post(f"{peer.url}/p?n={number}", json={"n": number})
            assert response.text.startswith(f"POST /p?n={number} HTTP/1.1\r\nHost: 127.0.0.1:{peer.port}\r\n")
            assert response.text.endswith(f'{{"n":{number}}}')
            assert response.elapsed.total_seconds() > 0
            assert (response.http_version, response.reason_phrase) == ("HTTP/1.1", "OK")
        assert peer.connections == 1
        statistics = client._transport.statistics()  # type: ignore[attr-defined]
        assert (statistics.requests_total, statistics.opened_total, statistics.reused_total) == (3, 1, 2)
        assert (statistics.open, statistics.active, statistics.idle, statistics.origins) == (1, 0, 1, 1)


async def test_redirects_cookies_authentication_and_hooks_are_those_of_httpx() -> None:
    async def handler(stream: Listening, number: int) -> None:
        while (request := await read_request(stream)) is not None:
            path = request.split()[1]
            if path == b"/from":
                await stream.send_all(answer(b"moved", "302 Found", "Location: /to", "Set-Cookie: a=b"))
            elif b"uthorization: Digest" not in request:
                challenge = 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"'
                await stream.send_all(answer(b"who?", "401 Unauthorized", challenge))
            else:
                await stream.send_all(answer(request))

    seen: list[object] = []

    async def on_request(request: httpx.Request) -> None:
        seen.append(request.url.path)

    async def on_response(response: httpx.Response) -> None:
        seen.append((response.status_code, (await response.aread())[:4]))

    hooks = {"request": [on_request], "response": [on_response]}
    async with serving(handler) as peer, open_client(base_url=peer.url, event_hooks=hooks) as client:
        response = await client.get("/from", follow_redirects=True, auth=httpx.DigestAuth("u", "p"))
        assert response.status_code == 200
        assert "Cookie: a=b" in response.text
        assert sorted(old.status_code for old in response.history) == [302, 401]
        assert seen[:4] == ["/from", (302, b"move"), "/to", (401, b"who?")]
        assert seen[-2:] == ["/to", (200, b"GET ")]
        assert peer.connections == 1


async def test_content_decoding_is_left_to_httpx() -> None:
    packed = answer(gzip.compress(b"hello" * 100), "200 OK", "Content-Encoding: gzip")
    async with serving(answering(packed)) as peer, open_client() as client:
        assert (await client.get(peer.url)).content == b"hello" * 100


async def test_body_arrives_piece_by_piece_as_the_server_sends_it() -> None:
    go = trio.Event()

    async def handler(stream: Listening, number: int) -> None:
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ndata:\r\n")
        await go.wait()
        await stream.send_all(b"4\r\nmore\r\n0\r\n\r\n")
        await stream.receive_some(1)

    async with serving(handler) as peer, open_client() as client, client.stream("GET", peer.url) as response:
        parts = response.aiter_raw()
        assert await anext(parts) == b"data:"
        go.set()
        assert await anext(parts) == b"more"
        assert [part async for part in parts] == []


async def test_slow_reader_slows_the_server_down() -> None:
    total = 24 << 20
    sent = 0

    async def handler(stream: Listening, number: int) -> None:
        nonlocal sent
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        while sent < total:
            await stream.send_all(bytes(65536))
            sent += 65536

    transport = TrioTransport(socket_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)])
    async with (
        serving(handler) as peer,
        httpx.AsyncClient(transport=transport) as client,
        client.stream("GET", peer.url) as response,
    ):
        parts = response.aiter_raw()
        received = len(await anext(parts))
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert sent < 12 << 20
        async for part in parts:
            received += len(part)
        assert received == total


@contextlib.asynccontextmanager
async def body_lying_ready(**options: Any) -> AsyncIterator[tuple[httpx.Response, AsyncIterator[bytes]]]:
    """A response whose body fills the kernel's buffers already: its reader never has to wait."""

    async def handler(stream: Listening, number: int) -> None:
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 268435456\r\n\r\n")
        while True:
            await stream.send_all(bytes(1 << 20))

    async with serving(handler) as peer, TrioTransport(**options) as transport:
        response = await transport.handle_async_request(httpx.Request("GET", peer.url))
        await trio.testing.wait_all_tasks_blocked()
        assert isinstance(response.stream, httpx.AsyncByteStream)
        yield response, aiter(response.stream)
        await response.aclose()
        assert transport.statistics().open == 0


async def test_reader_that_never_waits_notices_a_cancellation_at_once() -> None:
    async with body_lying_ready() as (_, parts):
        with trio.CancelScope() as scope:
            await anext(parts)
            scope.cancel()
            await anext(parts)
        assert scope.cancelled_caught


async def test_reader_that_never_waits_lets_other_tasks_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_wire, "READ_BYTES", 1024)  # many reads out of one buffer
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with body_lying_ready() as (_, parts), trio.open_nursery() as nursery:
        nursery.start_soon(others)
        for _ in range(160):
            await anext(parts)
        assert turns >= 5
        nursery.cancel_scope.cancel()


async def test_reader_that_never_waits_is_ended_by_the_total() -> None:
    async with body_lying_ready(clocks=Clocks(total_s=0.5)) as (_, parts):
        await anext(parts)
        time.sleep(0.5)  # noqa: ASYNC251  # blocks on purpose: data must be there when the time is over
        with pytest.raises(httpx.ReadTimeout) as caught:
            await anext(parts)
        assert clock_of(caught.value) == "total"


async def test_response_closed_while_its_reader_takes_a_turn_fails_the_reader() -> None:
    async with body_lying_ready() as (response, parts), trio.open_nursery() as nursery:
        with pytest.raises(httpx.ReadError):  # noqa: PT012
            for number in range(64):
                if number == 8:
                    nursery.start_soon(response.aclose)
                await anext(parts)


async def test_response_closed_early_closes_its_connection() -> None:
    big = answer(b"x" * 1_000_000)
    async with serving(answering(big)) as peer, TrioTransport() as transport:
        client = httpx.AsyncClient(transport=transport)
        async with client.stream("GET", peer.url):
            assert transport.statistics().active == 1
        assert transport.statistics().open == 0
        response = await transport.handle_async_request(httpx.Request("GET", peer.url))
        await response.aclose()
        with pytest.raises(httpx.StreamClosed):
            await response.aread()


async def test_response_closed_by_another_task_fails_its_reader() -> None:
    async def handler(stream: Listening, number: int) -> None:
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        await stream.receive_some(1)

    async with serving(handler) as peer, TrioTransport() as transport, trio.open_nursery() as nursery:
        response = await transport.handle_async_request(httpx.Request("GET", peer.url))
        parts = aiter(response.stream)
        assert await anext(parts) == b"abc"

        async def read() -> None:
            for _ in range(2):
                with pytest.raises(httpx.ReadError):
                    await anext(parts)

        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        await response.aclose()
        assert transport.statistics().open == 0


async def test_request_that_asks_to_close_does_not_leave_an_idle_connection() -> None:
    async with serving(answering(OK)) as peer, TrioTransport() as transport:
        client = httpx.AsyncClient(transport=transport)
        await client.get(peer.url, headers={"Connection": "close"})
        assert transport.statistics().open == 0


async def test_keep_alive_timeout_of_the_server_is_respected() -> None:
    short = answer(b"", "200 OK", "Keep-Alive: timeout=1")
    async with serving(answering(short)) as peer, TrioTransport() as transport:
        await httpx.AsyncClient(transport=transport).get(peer.url)
        assert transport.statistics().open == 0


async def test_unix_socket_carries_any_host(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with trio.socket.socket(socket.AF_UNIX) as listener:
        await listener.bind(path)
        listener.listen()
        async with trio.open_nursery() as nursery, open_client(uds=path) as client:

            async def serve(stream: trio.SocketStream) -> None:
                async with stream:
                    await echoing(Listening(stream, bytearray()), 0)

            nursery.start_soon(trio.serve_listeners, serve, [trio.SocketListener(listener)])
            response = await client.get("http://some.name/x")
            assert "Host: some.name\r\n" in response.text
            info = response.extensions["network_stream"]
            assert info.get_extra_info("server_addr") == path
            await client.aclose()
            with pytest.raises(httpx.ConnectError, match="gone"):
                await open_client(uds=str(tmp_path / "gone")).get("http://some.name/x")
            nursery.cancel_scope.cancel()


async def test_network_stream_tells_the_addresses() -> None:
    async with serving(answering(OK)) as peer, open_client() as client:
        info = (await client.get(peer.url)).extensions["network_stream"]
        assert info.get_extra_info("server_addr") == ("127.0.0.1", peer.port)
        assert info.get_extra_info("client_addr")[0] == "127.0.0.1"
        assert info.get_extra_info("ssl_object") is None
        assert info.get_extra_info("socket").fileno() > 0
        assert info.get_extra_info("unheard-of") is None


async def test_nobody_listens_is_a_connect_error_that_says_where() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        async with TrioTransport() as transport:
            with pytest.raises(httpx.ConnectError, match=rf"http://127.0.0.1:{port}: .*refused") as caught:
                await httpx.AsyncClient(transport=transport).get(f"http://127.0.0.1:{port}")
            assert caught.value.request.url.port == port
            assert transport.statistics().open == 0


async def test_name_that_does_not_exist_is_a_connect_error() -> None:
    class NoSuchName(trio.abc.HostnameResolver):
        async def getaddrinfo(self, *args: object, **more: object) -> list:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        async def getnameinfo(self, *args: object) -> tuple[str, str]:
            raise AssertionError

    trio.socket.set_custom_hostname_resolver(NoSuchName())
    async with open_client() as client:
        with pytest.raises(httpx.ConnectError, match=r"no\.such\.name:80: .*not known"):
            await client.get("http://no.such.name/")


async def test_name_that_no_resolver_can_be_asked_for_is_a_connect_error() -> None:
    async with open_client() as client:
        with pytest.raises(httpx.ConnectError, match="label"):
            await client.get(f"http://{'a' * 64}.test/")


async def test_socket_option_that_cannot_be_set_is_a_connect_error() -> None:
    before = open_sockets()
    async with (
        serving(answering(OK)) as peer,
        TrioTransport(socket_options=[(socket.SOL_SOCKET, 9999, 1)]) as transport,
    ):
        with pytest.raises(httpx.ConnectError, match="socket options"):
            await httpx.AsyncClient(transport=transport).get(peer.url)
        assert transport.statistics().open == 0
    assert open_sockets() <= before


async def test_second_address_is_used_when_the_first_refuses() -> None:
    async with serving(answering(OK)) as peer:

        class TwoAddresses(trio.abc.HostnameResolver):
            async def getaddrinfo(self, *args: object, **more: object) -> list:
                stream = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
                return [(*stream, ("127.0.0.2", 1)), (*stream, ("127.0.0.1", peer.port))]

            async def getnameinfo(self, *args: object) -> tuple[str, str]:
                raise AssertionError

        trio.socket.set_custom_hostname_resolver(TwoAddresses())
        async with open_client() as client:
            assert (await client.get(f"http://two.names:{peer.port}/")).content == b"ok"


@pytest.mark.parametrize("url", ["ftp://h/", "http:///path"])
async def test_url_that_is_not_http_is_refused(url: str) -> None:
    async with TrioTransport() as transport:
        with pytest.raises(httpx.UnsupportedProtocol):
            await transport.handle_async_request(httpx.Request("GET", httpx.URL(url)))
        assert transport.statistics().origins == 0


async def test_refused_request_takes_no_connection() -> None:
    async with serving(answering(OK)) as peer, TrioTransport() as transport:
        with pytest.raises(httpx.LocalProtocolError):
            await httpx.AsyncClient(transport=transport).get(peer.url, headers={"X": "a\r\nb: c"})
        assert (transport.statistics().open, peer.connections) == (0, 0)


async def test_request_line_on_the_wire_is_exact() -> None:
    async with serving(answering(OK)) as peer, TrioTransport() as transport:
        headers = [("Host", "h"), ("X-Y", "z")]
        response = await transport.handle_async_request(httpx.Request("GET", f"{peer.url}/a%20b?c=d", headers=headers))
        await response.aread()
        assert bytes(peer.received[0]) == b"GET /a%20b?c=d HTTP/1.1\r\nHost: h\r\nX-Y: z\r\n\r\n"


async def test_many_at_once_stay_within_the_limit_and_all_are_served() -> None:
    async with serving(echoing) as peer, open_client(limits=PoolLimits(connections_max=7)) as client:
        seen = set()

        async def ask(number: int) -> None:
            text = (await client.get(f"{peer.url}/{number}")).text
            seen.add(text.split()[1])

        async with trio.open_nursery() as nursery:
            for number in range(300):
                nursery.start_soon(ask, number)
        assert seen == {f"/{number}" for number in range(300)}
        assert peer.connections <= 7


async def test_open_client_routes_http2_and_proxies_to_httpx() -> None:
    async with open_client(http2=["https://two.example"]) as client:
        assert isinstance(client._transport_for_url(httpx.URL("http://one.example")), TrioTransport)
        assert isinstance(client._transport_for_url(httpx.URL("https://two.example")), httpx.AsyncHTTPTransport)
        assert client.timeout.connect == DEFAULT_CLOCKS.connect_s
    async with serving(echoing) as proxy, open_client(proxy=proxy.url, trust_env=False) as client:
        response = await client.get("http://behind.example/x")
        assert response.text.startswith("GET http://behind.example/x HTTP/1.1\r\n")


async def answers_once_then(stream: Listening, number: int) -> None:
    """The first connection answers once and closes when the second request has come; others serve."""
    await read_request(stream)
    await stream.send_all(OK)
    if number == 0:
        await read_request(stream)
        return
    while await read_request(stream) is not None:
        await stream.send_all(OK)


async def streamed():
    yield b"x"


@pytest.mark.parametrize(
    ("method", "options", "repeated"),
    [
        ("GET", {}, True),
        ("DELETE", {}, True),
        ("PUT", {"content": b"x"}, True),
        ("POST", {"content": b"x", "headers": {"Idempotency-Key": "k"}}, True),
        ("POST", {"content": b"x"}, False),
        ("PUT", {"content": streamed()}, False),
    ],
)
async def test_connection_that_dies_idle_is_replaced_where_repeating_is_safe(
    method: str, options: dict, repeated: bool
) -> None:
    async with serving(answers_once_then) as peer, TrioTransport() as transport:
        client = httpx.AsyncClient(transport=transport)
        await client.get(peer.url)
        if repeated:
            assert (await client.request(method, peer.url, **options)).content == b"ok"
        else:
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                await client.request(method, peer.url, **options)
        statistics = transport.statistics()
        assert (peer.connections, statistics.retried_total) == ((2, 1) if repeated else (1, 0))
        assert statistics.active == 0


async def test_request_of_which_nothing_was_sent_is_repeated_whatever_its_method(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def handler(stream: Listening, number: int) -> None:
        await read_request(stream)
        await stream.send_all(OK)
        if number == 0:
            # A linger of zero makes the close a reset: the next send fails with nothing taken.
            stream.inner.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            await seen.wait()
        else:
            await read_request(stream)

    seen = trio.Event()
    async with serving(handler) as peer, TrioTransport() as transport:
        client = httpx.AsyncClient(transport=transport)
        await client.post(peer.url, content=b"x")
        seen.set()
        await trio.testing.wait_all_tasks_blocked()
        monkeypatch.setattr(Connection, "is_dead", lambda self: False)  # it died just after it was looked at
        assert (await client.post(peer.url, content=b"x")).content == b"ok"
        assert (peer.connections, transport.statistics().retried_total) == (2, 1)


async def test_request_is_repeated_once_only() -> None:
    async def handler(stream: Listening, number: int) -> None:
        await read_request(stream)
        if number == 0:
            await stream.send_all(OK)
            await read_request(stream)

    async with serving(handler) as peer, TrioTransport() as transport:
        client = httpx.AsyncClient(transport=transport)
        await client.get(peer.url)
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            await client.get(peer.url)
        assert (peer.connections, transport.statistics().open) == (2, 0)


async def test_fresh_connection_that_dies_is_not_retried() -> None:
    async def handler(stream: Listening, number: int) -> None:
        await read_request(stream)

    async with serving(handler) as peer, TrioTransport() as transport:
        with pytest.raises(httpx.RemoteProtocolError):
            await httpx.AsyncClient(transport=transport).get(peer.url)
        assert peer.connections == 1


async def test_part_of_a_response_rules_a_repetition_out() -> None:
    async def handler(stream: Listening, number: int) -> None:
        await read_request(stream)
        await stream.send_all(OK)
        await read_request(stream)
        await stream.send_all(b"HTT")

    async with serving(handler) as peer, TrioTransport() as transport:
        client = httpx.AsyncClient(transport=transport)
        await client.get(peer.url)
        with pytest.raises(httpx.RemoteProtocolError, match="header section"):
            await client.get(peer.url)
        assert peer.connections == 1


@pytest.mark.parametrize("parting", [b"", b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"])
async def test_idle_connection_on_which_something_came_is_not_used(parting: bytes) -> None:
    """Closed by the server, or poisoned with a response that nobody asked for: POST goes out on a new connection."""

    async def handler(stream: Listening, number: int) -> None:
        await read_request(stream)
        await stream.send_all(OK)
        if number == 0:
            await part.wait()
            if not parting:
                return
            await stream.send_all(parting)
        while await read_request(stream) is not None:
            await stream.send_all(OK)

    part = trio.Event()
    async with serving(handler) as peer, TrioTransport() as transport:
        client = httpx.AsyncClient(transport=transport)
        await client.post(peer.url)
        part.set()
        await trio.testing.wait_all_tasks_blocked()
        assert (await client.post(peer.url)).status_code == 200
        statistics = transport.statistics()
        assert (peer.connections, statistics.dead_total, statistics.retried_total) == (2, 1, 0)


async def test_connection_that_dies_as_it_is_handed_on_is_replaced() -> None:
    async def handler(stream: Listening, number: int) -> None:
        await read_request(stream)
        if number == 0:
            await queued.wait()
            sock = stream.inner.socket
            os.write(sock.fileno(), OK)  # in one go, so that the end is there with the response
            sock.shutdown(socket.SHUT_WR)
            await stream.receive_some(1)
        else:
            await stream.send_all(OK)

    queued = trio.Event()
    async with serving(handler) as peer, TrioTransport(limits=PoolLimits(connections_max=1)) as transport:
        client = httpx.AsyncClient(transport=transport)
        answers = []

        async def ask() -> None:
            answers.append((await client.post(peer.url, content=b"x")).content)

        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(ask)
                await trio.testing.wait_all_tasks_blocked()
            queued.set()
        assert answers == [b"ok", b"ok"]
        assert peer.connections == 2
