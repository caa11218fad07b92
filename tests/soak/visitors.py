"""What all kinds of load have in common: a lot of their own, the doors, and the count of what they met."""

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from random import Random

import httpx
import trio

from tests.soak.house import House

AWAY = (httpx.TransportError, OSError, trio.BrokenResourceError, trio.ClosedResourceError)
"""What a client meets whose server was killed, or whose plugin is restarting."""
SAMPLES_MAX = 20
PAUSE_AWAY_S = 0.1


@dataclass
class Tally:
    """What visitors met. `broken` holds what must never happen, a line each; anything in it is a broken promise."""

    counts: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    def note(self, name: str, more: int = 1) -> None:
        """Count something that may happen."""
        self.counts[name] += more

    def breach(self, what: str) -> None:
        """Something that must not happen."""
        self.counts["breaches"] += 1
        if len(self.broken) < SAMPLES_MAX:
            self.broken.append(what)

    def check(self, who: str, answer: httpx.Response, *allowed: int) -> bool:
        """Whether an answer is one of those that its operation promises; 503 is promised by all while things fail."""
        if answer.status_code == 503:
            self.note(f"{who}: 503")
            return False
        if answer.status_code not in allowed:
            asked = f"{answer.request.method} {answer.request.url.path}"
            self.breach(f"{who}: {asked} answered {answer.status_code}: {answer.text[:200]}")
            return False
        return True


class Visitor(ABC):
    """Comes again and again while the doors are open."""

    def __init__(self, house: House, tally: Tally, lot: Random) -> None:
        self.house = house
        self.tally = tally
        self.lot = lot

    @property
    def http(self) -> httpx.AsyncClient:
        return self.house.http

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            await self.house.is_open.wait()
            try:
                with self.house.visit():
                    await self.visit()
            except* AWAY:
                self.tally.note(f"{type(self).__name__.lower()}s: connection lost")
                await trio.sleep(PAUSE_AWAY_S)

    @abstractmethod
    async def visit(self) -> None:
        """One visit; ends soon once `house.is_closing`."""

    async def pause(self, most_s: float) -> None:
        """Think for a while."""
        await trio.sleep(self.lot.random() * most_s)
