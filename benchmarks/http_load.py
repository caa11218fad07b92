"""The load of the benchmarks: prepared requests over bare sockets, on one thread, without pipelining.

It parses no more of an answer than where it ends, and costs some ten microseconds a request, so that on a machine of
two cores it is not what is measured; `benchmarks.gateway` prints what it reaches against the upstream alone.
"""

import itertools
import re
import select
import socket
import time
from dataclasses import dataclass, field
from typing import Final

READ_BYTES: Final = 262_144
WAIT_S: Final = 30.0
"""A server that says nothing for so long has failed."""
_STAMP: Final = re.compile(rb'"content":\s?"(\d{6,})"')


class LoadError(Exception):
    """The server gave another answer than expected, or none."""


def post(path: str, body: bytes, **headers: str) -> bytes:
    """A request with a JSON body, ready to be sent. An underscore in a header's name stands for a hyphen."""
    given = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n{given}"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def end_of(data: bytes) -> int | None:
    """How long the first answer in `data` is, None while it is not whole. By length or in chunks."""
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return None
    length = data.find(b"ontent-length: ", 0, head)
    if length < 0:
        length = data.find(b"ontent-Length: ", 0, head)
    if length >= 0:
        end = head + 4 + int(data[length + 15 : data.find(b"\r", length)])
        return end if len(data) >= end else None
    end = data.find(b"\r\n0\r\n\r\n", head)
    return end + 7 if end >= 0 else None


def connect(port: int) -> socket.socket:
    """A connection without Nagle's delay."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def ask(sock: socket.socket, request: bytes) -> tuple[bytes, int]:
    """One answer, and the nanosecond at which its first event came, or its first byte. Raises `LoadError`."""
    sock.sendall(request)
    data, first_ns = b"", 0
    while end_of(data) is None:
        more = sock.recv(READ_BYTES)
        if not more:
            raise LoadError(f"the connection ended early, after {data[:300]!r}")
        data += more
        if not first_ns and (b"\ndata: " in data or b"event-stream" not in data):
            first_ns = time.perf_counter_ns()
    return data, first_ns or time.perf_counter_ns()


def one_at_a_time(
    port: int, request: bytes, count: int, seconds: float, mark: bytes
) -> tuple[list[float], list[float]]:
    """Microseconds to the first event and to the end of each answer, each list sorted. Each must hold `mark`.

    So many answers, or as many as come in so many seconds; the first quarter, of either, does not count.
    """
    firsts: list[float] = []
    ends: list[float] = []
    start = time.perf_counter()
    with connect(port) as sock:
        for number in range(count + count // 4):
            if ends and time.perf_counter() > start + seconds:
                break
            began_ns = time.perf_counter_ns()
            answer, first_ns = ask(sock, request)
            ended_ns = time.perf_counter_ns()
            _check(answer, mark)
            if number >= count // 4 or ended_ns / 1e9 > start + seconds / 4:
                firsts.append((first_ns - began_ns) / 1e3)
                ends.append((ended_ns - began_ns) / 1e3)
    return sorted(firsts), sorted(ends)


def many_at_once(
    port: int, request: bytes, at_once: int, seconds: float, mark: bytes, serial: bytes = b""
) -> tuple[int, float]:
    """How many answers came, and in how many seconds, with `at_once` connections that each ask again once answered.

    Ends after `seconds`, or with `at_once` answers, whichever is later. Each answer must hold `mark`. `serial`
    stands in the request where each has a number of its own.
    """
    numbers = itertools.count(time.time_ns())

    def next_request() -> bytes:
        return request.replace(serial, b"%0*d" % (len(serial), next(numbers))) if serial else request

    sockets = {}
    poll = select.epoll()
    for _ in range(at_once):
        sock = connect(port)
        sockets[sock.fileno()] = sock
        poll.register(sock, select.EPOLLIN)
        sock.send(next_request())
    unread: dict[int, bytes] = {}
    count = 0
    began = now = time.perf_counter()
    until = began + seconds
    while now < until or count < at_once:
        ready = poll.poll(WAIT_S)
        if not ready:
            raise LoadError(f"no answer within {WAIT_S:g} s")
        for number, _ in ready:
            data = unread.pop(number, b"") + sockets[number].recv(READ_BYTES)
            if end_of(data) is None:
                unread[number] = data
                continue
            _check(data, mark)
            count += 1
            sockets[number].send(next_request())
        now = time.perf_counter()
    for sock in sockets.values():
        sock.close()
    poll.close()
    return count, now - began


@dataclass(slots=True)
class Stream:
    """One stream that is followed: whether it came to its end, and how long each of its chunks was on its way."""

    sock: socket.socket
    is_whole: bool = False
    delays_ms: list[float] = field(default_factory=list)
    _rest: bytes = b""

    def read(self) -> bool:
        """Take what has come; whether that was the last."""
        data = self.sock.recv(READ_BYTES)
        now_ns = time.monotonic_ns()
        text = self._rest + data
        self._rest = text[text.rfind(b"\n\n") + 2 :]
        self.delays_ms += [
            (now_ns - int(sent_ns)) / 1e6 for sent_ns in _STAMP.findall(text[: len(text) - len(self._rest)])
        ]
        self.is_whole = self.is_whole or b"data: [DONE]" in text
        return not data or text.endswith(b"\r\n0\r\n\r\n")


def follow_streams(port: int, requests: list[bytes], seconds: float) -> list[Stream]:
    """Begin these streams, evenly over `seconds`, and follow them to their ends.

    Their chunks have for content the nanosecond of the monotonic clock at which they were sent.
    """
    poll = select.epoll()
    streams: dict[int, Stream] = {}
    left = len(requests)
    began = heard = time.monotonic()
    while left and (now := time.monotonic()) - heard < WAIT_S:
        while len(streams) < len(requests) and now - began >= len(streams) * seconds / len(requests):
            stream = Stream(connect(port))
            stream.sock.send(requests[len(streams)])
            poll.register(stream.sock, select.EPOLLIN)
            streams[stream.sock.fileno()] = stream
        for number, _ in poll.poll(0.001 if len(streams) < len(requests) else 1.0):
            heard = now
            if streams[number].read():
                poll.unregister(number)
                left -= 1
    for stream in streams.values():
        stream.sock.close()
    poll.close()
    return list(streams.values())


def _check(answer: bytes, mark: bytes) -> None:
    if mark not in answer:
        raise LoadError(f"another answer than {mark!r}: {answer[:400]!r}")
