"""Every clock runs out in its own phase, under its own name, and leaves no connection behind."""

import socket

import httpx
import pytest
import trio

from host.http.client import Clocks, PoolLimits, TrioTransport, clock_of, open_client
from host.http.client_clocks import ClockTable
from tests.host.http.client_peers import OK, Listening, answering, read_request, serving
from tests.host.http.test_client_cancellation import (
    NoAnswer,
    full_backlog,
    never_answers,
    never_reads,
    stops_within_the_body,
)
from tests.host.http.test_client_tls import server_context

SHORT_S = 0.05


async def expiring(transport: TrioTransport, request: httpx.Request) -> httpx.TimeoutException:
    with pytest.raises(httpx.TimeoutException) as caught:  # noqa: PT012
        response = await transport.handle_async_request(request)
        async for _ in response.stream:
            pass
    assert transport.statistics().open == 0
    return caught.value


def post(url: str, timeout: dict[str, float] | None = None, content: object = b"x") -> httpx.Request:
    extensions = {} if timeout is None else {"timeout": timeout}
    return httpx.Request("POST", url, content=content, extensions=extensions)  # type: ignore[arg-type]


PHASES = {
    "connect": (never_answers, "https", "connect", httpx.ConnectTimeout, b"x"),
    "write": (never_reads, "http", "write", httpx.WriteTimeout, b"x" * (1 << 23)),
    "first_byte": (never_answers, "http", "first_byte", httpx.ReadTimeout, b"x"),
    "read-before-head": (never_answers, "http", "read", httpx.ReadTimeout, b"x"),
    "between_chunks": (stops_within_the_body, "http", "between_chunks", httpx.ReadTimeout, b"x"),
    "read-within-body": (stops_within_the_body, "http", "read", httpx.ReadTimeout, b"x"),
}
CLOCK_OF_READ = {"read-before-head": "first_byte", "read-within-body": "between_chunks"}


@pytest.mark.parametrize("phase", PHASES)
async def test_clock_runs_out_in_its_phase(phase: str) -> None:
    handler, scheme, key, kind, body = PHASES[phase]
    async with serving(handler) as peer, TrioTransport(verify=False) as transport:
        url = peer.url.replace("http", scheme, 1)
        error = await expiring(transport, post(url, {key: SHORT_S}, body))
        assert type(error) is kind
        assert clock_of(error) == CLOCK_OF_READ.get(phase, key)
        assert f"{SHORT_S:g} s" in str(error)


@pytest.mark.parametrize("phase", PHASES)
async def test_total_ends_every_phase_with_that_phase_s_error(phase: str) -> None:
    handler, scheme, _, kind, body = PHASES[phase]
    clocks = Clocks(connect_s=60, write_s=60, first_byte_s=60, between_chunks_s=60, total_s=SHORT_S)
    async with serving(handler) as peer, TrioTransport(verify=False, clocks=clocks) as transport:
        error = await expiring(transport, post(peer.url.replace("http", scheme, 1), content=body))
        assert type(error) is kind
        assert clock_of(error) == "total"


async def test_connect_clock_covers_tcp_and_the_name() -> None:
    async with full_backlog() as url, TrioTransport(clocks=Clocks(connect_s=SHORT_S)) as transport:
        assert clock_of(await expiring(transport, post(url))) == "connect"
        trio.socket.set_custom_hostname_resolver(NoAnswer())
        assert clock_of(await expiring(transport, post("http://no.answer"))) == "connect"


@pytest.mark.parametrize("clock", ["pool", "total"])
async def test_pool_clock_runs_out_in_the_queue(clock: str) -> None:
    async with serving(stops_within_the_body) as peer:
        transport = TrioTransport(limits=PoolLimits(connections_max=1))
        holding = await transport.handle_async_request(post(peer.url))
        with pytest.raises(httpx.PoolTimeout) as caught:
            await transport.handle_async_request(post(peer.url, {clock: SHORT_S}))
        assert clock_of(caught.value) == clock
        assert (transport.statistics().waiting, transport.statistics().active) == (0, 1)
        await holding.aclose()
        await transport.aclose()


async def test_total_ends_a_body_that_never_pauses() -> None:
    async def handler(stream: Listening, number: int) -> None:
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await stream.send_all(bytes(1 << 16))

    async with serving(handler) as peer, TrioTransport(clocks=Clocks(between_chunks_s=60)) as transport:
        error = await expiring(transport, post(peer.url, {"total": SHORT_S}))
        assert (type(error), clock_of(error)) == (httpx.ReadTimeout, "total")


async def test_total_ends_an_upload_whose_source_waits() -> None:
    class Silent:
        def __aiter__(self) -> "Silent":
            return self

        async def __anext__(self) -> bytes:
            await trio.sleep_forever()
            raise AssertionError

    async with serving(never_answers) as peer, TrioTransport() as transport:
        error = await expiring(transport, post(peer.url, {"total": SHORT_S}, Silent()))
        assert (type(error), clock_of(error)) == (httpx.WriteTimeout, "total")


@pytest.mark.parametrize("tls", [False, True])
async def test_write_clock_starts_again_whenever_the_peer_takes_some(tls: bool) -> None:
    async def reads_slowly(stream: Listening, number: int) -> None:
        for turn in range(1, 9):
            await trio.sleep(SHORT_S * 4)
            while len(stream.copy) < turn << 19:
                await stream.receive_some(1 << 20)
        while not stream.copy.endswith(b"end"):
            await stream.receive_some(1 << 20)
        await stream.send_all(OK)

    options = [(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)]
    context = server_context() if tls else None
    async with (
        serving(reads_slowly, context) as peer,
        TrioTransport(socket_options=options, verify=False) as transport,
    ):
        body = b"x" * (12 << 20) + b"end"
        response = await transport.handle_async_request(post(peer.url, {"write": SHORT_S * 20}, body))
        assert await response.aread() == b"ok"


async def test_between_chunks_starts_again_with_every_chunk() -> None:
    async def drips(stream: Listening, number: int) -> None:
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        for _ in range(6):
            await trio.sleep(SHORT_S)
            await stream.send_all(b"x")

    async with serving(drips) as peer, TrioTransport() as transport:
        response = await transport.handle_async_request(post(peer.url, {"between_chunks": SHORT_S * 5}))
        assert await response.aread() == b"xxxxxx"


async def test_first_byte_is_not_prolonged_by_a_header_section_that_drips() -> None:
    async def drips(stream: Listening, number: int) -> None:
        await read_request(stream)
        while True:
            await stream.send_all(b"HTTP/1.1 103 X\r\n\r\n")
            await trio.sleep(SHORT_S / 5)

    async with serving(drips) as peer, TrioTransport() as transport:
        assert clock_of(await expiring(transport, post(peer.url, {"first_byte": SHORT_S}))) == "first_byte"


async def test_client_timeout_of_httpx_tightens_the_clocks_of_open_client() -> None:
    async with serving(never_answers) as peer, open_client() as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.get(peer.url, timeout=SHORT_S)


async def test_no_clock_at_all_serves_too() -> None:
    async with serving(answering(OK)) as peer, httpx.AsyncClient(transport=TrioTransport(), timeout=None) as client:
        assert (await client.get(peer.url)).content == b"ok"


@pytest.mark.parametrize(
    ("extension", "first_byte_s", "between_chunks_s"),
    [
        (None, 30, 20),
        ({"read": None}, 30, 20),
        ({"read": 5}, 5, 5),
        ({"read": 25}, 25, 20),
        ({"read": 5, "first_byte": 60}, 60, 5),
        ({"read": 5, "between_chunks": 60}, 5, 60),
        ({"first_byte": 1}, 1, 20),
    ],
)
def test_read_limits_both_waits_unless_the_request_names_them(
    extension: dict[str, float] | None, first_byte_s: float, between_chunks_s: float
) -> None:
    table = ClockTable(Clocks(first_byte_s=30, between_chunks_s=20, connect_s=3))
    for _ in range(2):
        clocks = table.resolve(extension)
        assert (clocks.first_byte_s, clocks.between_chunks_s, clocks.connect_s) == (first_byte_s, between_chunks_s, 3)


def test_clock_table_stays_bounded() -> None:
    table = ClockTable(Clocks())
    for number in range(2000):
        assert table.resolve({"read": float(number)}).first_byte_s == number
    assert len(table._resolved) <= 256


def test_clock_of_other_errors_is_none() -> None:
    assert clock_of(httpx.ReadError("x")) is None
