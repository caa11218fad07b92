"""The live map: one reader an event and host, and any number of watchers who are sent the same bytes.

What the reader sees becomes a frame with a version that only grows. A watcher gets the whole map, then frames; one that
comes back says which version it saw last, and gets what it missed, or the whole map when that is too long ago. The
more watch, the rarer the frames: what watching costs stays a small share of the host, and the sale does not slow down.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import trio
from pydantic_core import to_json

from host.api import EventStream, OutcomeUnknown, ServiceUnavailable
from plugins.frontrow.core.house import SOLD, STATE_LETTERS
from plugins.frontrow.live_house import LiveHouse, LiveHouses
from plugins.frontrow.map_feed import AWAY, MapFeed

INTERVAL_S: Final = 0.1
WATCHER_COST_S: Final = 0.0006
"""Each watcher makes the frames this much rarer: a thousand get two a second, at about a tenth of a core."""
READ_S: Final = 10.0
"""How often a watched house is read anew, which finds what no host said."""
FRAMES_KEPT: Final = 256
WATCHERS_MAX: Final = 5000

Version = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Frame:
    """What changed between two versions, encoded once for all watchers."""

    after: Version
    version: Version
    body: bytes


@dataclass(slots=True, eq=False)
class Watched:
    """An event that somebody watches."""

    live: LiveHouse
    version: Version = (0, 0)
    cursor: str = "0-0"
    frames: deque[Frame] = field(default_factory=lambda: deque(maxlen=FRAMES_KEPT))
    changed: trio.Event = field(default_factory=trio.Event)
    watchers: int = 0
    idle: trio.Event = field(default_factory=trio.Event)


class LiveMaps:
    """Serves the maps. `run` must be running."""

    def __init__(self, houses: LiveHouses, feed: MapFeed) -> None:
        self._houses = houses
        self._feed = feed
        self._watched: dict[int, Watched] = {}
        self._nursery: trio.Nursery | None = None
        self.frames_total = 0

    @property
    def watchers(self) -> int:
        """How many watch now."""
        return sum(watched.watchers for watched in self._watched.values())

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read for whoever watches, until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    async def watch(self, event_id: int, stream: EventStream, last_seen: str) -> None:
        """Send the map and what becomes of it until the watcher leaves. The event must exist."""
        watched = await self._begin(event_id)
        watched.watchers += 1
        try:
            seen = parse_version(last_seen)
            if seen is None or not _can_resume(watched, seen):
                seen = watched.version
                await stream.send(_whole(watched), event="state", id=version_text(seen))
            while True:
                changed = watched.changed
                frames = [frame for frame in watched.frames if frame.version > seen]
                if frames and frames[0].after > seen:
                    # It reads so slowly that frames it has not seen are gone.
                    seen = watched.version
                    await stream.send(_whole(watched), event="state", id=version_text(seen))
                    continue
                for frame in frames:
                    await stream.send(frame.body, event="change", id=version_text(frame.version))
                    seen = frame.version
                if not frames:
                    await changed.wait()
        finally:
            watched.watchers -= 1
            if not watched.watchers:
                watched.idle.set()

    async def _begin(self, event_id: int) -> Watched:
        watched = self._watched.get(event_id)
        if watched is None:
            if self._nursery is None:
                raise ServiceUnavailable("the plugin is stopping")
            live = await self._houses.get(event_id)
            assert live is not None, "the route has looked"
            watched = self._watched.get(event_id)
            if watched is None:
                watched = self._watched[event_id] = Watched(live)
                await self._catch_up(watched)
                self._nursery.start_soon(self._read_on, watched)
        return watched

    async def _catch_up(self, watched: Watched) -> None:
        try:
            watched.cursor = await self._feed.end(watched.live.event.event_id)
        except AWAY:
            watched.cursor = "0-0"
        watched.version = max(parse_version(watched.cursor) or (0, 0), (watched.version[0], watched.version[1] + 1))

    async def _read_on(self, watched: Watched) -> None:
        """Read until nobody watches any more."""
        event_id = watched.live.event.event_id
        read_at = trio.current_time()
        while watched.watchers or not watched.idle.is_set():
            await trio.sleep(max(INTERVAL_S, watched.watchers * WATCHER_COST_S))
            changes: dict[int, int] = {}
            try:
                for entry_id, states in await self._feed.since(event_id, watched.cursor):
                    watched.cursor = entry_id
                    changes |= states
            except AWAY:
                pass
            self._apply(watched, changes)
            if trio.current_time() - read_at > READ_S:
                read_at = trio.current_time()
                await self._read_anew(watched)
        self._watched.pop(event_id, None)

    async def _read_anew(self, watched: Watched) -> None:
        """Compare with the truth; what nobody said is said now, to the watchers of all hosts."""
        event_id = watched.live.event.event_id
        try:
            changes = dict(await self._houses.read(watched.live))
            end = await self._feed.end(event_id)
        except (*AWAY, OutcomeUnknown):
            return
        if (parse_version(end) or (0, 0)) < (parse_version(watched.cursor) or (0, 0)):
            # The stream began anew: Redis was emptied, or its clock went back.
            watched.cursor = "0-0"
        self._frame(watched, changes)

    def _apply(self, watched: Watched, changes: Mapping[int, int]) -> None:
        seats = watched.live.availability
        for position, state in changes.items():
            if 0 <= position < len(seats.states):
                seats.set(position, state)
        self._frame(watched, changes)

    def _frame(self, watched: Watched, changes: Mapping[int, int]) -> None:
        if not changes:
            return
        after = watched.version
        watched.version = max(parse_version(watched.cursor) or (0, 0), (after[0], after[1] + 1))
        document = {
            "version": version_text(watched.version),
            "seats": [[position, STATE_LETTERS[state]] for position, state in changes.items()],
            "sold": sum(state == SOLD for state in changes.values()),
        }
        watched.frames.append(Frame(after, watched.version, to_json(document)))
        watched.changed.set()
        watched.changed = trio.Event()
        self.frames_total += 1


def version_text(version: Version) -> str:
    """A version as it is told."""
    return f"{version[0]}-{version[1]}"


def parse_version(text: str) -> Version | None:
    """A version that was told, None when it is none."""
    major, dash, minor = text.partition("-")
    is_version = dash and major.isascii() and major.isdecimal() and minor.isascii() and minor.isdecimal()
    return (int(major), int(minor)) if is_version and len(text) < 40 else None


def _can_resume(watched: Watched, seen: Version) -> bool:
    """Whether all that came after `seen` is still here."""
    if seen == watched.version:
        return True
    return bool(watched.frames) and watched.frames[0].after <= seen < watched.version


def _whole(watched: Watched) -> dict[str, Any]:
    live = watched.live
    areas = [
        {"id": area.id, "capacity": area.capacity, "free": area.capacity - live.areas_sold.get(area.id, 0)}
        for area in live.event.areas
    ]
    return {"version": version_text(watched.version), "seats": live.availability.letters(), "areas": areas}
