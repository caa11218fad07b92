"""What becomes of seats, from every host to every host: a short stream in Redis for each event.

Hosts append what they grant, take back and sell, gathered for a moment; each entry says how seats stand, not how they
changed, so reading one twice does no harm. Holds that lapse are looked at when their time is over. All of it is for
the map: when Redis is away the map is late, and no sale is.
"""

import heapq
from typing import TYPE_CHECKING, Final, NamedTuple

import trio
from redis.exceptions import RedisError

from host.api import OutcomeUnknown, ServiceUnavailable
from plugins.frontrow.core.house import FREE, HELD, STATE_LETTERS
from plugins.frontrow.holds import HoldDesk

if TYPE_CHECKING:
    from host.api import Redis

INTERVAL_S: Final = 0.05
ENTRIES_MAX: Final = 5000
"""About how many entries a stream keeps: who comes back later gets the whole map."""
LAPSES_MAX: Final = 200_000
"""Holds whose end is waited for; of more, the map learns when it is read anew."""
MARGIN_S: Final = 0.2
_OF_AREAS: Final = ("a", "1")
"""The field of an entry that says so of areas; a host that does not know it passes over it."""

AWAY: Final = (ServiceUnavailable, OutcomeUnknown, RedisError)


class Entry(NamedTuple):
    """How seats (by position) stand, and whether the places of areas have changed: how many are left is to be read."""

    id: str
    states: dict[int, int]
    is_of_areas: bool


class MapFeed:
    """Writes and reads the streams. `run` must be running for anything to be written."""

    def __init__(self, redis: "Redis", namespace: str, holds: HoldDesk) -> None:
        self._redis = redis
        self._namespace = namespace
        self._holds = holds
        self._pending: dict[int, dict[int, int]] = {}
        self._areas_of: set[int] = set()
        self._lapses: list[tuple[float, int, tuple[tuple[int, int], ...]]] = []

    def say(self, event_id: int, positions: tuple[int, ...], state: int) -> None:
        """Let everybody know how seats stand, in a moment. Never blocks; places of an area have no seats to tell of."""
        if not positions:
            return
        pending = self._pending.setdefault(event_id, {})
        for position in positions:
            pending[position] = state

    def say_areas(self, event_id: int) -> None:
        """Let everybody know that places of an event's areas were sold, or came back. Never blocks."""
        self._areas_of.add(event_id)

    def say_held(self, event_id: int, seats: tuple[tuple[int, int], ...], ttl_ms: int) -> None:
        """Let everybody know that seats, as (position, id), are held for so long, and later that they are not."""
        self.say(event_id, tuple(position for position, _ in seats), HELD)
        if len(self._lapses) < LAPSES_MAX:
            heapq.heappush(self._lapses, (trio.current_time() + ttl_ms / 1000 + MARGIN_S, event_id, seats))

    async def run(self) -> None:
        """Write what was said, until cancelled."""
        while True:
            await trio.sleep(INTERVAL_S)
            try:
                await self._look_at_lapsed()
                pending, self._pending = self._pending, {}
                areas_of, self._areas_of = self._areas_of, set()
                for event_id in {**pending, **dict.fromkeys(areas_of)}:
                    await self._append(event_id, pending.get(event_id, {}), is_of_areas=event_id in areas_of)
            except AWAY:
                # The map is read anew every so often, and catches up then.
                continue

    async def since(self, event_id: int, cursor: str) -> list[Entry]:
        """The entries after `cursor`. Raises one of `AWAY`."""
        found = await self._redis.execute_command("XRANGE", self._key(event_id), f"({cursor}", "+", "COUNT", 1000)
        return [_entry(_text(entry_id), fields) for entry_id, fields in found or ()]

    async def end(self, event_id: int) -> str:
        """The id of the newest entry, "0-0" when there is none. Raises one of `AWAY`."""
        found = await self._redis.execute_command("XREVRANGE", self._key(event_id), "+", "-", "COUNT", 1)
        return _text(found[0][0]) if found else "0-0"

    async def _append(self, event_id: int, states: dict[int, int], *, is_of_areas: bool = False) -> None:
        text = ",".join(f"{position}{STATE_LETTERS[state]}" for position, state in states.items())
        key = self._key(event_id)
        await self._redis.execute_command(
            "XADD", key, "MAXLEN", "~", ENTRIES_MAX, "*", "s", text, *(_OF_AREAS if is_of_areas else ())
        )

    async def _look_at_lapsed(self) -> None:
        now = trio.current_time()
        while self._lapses and self._lapses[0][0] <= now:
            _, event_id, seats = heapq.heappop(self._lapses)
            held = await self._holds.held_among(event_id, [seat for _, seat in seats])
            lapsed = tuple(position for (position, _), is_held in zip(seats, held, strict=True) if not is_held)
            if lapsed:
                self.say(event_id, lapsed, FREE)

    def _key(self, event_id: int) -> str:
        return f"frontrow:{self._namespace}:{{{event_id}}}:map"


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _entry(entry_id: str, fields: dict[bytes, bytes] | list[bytes]) -> Entry:
    told = fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))
    parts = told[b"s"].decode().split(",")
    states = {int(part[:-1]): STATE_LETTERS.index(part[-1]) for part in parts if part}
    return Entry(entry_id, states, b"a" in told)
