"""People who draw on Liveboard together, lose their connections, come back, and must all see one picture."""

from random import Random

import trio

from plugins.liveboard.core.opset import OperationSet
from tests.plugins.liveboard.conftest import Client, stroke
from tests.plugins.liveboard.storm import UNREACHABLE
from tests.soak.house import PATIENCE_S, House
from tests.soak.visitors import Tally

ROOM_LASTS_S = 30.0
PAUSE_S = 0.15
STAY_S = 6.0


class Board:
    """One room after the other: drawn on by some, then compared."""

    def __init__(self, house: House, tally: Tally, lot: Random, people: int) -> None:
        self._house = house
        self._tally = tally
        self._lot = lot
        self._people = people
        self._rooms = 0

    async def run(self) -> None:
        """Go on until the doors close for good; a room that was begun is seen to its end even then."""
        while True:
            await self._house.is_open.wait()
            self._rooms += 1
            with self._house.visit():
                await self._draw_together(f"soak-{self._rooms}")

    async def _draw_together(self, room: str) -> None:
        stop = trio.Event()
        clients = [Client(f"person {number}") for number in range(self._people)]
        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(self._keep_drawing, client, room, stop)
            with trio.move_on_after(ROOM_LASTS_S):
                await self._house.is_closing.wait()
            stop.set()
        await self._compare(room, clients)

    async def _keep_drawing(self, client: Client, room: str, stop: trio.Event) -> None:
        """Draw, coming and going, until `stop`; then stay until everything is saved."""
        while not (stop.is_set() and not client.unsaved):
            try:
                with trio.move_on_after(20):
                    async with client.connected(self._house.url, room):
                        leaves_at = trio.current_time() + self._lot.random() * STAY_S
                        while not stop.is_set() and not client.is_gone() and trio.current_time() < leaves_at:
                            await client.draw(stroke(client.seq))
                            await trio.sleep(self._lot.random() * PAUSE_S)
                        if stop.is_set() and not client.is_gone():
                            await client.saved()
            except* UNREACHABLE:
                self._tally.note("drawers: connection lost")
                await trio.sleep(0.1)

    async def _compare(self, room: str, clients: list[Client]) -> None:
        """A newcomer gets the board, and everybody comes to the same; nothing acknowledged is missing."""
        is_done = False
        with trio.fail_after(PATIENCE_S):
            while not is_done:
                newcomer = Client("newcomer")
                try:
                    async with newcomer.connected(self._house.url, room):
                        for client in clients:
                            async with client.connected(self._house.url, room):
                                await client.has(newcomer.rev)
                    # Who was sent away at the door has seen nothing.
                    is_done = all(each.is_synced for each in (newcomer, *clients))
                except* UNREACHABLE:
                    await trio.sleep(0.1)
        self._judge(room, clients, newcomer.board)

    def _judge(self, room: str, clients: list[Client], truth: OperationSet) -> None:
        for client in clients:
            lost = [id for id in client.acknowledged if id not in truth]
            if lost:
                self._tally.breach(f"drawers: {len(lost)} acknowledged strokes of {room} are lost")
            if client.unsaved or len(client.acknowledged) != client.seq:
                self._tally.breach(f"drawers: strokes of {room} were never acknowledged")
            if client.board.root != truth.root:
                self._tally.breach(f"drawers: {client.name} sees another picture of {room}")
        self._tally.note("boards compared")
        self._tally.note("strokes", sum(client.seq for client in clients))
