"""The network between the lab's nodes: messages under way, for as long as their links say."""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Final

import trio

from plugins.raft.clock import now_us
from plugins.raft.core.messages import Message
from plugins.raft.core.prng import Prng
from plugins.raft.lab.links import Link, Links

IN_FLIGHT_MAX: Final = 20_000
"""Messages under way; more are lost."""
LOST: Final = -1
"""How long a message takes that never arrives."""


class Network(Links):
    """Delivers messages by `deliver`, after the time that their link takes, while `run` runs.

    `sent` is told of every message and how long it will take (`LOST`: for ever); of a doubled one twice.
    """

    def __init__(self, usual: Link, seed: int) -> None:
        super().__init__(usual)
        self.deliver: Callable[[Message], None] = lambda message: None
        self.sent: Callable[[Message, int, bool], None] = lambda message, takes_us, is_double: None
        self._prng = Prng(seed)
        self._heap: list[tuple[int, int, Message]] = []
        self._sequence = 0
        self._wake = trio.Event()

    def send(self, message: Message) -> None:
        """Let a message go. Never waits."""
        link = self.between(message.sender, message.to)
        prng = self._prng
        if link.loses(prng) or len(self._heap) >= IN_FLIGHT_MAX:
            self.sent(message, LOST, False)
            return
        self._put(message, link, is_double=False)
        if link.duplicate and prng.chance(link.duplicate):
            self._put(message, link, is_double=True)

    def flush(self) -> None:
        """Nothing waits to be flushed here."""

    def _put(self, message: Message, link: Link, *, is_double: bool) -> None:
        takes_us = link.takes_us(self._prng)
        self._sequence += 1
        at = now_us() + takes_us
        if not self._heap or at < self._heap[0][0]:
            self._wake.set()
        heappush(self._heap, (at, self._sequence, message))
        self.sent(message, takes_us, is_double)

    async def run(self) -> None:
        """Deliver until cancelled."""
        heap = self._heap
        while True:
            now = now_us()
            while heap and heap[0][0] <= now:
                self.deliver(heappop(heap)[2])
            self._wake = trio.Event()
            with trio.move_on_after((heap[0][0] - now) / 1_000_000 if heap else 3600):
                await self._wake.wait()
