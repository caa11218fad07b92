"""The pool: which request may use which connection, and who waits. Synchronous but for the wait itself.

Invariants, whatever is cancelled when:
- a connection holds one slot from `acquire` (or its opening) until `discard`; slots never exceed the limits;
- while somebody waits there is neither a free slot nor an idle connection that it could have;
- waiters of one origin are served in the order they came, and between origins the longest waiting goes first.

The connection used last is lent first (LIFO), so that those not needed grow old and are closed.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import httpx
import outcome
import trio

from host.http.client_connect import Origin


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """The limits of a transport. A request that finds the queue full fails with `httpx.PoolTimeout` at once.

    `idle_s`: how long a connection may lie idle; a server's `Keep-Alive: timeout` shortens it.
    `header_bytes_max`: of one response's header section, informational responses before it included.
    """

    connections_max: int = 100
    connections_per_origin_max: int = 100
    idle_max: int = 100
    idle_s: float = 30.0
    waiters_max: int = 10_000
    header_bytes_max: int = 65536

    def __post_init__(self) -> None:
        for name in self.__slots__:
            assert getattr(self, name) >= 0, f"{name} is {getattr(self, name)}: it cannot be negative"
        assert self.connections_max > 0, "a pool without connections serves nobody"
        assert self.connections_per_origin_max > 0, "an origin without connections serves nobody"


class Pooled(Protocol):
    """What the pool knows of a connection."""

    origin: Origin
    expires_at: float

    def is_dead(self) -> bool:
        """Whether an idle connection can no longer be used."""

    def close(self) -> None:
        """Close at once, without telling the pool."""


C = TypeVar("C", bound=Pooled)
C_co = TypeVar("C_co", bound=Pooled, covariant=True)


class ConnectionFactory(Protocol[C_co]):
    """Makes a connection that is not yet open; must not block."""

    def __call__(self, origin: Origin) -> C_co: ...


class _Waiter(Generic[C]):
    __slots__ = ("arrival", "task")

    def __init__(self, task: trio.lowlevel.Task, arrival: int) -> None:
        self.task = task
        self.arrival = arrival


class _OriginState(Generic[C]):
    __slots__ = ("idle", "slots", "waiters")

    def __init__(self) -> None:
        self.slots = 0
        self.idle: OrderedDict[C, None] = OrderedDict()
        self.waiters: OrderedDict[_Waiter[C], None] = OrderedDict()


class Pool(Generic[C]):
    """Lends connections. Every method but `acquire` runs without a checkpoint."""

    def __init__(self, limits: PoolLimits, make: ConnectionFactory[C]) -> None:
        self._limits = limits
        self._make = make
        self._origins: dict[Origin, _OriginState[C]] = {}
        self._idle: OrderedDict[C, None] = OrderedDict()  # of all origins, the longest idle first
        self._lent: set[C] = set()
        self._waiting: dict[Origin, _OriginState[C]] = {}
        self._arrivals = 0
        self.waiting = 0
        self.is_closed = False
        self.reused_total = 0
        self.dead_total = 0
        self.expired_total = 0

    @property
    def open(self) -> int:
        """Slots in use, by connections lent (those being opened included) and idle."""
        return len(self._lent) + len(self._idle)

    @property
    def idle(self) -> int:
        """Connections that lie idle."""
        return len(self._idle)

    @property
    def origins(self) -> int:
        """Origins that have a connection or a waiter."""
        return len(self._origins)

    async def acquire(self, origin: Origin) -> C:
        """Lend a connection: an idle one, else a new one, else the next that comes free. The caller sets the deadline.

        The caller owns it from the moment of return, and gives it to exactly one of `release` and `discard`.

        Raises:
            httpx.PoolTimeout: The queue is full.
            httpx.ConnectError: The pool was closed.

        A cancellation while waiting leaves the queue as if this call had not been made. No checkpoint unless it waits.
        """
        connection = self.take(origin)
        return connection if connection is not None else await self._wait(origin)

    def take(self, origin: Origin) -> C | None:
        """Lend an idle or a new connection, or None when the caller has to wait for one.

        Raises:
            httpx.ConnectError: The pool was closed.
        """
        if self.is_closed:
            raise _closed()
        state = self._origins.get(origin)
        if state is None:
            state = self._origins[origin] = _OriginState()
        # Where others wait there is nothing to have (see above), so nobody overtakes them here.
        if state.idle and (connection := self._take_idle(state)) is not None:
            return connection
        if state.slots >= self._limits.connections_per_origin_max:
            return None
        if self.open >= self._limits.connections_max:
            if not self._idle:
                return None
            self._drop_idle(next(iter(self._idle)))
        return self._add_slot(origin, state)

    def release(self, connection: C, idle_s: float | None = None) -> None:
        """Take back a connection that can serve again. `idle_s`: a limit shorter than the pool's, set by the server."""
        origin = connection.origin
        state = self._origins[origin]
        if self._waiting:
            waiter_origin = self._longest_waiting(freed=origin)
            if waiter_origin == origin:
                self._wake(state, origin, connection)
                return
            if waiter_origin is not None:
                connection.close()
                self.discard(connection)
                return
        self._lent.remove(connection)
        now = trio.current_time()
        limit = self._limits.idle_s if idle_s is None else min(self._limits.idle_s, idle_s)
        connection.expires_at = now + limit
        state.idle[connection] = None
        self._idle[connection] = None
        if self.is_closed or limit <= 0:
            self._drop_idle(connection)
            return
        if len(self._idle) > self._limits.idle_max:
            self._drop_idle(next(iter(self._idle)))
        self.close_expired(now)

    def discard(self, connection: C) -> None:
        """Take back the slot of a connection that is closed."""
        self._lent.remove(connection)
        self._give_back_slot(connection.origin)

    def close_expired(self, now: float) -> None:
        """Close the idle connections whose time is over. Happens by itself whenever a connection comes back."""
        while self._idle and (oldest := next(iter(self._idle))).expires_at <= now:
            self.expired_total += 1
            self._drop_idle(oldest)

    def close(self) -> None:
        """Close every connection, lent ones too, and send every waiter away with `httpx.ConnectError`."""
        self.is_closed = True
        for connection in list(self._idle):
            self._drop_idle(connection)
        for connection in list(self._lent):
            connection.close()  # its slot comes back when the exchange that has it fails
        for state in list(self._waiting.values()):
            for waiter in state.waiters:
                trio.lowlevel.reschedule(waiter.task, outcome.Error(_closed()))
            self.waiting -= len(state.waiters)
            state.waiters.clear()
        for origin in list(self._waiting):
            self._forget_if_unused(origin)
        self._waiting.clear()

    async def _wait(self, origin: Origin) -> C:
        if self.waiting >= self._limits.waiters_max:
            self._forget_if_unused(origin)
            raise httpx.PoolTimeout(f"{self.waiting} requests wait for a connection already (waiters_max)")
        state = self._origins[origin]
        self._arrivals += 1
        waiter: _Waiter[C] = _Waiter(trio.lowlevel.current_task(), self._arrivals)
        state.waiters[waiter] = None
        self._waiting[origin] = state
        self.waiting += 1

        def leave(_: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
            del state.waiters[waiter]
            self.waiting -= 1
            if not state.waiters:
                del self._waiting[origin]
                self._forget_if_unused(origin)
            return trio.lowlevel.Abort.SUCCEEDED

        # Once rescheduled the wait cannot be cancelled any more, so a connection handed over always arrives.
        connection: C = await trio.lowlevel.wait_task_rescheduled(leave)
        return connection

    def _wake(self, state: _OriginState[C], origin: Origin, connection: C) -> None:
        waiter, _ = state.waiters.popitem(last=False)
        self.waiting -= 1
        if not state.waiters:
            del self._waiting[origin]
        trio.lowlevel.reschedule(waiter.task, outcome.Value(connection))

    def _longest_waiting(self, freed: Origin) -> Origin | None:
        """The origin whose first waiter has waited longest among those that a slot given up by `freed` would serve."""
        best: Origin | None = None
        arrival = 0
        per_origin_max = self._limits.connections_per_origin_max
        for origin, state in self._waiting.items():
            if origin != freed and state.slots >= per_origin_max:
                continue  # its own limit holds it up, not the slot that this connection has
            first = next(iter(state.waiters)).arrival
            if best is None or first < arrival:
                best, arrival = origin, first
        return best

    def _take_idle(self, state: _OriginState[C]) -> C | None:
        now = trio.current_time()
        while state.idle:
            connection, _ = state.idle.popitem()
            del self._idle[connection]
            if connection.expires_at <= now:
                self.expired_total += 1
            elif connection.is_dead():
                self.dead_total += 1
            else:
                self._lent.add(connection)
                self.reused_total += 1
                return connection
            state.slots -= 1
            connection.close()
        return None

    def _drop_idle(self, connection: C) -> None:
        del self._idle[connection]
        del self._origins[connection.origin].idle[connection]
        connection.close()
        self._give_back_slot(connection.origin)

    def _add_slot(self, origin: Origin, state: _OriginState[C]) -> C:
        connection = self._make(origin)
        state.slots += 1
        self._lent.add(connection)
        return connection

    def _give_back_slot(self, origin: Origin) -> None:
        self._origins[origin].slots -= 1
        if self._waiting and not self.is_closed:
            waiter_origin = self._longest_waiting_for_slot()
            if waiter_origin is not None:
                state = self._waiting[waiter_origin]
                self._wake(state, waiter_origin, self._add_slot(waiter_origin, state))
        self._forget_if_unused(origin)

    def _longest_waiting_for_slot(self) -> Origin | None:
        if self.open >= self._limits.connections_max:
            return None
        able = [
            (next(iter(state.waiters)).arrival, origin)
            for origin, state in self._waiting.items()
            if state.slots < self._limits.connections_per_origin_max
        ]
        return min(able)[1] if able else None

    def _forget_if_unused(self, origin: Origin) -> None:
        state = self._origins.get(origin)
        if state is not None and not state.slots and not state.waiters:
            del self._origins[origin]


def _closed() -> httpx.ConnectError:
    return httpx.ConnectError("The transport is closed")
