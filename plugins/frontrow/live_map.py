"""The live map: one reader an event and host, and any number of watchers who are sent the same bytes.

What the reader sees becomes a frame with a version that only grows, encoded once. A watcher gets the whole map, then
frames; one that comes back says which version it saw last, and gets what it missed. Nothing is queued for a slow one:
what it missed meanwhile comes in one piece, or as the whole map once that is shorter. The more watch, the rarer the
frames, and they are woken in waves, between which requests are served: the sale does not slow down.
"""

from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import trio
from trio.lowlevel import Abort, RaiseCancelT, Task, current_task, reschedule, wait_task_rescheduled

from host.api import EventStream, OutcomeUnknown, encode_event
from plugins.frontrow.core.house import SOLD, STATE_LETTERS
from plugins.frontrow.live_house import LiveHouse, LiveHouses
from plugins.frontrow.map_feed import AWAY, MapFeed

INTERVAL_S: Final = 0.1
WATCHER_COST_S: Final = 0.0012
"""Each watcher makes the frames this much rarer: however many watch, it is some eight hundred deliveries a second, at
less than a twentieth of a core. Up to eighty watchers get ten frames a second, a thousand get five in six seconds."""
WAVE: Final = 32
"""Watchers woken at once: about a millisecond, in which nobody else is served."""
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
    event: bytes


@dataclass(slots=True, eq=False)
class Watched:
    """An event that somebody watches. `frames_made` counts all frames, of which the newest are kept."""

    live: LiveHouse
    version: Version = (0, 0)
    cursor: str = "0-0"
    frames: deque[Frame] = field(default_factory=lambda: deque(maxlen=FRAMES_KEPT))
    frames_made: int = 0
    watchers: int = 0
    idle: trio.Event = field(default_factory=trio.Event)
    free: dict[int, int] = field(default_factory=dict)
    """The places that each area had left when it was last told."""
    _whole: tuple[Version, bytes] = ((-1, -1), b"")
    _waiting: OrderedDict[Task, None] = field(default_factory=OrderedDict)

    def missed(self, seen: int) -> bytes:
        """What a watcher is sent that has seen so many frames; it is up to date then."""
        count = self.frames_made - seen
        if count == 1:
            return self.frames[-1].event
        events = [frame.event for frame in islice(self.frames, max(len(self.frames) - count, 0), None)]
        if count > len(self.frames) or sum(map(len, events)) > len(self.whole()):
            return self.whole()
        return b"".join(events)

    def frames_until(self, version: Version) -> int | None:
        """How many frames somebody has seen who saw this version last; None when what came after is not here."""
        if version == self.version:
            return self.frames_made
        if not self.frames or not self.frames[0].after <= version < self.version:
            return None
        return self.frames_made - sum(frame.version > version for frame in self.frames)

    def whole(self) -> bytes:
        """The whole map, encoded once for each version."""
        if self._whole[0] != self.version:
            live = self.live
            areas = [
                {"id": area.id, "capacity": area.capacity, "free": live.free_of(area)} for area in live.event.areas
            ]
            version = version_text(self.version)
            document = {"version": version, "seats": live.availability.letters(), "areas": areas}
            self._whole = self.version, encode_event(document, event="state", id=version)
        return self._whole[1]

    async def wait(self) -> None:
        """Wait until there may be frames that one has not seen."""
        task = current_task()
        self._waiting[task] = None

        def leave(_: RaiseCancelT) -> Abort:
            del self._waiting[task]
            return Abort.SUCCEEDED

        await wait_task_rescheduled(leave)

    async def wake(self) -> None:
        """Wake whoever waits, in waves."""
        for number in range(len(self._waiting)):
            if not self._waiting:
                return
            task, _ = self._waiting.popitem(last=False)
            reschedule(task)
            if number % WAVE == WAVE - 1:
                await trio.lowlevel.checkpoint()


class LiveMaps:
    """Serves the maps. `run` must be running."""

    def __init__(self, houses: LiveHouses, feed: MapFeed) -> None:
        self._houses = houses
        self._feed = feed
        self._watched: dict[int, Watched] = {}
        self._nursery: trio.Nursery | None = None

    @property
    def watchers(self) -> int:
        """How many watch now."""
        return sum(watched.watchers for watched in self._watched.values())

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read for whoever watches, until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                self._nursery = None

    async def watch(self, event_id: int, stream: EventStream, last_seen: str) -> None:
        """Send the map and what becomes of it until the watcher leaves, or the plugin ends. The event must exist."""
        watched = await self._begin(event_id)
        if watched is None:
            # The stream has begun: it ends, and the watcher comes back to whoever serves next.
            return
        watched.watchers += 1
        try:
            version = parse_version(last_seen)
            seen = None if version is None else watched.frames_until(version)
            if seen is None:
                seen = watched.frames_made
                await stream.send_encoded(watched.whole())
            while True:
                if seen == watched.frames_made:
                    await watched.wait()
                    continue
                events, seen = watched.missed(seen), watched.frames_made
                await stream.send_encoded(events)
        finally:
            watched.watchers -= 1
            if not watched.watchers:
                watched.idle.set()

    async def _begin(self, event_id: int) -> Watched | None:
        """The map, which is read from now on; None when the plugin ends."""
        watched = self._watched.get(event_id)
        if watched is None:
            live = await self._houses.get(event_id)
            assert live is not None, "the route has looked"
            watched = self._watched.get(event_id)
            if watched is None:
                live.found.clear()
                watched = self._watched[event_id] = Watched(live, free=live.free())
                await self._catch_up(watched)
                if self._nursery is not None:
                    self._nursery.start_soon(self._read_on, watched)
        return watched if self._nursery is not None else None

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
                entries = await self._feed.since(event_id, watched.cursor)
                for entry in entries:
                    watched.cursor = entry.id
                    changes |= entry.states
                if any(entry.is_of_areas for entry in entries):
                    await self._houses.read_areas(watched.live)
            except (*AWAY, OutcomeUnknown):
                pass
            self._apply(watched, changes)
            if trio.current_time() - read_at > READ_S:
                read_at = trio.current_time()
                await self._read_anew(watched)
            await watched.wake()
        self._watched.pop(event_id, None)

    async def _read_anew(self, watched: Watched) -> None:
        """Compare with the truth; what nobody said is said now, to the watchers of all hosts."""
        event_id = watched.live.event.event_id
        try:
            await self._houses.read(watched.live)
            end = await self._feed.end(event_id)
        except (*AWAY, OutcomeUnknown):
            return
        if (parse_version(end) or (0, 0)) < (parse_version(watched.cursor) or (0, 0)):
            # The stream began anew: Redis was emptied, or its clock went back.
            watched.cursor = "0-0"
        self._frame(watched, {})

    def _apply(self, watched: Watched, changes: Mapping[int, int]) -> None:
        seats = watched.live.availability
        for position, state in changes.items():
            if 0 <= position < len(seats.states):
                seats.set(position, state)
        self._frame(watched, changes)

    def _frame(self, watched: Watched, changes: Mapping[int, int]) -> None:
        live, free = watched.live, watched.live.free()
        if live.found:
            changes = {position: live.availability.states[position] for position in live.found} | dict(changes)
            live.found.clear()
        areas = [{"id": area, "free": left} for area, left in free.items() if watched.free.get(area) != left]
        if not changes and not areas:
            return
        watched.free = free
        after = watched.version
        watched.version = max(parse_version(watched.cursor) or (0, 0), (after[0], after[1] + 1))
        version = version_text(watched.version)
        document: dict[str, Any] = {
            "version": version,
            "seats": [[position, STATE_LETTERS[state]] for position, state in changes.items()],
            "sold": sum(state == SOLD for state in changes.values()),
        }
        if areas:
            document["areas"] = areas
        watched.frames.append(Frame(after, watched.version, encode_event(document, event="change", id=version)))
        watched.frames_made += 1


def version_text(version: Version) -> str:
    """A version as it is told."""
    return f"{version[0]}-{version[1]}"


def parse_version(text: str) -> Version | None:
    """A version that was told, None when it is none."""
    major, dash, minor = text.partition("-")
    is_version = dash and major.isascii() and major.isdecimal() and minor.isascii() and minor.isdecimal()
    return (int(major), int(minor)) if is_version and len(text) < 40 else None
