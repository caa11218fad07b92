"""How psycopg's protocol generators wait on Trio: the parts of `TrioConnection` that know sockets and names.

A generator yields which readiness it needs and is sent the one there is. Those that connect also yield the descriptor,
which may change between addresses.
"""

import random
import select
import selectors
import socket
from typing import TypeVar

import psycopg
import trio
from psycopg._conninfo_utils import get_param, get_param_def, is_ip_address, split_attempts
from psycopg.abc import ConnDict, ConnMapping, PQGenConn
from psycopg.waiting import Ready, Wait

RV = TypeVar("RV")

BUSY_MAX_S = 0.005
"""How long a generator that never has to wait may keep the loop to itself: psycopg's own MAX_BUSY_TIME."""

_POLL_MASKS = {
    Wait.R: select.POLLIN,
    Wait.W: select.POLLOUT,
    Wait.RW: select.POLLIN | select.POLLOUT,
}


class ConnectionLock:
    """Keeps one task at a time on a connection. Uncontended it costs no checkpoint, so clean-up under a cancelled
    scope always gets through; waiting for it is a checkpoint, in FIFO order."""

    __slots__ = ("_locked", "_waiting")

    def __init__(self) -> None:
        self._locked = False
        self._waiting = trio.lowlevel.ParkingLot()

    def locked(self) -> bool:
        """Whether a task holds it."""
        return self._locked

    async def __aenter__(self) -> None:
        if self._locked:
            await self._waiting.park()
        else:
            self._locked = True

    async def __aexit__(self, *exc_info: object) -> None:
        if self._waiting:
            self._waiting.unpark()
        else:
            self._locked = False


class SocketWaiter:
    """Waits for the readiness of one connection's socket; `close` wakes whoever waits."""

    __slots__ = ("_both", "_yield_at_s", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._both: int | None = None
        self._yield_at_s = 0.0

    async def ready(self, want: Wait) -> Ready:
        """Wait until the socket is ready for some of `want`, and say for which.

        Raises:
            trio.ClosedResourceError: the connection was closed meanwhile, by another task.
        """
        if want == Wait.R:
            await trio.lowlevel.wait_readable(self.fd)
            return Ready.R
        # A socket is nearly always writable: pipelines and COPY would pay a turn of the loop for each message.
        await self.take_turns()
        if ready := poll_now(self.fd, want):
            return ready
        if want == Wait.W:
            await trio.lowlevel.wait_writable(self.fd)
            return Ready.W
        return await self._ready_for_either()

    async def take_turns(self, *, cancellable: bool = True) -> None:
        """Let other tasks run when this one has kept the loop for `BUSY_MAX_S`; a checkpoint only then."""
        if trio.current_time() >= self._yield_at_s:
            if cancellable:
                await trio.lowlevel.checkpoint()
            else:
                await trio.lowlevel.cancel_shielded_checkpoint()
            self._yield_at_s = trio.current_time() + BUSY_MAX_S

    def close(self) -> None:
        """Wake the waiting tasks; must come just before the descriptor is closed, which may then be given away."""
        trio.lowlevel.notify_closing(self.fd)
        if self._both is not None:
            trio.lowlevel.notify_closing(self._both)

    async def _ready_for_either(self) -> Ready:
        # A selector is readable when what it watches is ready: one task can wait for both, without a nursery.
        with selectors.DefaultSelector() as both:
            both.register(self.fd, selectors.EVENT_READ | selectors.EVENT_WRITE)
            self._both = both.fileno()
            try:
                await trio.lowlevel.wait_readable(both.fileno())
            finally:
                self._both = None
        return poll_now(self.fd, Wait.RW)


def poll_now(fd: int, want: Wait) -> Ready:
    """The readiness of the socket at this moment."""
    poll = select.poll()
    poll.register(fd, _POLL_MASKS[want])
    ready = 0
    for _, events in poll.poll(0):
        # An error or a hang-up is news for whoever waits, in either direction.
        failed = events & ~(select.POLLIN | select.POLLOUT)
        if want & Wait.R and (failed or events & select.POLLIN):
            ready |= Ready.R
        if want & Wait.W and (failed or events & select.POLLOUT):
            ready |= Ready.W
    return Ready(ready)


async def drive_connecting(gen: PQGenConn[RV]) -> RV:
    """Run a generator that connects (also to cancel a query). Cancelled, the half-made connection is closed."""
    try:
        fd, want = next(gen)
        while True:
            if want == Wait.R:
                await trio.lowlevel.wait_readable(fd)
                fd, want = gen.send(Ready.R)
            else:
                await trio.lowlevel.wait_writable(fd)
                fd, want = gen.send(Ready.W)
    except StopIteration as stop:
        value: RV = stop.value
        return value
    except OSError as error:
        raise psycopg.OperationalError(f"the socket was lost while connecting: {error}") from error
    finally:
        gen.close()


async def connection_attempts(params: ConnMapping) -> list[ConnDict]:
    """The parameters of each attempt to connect, one per address, host names resolved by `trio.socket`.

    Addresses and the directories of unix sockets need no look-up. The same as psycopg's `conninfo_attempts_async`,
    which resolves on asyncio.

    Raises:
        psycopg.OperationalError: no host could be resolved.
    """
    prefer_standby = get_param(params, "target_session_attrs") == "prefer-standby"
    if prefer_standby:
        params = {key: value for key, value in params.items() if key != "target_session_attrs"}
    attempts: list[ConnDict] = []
    failed: psycopg.OperationalError | None = None
    for attempt in split_attempts(params):
        try:
            attempts += [
                attempt | {"hostaddr": address} if address else attempt for address in await _addresses(attempt)
            ]
        except OSError as error:
            failed = psycopg.OperationalError(f"cannot resolve host {attempt.get('host')!r}: {error}")
    if not attempts:
        assert failed is not None
        raise failed
    if get_param(params, "load_balance_hosts") == "random":
        random.shuffle(attempts)
    if prefer_standby:
        attempts = [attempt | {"target_session_attrs": "standby"} for attempt in attempts] + attempts
    return attempts


async def _addresses(attempt: ConnDict) -> list[str]:
    """The addresses to try; an empty string when libpq needs no look-up."""
    host = get_param(attempt, "host")
    if not host or host.startswith(("/", "@")) or get_param(attempt, "hostaddr"):
        return [""]
    if is_ip_address(host):
        return [host]
    default = get_param_def("port")
    port = get_param(attempt, "port") or (default and default.compiled) or "5432"
    found = await trio.socket.getaddrinfo(host, port, proto=socket.IPPROTO_TCP, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]
