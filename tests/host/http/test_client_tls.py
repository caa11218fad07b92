"""TLS: whom the client trusts, what it tells the server, and what it makes of streams that end too soon."""

import ssl

import httpx
import pytest
import trio
import trio.testing
import trustme

from host.http.client import PoolLimits, TrioTransport, open_client
from tests.host.http.client_peers import OK, Listening, answering, open_sockets, read_request, serving

AUTHORITY = trustme.CA()
OTHER_AUTHORITY = trustme.CA()


def server_context(*names: str, authority: trustme.CA = AUTHORITY) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*(names or ("127.0.0.1", "localhost"))).configure_cert(context)
    return context


def trusting(authority: trustme.CA = AUTHORITY) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def at_localhost(url: str) -> str:
    return url.replace("127.0.0.1", "localhost")


async def test_trusted_server_is_spoken_to_and_the_connection_kept() -> None:
    async with serving(answering(OK), server_context()) as peer, TrioTransport(verify=trusting()) as transport:
        client = httpx.AsyncClient(transport=transport)
        for _ in range(3):
            response = await client.post(peer.url, content=b"x" * 1000)
            assert response.content == b"ok"
        assert peer.connections == 1
        assert response.extensions["network_stream"].get_extra_info("ssl_object").version() == "TLSv1.3"


@pytest.mark.parametrize("why", ["unknown authority", "other name", "nobody trusted"])
async def test_server_that_cannot_be_trusted_is_a_connect_error(why: str) -> None:
    context = server_context("other.name") if why == "other name" else server_context()
    verify: ssl.SSLContext | bool = {
        "unknown authority": trusting(OTHER_AUTHORITY),
        "other name": trusting(),
        "nobody trusted": True,
    }[why]
    before = open_sockets()
    async with serving(answering(OK), context) as peer, open_client(verify=verify) as client:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await client.get(peer.url)
        assert client._transport.statistics().open == 0  # type: ignore[attr-defined]
        assert peer.received in ([], [bytearray()])
    await trio.testing.wait_all_tasks_blocked()
    assert open_sockets() <= before


async def test_verification_can_be_switched_off() -> None:
    async with serving(answering(OK), server_context("other.name")) as peer, open_client(verify=False) as client:
        assert (await client.get(peer.url)).content == b"ok"


async def test_server_is_told_its_name_and_that_we_speak_http_1() -> None:
    context = server_context("localhost", "wanted.name")
    context.set_alpn_protocols(["h2", "http/1.1"])
    names = []
    context.sni_callback = lambda tls, name, _: names.append(name)
    async with serving(answering(OK), context) as peer, open_client(verify=trusting()) as client:
        url = f"https://localhost:{peer.port}"
        first = await client.get(url)
        second = await client.get(url, extensions={"sni_hostname": "wanted.name"})
        assert names == ["localhost", "wanted.name"]
        assert peer.connections == 2  # a connection with another name is another connection
        for response in (first, second):
            tls = response.extensions["network_stream"].get_extra_info("ssl_object")
            assert tls.selected_alpn_protocol() == "http/1.1"


async def test_client_certificate_is_shown() -> None:
    context = server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    AUTHORITY.configure_trust(context)
    shown = trusting()
    AUTHORITY.issue_cert("client@example.org").configure_cert(shown)
    async with serving(answering(OK), context) as peer:
        async with open_client(verify=shown) as client:
            assert (await client.get(peer.url)).content == b"ok"
        async with open_client(verify=trusting()) as client:
            with pytest.raises(httpx.TransportError):
                await client.get(peer.url)


async def test_name_that_tls_cannot_ask_for_is_a_connect_error() -> None:
    before = open_sockets()
    async with serving(answering(OK), server_context()) as peer, open_client(verify=trusting()) as client:
        with pytest.raises(httpx.ConnectError, match="leading dot"):
            await client.get(peer.url, extensions={"sni_hostname": ".name"})
    assert open_sockets() <= before


async def test_server_that_speaks_no_tls_is_a_connect_error() -> None:
    async def plain(stream: Listening, number: int) -> None:
        await stream.receive_some(1000)
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serving(plain) as peer, open_client() as client:
        with pytest.raises(httpx.ConnectError, match="TLS handshake"):
            await client.get(peer.url.replace("http", "https"))


@pytest.mark.parametrize("size", [10, 100_000, 3_000_000])
async def test_bodies_of_any_size_go_both_ways(size: int) -> None:
    async def echo(stream: Listening, number: int) -> None:
        while (request := await read_request(stream)) is not None:
            body = request.partition(b"\r\n\r\n")[2]
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    body = bytes(range(256)) * (size // 256 + 1)
    async with serving(echo, server_context()) as peer, open_client(verify=trusting()) as client:
        for _ in range(2):
            assert (await client.post(peer.url, content=body)).content == body
        assert peer.connections == 1


async def test_early_refusal_ends_an_upload() -> None:
    async def refuse(stream: Listening, number: int) -> None:
        await stream.receive_some(100)
        await stream.send_all(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        await trio.sleep_forever()

    async with serving(refuse, server_context()) as peer, open_client(verify=trusting()) as client:
        assert (await client.post(peer.url, content=b"x" * (1 << 25))).status_code == 413


@pytest.mark.parametrize("options", [0, ssl.OP_IGNORE_UNEXPECTED_EOF], ids=["strict", "lenient"])
@pytest.mark.parametrize("with_notify", [True, False])
@pytest.mark.parametrize("framing", ["until-close", "length", "chunked"])
async def test_body_that_ends_with_the_connection_needs_close_notify(
    with_notify: bool, framing: str, options: int
) -> None:
    """RFC 9112 section 9.8: 'A response that has neither chunked transfer coding nor Content-Length is complete only
    if a valid closure alert has been received.'"""
    head = (
        b"HTTP/1.1 200 OK\r\n"
        + {
            "until-close": b"\r\nabc",
            "length": b"Content-Length: 3\r\n\r\nabc",
            "chunked": b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        }[framing]
    )

    async def end(stream: Listening, number: int) -> None:
        await read_request(stream)
        await stream.send_all(head)
        tls = stream.inner
        if with_notify:
            tls._https_compatible = False
            await tls.aclose()

    context = trusting()
    context.options = context.options & ~ssl.OP_IGNORE_UNEXPECTED_EOF | options
    async with serving(end, server_context()) as peer, open_client(verify=context) as client:
        if with_notify or framing != "until-close":
            assert (await client.get(peer.url)).content == b"abc"
        else:
            with pytest.raises(httpx.RemoteProtocolError, match="close_notify"):
                await client.get(peer.url)


@pytest.mark.parametrize("with_notify", [True, False])
async def test_truncated_body_is_an_error_however_tls_ends(with_notify: bool) -> None:
    async def end(stream: Listening, number: int) -> None:
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        if with_notify:
            stream.inner._https_compatible = False
            await stream.inner.aclose()

    async with serving(end, server_context()) as peer, open_client(verify=trusting()) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(peer.url)


async def test_response_hidden_behind_the_last_one_is_not_taken_for_the_next() -> None:
    """Two TLS records in one segment: the second lies decryptable inside the TLS layer, where no socket shows it."""

    async def poison(stream: Listening, number: int) -> None:
        while await read_request(stream) is not None:
            if number == 0:
                stream.inner._ssl_object.write(OK)  # goes out together with what is sent next
                await stream.send_all(OK.replace(b"ok", b"NO"))
            else:
                await stream.send_all(OK)

    async with serving(poison, server_context()) as peer, TrioTransport(verify=trusting()) as transport:
        client = httpx.AsyncClient(transport=transport)
        for _ in range(3):
            assert (await client.post(peer.url)).content == b"ok"
        assert peer.connections == 2
        assert transport.statistics().active == 0


async def test_idle_connection_that_the_server_has_closed_is_not_used() -> None:
    async def once(stream: Listening, number: int) -> None:
        await read_request(stream)
        await stream.send_all(OK)

    async with serving(once, server_context()) as peer, TrioTransport(verify=trusting()) as transport:
        client = httpx.AsyncClient(transport=transport)
        for _ in range(3):
            assert (await client.post(peer.url)).content == b"ok"
            await trio.testing.wait_all_tasks_blocked()
        assert peer.connections == 3
        assert transport.statistics().dead_total == 2


async def test_requests_cancelled_within_tls_leave_nothing_behind() -> None:
    async def stop(stream: Listening, number: int) -> None:
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")
        await stream.receive_some(1)

    before = open_sockets()
    async with serving(stop, server_context()) as peer:
        transport = TrioTransport(verify=trusting(), limits=PoolLimits(connections_max=20))
        for size in (1, 1 << 22):
            async with trio.open_nursery() as nursery:

                async def ask(size: int = size) -> None:
                    response = await transport.handle_async_request(
                        httpx.Request("POST", peer.url, content=bytes(size))
                    )
                    await response.aread()

                for _ in range(40):
                    nursery.start_soon(ask)
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
            left = transport.statistics()
            assert (left.open, left.waiting) == (0, 0)
    assert open_sockets() <= before
