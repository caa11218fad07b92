"""The matrix of cancellations: a client leaves in each phase of a request, at each endpoint, streamed or not.

`Matrix.leave` plays one cell on real sockets: it brings a request into its phase, closes the client's connection, and
waits until the upstream has seen its own closed (where it had one), and nothing of the request is left: no task, no
socket, no slot of the pool, no flight, no probe of a breaker. The tests assert that, `benchmarks.gateway_cancel` says
how long it took.
"""

import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import redis
import trio
import trio.testing
from pydantic_core import to_json

from plugins.gateway.simulated.faults import Fault
from tests.plugins.gateway.kit import House, open_house

PATIENCE_S: float = 30.0
"""How long a phase may take to be reached, and a request to be cleaned up: far more than either should."""
HOT: Final = {"temperature": 9}
"""Hotter than what is cached, so that nobody shares the call."""
TEXT: Final = "word " * 200
FORM: Final = (
    b'--edge\r\ncontent-disposition: form-data; name="model"\r\n\r\n%s\r\n'
    b'--edge\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n0000\r\n--edge--\r\n'
)
BODIES: Final[dict[str, dict[str, Any]]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": TEXT}]},
    "/v1/completions": {"prompt": TEXT},
    "/v1/embeddings": {"input": TEXT},
    "/v1/responses": {"input": TEXT},
    "/v1/messages": {"messages": [{"role": "user", "content": TEXT}], "max_tokens": 500},
    "/v1/images/generations": {"prompt": TEXT},
    "/v1/audio/transcriptions": {},
}
TOLD: Final = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages")
STREAMED: Final = (*TOLD, "/v1/images/generations")
CACHED: Final = (*TOLD, "/v1/embeddings")


@dataclass(frozen=True, slots=True)
class Cell:
    """One case. `shared`: it is carried by a flight, which others could join."""

    phase: str
    path: str
    stream: bool
    shared: bool

    def __str__(self) -> str:
        kind = "stream" if self.stream else "whole"
        return f"{self.phase} {self.path.removeprefix('/v1/')} {kind} {'shared' if self.shared else 'alone'}"


@dataclass(frozen=True, slots=True)
class Left:
    """What leaving cost, in seconds: until the upstream saw it (None: it never had the request), and until the gateway
    had nothing of the request any more, which is before the host has closed its end of the client's connection."""

    upstream_s: float | None
    gateway_s: float


def cells() -> Iterator[Cell]:
    """All cases there are."""
    for path in BODIES:
        for stream in (False, True) if path in STREAMED else (False,):
            for phase in PHASES:
                if phase in ("first_token", "middle") and not stream:
                    continue
                for shared in (True, False) if path in CACHED else (False,):
                    if phase != "joined" or shared:
                        yield Cell(phase, path, stream, shared)


class Matrix:
    """A host with upstreams that never get anywhere."""

    def __init__(self, house: House, redis_url: str, mute: "_Mute") -> None:
        self.house = house
        self.mute = mute
        self.redis = redis.Redis.from_url(redis_url)
        # Connected now, so that no cell has one socket more than before.
        self.redis.ping()
        self._number = 0

    async def leave(self, cell: Cell) -> Left:
        """Play one cell.

        Raises:
            trio.TooSlowError: the phase was not reached, or something is left over.
        """
        self._number += 1
        before, telemetry = self._counts(), self.house.gateway.telemetry
        async with AsyncExitStack() as stack:
            prepared = await _PHASES[cell.phase](self, cell, stack)
            noticed = _Noticed(self.house)
            stream = await self._send(cell, prepared)
            await self._until(prepared.is_reached, cell)
            # What was seen from outside may lie just before the wait that the phase is named after.
            await trio.testing.wait_all_tasks_blocked(0.005)
            assert prepared.is_reached(), f"{cell} was left by itself"
            at = trio.current_time()
            await stream.aclose()
            upstream_s = None
            if prepared.seen_by:
                await self._until(lambda: noticed.count() == prepared.seen_by, cell)
                upstream_s = noticed.last() - at
            elif prepared.is_gone is not None:
                await self._until(prepared.is_gone, cell)
            await self._until(lambda: telemetry.in_flight == prepared.others, cell)
            gateway_s = trio.current_time() - at
        with_before = f"{cell}, with {before} before"
        await self._until(lambda: all(now <= was for now, was in zip(self._counts(), before, strict=True)), with_before)
        return Left(upstream_s, gateway_s)

    async def _send(self, cell: Cell, prepared: "_Prepared") -> trio.SocketStream:
        port = int(self.house.url.rpartition(":")[2])
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(request_of(cell, prepared.model, is_partial=prepared.is_partial))
        return stream

    async def _until(self, condition: Callable[[], bool], cell: object) -> None:
        with trio.move_on_after(PATIENCE_S) as scope:
            while not condition():  # noqa: ASYNC110
                await trio.sleep(0.0005)
        assert not scope.cancelled_caught, f"{cell}: {self._counts()}"

    def _counts(self) -> tuple[int, ...]:
        """What there must not be more of afterwards."""
        gateway = self.house.gateway
        transport = gateway.transport.statistics()
        tallies = [provider.tally for provider in gateway.simulated.values()]
        # A connection that waits for the next request has a task and two sockets: both ends are in this process.
        kept = sum(tally.open_connections for tally in tallies)
        targets = gateway.current.targets.known()
        return (
            gateway.telemetry.in_flight,
            gateway.current.api.flights,
            transport.active,
            transport.waiting,
            sum(tally.open_requests for tally in tallies),
            sum(target.in_flight for target in targets),
            sum(target.breaker.is_probing for target in targets),
            trio.lowlevel.current_statistics().tasks_living - kept,
            len(os.listdir("/proc/self/fd")) - 2 * kept,
        )

    def name(self, provider: str) -> str:
        """A model that nobody has asked for yet, so that no breaker knows it."""
        return f"{provider}/m{self._number}"


@dataclass(slots=True)
class _Prepared:
    """How to tell that the phase is reached. `seen_by` is how many upstreams must see that they are left, `others` how
    many requests are under way beside the one of the cell."""

    model: str
    is_reached: Callable[[], bool]
    seen_by: int = 0
    is_gone: Callable[[], bool] | None = None
    is_partial: bool = False
    others: int = 0


class _Noticed:
    """Counts the upstreams that see that they are left."""

    def __init__(self, house: House) -> None:
        self._tallies = [provider.tally for provider in house.gateway.simulated.values()]
        self._before = sum(tally.left for tally in self._tallies)

    def count(self) -> int:
        return sum(tally.left for tally in self._tallies) - self._before

    def last(self) -> float:
        return max(tally.left_at[-1] for tally in self._tallies if tally.left_at)


async def _body(matrix: Matrix, cell: Cell, stack: AsyncExitStack) -> _Prepared:
    """The gateway waits for the rest of the request."""
    telemetry = matrix.house.gateway.telemetry
    before = telemetry.in_flight
    return _Prepared(matrix.name("simulated"), lambda: telemetry.in_flight > before, is_partial=True)


async def _admission(matrix: Matrix, cell: Cell, stack: AsyncExitStack) -> _Prepared:
    """Its key's limits are asked for, and Redis does not answer."""
    limits = matrix.house.gateway.ctx.redis
    await matrix._until(lambda: limits.statistics().in_flight == 0, cell)
    matrix.redis.execute_command("CLIENT", "PAUSE", "60000", "WRITE")
    stack.callback(matrix.redis.execute_command, "CLIENT", "UNPAUSE")
    return _Prepared(matrix.name("simulated"), lambda: limits.statistics().in_flight > 0)


async def _connection(matrix: Matrix, cell: Cell, stack: AsyncExitStack) -> _Prepared:
    """The upstream's host does not take connections."""
    transport = matrix.house.gateway.transport
    before = transport.statistics().active
    return _Prepared(
        matrix.name("deaf"),
        lambda: transport.statistics().active > before,
        is_gone=lambda: transport.statistics().active == before,
    )


async def _handshake(matrix: Matrix, cell: Cell, stack: AsyncExitStack) -> _Prepared:
    """The upstream takes the connection and says nothing to the TLS handshake."""
    mute, before = matrix.mute, matrix.mute.closed
    return _Prepared(matrix.name("mute"), lambda: mute.open > 0, is_gone=lambda: mute.closed > before)


async def _headers(matrix: Matrix, cell: Cell, stack: AsyncExitStack) -> _Prepared:
    """The upstream has the request, and has not begun to answer."""
    return _at_upstream(matrix, stack, Fault(kind="hang", duration=600))


async def _first_token(matrix: Matrix, cell: Cell, stack: AsyncExitStack) -> _Prepared:
    """Headers are there, and no token yet."""
    prepared = _at_upstream(matrix, stack, Fault())
    matrix.house.primary.first_token_s = 600.0
    stack.callback(setattr, matrix.house.primary, "first_token_s", 0.0)
    return prepared


async def _middle(matrix: Matrix, cell: Cell, stack: AsyncExitStack) -> _Prepared:
    """Some tokens have come."""
    return _at_upstream(matrix, stack, Fault(kind="stall", after_tokens=1, duration=600))


async def _retry(matrix: Matrix, cell: Cell, stack: AsyncExitStack) -> _Prepared:
    """The upstream has refused, and the next attempt is waited for."""
    prepared = _at_upstream(matrix, stack, Fault(kind="rate_limit", retry_after=20.0, duration=600))
    targets = matrix.house.gateway.current.targets
    prepared.is_reached = lambda: any(target.failures for target in targets.known() if target.name == prepared.model)
    prepared.seen_by = 0
    return prepared


async def _hedged(matrix: Matrix, cell: Cell, stack: AsyncExitStack) -> _Prepared:
    """Two upstreams have been asked, neither has answered."""
    both = matrix.house.primary, matrix.house.gateway.simulated["proof-primary"]
    before = [provider.tally.requests for provider in both]
    for provider in both:
        provider.break_with(Fault(kind="hang", duration=600))
        stack.callback(provider.heal)

    def is_reached() -> bool:
        return all(provider.tally.requests > count for provider, count in zip(both, before, strict=True))

    return _Prepared("pair", is_reached, seen_by=2)


async def _joined(matrix: Matrix, cell: Cell, stack: AsyncExitStack) -> _Prepared:
    """It reads the answer of a call that another client's request has begun; that one goes on, and is left later."""
    house = matrix.house
    prepared = _at_upstream(matrix, stack, Fault(kind="hang", duration=600))
    noticed = _Noticed(house)
    leader = await matrix._send(cell, prepared)
    await matrix._until(prepared.is_reached, cell)
    [flight] = house.gateway.current.api.delivery.flights.values()

    async def leader_leaves() -> None:
        assert noticed.count() == 0, "the call ended with one of its readers"
        await leader.aclose()
        await matrix._until(lambda: noticed.count() == 1, cell)

    # Left before the fault is over, which would end the call by itself.
    stack.push_async_callback(leader_leaves)
    return _Prepared(
        prepared.model,
        lambda: len(flight.subscribers) == 2,
        is_gone=lambda: len(flight.subscribers) == 1,
        others=1,
    )


def _at_upstream(matrix: Matrix, stack: AsyncExitStack, fault: Fault) -> _Prepared:
    primary = matrix.house.primary
    before = primary.tally.requests
    primary.break_with(fault)
    stack.callback(primary.heal)
    return _Prepared(matrix.name("simulated"), lambda: primary.tally.requests > before, seen_by=1)


_PHASES: Final = {
    "reading the body": _body,
    "admission": _admission,
    "connecting": _connection,
    "handshake": _handshake,
    "headers": _headers,
    "first_token": _first_token,
    "middle": _middle,
    "retry": _retry,
    "hedged": _hedged,
    "joined": _joined,
}
PHASES: Final = tuple(_PHASES)


def request_of(cell: Cell, model: str, *, is_partial: bool) -> bytes:
    """The bytes of a cell's request, or of its beginning."""
    if cell.path == "/v1/audio/transcriptions":
        kind, content = "multipart/form-data; boundary=edge", FORM % model.encode()
    else:
        body = BODIES[cell.path] | {"model": model} | ({"stream": True} if cell.stream else {})
        kind, content = "application/json", to_json(body if cell.shared else body | HOT)
    head = (
        f"POST {cell.path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer a-key\r\n"
        f"content-type: {kind}\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    return head.encode() + (content[: len(content) // 2] if is_partial else content)


class _Mute:
    """Takes connections, and only notices when they are closed."""

    def __init__(self) -> None:
        self.open = self.closed = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        self.open += 1
        async with stream:
            while await stream.receive_some():
                pass
        self.open -= 1
        self.closed += 1


@contextmanager
def deaf_address() -> Iterator[str]:
    """An address whose queue of connections is full, so that the kernel answers no further one."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(address)
            yield f"127.0.0.1:{address[1]}"
        finally:
            for filler in fillers:
                filler.close()


@asynccontextmanager
async def open_matrix(data_dir: Path, redis_url: str) -> AsyncIterator[Matrix]:
    """A host for the cells, on this Redis."""
    (data_dir / "key").write_text("a-key")
    key = {"key": {"file": str(data_dir / "key")}, "requests_per_minute": 10**9}
    mute = _Mute()
    with deaf_address() as deaf:
        async with trio.open_nursery() as nursery:
            [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, mute.serve, [listener])
            port = listener.socket.getsockname()[1]
            config = {
                "use_redis": True,
                "limits": {"redis_timeout": 10.0},
                "virtual_keys": {"alice": key},
                "providers": {
                    "deaf": {"base_url": f"http://{deaf}/v1"},
                    "mute": {"base_url": f"https://127.0.0.1:{port}/v1"},
                },
                "models": {"pair": {"targets": ["simulated/pair", "proof-primary/pair"], "hedge": True}},
                "hedge": {"after": 0.005, "budget_ratio": 1.0},
                "clocks": {"connect": 600.0, "first_token": 600.0},
                "retries": {"patience": 60.0},
            }
            async with open_house(data_dir, redis_url=redis_url, **config) as house:
                matrix = Matrix(house, redis_url, mute)
                try:
                    yield matrix
                finally:
                    matrix.redis.close()
            nursery.cancel_scope.cancel()
