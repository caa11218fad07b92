"""How a room's frames reach its clients: each is built once, and each client has a cursor instead of a queue.

The log of the board is the queue. A client's outlet remembers the last revision it sent, and when the socket takes
more, it sends the next frame from there: the room's ready-made one when it is just behind, a page of the log when it is
far behind. Of what is told again and again (presence, the list of people) only the latest is sent, and what was skipped
is counted. So a slow client costs a few numbers, whatever it misses, and nobody waits for it.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import trio

from host.api import Send
from plugins.liveboard.board_log import BoardLog

CONTROLS_MAX: Final = 512
"""Answers to one client that wait to be sent. It asked for each of them; one that asks on and does not read is cut."""

Broadcast = Mapping[str, Any]


def broadcast(data: bytes) -> Broadcast:
    """A frame as it is sent to everybody: one ASGI message, made once."""
    return {"type": "websocket.send", "bytes": data}


@dataclass(slots=True)
class Slot:
    """Something that is told anew whenever it changes; `number` counts the tellings.

    `whole` builds what brings somebody up to date who missed some; None when each frame says it all.
    """

    frame: Broadcast | None = None
    number: int = 0
    whole: Callable[[], Broadcast] | None = None

    def tell(self, frame: bytes) -> None:
        self.frame = broadcast(frame)
        self.number += 1


@dataclass(slots=True)
class Deliveries:
    """What a room's outlets have sent. `skipped` are tellings of presence and people that a slow client did not get."""

    operations: int = 0
    frames: int = 0
    bytes: int = 0
    skipped: int = 0
    pages: int = 0


class Fanout:
    """A room's frames, and the outlets that send them."""

    def __init__(self, log: BoardLog, *, chunk_bytes: int, frames_kept: int) -> None:
        self.log = log
        self.chunk_bytes = chunk_bytes
        self.outlets: set[Outlet] = set()
        self.slots = {"people": Slot(), "moves": Slot(), "reports": Slot()}
        self.deliveries = Deliveries()
        # By first revision: the last one, and the frame. Consecutive, so the first key is the oldest.
        self._frames: dict[int, tuple[int, Broadcast]] = {}
        self._frames_kept = frames_kept

    def committed(self, first: int) -> None:
        """The log has grown from revision `first` on: build the frames, and wake everybody."""
        while first <= self.log.rev:
            data, last = self.log.page(first, self.chunk_bytes)
            self._frames[first] = (last, broadcast(data))
            first = last + 1
        while len(self._frames) > self._frames_kept:
            del self._frames[next(iter(self._frames))]
        self.wake_all()

    def wake_all(self) -> None:
        for outlet in self.outlets:
            outlet.wake()

    def frame_after(self, rev: int) -> tuple[int, Broadcast]:
        """The frame that follows revision `rev`, and its last revision."""
        ready = self._frames.get(rev + 1)
        if ready is not None:
            return ready
        data, last = self.log.page(rev + 1, self.chunk_bytes)
        self.deliveries.pages += 1
        return last, broadcast(data)

    def forget_frames(self) -> None:
        """After compaction: what is ready-made may hold what was pruned."""
        self._frames.clear()


@dataclass(eq=False)
class Outlet:
    """Sends one client what it is due. `run` is its one writer: the order of frames is that of the log.

    `rev` is None until the client is told the board; `synced_at` is the revision at which it is told that it has all.
    """

    fanout: Fanout
    send: Send
    rev: int | None = None
    controls: deque[Broadcast] = field(default_factory=deque)
    sending_since: float | None = None
    is_overrun: bool = False
    _seen: dict[str, int] = field(default_factory=dict)
    _synced_frame: tuple[int, Callable[[int], bytes]] | None = None
    _bye: tuple[bytes, int] | None = None
    _idle: trio.lowlevel.ParkingLot = field(default_factory=trio.lowlevel.ParkingLot)

    def control(self, frame: bytes) -> None:
        """Send this client a frame of its own, before all others."""
        if len(self.controls) >= CONTROLS_MAX:
            self.is_overrun = True
        else:
            self.controls.append(broadcast(frame))
        self.wake()

    def stream_from(self, rev: int, synced: Callable[[int], bytes]) -> None:
        """Send the board after revision `rev`, then what `synced` makes of where it stood, then all that follows.

        The log up to now and the place in it are taken in one step: nothing can come between.
        """
        self.rev = rev
        self._synced_frame = (self.fanout.log.rev, synced)
        self.wake()

    def bye(self, frame: bytes, code: int) -> None:
        """Say goodbye and close, before anything else that waits."""
        if self._bye is None:
            self._bye = (frame, code)
        self.wake()

    def wake(self) -> None:
        self._idle.unpark()

    async def run(self) -> None:
        """Send until the goodbye was said. Cancelled, it leaves a frame sent or not, never in half by its own doing."""
        while self._bye is None and not self.is_overrun:
            frame = self._next()
            if frame is None:
                await self._idle.park()
            else:
                await self._send(frame)
        if self._bye is not None:
            last, code = self._bye
            await self._send(broadcast(last))
            await self.send({"type": "websocket.close", "code": code})

    def _next(self) -> Broadcast | None:
        if self.controls:
            return self.controls.popleft()
        if self.rev is None:
            return None
        if self._synced_frame is not None and self.rev >= self._synced_frame[0]:
            _, make = self._synced_frame
            self._synced_frame = None
            return broadcast(make(self.rev))
        if self.rev < self.fanout.log.rev:
            last, frame = self.fanout.frame_after(self.rev)
            self.fanout.deliveries.operations += last - self.rev
            self.rev = last
            return frame
        return self._next_telling()

    def _next_telling(self) -> Broadcast | None:
        for name, slot in self.fanout.slots.items():
            seen = self._seen.get(name, 0)
            if slot.number == seen:
                continue
            self._seen[name] = slot.number
            self.fanout.deliveries.skipped += slot.number - seen - 1
            return slot.whole() if slot.whole and slot.number > seen + 1 else slot.frame
        return None

    async def _send(self, frame: Broadcast) -> None:
        deliveries = self.fanout.deliveries
        self.sending_since = trio.current_time()
        await self.send(frame)  # type: ignore[arg-type]  # Engines read a message, they do not change it.
        self.sending_since = None
        deliveries.frames += 1
        deliveries.bytes += len(frame["bytes"])
