"""What waits to be sent to one WebSocket: one line, one writer, never out of order.

`write_out` hands over to the kernel as much as goes in one call. The engine's flusher calls it for all sockets that
were sent something since its last turn; only while a peer is slow does a socket have a task that waits for it.
"""

from collections import deque
from collections.abc import Callable, Iterator

import trio

from host.descriptors import WebSocketPolicy
from host.http.lane.shared import Shared
from host.http.lane.wire import Wire
from host.http.limits import KIB

# What is handed to the kernel at a time; what stays in line may still be dropped by the policy.
WRITE_BYTES_MAX = 128 * KIB
# Sends that went at once before others get their turn.
_SENDS_PER_TURN = 32


class Outbox:
    """The line of one WebSocket, with its mount's policy. `overflow` closes the socket when the policy says so."""

    def __init__(self, shared: Shared, wire: Wire, overflow: Callable[[], None]) -> None:
        self.is_open = False
        self.has_ended = False
        self._shared = shared
        self._wire = wire
        self._overflow = overflow
        self._nursery: trio.Nursery
        self._policy: WebSocketPolicy
        self._high_water_bytes = shared.limits.websocket_queue_bytes_max
        self._line: deque[tuple[bytes, str]] = deque()
        self._bytes = 0
        self._is_noted = False
        self._has_writer = False
        self._lowered = trio.Event()
        self._sends = 0

    def open(self, policy: WebSocketPolicy, nursery: trio.Nursery) -> None:
        """Let frames in. A task that waits for a slow peer runs in the nursery."""
        self.is_open = True
        self._policy = policy
        self._nursery = nursery
        self._high_water_bytes = policy.high_water_bytes or self._high_water_bytes

    def close(self) -> None:
        """Let nothing but `post` put anything in line; who waits for room is let go."""
        self.is_open = False
        self._lowered.set()

    def end(self) -> None:
        """Say that nothing more comes once the line is empty."""
        self.has_ended = True
        self._note()

    def post(self, frame: bytes) -> None:
        """Put a control frame in line, however full it is: there are few of them, and they are small."""
        self._line.append((frame, ""))
        self._bytes += len(frame)
        self._note()

    def send_nowait(self, frame: bytes, kind: str = "") -> bool:
        """Put a frame in line; whether it was. What happens when the line is full is the mount's policy.

        Raises:
            trio.WouldBlock: the line is full, and the policy is to wait.
        """
        if not self.is_open or (self._is_full(len(frame)) and not self._make_room(len(frame))):
            return False
        self._line.append((frame, kind))
        self._bytes += len(frame)
        self._note()
        return True

    async def send(self, frame: bytes, kind: str = "") -> None:
        """Send a frame after all that was sent before; waits while the line is full, if that is the policy.

        A cancellation leaves the frame in line when it was put there, and otherwise unsent: never a part of it.
        """
        while self.is_open and self._is_full(len(frame)) and self._policy.when_full == "wait":
            self._lowered = trio.Event()
            await self._lowered.wait()
        if self.is_open and not self._line and not self._wire.unsent:
            # There is nothing to send it with.
            self._wire.send_now(frame)
            self._help()
        else:
            self.send_nowait(frame, kind)
        self._sends += 1
        if not self.is_open or self._wire.unsent or self._sends % _SENDS_PER_TURN == 0:
            await trio.lowlevel.checkpoint()

    def write_out(self) -> None:
        """Hand over what the kernel takes."""
        self._is_noted = False
        wire, line = self._wire, self._line
        while line and not wire.unsent:
            data = line.popleft()[0] if len(line) == 1 else b"".join(self._next_frames())
            self._bytes -= len(data)
            wire.send_now(data)
        if self._bytes <= self._high_water_bytes // 2:
            self._lowered.set()
        self._help()
        if self.has_ended and not line and not wire.unsent:
            wire.end()

    async def flush(self) -> None:
        """Wait until the kernel has all of the line, or the peer is lost."""
        while (self._line or self._wire.unsent) and not self._wire.is_lost:
            self.write_out()
            await self._wire.flush()

    def _is_full(self, more_bytes: int) -> bool:
        return bool(self._line) and self._bytes + more_bytes > self._high_water_bytes

    def _make_room(self, more_bytes: int) -> bool:
        """The line is full: do what the policy says; whether there is room now."""
        policy = self._policy
        if policy.when_full == "wait":
            raise trio.WouldBlock
        if policy.when_full == "drop_oldest":
            # Many at a time: the line is long, and each search is through all of it.
            kept: deque[tuple[bytes, str]] = deque()
            while self._line and self._bytes > self._high_water_bytes // 2:
                entry = self._line.popleft()
                if entry[1] in policy.droppable:
                    self._bytes -= len(entry[0])
                    self._shared.counts["dropped_frames_total"] += 1
                else:
                    kept.append(entry)
            kept.extend(self._line)
            self._line = kept
            if not self._is_full(more_bytes):
                return True
        self._line.clear()
        self._bytes = 0
        self._overflow()
        return False

    def _next_frames(self) -> Iterator[bytes]:
        size = 0
        while self._line and size < WRITE_BYTES_MAX:
            frame = self._line.popleft()[0]
            size += len(frame)
            yield frame

    def _note(self) -> None:
        if not self._is_noted:
            self._is_noted = True
            self._shared.flush_soon(self)

    def _help(self) -> None:
        """Have a task wait for a peer that did not take everything."""
        if self._wire.unsent and not self._has_writer and not self.has_ended:
            self._has_writer = True
            self._nursery.start_soon(self._write_when_possible)

    async def _write_when_possible(self) -> None:
        try:
            while self._wire.unsent:
                await self._wire.flush()
                self.write_out()
        finally:
            self._has_writer = False
