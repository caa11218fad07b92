"""The links between the lab's nodes, each with its own faults in each direction."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import Final

import trio

from plugins.raft.clock import now_us
from plugins.raft.core.messages import Message
from plugins.raft.core.prng import Prng

IN_FLIGHT_MAX: Final = 20_000
"""Messages under way; more are lost."""
LOST: Final = -1
"""How long a message takes that never arrives."""


@dataclass(slots=True)
class Link:
    """How messages fare from one node to another. Times in microseconds, chances in permille."""

    is_cut: bool = False
    delay_us: int = 1000
    jitter_us: int = 1000
    loss: int = 0
    duplicate: int = 0


class Network:
    """Delivers messages by `deliver`, after the time that their link takes, while `run` runs.

    `sent` is told of every message and how long it will take (`LOST`: for ever); of a doubled one twice.
    """

    def __init__(self, usual: Link, seed: int) -> None:
        self.usual = usual
        self.links: dict[tuple[int, int], Link] = {}
        """Links that are not as usual."""
        self.deliver: Callable[[Message], None] = lambda message: None
        self.sent: Callable[[Message, int, bool], None] = lambda message, takes_us, is_double: None
        self._prng = Prng(seed)
        self._heap: list[tuple[int, int, Message]] = []
        self._sequence = 0
        self._wake = trio.Event()

    def send(self, message: Message) -> None:
        """Let a message go. Never waits."""
        link = self.links.get((message.sender, message.to), self.usual)
        prng = self._prng
        if link.is_cut or (link.loss and prng.chance(link.loss)) or len(self._heap) >= IN_FLIGHT_MAX:
            self.sent(message, LOST, False)
            return
        self._put(message, link, is_double=False)
        if link.duplicate and prng.chance(link.duplicate):
            self._put(message, link, is_double=True)

    def flush(self) -> None:
        """Nothing waits to be flushed here."""

    def _put(self, message: Message, link: Link, *, is_double: bool) -> None:
        takes_us = link.delay_us + (self._prng.below(link.jitter_us) if link.jitter_us else 0)
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

    def link(self, a: int, b: int) -> Link:
        """The link from a to b, as one to change."""
        return self.links.setdefault((a, b), replace(self.usual))

    def tidy(self) -> None:
        """Forget links that are as usual again."""
        for key in [key for key, link in self.links.items() if link == self.usual]:
            del self.links[key]

    def heal(self) -> None:
        """All links as usual; what is under way still arrives."""
        self.links.clear()

    def passes(self, a: int, b: int) -> bool:
        """Whether anything gets from a to b."""
        link = self.links.get((a, b), self.usual)
        return not link.is_cut and link.loss < 1000
