"""All rooms of a host: what the database says of those that are open."""

from types import SimpleNamespace

import trio

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
