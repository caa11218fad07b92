"""The clocks of an outgoing request, and the errors they raise.

httpx knows four time-outs: `connect`, `read`, `write` and `pool`. A caller that streams needs to tell apart a server
that never begins from one that stalls, and to bound the whole, so there are three more keys in the same place,
`request.extensions["timeout"]`: `first_byte`, `between_chunks` and `total`. Every time-out is one of httpx's own
exceptions; `clock_of` names the clock behind it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import trio

# A client uses a handful of different settings; beyond this many the table of resolved ones starts anew.
_RESOLVED_MAX = 256


@dataclass(frozen=True, slots=True)
class Clocks:
    """How long each phase of a request may take, in seconds. None means no limit of its own.

    `pool_s`: waiting in the queue for a connection. `connect_s`: name lookup, TCP and TLS together. `write_s`: between
    two moments at which the peer takes bytes. `first_byte_s`: from the request's last byte to the end of the response's
    header section. `between_chunks_s`: between two arrivals of body bytes. `total_s`: from the call of the transport to
    the last byte of the body, for each request that is sent (a redirect starts it again).
    """

    connect_s: float | None = None
    write_s: float | None = None
    first_byte_s: float | None = None
    between_chunks_s: float | None = None
    pool_s: float | None = None
    total_s: float | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:
            seconds = getattr(self, name)
            assert seconds is None or seconds >= 0, f"{name} is {seconds}: a clock runs for 0 s or more"

    def merged(self, timeout: Mapping[str, float | None]) -> "Clocks":
        """These clocks with those of a request over them.

        A key that is there and not None wins. httpx's `read` is a limit for both `first_byte` and `between_chunks`
        where the request does not give them itself; the tighter of `read` and the clock set here holds.
        """
        read = timeout.get("read")
        return Clocks(
            connect_s=_given(timeout.get("connect"), self.connect_s),
            write_s=_given(timeout.get("write"), self.write_s),
            first_byte_s=_given(timeout.get("first_byte"), _tighter(read, self.first_byte_s)),
            between_chunks_s=_given(timeout.get("between_chunks"), _tighter(read, self.between_chunks_s)),
            pool_s=_given(timeout.get("pool"), self.pool_s),
            total_s=_given(timeout.get("total"), self.total_s),
        )


class ClockTable:
    """Resolves a request's `timeout` extension against the transport's clocks; remembers what it has resolved."""

    __slots__ = ("_base", "_resolved")

    def __init__(self, base: Clocks) -> None:
        self._base = base
        self._resolved: dict[tuple[tuple[str, float | None], ...], Clocks] = {}

    def resolve(self, timeout: Mapping[str, float | None] | None) -> Clocks:
        """The clocks for a request with this extension."""
        if not timeout:
            return self._base
        key = tuple(timeout.items())
        clocks = self._resolved.get(key)
        if clocks is None:
            if len(self._resolved) >= _RESOLVED_MAX:
                self._resolved.clear()
            clocks = self._resolved[key] = self._base.merged(timeout)
        return clocks


class Timer:
    """The clocks of one exchange, with its total already running.

    `total_at` is the moment on Trio's clock at which the total ends, `clocks.total_s` from now unless it is given. It
    may be moved while the exchange goes on; a wait that has begun keeps the one it began with.
    """

    __slots__ = ("clocks", "total_at")

    def __init__(self, clocks: Clocks, total_at: float | None = None) -> None:
        self.clocks = clocks
        if total_at is None:
            total_at = math.inf if clocks.total_s is None else trio.current_time() + clocks.total_s
        self.total_at = total_at

    def deadline(self, seconds: float | None) -> float:
        """The moment, on Trio's clock, at which a phase of `seconds` that begins now must end."""
        if seconds is None:
            return self.total_at
        return min(trio.current_time() + seconds, self.total_at)

    def expired(
        self, kind: type[httpx.TimeoutException], clock: str, seconds: float | None, doing: str
    ) -> httpx.TimeoutException:
        """The error for a phase that ended at its deadline; the total is named when it was the one to end it."""
        if seconds is None or trio.current_time() >= self.total_at:
            clock, seconds = "total", self.clocks.total_s
        error = kind(f"{clock}{'' if seconds is None else f' = {seconds:g} s'} passed while {doing}")
        error.clock = clock  # type: ignore[attr-defined]  # httpx's classes stay as they are; read it with `clock_of`
        return error


def clock_of(error: BaseException) -> str | None:
    """Which clock raised this time-out: connect, write, first_byte, between_chunks, pool or total; None for others."""
    clock: Any = getattr(error, "clock", None)
    return clock if isinstance(clock, str) else None


def _given(wanted: float | None, otherwise: float | None) -> float | None:
    return otherwise if wanted is None else wanted


def _tighter(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)
