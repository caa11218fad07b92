"""The cache: answers in memory and, when the host has a shared one, in Redis.

Redis is asked only after a miss in memory, and its absence costs nothing but the miss. An entry that comes from there
is kept in memory too, for the rest of its life there.
"""

import time
from typing import TYPE_CHECKING, Any, Final

import structlog
import trio

from host.api import OutcomeUnknown, ServiceUnavailable
from plugins.gateway.calls import Outcome
from plugins.gateway.core.lru import LruCache
from plugins.gateway.entries import Entry
from plugins.gateway.flights import Flight
from plugins.gateway.settings import CacheSettings

if TYPE_CHECKING:
    from host.api import Redis

REDIS_TIMEOUT_S: Final = 0.1
"""What is not there by then is not worth waiting for: the upstream is asked."""
WRITES_WAITING_MAX: Final = 1000
_PREFIX: Final = b"quartet:gateway:answer:1:"

log: structlog.stdlib.BoundLogger = structlog.get_logger("plugin.gateway")


class Store:
    """Finds and keeps answers. `run` writes to Redis, and must run when there is one."""

    def __init__(self, settings: CacheSettings, redis: "Redis | None", simulated: frozenset[str]) -> None:
        self.memory: LruCache[Entry] = LruCache(settings.bytes_max)
        self.redis_failures = 0
        self._redis = redis
        self._simulated = simulated
        self._ttl_ms = 0
        self.configure(settings)
        self._to_write, self._writes = trio.open_memory_channel[tuple[bytes, bytes]](WRITES_WAITING_MAX)

    def configure(self, settings: CacheSettings) -> None:
        """Go by these settings from now on; what is kept already is kept as long as it was to be."""
        self._ttl_ms = round(settings.ttl * 1000)
        self.memory.resize(settings.bytes_max)

    def get(self, key: bytes, now_ms: int, age_ms_max: int | None) -> tuple[Entry, int] | None:
        """The answer and its age in milliseconds, out of memory."""
        return self.memory.get(key, now_ms, age_ms_max=age_ms_max)

    async def find(self, key: bytes, now_ms: int, age_ms_max: int | None) -> tuple[Entry, int] | None:
        """The same, and then out of Redis."""
        found = self.get(key, now_ms, age_ms_max)
        if found is not None or self._redis is None:
            return found
        value: Any = None
        try:
            with trio.move_on_after(REDIS_TIMEOUT_S):
                value = await self._redis.get(_PREFIX + key)
        except (ServiceUnavailable, OutcomeUnknown):
            self.redis_failures += 1
        if value is None:
            return None
        stored_unix_ms, _, packed = value.partition(b"\n")
        try:
            entry, age_ms = Entry.unpack(packed), max(0, _unix_ms() - int(stored_unix_ms))
        except ValueError:
            log.warning("an entry of the shared cache cannot be read")
            return None
        self.memory.put(key, entry, entry.size_bytes, now_ms - age_ms, self._ttl_ms)
        return None if age_ms_max is not None and age_ms > age_ms_max else (entry, age_ms)

    def keep(self, flight: Flight, outcome: Outcome) -> None:
        """Keep the answer of a flight, when it is one to keep."""
        entry = flight.entry
        if entry is None or not outcome.is_final or not flight.is_whole:
            return
        self.memory.put(flight.key, entry, entry.size_bytes, _now_ms(), self._ttl_ms)
        if self._redis is not None:
            try:
                self._to_write.send_nowait((flight.key, b"%d\n" % _unix_ms() + entry.pack()))
            except trio.WouldBlock:
                self.redis_failures += 1

    async def run(self) -> None:
        """Write to Redis what was kept, for ever; what it does not take is in memory all the same."""
        async for key, value in self._writes:
            assert self._redis is not None
            try:
                await self._redis.set(_PREFIX + key, value, px=self._ttl_ms)
            except (ServiceUnavailable, OutcomeUnknown):
                self.redis_failures += 1

    def headers_of(self, entry: Entry) -> tuple[tuple[bytes, bytes], ...]:
        """What our headers say of an answer out of the cache."""
        if not entry.headers:
            simulated = ((b"x-quartet-simulated", b"true"),) if entry.provider in self._simulated else ()
            entry.headers = (
                (b"x-quartet-provider", entry.provider.encode()),
                (b"x-quartet-model", entry.model.encode("ascii", "replace")),
                (b"x-quartet-cache", b"hit"),
                (b"x-quartet-attempts", b"0"),
                *simulated,
            )
        return entry.headers


def _now_ms() -> int:
    return int(trio.current_time() * 1000)


def _unix_ms() -> int:
    return time.time_ns() // 1_000_000
