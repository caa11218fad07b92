"""Frames to all pages at once: made once, kept for a while, and never more than the line bears.

Every viewer has a cursor into one ring of frames. One who is late by more than the ring gets the whole state instead:
nobody has a queue of his own, and a slow viewer costs nothing but his own time.
"""

import json
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import trio
from pydantic_core import to_json

from host.api import EventStream

FRAME_S: Final = 0.04
"""At most 25 frames a second."""
BYTES_PER_S: Final = 42_000
"""What one viewer gets; a larger frame is followed by a longer pause."""
FRAMES_KEPT: Final = 500
CHECKS_S: Final = 1.0
LINGER_S: Final = 30.0
"""How long frames are made for viewers who may come back."""


class Feed:
    """`changed` gives the next delta or None, `whole` the state document."""

    def __init__(
        self, epoch: str, changed: Callable[[bool], dict[str, Any] | None], whole: Callable[[], dict[str, Any]]
    ) -> None:
        self.viewers = 0
        self.frames_sent = 0
        self.bytes_sent = 0
        self._epoch = epoch
        self._changed = changed
        self._whole = whole
        self._number = 0
        self._frames: deque[tuple[int, bytes]] = deque(maxlen=FRAMES_KEPT)
        self._news = trio.Event()
        self._watched_until = 0.0

    def restart(self, epoch: str) -> None:
        """Another cluster: whoever watches gets its whole state."""
        self._epoch = epoch
        self._frames.clear()
        self._number += 2
        self._news.set()

    @property
    def last_id(self) -> str:
        """The id of the last frame."""
        return f"{self._epoch}-{self._number}"

    @property
    def is_watched(self) -> bool:
        """Whether somebody looks on, or did until a moment ago."""
        return self.viewers > 0 or trio.current_time() < self._watched_until

    async def run(self) -> None:
        """Make frames until cancelled."""
        checks_at = 0.0
        while True:
            if not self.is_watched:
                await trio.sleep(CHECKS_S / 4)
                continue
            now = trio.current_time()
            with_checks = now >= checks_at
            if with_checks:
                checks_at = now + CHECKS_S
            pause_s = FRAME_S
            document = self._changed(with_checks)
            if document is not None:
                data = to_json(document)
                self._number += 1
                self._frames.append((self._number, data))
                self._news.set()
                self._news = trio.Event()
                pause_s = max(FRAME_S, (len(data) + 40) / BYTES_PER_S)
            await trio.sleep(pause_s)

    async def serve(self, stream: EventStream) -> None:
        """Send the state, or what was missed, and then all that happens, until cancelled."""
        self.viewers += 1
        try:
            cursor = self._resumed(stream.last_event_id)
            while True:
                if cursor is None or (self._frames and cursor < self._frames[0][0] - 1) or cursor > self._number:
                    cursor = self._number
                    await self._send(stream, to_json(self._whole()), "state", cursor)
                    continue
                if cursor == self._number or not self._frames:
                    news = self._news
                    await news.wait()
                    if self._frames and cursor < self._frames[0][0] - 1:
                        cursor = None
                    continue
                for number, data in list(self._frames):
                    if number > cursor:
                        await self._send(stream, data, "delta", number)
                        cursor = number
        finally:
            self.viewers -= 1
            self._watched_until = trio.current_time() + LINGER_S

    async def _send(self, stream: EventStream, data: bytes, event: str, number: int) -> None:
        self.frames_sent += 1
        self.bytes_sent += len(data)
        await stream.send(data, event=event, id=f"{self._epoch}-{number}")

    def _resumed(self, last_event_id: str) -> int | None:
        """The cursor of a viewer who comes back; None when he needs the whole."""
        epoch, _, number = last_event_id.rpartition("-")
        if epoch != self._epoch or not number.isdigit() or not self._frames:
            return None
        cursor = int(number)
        return cursor if self._frames[0][0] - 1 <= cursor <= self._number else None


def parsed(data: bytes) -> Any:
    """A frame as a document again; for tests and tools."""
    return json.loads(data)
