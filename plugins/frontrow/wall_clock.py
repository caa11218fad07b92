"""The wall clock as this plugin sees it. Nothing is decided by it: Redis lets holds lapse, Postgres orders expire."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class WallClock:
    """Unix seconds, which a fault may step; signatures and the times in documents read it."""

    def __init__(self) -> None:
        self.offset_s = 0.0

    def now(self) -> float:
        """What the clock shows."""
        return time.time() + self.offset_s

    @contextmanager
    def stepped(self, by_s: float) -> Iterator[None]:
        """Let the clock show another time for the block."""
        self.offset_s += by_s
        try:
            yield
        finally:
            self.offset_s -= by_s
