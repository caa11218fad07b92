"""Screens for `benchmarks.liveboard`: many WebSockets in one thread, which read as little of a frame as they can.

A screen knows the revision that it has come to; the crowd knows, from its slowest, what everybody has, and so how long
an operation took from being sent to the last screen. One of the screens looks at every operation, the others at the
head of each frame. Sending is prepared bytes.
"""

import select
import socket
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

COMMITTED, SYNCED, MOVES = 130, 131, 135
STAMP: Final = 12
"""Bytes of a site and its number, by which an operation is known."""
_RECEIVE_BYTES = 1 << 18


def masked(payload: bytes) -> bytes:
    """A binary message of a client. Its mask is zero, which costs nobody anything."""
    size = len(payload)
    if size < 126:
        return bytes((0x82, 0x80 | size, 0, 0, 0, 0)) + payload
    if size < 65536:
        return bytes((0x82, 0xFE)) + size.to_bytes(2, "big") + bytes(4) + payload
    return bytes((0x82, 0xFF)) + size.to_bytes(8, "big") + bytes(4) + payload


def handshake(port: int, path: str) -> socket.socket:
    """A WebSocket that is open."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += sock.recv(1)
    if not answer.startswith(b"HTTP/1.1 101 "):
        raise SystemExit(f"no WebSocket: {answer!r}")
    sock.setblocking(False)
    return sock


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and the place behind it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


@dataclass(eq=False, slots=True)
class Screen:
    """One client. `held` is the beginning of a frame of which the rest has not come yet."""

    sock: socket.socket
    rev: int = 0
    is_synced: bool = False
    held: bytes = b""
    outgoing: deque[bytes] = field(default_factory=deque)


class Crowd:
    """All screens of one room. `on_operation` is called by the first of them for each operation's site and number."""

    def __init__(self) -> None:
        self.screens: dict[int, Screen] = {}
        self.bytes = 0
        self.frames = 0
        self.deliveries = 0
        self.sent_at: dict[bytes, float] = {}
        self.latencies_s: list[float] = []
        self.presence_latencies_s: list[float] = []
        self.on_all: Callable[[int], None] = lambda count: None
        self.lowest = 0
        self._at: Counter[int] = Counter()
        self._stamps: deque[bytes] = deque()
        self._first: Screen | None = None
        self._moves: dict[bytes, tuple[list[float], int]] = {}
        self._poll = select.epoll()
        self._buffer = bytearray(_RECEIVE_BYTES)
        self._view = memoryview(self._buffer)

    def join(self, port: int, path: str, hello: bytes) -> Screen:
        """One more screen, which comes in with that frame."""
        screen = Screen(handshake(port, path))
        self.adopt(screen)
        self.send(screen, hello)
        return screen

    def adopt(self, screen: Screen) -> None:
        """Read what comes to a screen that is connected already."""
        self.screens[screen.sock.fileno()] = screen
        self._first = self._first or screen
        self._at[0] += 1
        self._poll.register(screen.sock, select.EPOLLIN)

    def send(self, screen: Screen, payload: bytes) -> None:
        """Send a message; what the socket does not take now it takes later."""
        self.send_raw(screen, masked(payload))

    def send_raw(self, screen: Screen, data: bytes) -> None:
        """Send frames that are masked already."""
        if not screen.outgoing:
            with suppress(BlockingIOError):
                data = data[screen.sock.send(data) :]
            if not data:
                return
            self._poll.modify(screen.sock, select.EPOLLIN | select.EPOLLOUT)
        screen.outgoing.append(data)

    def turn(self, timeout_s: float) -> None:
        """Take in and send what can be."""
        for number, events in self._poll.poll(timeout_s):
            screen = self.screens[number]
            if events & select.EPOLLIN:
                self._receive(screen)
            if events & select.EPOLLOUT:
                self._flush(screen)

    def until(self, is_done: Callable[[], bool], patience_s: float = 120.0) -> None:
        """Turn until it is so."""
        deadline = time.perf_counter() + patience_s
        while not is_done():
            self.turn(0.05)
            if time.perf_counter() > deadline:
                raise SystemExit("what was waited for did not come")

    def start_measuring(self) -> None:
        """Count from here."""
        self.bytes = self.frames = self.deliveries = 0
        self.latencies_s.clear()
        self.presence_latencies_s.clear()

    def close(self) -> None:
        """End all connections."""
        for screen in self.screens.values():
            screen.sock.close()
        self._poll.close()

    def _flush(self, screen: Screen) -> None:
        data = screen.outgoing.popleft()
        sent = screen.sock.send(data)
        if sent < len(data):
            screen.outgoing.appendleft(data[sent:])
        elif not screen.outgoing:
            self._poll.modify(screen.sock, select.EPOLLIN)

    def _receive(self, screen: Screen) -> None:
        size = screen.sock.recv_into(self._buffer)
        if not size:
            raise SystemExit("the server has closed a connection")
        self.bytes += size
        data = bytes(self._view[:size])
        if screen.held:
            data = screen.held + data
        at, end = 0, len(data)
        while end - at >= 2:
            length, start = data[at + 1], at + 2
            if length >= 126:
                start += 2 if length == 126 else 8
                length = int.from_bytes(data[at + 2 : start], "big") if start <= end else 0
            if start + length > end or (start > end):
                break
            if data[at] == 0x82:
                self._take(screen, data, start, start + length)
            elif data[at] == 0x88:
                raise SystemExit(f"the server says goodbye: {data[start : start + length]!r}")
            at = start + length
        screen.held = data[at:]

    def _take(self, screen: Screen, data: bytes, start: int, end: int) -> None:
        kind = data[start]
        self.frames += 1
        if kind == COMMITTED:
            rev, at = varint(data, start + 1)
            count, at = varint(data, at)
            if screen is self._first:
                self._note_operations(data, at, count)
            self.deliveries += count
            self._came_to(screen, rev + count - 1)
        elif kind == SYNCED:
            screen.is_synced = True
        elif kind == MOVES:
            self._moved(screen, data, start, end)

    def _note_operations(self, data: bytes, at: int, count: int) -> None:
        for _ in range(count):
            length, at = varint(data, at + 16)
            self._stamps.append(data[at + 1 : at + 1 + STAMP])
            at += length

    def _came_to(self, screen: Screen, rev: int) -> None:
        counts = self._at
        counts[screen.rev] -= 1
        counts[rev] += 1
        left, screen.rev = screen.rev, rev
        if left != self.lowest or counts[left]:
            return
        now = time.perf_counter()
        self._at = counts = Counter({rev: number for rev, number in counts.items() if number})
        lowest = min(counts)
        for _ in range(lowest - self.lowest):
            sent_at = self.sent_at.pop(self._stamps.popleft(), None)
            if sent_at is not None:
                self.latencies_s.append(now - sent_at)
        self.on_all(lowest - self.lowest)
        self.lowest = lowest

    def _moved(self, screen: Screen, data: bytes, start: int, end: int) -> None:
        """Presence is told in one frame for all: it has come to the last screen when as many have it as there are."""
        key = data[start : min(end, start + 48)]
        found = self._moves.get(key)
        if found is None:
            found = self._moves[key] = (self._times_in(data, start, end), 0)
        times, count = found
        if count + 1 < len(self.screens):
            self._moves[key] = (times, count + 1)
            return
        now = time.perf_counter()
        del self._moves[key]
        self.presence_latencies_s += [now - sent_at for sent_at in times]

    def _times_in(self, data: bytes, start: int, end: int) -> list[float]:
        """When the states in a frame were sent: that is what they say."""
        times = []
        count, at = varint(data, start + 1)
        for _ in range(count):
            _, at = varint(data, at)
            length, at = varint(data, at)
            if length >= 8:
                times.append(int.from_bytes(data[at : at + 8], "big") / 1e9)
            inks, at = varint(data, at + length)
            for _ in range(inks):
                length, at = varint(data, at)
                at += length
        return times
