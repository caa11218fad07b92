"""A socket of a connection, and the bytes that the kernel has not taken from us yet."""

import errno
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import trio

from host.http.limits import KIB
from host.http.stalls import StallClock, unacknowledged_bytes

RECEIVE_BYTES_MAX = 64 * KIB
# One call of sendfile: the loop waits for the disk meanwhile, when the file is not in the kernel's cache.
SENDFILE_BYTES_MAX = 256 * KIB
# Not every file system and kernel can (sendfile(2)).
_NO_SENDFILE_ERRNOS = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})


class Wire:
    """Sends in order and whole: rather than half of a message, the connection is lost.

    What a cancelled `send` could not hand over stays first in line: the next `send` or `flush` sends it. When the peer
    is lost, `on_lost` is called, and sending does nothing more.
    """

    def __init__(self, sock: socket.socket, on_lost: Callable[[], None], write_stall_s: float) -> None:
        self.sock = sock
        self.on_lost = on_lost
        self.is_lost = False
        self.unsent: deque[bytes | memoryview] = deque()
        self._number = sock.fileno()
        self._turn: trio.Lock | None = None
        self._stall_clock = StallClock(self._number, write_stall_s)
        self._given_bytes = 0
        # Tasks that wait until the kernel takes more.
        self._blocked = 0
        # Set by the watch: bytes or the end have come; and the end has.
        self.is_watched = self.is_readable = self.has_ended = False
        self._is_stopped = False
        self._reader: trio.lowlevel.Task | None = None

    async def receive(self) -> bytes:
        """Wait for bytes; b"" when the peer has ended, or was lost. A cancellation loses nothing. For one task."""
        if self.is_readable:
            # Others have their turn before this peer has its next.
            await trio.lowlevel.checkpoint()
        while True:
            if not self.is_readable:
                if self._is_stopped:
                    return b""
                if not self.is_watched:
                    with suppress(trio.ClosedResourceError):
                        await trio.lowlevel.wait_readable(self._number)
                        self.is_readable = True
                    continue
                if self._reader is not None:
                    raise trio.BusyResourceError("another task receives from this connection")
                self._reader = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._forget_reader)
            try:
                data = self.sock.recv(RECEIVE_BYTES_MAX)
            except BlockingIOError:
                self.is_readable = False
                continue
            except OSError:
                self.lose()
                return b""
            # A short read has emptied the socket (epoll(7)): what comes later is news again, but for the end.
            self.is_readable = self.has_ended or len(data) == RECEIVE_BYTES_MAX
            return data

    def stop_receiving(self) -> None:
        """Have `receive` tell the end once it has nothing to give; whoever waits in it reads that at once."""
        self._is_stopped = True
        self.wake()

    def wake(self) -> None:
        """Have whoever waits in `receive` look again."""
        if self._reader is not None:
            trio.lowlevel.reschedule(self._reader)
            self._reader = None
        elif not self.is_watched:
            trio.lowlevel.notify_closing(self._number)

    async def send(self, data: bytes) -> None:
        """Return when the kernel has all of it. No checkpoint when it has it at once."""
        self.send_now(data)
        if self.unsent:
            await self.flush()

    def send_now(self, data: bytes) -> None:
        """Hand over what goes without waiting; the rest is put in line."""
        if data and not self.is_lost:
            sent = 0 if self.unsent else self._offer(data)
            if sent < len(data):
                self.unsent.append(memoryview(data)[sent:])

    async def flush(self) -> None:
        """Wait until the kernel has everything. Several tasks may; what each sent stays in order."""
        self._turn = self._turn or trio.Lock()
        async with self._turn:
            while self.unsent and not self.is_lost:
                await self._writable()
                if self.unsent:
                    data = self.unsent.popleft()
                    sent = self._offer(data)
                    if sent < len(data):
                        self.unsent.appendleft(data[sent:])

    async def send_file(self, file: int, size: int) -> bool:
        """Send so many bytes from the file's beginning, by the kernel alone if it can; False when it has fewer."""
        await self.flush()
        offset = 0
        while offset < size and not self.is_lost:
            await self._writable()
            part_bytes = min(size - offset, SENDFILE_BYTES_MAX)
            try:
                sent = os.sendfile(self._number, file, offset, part_bytes)
                self._given_bytes += sent
            except BlockingIOError:
                continue
            except OSError as error:
                if error.errno not in _NO_SENDFILE_ERRNOS:
                    self.lose()
                    break
                part = os.pread(file, part_bytes, offset)
                await self.send(part)
                sent = len(part)
            if not sent:
                return False
            offset += sent
        return True

    def lose(self) -> None:
        """The peer is gone: nothing more is sent. May be called again."""
        self.is_lost = True
        self.unsent.clear()
        self.on_lost()

    def cut(self) -> None:
        """Give the peer up: closing becomes a reset, and the kernel throws away what it never took."""
        with suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.lose()

    @property
    def holds_bytes(self) -> bool:
        """Whether the peer has not taken everything yet."""
        return bool(self.unsent or unacknowledged_bytes(self._number))

    def has_stalled(self, now_s: float) -> bool:
        """The engine's clock: whether the peer has stopped reading."""
        return not self.is_lost and self._stall_clock.has_stalled(
            now_s, self._given_bytes, is_blocked=self._blocked > 0
        )

    def end(self) -> None:
        """Say that nothing more comes."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def _forget_reader(self, _: object) -> trio.lowlevel.Abort:
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED

    async def _writable(self) -> None:
        self._blocked += 1
        try:
            await trio.lowlevel.wait_writable(self._number)
        finally:
            self._blocked -= 1

    def _offer(self, data: bytes | memoryview) -> int:
        """Offer bytes to the kernel; how many it took. A lost peer takes everything."""
        try:
            sent = self.sock.send(data)
            self._given_bytes += sent
            return sent
        except BlockingIOError:
            return 0
        except OSError:
            self.lose()
            return len(data)
