"""Whatever is cancelled, and when: every slot comes back, no socket stays open, and the next request is served."""

import contextlib
import gc
import math
import socket
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
import trio
import trio.testing

from host.http.client import PoolLimits, TrioTransport
from tests.host.http.client_peers import OK, Listening, answering, open_sockets, read_request, serving

# Seven phases, together more than ten thousand.
EACH = 1500
AT_ONCE = 250


async def never_answers(stream: Listening, number: int) -> None:
    while await stream.receive_some(65536):
        pass


async def never_reads(stream: Listening, number: int) -> None:
    stream.inner.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
    await trio.sleep_forever()


async def stops_within_the_body(stream: Listening, number: int) -> None:
    await read_request(stream)
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")
    await stream.receive_some(1)


async def serves_path_ok(stream: Listening, number: int) -> None:
    while (request := await read_request(stream)) is not None:
        if b"GET /ok" in request:
            await stream.send_all(OK)
        else:
            await trio.sleep_forever()


class NoAnswer(trio.abc.HostnameResolver):
    """A name server that never replies."""

    async def getaddrinfo(self, *args: object, **more: object) -> list:
        await trio.sleep_forever()
        raise AssertionError

    async def getnameinfo(self, *args: object) -> tuple[str, str]:
        raise AssertionError


@contextlib.asynccontextmanager
async def full_backlog() -> AsyncIterator[str]:
    """A server whose queue is full: a connection to it is never established."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        yield f"http://127.0.0.1:{port}"


async def cancel_many(transport: TrioTransport, make: Callable[[], httpx.Request], count: int) -> None:
    """Let `count` requests come to rest wherever the server holds them, and cancel them all."""

    async def attempt() -> None:
        response = await transport.handle_async_request(make())
        try:
            async for _ in response.stream:
                pass
        finally:
            await response.aclose()
        raise AssertionError("this server does not let a request end")

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(attempt)
        await trio.testing.wait_all_tasks_blocked()
        assert transport.statistics().active + transport.statistics().waiting == count
        nursery.cancel_scope.cancel()


async def cancel_in_phase(url: str, count: int, limits: PoolLimits, *, watch: bool = False, **more: object) -> None:
    transport = TrioTransport(limits=limits, verify=False, socket_options=[(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)])
    async with transport, trio.open_nursery() as nursery:
        if watch:
            nursery.start_soon(transport.run_watch)
            await trio.testing.wait_all_tasks_blocked()
        for _ in range(0, count, AT_ONCE):
            await cancel_many(transport, lambda: httpx.Request("POST", url, **more), AT_ONCE)  # type: ignore[arg-type]
            left = transport.statistics()
            assert (left.open, left.active, left.idle, left.waiting, left.origins) == (0, 0, 0, 0, 0)
        assert transport.statistics().requests_total == count
        nursery.cancel_scope.cancel()


PHASES = {
    "queued": (never_answers, "http", PoolLimits(connections_max=2)),
    "handshaking": (never_answers, "https", PoolLimits(connections_max=AT_ONCE, connections_per_origin_max=AT_ONCE)),
    "writing": (never_reads, "http", PoolLimits(connections_max=AT_ONCE, connections_per_origin_max=AT_ONCE)),
    "waiting": (never_answers, "http", PoolLimits(connections_max=AT_ONCE, connections_per_origin_max=AT_ONCE)),
    "mid-body": (
        stops_within_the_body,
        "http",
        PoolLimits(connections_max=AT_ONCE, connections_per_origin_max=AT_ONCE),
    ),
}


@pytest.mark.parametrize("phase", PHASES)
async def test_requests_cancelled_in_a_phase_leave_nothing_behind(phase: str) -> None:
    handler, scheme, limits = PHASES[phase]
    body = b"x" * (1 << 20) if phase == "writing" else b"x"
    before = open_sockets()
    async with serving(handler) as peer:
        await cancel_in_phase(peer.url.replace("http", scheme, 1), EACH, limits, content=body)
    assert open_sockets() <= before


async def test_requests_cancelled_while_connecting_leave_nothing_behind() -> None:
    limits = PoolLimits(connections_max=AT_ONCE, connections_per_origin_max=AT_ONCE)
    before = open_sockets()
    async with full_backlog() as url:
        await cancel_in_phase(url, EACH, limits)
    assert open_sockets() <= before


async def test_requests_cancelled_while_the_name_is_looked_up_leave_nothing_behind() -> None:
    trio.socket.set_custom_hostname_resolver(NoAnswer())
    limits = PoolLimits(connections_max=AT_ONCE, connections_per_origin_max=AT_ONCE)
    before = open_sockets()
    await cancel_in_phase("http://name.test", EACH, limits)
    assert open_sockets() <= before


class CancelAtStep(trio.abc.Instrument):
    """Cancels a scope right before the given step of a task, and counts its steps."""

    def __init__(self, scope: trio.CancelScope, step: int) -> None:
        self.task = trio.lowlevel.current_task()
        self.scope = scope
        self.step = step
        self.steps = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self.task:
            self.steps += 1
            if self.steps == self.step:
                self.scope.cancel()


class Parts:
    """A body that takes its time."""

    def __init__(self) -> None:
        self.left = 3

    def __aiter__(self) -> "Parts":
        return self

    async def __anext__(self) -> bytes:
        await trio.lowlevel.checkpoint()
        if not self.left:
            raise StopAsyncIteration
        self.left -= 1
        return b"x" * 30_000


KINDS: dict[str, Callable[[], dict[str, object]]] = {
    "get": lambda: {"method": "GET"},
    "post": lambda: {"method": "POST", "content": b"x"},
    "large": lambda: {"method": "POST", "content": b"x" * 400_000},
    "stream": lambda: {"method": "POST", "content": Parts()},
    "file": lambda: {"method": "POST", "files": {"f": b"x" * 70_000}},
}


@pytest.mark.parametrize("fresh", [True, False], ids=["new-connection", "reused-connection"])
@pytest.mark.parametrize("kind", KINDS)
async def test_request_cancelled_before_any_step_leaves_the_pool_exact(kind: str, fresh: bool) -> None:
    """Cancels before the first step of the request, then the second, and so on until it gets through."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    before = open_sockets()

    async def handler(stream: Listening, number: int) -> None:
        while await read_request(stream) is not None:
            await stream.send_all(chunked)
            await trio.lowlevel.checkpoint()
            await stream.send_all(b"2\r\nab\r\n")
            await trio.lowlevel.checkpoint()
            await stream.send_all(b"0\r\n\r\n")

    async with serving(handler) as peer:
        transport = TrioTransport(limits=PoolLimits(connections_max=1))
        async with httpx.AsyncClient(transport=transport) as client:
            step, through = 0, False
            while not through:
                step += 1
                if fresh:
                    transport._pool.close_expired(math.inf)
                else:
                    assert (await client.get(peer.url)).content == b"ab"
                with trio.CancelScope() as scope:
                    instrument = CancelAtStep(scope, step)
                    trio.lowlevel.add_instrument(instrument)
                    try:
                        response = await client.request(url=peer.url, **KINDS[kind]())  # type: ignore[arg-type]
                        assert response.content == b"ab"
                        through = True
                    finally:
                        trio.lowlevel.remove_instrument(instrument)
                left = transport.statistics()
                assert (left.active, left.waiting) == (0, 0)
                assert left.open == left.idle
            assert step > (3 if fresh else 2)
            assert (await client.get(peer.url)).content == b"ab"
    await trio.testing.wait_all_tasks_blocked()
    assert open_sockets() <= before


async def test_cancelled_waiter_passes_its_turn_on() -> None:
    async with serving(serves_path_ok) as peer:
        transport = TrioTransport(limits=PoolLimits(connections_max=1))
        async with trio.open_nursery() as nursery:
            served: list[int] = []

            async def ask(number: int, scope: trio.CancelScope) -> None:
                with scope:
                    response = await transport.handle_async_request(httpx.Request("GET", f"{peer.url}/ok"))
                    assert b"".join([part async for part in response.stream]) == b"ok"
                    served.append(number)

            holder = trio.CancelScope()

            async def hold() -> None:
                with holder:
                    await transport.handle_async_request(httpx.Request("GET", f"{peer.url}/hang"))

            nursery.start_soon(hold)
            await trio.testing.wait_all_tasks_blocked()
            scopes = [trio.CancelScope() for _ in range(5)]
            for number, scope in enumerate(scopes):
                nursery.start_soon(ask, number, scope)
                await trio.testing.wait_all_tasks_blocked()
            scopes[0].cancel()
            scopes[2].cancel()
            await trio.testing.wait_all_tasks_blocked()
            assert transport.statistics().waiting == 3
            holder.cancel()
        assert served == [1, 3, 4]
        assert transport.statistics().open == 1
        await transport.aclose()


async def test_waiter_cancelled_in_the_moment_it_is_served_gives_the_connection_back() -> None:
    """The connection is handed over and the waiter cancelled before it runs: nothing is lost."""
    async with serving(answering(OK)) as peer:
        transport = TrioTransport(limits=PoolLimits(connections_max=1))
        pool = transport._pool
        first = await transport.handle_async_request(httpx.Request("GET", peer.url))
        assert await first.aread() == b"ok"
        [connection] = pool._idle
        assert pool.take(connection.origin) is connection
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                async def ask() -> None:
                    await transport.handle_async_request(httpx.Request("GET", peer.url))

                nursery.start_soon(ask)
                await trio.testing.wait_all_tasks_blocked()
                pool.release(connection)
                scope.cancel()
        left = transport.statistics()
        assert (left.active, left.waiting) == (0, 0)
        await transport.aclose()


async def test_response_forgotten_unread_is_closed_by_the_collector_with_a_warning() -> None:
    async with serving(stops_within_the_body) as peer:
        transport = TrioTransport(limits=PoolLimits(connections_max=1))
        response = await transport.handle_async_request(httpx.Request("GET", peer.url))
        assert transport.statistics().active == 1
        with pytest.warns(ResourceWarning, match="neither read nor closed"):
            del response
        await trio.testing.wait_all_tasks_blocked()
        assert transport.statistics().open == 0


def test_response_that_outlives_its_run_does_no_more_than_lose_its_socket() -> None:
    async def run() -> httpx.Response:
        async with serving(stops_within_the_body) as peer:
            return await TrioTransport().handle_async_request(httpx.Request("GET", peer.url))

    response = trio.run(run)
    gc.collect()
    with pytest.warns(ResourceWarning, match="unclosed"):  # noqa: PT031
        del response
        gc.collect()


async def test_aclose_ends_requests_in_every_phase_at_once() -> None:
    before = open_sockets()
    async with serving(never_answers) as peer, serving(stops_within_the_body) as stopping, full_backlog() as full:
        transport = TrioTransport(limits=PoolLimits(connections_max=4))
        errors: list[BaseException] = []

        async def ask(url: str) -> None:
            try:
                response = await transport.handle_async_request(httpx.Request("GET", url))
                async for _ in response.stream:
                    pass
            except httpx.TransportError as error:
                errors.append(error)

        async with trio.open_nursery() as nursery:
            for url in (peer.url, f"https://127.0.0.1:{peer.port}", stopping.url, full, peer.url, stopping.url):
                nursery.start_soon(ask, url)
                await trio.testing.wait_all_tasks_blocked()
            assert transport.statistics().active == 4
            assert transport.statistics().waiting == 2
            await transport.aclose()
        assert len(errors) == 6
        left = transport.statistics()
        assert (left.open, left.waiting, left.origins) == (0, 0, 0)
        with pytest.raises(httpx.ConnectError, match="closed"):
            await transport.handle_async_request(httpx.Request("GET", peer.url))
    await trio.testing.wait_all_tasks_blocked()
    assert open_sockets() <= before
