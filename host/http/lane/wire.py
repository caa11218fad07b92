"""A socket of a connection, and the bytes that the kernel has not taken from us yet."""

import math
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import trio

from host.http.limits import KIB

RECEIVE_BYTES_MAX = 64 * KIB
# One call of sendfile: the loop waits for the disk meanwhile, when the file is not in the kernel's cache.
SENDFILE_BYTES_MAX = 256 * KIB


class Wire:
    """Sends in order and whole, and loses the connection rather than half of a message.

    What a cancelled `send` could not hand over stays first in line: the next `send` or `flush` sends it. When the peer
    is lost, `on_lost` is called, and sending does nothing more. `stalls_at` is the time at which a peer that takes
    nothing counts as stalled, infinite while nobody waits for it.
    """

    __slots__ = ("_turn", "_unsent", "_write_stall_s", "is_lost", "on_lost", "sock", "stalls_at")

    def __init__(self, sock: socket.socket, on_lost: Callable[[], None], write_stall_s: float) -> None:
        self.sock = sock
        self.on_lost = on_lost
        self.is_lost = False
        self.stalls_at = math.inf
        self._unsent: deque[bytes | memoryview] = deque()
        self._turn: trio.Lock | None = None
        self._write_stall_s = write_stall_s

    @property
    def has_unsent(self) -> bool:
        """Whether the kernel still has to take some of what was sent."""
        return bool(self._unsent)

    async def receive(self) -> bytes:
        """Wait for bytes; b"" when the peer has ended, or was lost. A cancellation loses nothing."""
        while True:
            await trio.lowlevel.wait_readable(self.sock)
            try:
                return self.sock.recv(RECEIVE_BYTES_MAX)
            except BlockingIOError:
                continue
            except OSError:
                self.lose()
                return b""

    async def send(self, data: bytes) -> None:
        """Return when the kernel has all of it. No checkpoint when it has it at once."""
        if self.send_now(data):
            return
        await self.flush()

    def send_now(self, data: bytes | memoryview) -> bool:
        """Hand over what goes without waiting; the rest is put in line. Whether nothing is left."""
        sent = 0 if self._unsent else self._try(data)
        if sent == len(data) or self.is_lost:
            return True
        self._unsent.append(memoryview(data)[sent:] if sent else data)
        return False

    async def flush(self) -> None:
        """Wait until the kernel has everything. Several tasks may; what each sent stays in order."""
        if self._turn is None:
            self._turn = trio.Lock()
        async with self._turn:
            try:
                while self._unsent:
                    await self._writable()
                    if self.is_lost:
                        break
                    data = self._unsent.popleft()
                    sent = self._try(data)
                    if sent < len(data):
                        self._unsent.appendleft(memoryview(data)[sent:])
            finally:
                self.stalls_at = math.inf

    async def send_file(self, file: int, size: int) -> bool:
        """Send so many bytes from the file's beginning, by the kernel alone; False when it has fewer."""
        if self._unsent:
            await self.flush()
        offset = 0
        try:
            while offset < size and not self.is_lost:
                await self._writable()
                with suppress(BlockingIOError):
                    sent = os.sendfile(self.sock.fileno(), file, offset, min(size - offset, SENDFILE_BYTES_MAX))
                    if not sent:
                        return False
                    offset += sent
        except (BrokenPipeError, ConnectionError):
            self.lose()
        finally:
            self.stalls_at = math.inf
        return True

    def lose(self) -> None:
        """The peer is gone: nothing more is sent. May be called again."""
        self.is_lost = True
        self._unsent.clear()
        self.on_lost()

    def cut(self) -> None:
        """End the connection: the kernel throws away what the peer never took."""
        with suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.stalls_at = math.inf
        self.lose()

    def wake_reader(self) -> None:
        """Have whoever waits in `receive` read the end. Nothing more can be received."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RD)

    def send_end(self) -> None:
        """Say that nothing more comes."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()

    async def _writable(self) -> None:
        self.stalls_at = trio.current_time() + self._write_stall_s
        await trio.lowlevel.wait_writable(self.sock)

    def _try(self, data: bytes | memoryview) -> int:
        """Offer bytes to the kernel; how many it took."""
        if self.is_lost:
            return len(data)
        try:
            return self.sock.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self.lose()
            return len(data)
