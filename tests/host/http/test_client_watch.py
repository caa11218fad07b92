"""A transport whose connections are watched by one task behaves as one whose readers wait by themselves."""

import contextlib
from collections.abc import AsyncIterator

import httpx
import pytest
import trio
import trio.testing

from host.http.client import PoolLimits, TrioTransport, clock_of
from host.http.client_wire import READ_BYTES
from tests.host.http.client_peers import OK, Listening, answering, open_sockets, read_request, serving
from tests.host.http.test_client_cancellation import AT_ONCE as CANCELLED
from tests.host.http.test_client_cancellation import PHASES, cancel_in_phase, stops_within_the_body
from tests.host.http.test_client_clocks import CLOCK_OF_READ, SHORT_S, expiring, post
from tests.host.http.test_client_clocks import PHASES as CLOCKS

AT_ONCE = 20


@contextlib.asynccontextmanager
async def watched(transport: TrioTransport) -> AsyncIterator[trio.Nursery]:
    """The transport with its watch, which ends when the nursery is cancelled, or with the block."""
    async with transport, trio.open_nursery() as nursery:
        nursery.start_soon(transport.run_watch)
        await trio.testing.wait_all_tasks_blocked()
        yield nursery
        nursery.cancel_scope.cancel()


def get(url: str) -> httpx.Request:
    return httpx.Request("GET", url)


class Told:
    """A server that sends what it is told to, when it is told to."""

    def __init__(self) -> None:
        self._parts, self._source = trio.open_memory_channel[bytes](100)

    async def __call__(self, stream: Listening, number: int) -> None:
        await read_request(stream)
        async for part in self._source:
            await stream.send_all(part)

    def say(self, *parts: bytes) -> None:
        for part in parts:
            self._parts.send_nowait(part)

    def end(self) -> None:
        self._parts.close()


async def test_each_part_of_a_body_is_read_when_it_comes() -> None:
    server = Told()
    transport = TrioTransport()
    async with serving(server) as peer, watched(transport):
        server.say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        response = await transport.handle_async_request(get(peer.url))
        parts = response.stream.__aiter__()  # type: ignore[union-attr]
        for part in (b"one", b"two", b"six"):
            server.say(part)
            with trio.fail_after(30):
                assert await anext(parts) == part


@pytest.mark.parametrize("size", [1, READ_BYTES - 1, READ_BYTES, READ_BYTES * 5 + 7])
async def test_the_end_is_read_though_it_came_together_with_the_last_bytes(size: int) -> None:
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * size
    transport = TrioTransport()
    with trio.fail_after(30):
        async with serving(answering(answer, close=True)) as peer, watched(transport):
            for _ in range(3):
                response = await transport.handle_async_request(get(peer.url))
                assert len(await response.aread()) == size


async def test_connections_serve_again_and_dead_ones_are_found() -> None:
    transport = TrioTransport()
    async with serving(answering(OK)) as peer, watched(transport):
        for _ in range(5):
            response = await transport.handle_async_request(get(peer.url))
            assert await response.aread() == b"ok"
        assert peer.connections == 1
    transport = TrioTransport()
    async with serving(answering(OK, close=True)) as peer, watched(transport):
        for _ in range(5):
            response = await transport.handle_async_request(get(peer.url))
            assert await response.aread() == b"ok"
        assert peer.connections == 5


@pytest.mark.parametrize("phase", ["first_byte", "read-before-head", "between_chunks", "read-within-body"])
async def test_clocks_of_reads_run_out_in_their_phases(phase: str) -> None:
    handler, _, key, kind, body = CLOCKS[phase]
    transport = TrioTransport()
    async with serving(handler) as peer, watched(transport):
        error = await expiring(transport, post(peer.url, {key: SHORT_S}, body))
        assert type(error) is kind
        assert clock_of(error) == CLOCK_OF_READ.get(phase, key)


@pytest.mark.parametrize("phase", ["waiting", "mid-body"])
async def test_requests_cancelled_in_a_phase_leave_nothing_behind(phase: str) -> None:
    handler, _, limits = PHASES[phase]
    before = open_sockets()
    async with serving(handler) as peer:
        await cancel_in_phase(peer.url, 2 * CANCELLED, limits, watch=True, content=b"x")
    assert open_sockets() <= before


async def test_a_transport_that_is_closed_fails_its_readers() -> None:
    transport = TrioTransport()
    failed: list[Exception] = []
    async with serving(stops_within_the_body) as peer, watched(transport) as nursery:

        async def read() -> None:
            response = await transport.handle_async_request(get(peer.url))
            try:
                await response.aread()
            except httpx.ReadError as error:
                failed.append(error)

        for _ in range(AT_ONCE):
            nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(30):
            await transport.aclose()
            await trio.testing.wait_all_tasks_blocked()
    assert len(failed) == AT_ONCE


async def test_readers_go_on_by_themselves_when_the_watch_ends() -> None:
    server, transport = Told(), TrioTransport(limits=PoolLimits(connections_max=1))
    bodies: list[bytes] = []
    async with serving(server) as peer, transport, trio.open_nursery() as readers:

        async def read() -> None:
            response = await transport.handle_async_request(get(peer.url))
            bodies.append(await response.aread())

        async with trio.open_nursery() as watch:
            watch.start_soon(transport.run_watch)
            await trio.testing.wait_all_tasks_blocked()
            server.say(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
            readers.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            watch.cancel_scope.cancel()
        server.say(b"def")
        with trio.fail_after(30):
            while not bodies:  # noqa: ASYNC110
                await trio.sleep(0.001)
        server.end()
    assert bodies == [b"abcdef"]


async def test_readers_that_are_watched_do_not_wait_by_trios_means() -> None:
    async def waiting(*, with_watch: bool) -> int:
        transport = TrioTransport()
        async with serving(stops_within_the_body) as peer, transport, trio.open_nursery() as nursery:
            if with_watch:
                nursery.start_soon(transport.run_watch)
                await trio.testing.wait_all_tasks_blocked()
            for _ in range(AT_ONCE):
                response = await transport.handle_async_request(get(peer.url))
                nursery.start_soon(response.aread)
            await trio.testing.wait_all_tasks_blocked()
            count = trio.lowlevel.current_statistics().io_statistics.tasks_waiting_read  # type: ignore[union-attr]
            nursery.cancel_scope.cancel()
        return count

    assert await waiting(with_watch=False) - await waiting(with_watch=True) == AT_ONCE - 1
