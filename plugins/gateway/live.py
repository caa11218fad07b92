"""What happens to requests while it happens, for those who watch; without a watcher nothing is kept.

Steps of a request, in order: `arrived`; then `hit`, or any number of `tried` and `failed` at targets and at most one
`answered`; last `ended`, with what became of it. A request that shares another's upstream call has no steps in between.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import trio

STEPS_MAX: Final = 2000
"""Steps that a watcher may be behind; then its oldest are dropped, and it is told how many."""


class Watcher:
    """One who watches. `take` gives what happened since the last time."""

    __slots__ = ("_dropped", "_steps")

    def __init__(self) -> None:
        self._steps: deque[dict[str, Any]] = deque()
        self._dropped = 0

    def add(self, step: dict[str, Any]) -> None:
        """Note a step; with too many, the oldest goes."""
        if len(self._steps) >= STEPS_MAX:
            self._steps.popleft()
            self._dropped += 1
        self._steps.append(step)

    def take(self) -> tuple[list[dict[str, Any]], int]:
        """The steps since the last time, oldest first, and how many were dropped before them."""
        steps, dropped = list(self._steps), self._dropped
        self._steps.clear()
        self._dropped = 0
        return steps, dropped


class Live:
    """Tells all watchers. Synchronous, and nearly free when there are none."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()
        self.is_watched = False
        """Asked first where a call is much compared to what else is done."""

    @contextmanager
    def watch(self) -> Iterator[Watcher]:
        """Watch for the block."""
        watcher = Watcher()
        self._watchers.add(watcher)
        self.is_watched = True
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)
            self.is_watched = bool(self._watchers)

    def step(self, request_id: str, step: str, **more: Any) -> None:
        """Something has happened to a request now."""
        if not self.is_watched:
            return
        told = {"id": request_id, "t_ms": round(trio.current_time() * 1000, 1), "step": step, **more}
        for watcher in self._watchers:
            watcher.add(told)
