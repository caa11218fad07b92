"""The rooms that are open on this host, and the word between hosts: hints that are quick and may be lost.

A hint says that a room has new revisions; the database says which. Hosts that miss one ask by themselves once per
`poll_interval`. Presence between hosts has nothing but these messages, and is out of date for a moment when they are
lost.
"""

import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio

from host.api import OutcomeUnknown, Redis, ServiceUnavailable
from plugins.liveboard.access import ROOM_NAME
from plugins.liveboard.commits import WentBack
from plugins.liveboard.core.errors import CodecError
from plugins.liveboard.core.frames import ByeReason
from plugins.liveboard.fanout import Goodbye
from plugins.liveboard.room import REV, Room
from plugins.liveboard.settings import Settings
from plugins.liveboard.store import Store

CHANNEL: Final = "liveboard:"
HOST_BYTES: Final = 8
HINTS_MAX: Final = 4096
"""Hints that wait to be published; more are dropped, being hints."""
PUBLISH_TOGETHER: Final = 64
DOWN: Final = (ServiceUnavailable, OutcomeUnknown)


class RoomsFull(Exception):
    """There are `rooms_max` rooms."""


class NoRoom(Exception):
    """It is no name of a room."""


class Rooms:
    """All open rooms. `run` holds their tasks."""

    def __init__(self, store: Store, redis: Redis, settings: Settings, logger: Any) -> None:
        self.store = store
        self.settings = settings
        self.open: dict[str, Room] = {}
        self.host = secrets.token_bytes(HOST_BYTES)
        self.is_leaving = False
        self.hints_dropped = 0
        self.image_counts = Counter(images_kept=0, image_bytes=0, images_refused=0)
        self._past: Counter[str] = Counter()
        self._redis = redis
        self._logger = logger
        self._nursery: trio.Nursery | None = None
        self._opening: dict[str, trio.Lock] = {}
        self._hints, self._hints_out = trio.open_memory_channel[tuple[str, bytes]](HINTS_MAX)
        self._pubsub: Any = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hold the rooms, listen to other hosts and look after the idle, until cancelled."""
        async with self._redis.pubsub() as self._pubsub, trio.open_nursery() as self._nursery:
            self._nursery.start_soon(self._listen)
            self._nursery.start_soon(self._publish_hints)
            self._nursery.start_soon(self._poll)
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                self.is_leaving = True

    async def get(self, name: str) -> Room:
        """The room, opened on this host, and made when there is none.

        Raises:
            NoRoom, RoomsFull: it cannot be made.
            ServiceUnavailable, OutcomeUnknown: the database does not answer, or the rooms end meanwhile.
        """
        if not ROOM_NAME.fullmatch(name):
            raise NoRoom(name)
        room = self.open.get(name)
        if room is not None and not room.is_closed:
            return room
        lock = self._opening.setdefault(name, trio.Lock())
        try:
            async with lock:
                room = self.open.get(name)
                return room if room is not None and not room.is_closed else await self._load(name)
        finally:
            if not lock.statistics().tasks_waiting:
                self._opening.pop(name, None)

    def publish(self, room: str, kind: bytes, payload: bytes) -> None:
        """Tell other hosts, later and perhaps not at all."""
        try:
            self._hints.send_nowait((room, kind + self.host + payload))
        except trio.WouldBlock:
            self.hints_dropped += 1

    def start_soon(self, function: Callable[[], Awaitable[Any]]) -> None:
        """Have a task that ends with the plugin."""
        assert self._nursery is not None, "clients come in while rooms are run"
        self._nursery.start_soon(function)

    def leave(self) -> None:
        """The host is about to stop: send everybody away, to come back one after another."""
        self.is_leaving = True
        for room in self.open.values():
            for at, outlet in enumerate(room.fanout.outlets):
                outlet.bye(Goodbye(ByeReason.RESTART, "the server restarts", 200 + at % 50 * 20))

    def tally(self) -> Counter[str]:
        """What all rooms have come to since the start."""
        return sum((room.tally() for room in self.open.values()), self._past + self.image_counts)

    async def _load(self, name: str) -> Room:
        row = await self.store.room(name)
        if row is None:
            secret = secrets.token_bytes(32)
            row = await self.store.create_room(name, name, "open", True, secret, None, self.settings.rooms_max)
        if row is None:
            raise RoomsFull(name)
        self._check_running()
        room = Room(row, self.store, self.settings, self.publish, self.host, self._logger)
        assert self._nursery is not None, "rooms are opened while they are run"
        # Beside it: without Redis nobody should wait for its time-out to come in.
        self._nursery.start_soon(self._subscribe, name)
        await room.load()
        self._check_running()
        room.idle_since = trio.current_time()
        self.open[name] = room
        self._nursery.start_soon(self._run_room, room)
        return room

    def _check_running(self) -> None:
        """Nobody comes in any more once the rooms end: while the database was asked, the service may have failed."""
        if self.is_leaving:
            raise ServiceUnavailable("the boards are being closed; they are back in a moment")

    async def _subscribe(self, name: str) -> None:
        try:
            await self._pubsub.subscribe(CHANNEL + name)
        except DOWN as error:
            self._logger.warning("a room is not told yet what other hosts save", room=name, error=str(error))

    async def _run_room(self, room: Room) -> None:
        try:
            await room.run()
        finally:
            if self.open.get(room.id) is room:
                del self.open[room.id]
                self._pubsub.unsubscribe(CHANNEL + room.id)
            self._past += room.tally()

    async def _listen(self) -> None:
        async for item in self._pubsub:
            data = getattr(item, "data", None)
            if data is None:
                # Something may have been missed: the next poll finds it, and it comes at once.
                await self._ask()
                continue
            room = self.open.get(item.channel.removeprefix(CHANNEL))
            kind, sender, payload = data[:1], data[1 : 1 + HOST_BYTES], data[1 + HOST_BYTES :]
            if room is None or sender == self.host:
                continue
            try:
                if kind == REV:
                    await self._catch_up(room, int.from_bytes(payload, "big"))
                else:
                    room.hear(sender, kind, payload, trio.current_time())
            except (CodecError, AssertionError, ValueError) as error:
                self._logger.warning("a hint was not understood", room=room.id, error=str(error))

    async def _publish_hints(self) -> None:
        async for room, data in self._hints_out:
            try:
                await self._redis.publish(CHANNEL + room, data)
            except DOWN:
                # The next poll of the others finds what matters.
                await trio.sleep(0.05)

    async def _poll(self) -> None:
        while True:
            await trio.sleep(self.settings.poll_interval)
            await self._ask()
            self._close_idle()

    async def _ask(self) -> None:
        asked = dict(self.open)
        if not asked:
            return
        try:
            revs = await self.store.revs(list(asked))
        except DOWN:
            return
        # Of a room that was opened meanwhile the answer knows nothing.
        for name, room in asked.items():
            if name not in revs:
                room.close(ByeReason.NO_ROOM, "the room was deleted", retry_ms=1000)
            elif revs[name] != room.log.rev:
                await self._catch_up(room, revs[name])

    async def _catch_up(self, room: Room, rev: int) -> None:
        try:
            await room.committer.catch_up(rev)
        except DOWN:
            return
        except WentBack as error:
            self._logger.error("a board lost revisions in the database", room=room.id, error=str(error))
            room.close(ByeReason.RESYNC, "the board has fewer revisions than before", retry_ms=100)

    def _close_idle(self) -> None:
        now = trio.current_time()
        for room in list(self.open.values()):
            idle = room.idle_since
            if idle is not None and now - idle > self.settings.room_idle and not room.committer.waiting:
                room.scope.cancel(reason="nobody is there")
