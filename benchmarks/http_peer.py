"""The upstream of the benchmarks: Chat Completions at once, on one thread and bare sockets, as little else as can be.

    python -m benchmarks.http_peer

Prints its port on one line and serves until its standard input closes. A body with `"stream":true` is answered with
`CHUNKS` chunks: all at once, or, when the model's name holds "paced", `INTERVAL_S` apart; the content of such a chunk
is the nanosecond of the monotonic clock at which it was sent, which any process of this machine can compare with its
own. Private to the benchmarks: it checks nothing.
"""

import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

CHUNKS: Final = 50
INTERVAL_S: Final = 0.02
_HEAD: Final = b'{"id":"c","object":"chat.completion.chunk","created":1,"model":"bench","choices":[{"index":0,"delta":'
BODY: Final = (
    b'{"id":"x","object":"chat.completion","created":1,"model":"bench","choices":[{"index":0,"message":{"role":'
    b'"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":1,'
    b'"total_tokens":10}}'
)
_ANSWER: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
    len(BODY),
    BODY,
)
_BEGIN: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _chunk(data: bytes) -> bytes:
    event = b"data: %s\n\n" % data
    return b"%x\r\n%s\r\n" % (len(event), event)


def _token(text: bytes) -> bytes:
    return _chunk(_HEAD + b'{"content":"%s"},"finish_reason":null}]}' % text)


_FIRST: Final = _BEGIN + _chunk(_HEAD + b'{"role":"assistant","content":""},"finish_reason":null}]}')
_LAST: Final = _chunk(_HEAD + b'{},"finish_reason":"stop"}]}') + _chunk(b"[DONE]") + b"0\r\n\r\n"
_STREAM: Final = _FIRST + _token(b" token") * CHUNKS + _LAST


class _Server:
    """Every connection in one loop. `paced` has the streams in the order in which their next chunks are due."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._epoll = select.epoll()
        self._connections: dict[int, socket.socket] = {}
        self._unread: dict[int, bytes] = {}
        self._paced: deque[tuple[float, socket.socket, int]] = deque()

    def run(self) -> None:
        """Serve until standard input closes."""
        self._epoll.register(self._listener, select.EPOLLIN)
        self._epoll.register(sys.stdin, select.EPOLLIN)
        while True:
            wait_s = max(0.0, self._paced[0][0] - time.monotonic()) if self._paced else -1
            for number, _ in self._epoll.poll(wait_s):
                if number in self._connections:
                    self._read(number)
                elif number == self._listener.fileno():
                    self._accept()
                else:
                    return
            self._send_due()

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            while True:
                sock, _ = self._listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._connections[sock.fileno()] = sock
                self._epoll.register(sock, select.EPOLLIN)

    def _read(self, number: int) -> None:
        sock = self._connections[number]
        try:
            data = sock.recv(65536)
        except OSError:
            data = b""
        if not data:
            del self._connections[number]
            self._unread.pop(number, None)
            sock.close()
            return
        if self._unread:
            data = self._unread.pop(number, b"") + data
        head = data.find(b"\r\n\r\n")
        length = data.lower().find(b"content-length: ", 0, head)
        size = int(data[length + 16 : data.find(b"\r", length)]) if length >= 0 else 0
        if head < 0 or len(data) < head + 4 + size:
            self._unread[number] = data
            return
        if data.find(b'"stream":true', head) < 0 and data.find(b'"stream": true', head) < 0:
            sock.send(_ANSWER)
        elif data.find(b"paced", head) < 0:
            sock.send(_STREAM)
        else:
            sock.send(_FIRST)
            self._paced.append((time.monotonic() + INTERVAL_S, sock, CHUNKS))

    def _send_due(self) -> None:
        now = time.monotonic()
        while self._paced and self._paced[0][0] <= now:
            due, sock, left = self._paced.popleft()
            # Who has left needs no more of it.
            with suppress(OSError):
                sock.send(_token(b"%d" % time.monotonic_ns()) if left else _LAST)
                if left:
                    self._paced.append((due + INTERVAL_S, sock, left - 1))


@contextmanager
def served(*prefix: str) -> Iterator[int]:
    """The port of this server in a process of its own. `prefix` goes before its command."""
    command = [*prefix, sys.executable, "-m", "benchmarks.http_peer"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peer:
        assert peer.stdout is not None
        assert peer.stdin is not None
        try:
            yield int(peer.stdout.readline())
        finally:
            peer.stdin.close()


def main() -> None:
    """Serve."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        listener.setblocking(False)
        print(listener.getsockname()[1], flush=True)
        _Server(listener).run()


if __name__ == "__main__":
    main()
