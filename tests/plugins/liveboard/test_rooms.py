"""All rooms of a host: what the database says of those that are open."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
import trio

from host.api import ServiceUnavailable
from plugins.liveboard.core.frames import ByeReason
from plugins.liveboard.rooms import Rooms
from plugins.liveboard.settings import Settings


class Room:
    """As much of a room as is asked for here."""

    def __init__(self) -> None:
        self.log = SimpleNamespace(rev=0)
        self.closed: list[int] = []

    def close(self, reason: int, text: str, *, retry_ms: int) -> None:
        self.closed.append(reason)


async def test_room_that_is_asked_for_while_the_rooms_end_is_unavailable() -> None:
    asked, ended = trio.Event(), trio.Event()

    class Store:
        async def room(self, name: str) -> None:
            asked.set()
            await ended.wait()

        async def create_room(self, *room: object) -> object:
            return object()

        async def revs(self, names: list[str]) -> dict[str, int]:
            return {}

    @asynccontextmanager
    async def pubsub() -> AsyncIterator[AsyncIterator[object]]:
        yield silence()

    async def silence() -> AsyncIterator[object]:
        await trio.sleep_forever()
        yield

    rooms = Rooms(Store(), SimpleNamespace(pubsub=pubsub), Settings(), None)

    async def come_in() -> None:
        with pytest.raises(ServiceUnavailable):
            await rooms.get("late")

    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as service:
            await service.start(rooms.run)
            nursery.start_soon(come_in)
            await asked.wait()
            service.cancel_scope.cancel()
        ended.set()


async def test_room_that_opens_while_the_database_is_asked_is_not_taken_for_deleted() -> None:
    deleted, opened = Room(), Room()

    class Store:
        async def revs(self, names: list[str]) -> dict[str, int]:
            assert names == ["deleted"]
            rooms.open["opened"] = opened
            await trio.lowlevel.checkpoint()
            return {}

    rooms = Rooms(Store(), None, Settings(), None)
    rooms.open["deleted"] = deleted
    await rooms._ask()
    assert (deleted.closed, opened.closed) == ([ByeReason.NO_ROOM], [])
