"""How a room's frames reach its clients: each is built once, and each client has a cursor instead of a queue.

The log of the board is the queue. A client's outlet remembers the last revision it sent, and while the socket takes
more, it hands over the next frame from there: the room's ready-made one when it is just behind, a page of the log when
it is far behind. Of what is told again and again (presence, the list of people) only the latest is sent, and what was
skipped is counted. So a slow client costs a few numbers beside the line of its socket, which is bounded by
`send_bytes_max`; nobody waits for it, and only while it is slow does it have a task.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import trio

from host.api import ClientDisconnected, WebSocketFrame
from plugins.liveboard.board_log import BoardLog
from plugins.liveboard.core.frames import Bye, encode_frame
from plugins.liveboard.core.opset import Entry

CONTROLS_MAX: Final = 512
"""Answers to one client that wait to be sent. It asked for each of them; one that asks on and does not read is cut."""


class Goodbye(Exception):
    """A client is sent away: the reason, and the frame that tells it."""

    def __init__(self, reason: int, text: str, retry_ms: int = 0) -> None:
        super().__init__(text)
        self.reason = reason
        self.frame = encode_frame(Bye(reason, retry_ms, text))


class Socket(Protocol):
    """What an outlet needs of a `WebSocket`."""

    def send_nowait(self, frame: WebSocketFrame) -> bool: ...

    async def send(self, frame: WebSocketFrame) -> None: ...


Spawn = Callable[[Callable[[], Awaitable[Any]]], None]


@dataclass(slots=True)
class Slot:
    """Something that is told anew whenever it changes; `number` counts the tellings.

    `whole` builds what brings somebody up to date who missed some; None when each frame says it all.
    """

    frame: WebSocketFrame | None = None
    number: int = 0
    whole: Callable[[], bytes] | None = None

    def tell(self, frame: bytes) -> None:
        self.frame = WebSocketFrame.binary(frame)
        self.number += 1


@dataclass(slots=True)
class Deliveries:
    """What a room's outlets have sent.

    `relayed` are operations times the others who were there when they were saved; `operations` is all that was sent
    to anybody, the author's own and late joiners' boards included. `skipped` are tellings of presence and people that
    a slow client did not get.
    """

    relayed: int = 0
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
        self._frames: dict[int, tuple[int, WebSocketFrame]] = {}
        self._frames_kept = frames_kept

    def committed(self, first: int, is_ours: bool) -> None:
        """The log has grown from revision `first` on, by clients of this host or not: build frames, wake everybody."""
        self.deliveries.relayed += (self.log.rev - first + 1) * max(0, len(self.outlets) - is_ours)
        while first <= self.log.rev:
            data, last = self.log.page(first, self.chunk_bytes)
            self._frames[first] = (last, WebSocketFrame.binary(data))
            first = last + 1
        while len(self._frames) > self._frames_kept:
            del self._frames[next(iter(self._frames))]
        self.wake_all()

    def wake_all(self) -> None:
        for outlet in self.outlets:
            outlet.wake()

    def frame_after(self, rev: int) -> tuple[int, WebSocketFrame]:
        """The frame that follows revision `rev`, and its last revision."""
        ready = self._frames.get(rev + 1)
        if ready is not None:
            return ready
        data, last = self.log.page(rev + 1, self.chunk_bytes)
        self.deliveries.pages += 1
        return last, WebSocketFrame.binary(data)

    def forget_frames(self) -> None:
        """After compaction: what is ready-made may hold what was pruned."""
        self._frames.clear()


@dataclass(eq=False, slots=True)
class Outlet:
    """Sends one client what it is due, in the order of the log: from `wake`, or while the client is slow from a task.

    `rev` is None until the client is told the board. `on_end` is called when the session shall end: the goodbye, if
    there is one, is then to be said by the session.
    """

    fanout: Fanout
    socket: Socket
    spawn: Spawn
    on_end: Callable[[], None]
    rev: int | None = None
    controls: deque[WebSocketFrame] = field(default_factory=deque)
    sending_since: float | None = None
    is_overrun: bool = False
    goodbye: Goodbye | None = None
    # By slot the last telling that was sent; and the slots that told something before the client came, and not to it.
    _seen: dict[str, int] = field(default_factory=dict)
    _new_to: set[str] = field(default_factory=set)
    # What a client lacks whose board is no beginning of ours: frames, made as they are sent.
    _missing: Iterator[bytes] | None = None
    # The revision at which the client is told that it has all, and what tells it.
    _synced: tuple[int, Callable[[int], bytes]] | None = None
    # The frame that the socket did not take, which is the next to be sent.
    _unsent: WebSocketFrame | None = None
    _writer: trio.CancelScope | None = None
    _is_over: bool = False

    def control(self, frame: bytes) -> None:
        """Send this client a frame of its own, before all others."""
        if len(self.controls) >= CONTROLS_MAX:
            self.is_overrun = True
            self.end()
        else:
            self.controls.append(WebSocketFrame.binary(frame))
            self.wake()

    def stream_from(self, rev: int, synced: Callable[[int], bytes]) -> None:
        """Send the board after revision `rev`, then what `synced` makes of where it stood, then all that follows.

        The log up to now and the place in it are taken in one step: nothing can come between.
        """
        self.rev = rev
        self._synced = (self.fanout.log.rev, synced)
        self._seen = {name: slot.number for name, slot in self.fanout.slots.items()}
        self._new_to = {name for name, number in self._seen.items() if number}
        self.wake()

    def stream_missing(self, entries: Sequence[Entry], synced: Callable[[int], bytes]) -> None:
        """Send these operations under revision 0, then what `synced` makes of where the board stood, then the rest."""
        self._missing = self.fanout.log.frames_without_revision(entries, self.fanout.chunk_bytes)
        self.stream_from(self.fanout.log.rev, synced)

    def bye(self, goodbye: Goodbye) -> None:
        """Have the session say goodbye and close; nothing else is sent."""
        if self.goodbye is None and not self._is_over:
            self.goodbye = goodbye
        self.end()

    def end(self) -> None:
        """Send nothing more, and have the session end."""
        if not self._is_over:
            self._is_over = True
            if self._writer is not None:
                self._writer.cancel(reason="the session ends")
            self.on_end()

    def wake(self) -> None:
        """Hand over what is due, as far as the socket takes it; a task does the rest when there is room."""
        if self._writer is not None or self._is_over:
            return
        send = self.socket.send_nowait
        try:
            while (frame := self._next()) is not None:
                self._unsent = frame
                if not send(frame):
                    # The client has left, which its session is about to read.
                    self.end()
                    return
                self._note_sent(frame)
        except trio.WouldBlock:
            self._writer = trio.CancelScope()
            self.spawn(self._write)

    async def _write(self) -> None:
        """Send until nothing is due. Cancelled, it leaves a frame sent or not, never in half."""
        assert self._writer is not None
        with self._writer:
            try:
                while (frame := self._unsent or self._next()) is not None:
                    self._unsent = frame
                    self.sending_since = trio.current_time()
                    await self.socket.send(frame)
                    self.sending_since = None
                    self._note_sent(frame)
            except (OSError, ClientDisconnected):
                # The client left; its session reads that, too.
                self.end()
        self._writer = None

    def _next(self) -> WebSocketFrame | None:
        if self.controls:
            return self.controls.popleft()
        if self._missing is not None:
            data = next(self._missing, None)
            if data is not None:
                return WebSocketFrame.binary(data)
            self._missing = None
        if self.rev is None:
            return None
        if self._synced is not None and self.rev >= self._synced[0]:
            _, make = self._synced
            self._synced = None
            return WebSocketFrame.binary(make(self.rev))
        if self.rev < self.fanout.log.rev:
            last, frame = self.fanout.frame_after(self.rev)
            self.fanout.deliveries.operations += last - self.rev
            self.rev = last
            return frame
        return self._next_telling()

    def _next_telling(self) -> WebSocketFrame | None:
        for name, slot in self.fanout.slots.items():
            missed = slot.number - self._seen[name] - 1
            is_new = name in self._new_to
            if missed < 0 and not is_new:
                continue
            self._seen[name] = slot.number
            self._new_to.discard(name)
            self.fanout.deliveries.skipped += max(0, missed)
            return WebSocketFrame.binary(slot.whole()) if slot.whole and (missed or is_new) else slot.frame
        return None

    def _note_sent(self, frame: WebSocketFrame) -> None:
        self._unsent = None
        self.fanout.deliveries.frames += 1
        self.fanout.deliveries.bytes += len(frame.payload)
