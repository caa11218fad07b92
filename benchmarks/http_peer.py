"""The server that `benchmarks.http_client` calls: Trio and httptools, one answer, as little else as possible.

Prints its port on one line and serves until its standard input closes. Private to the benchmark: it checks nothing.
"""

import socket
import sys

import httptools
import trio

BODY = b'{"id":"x","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hi"}}]}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


class _Requests:
    """Counts the requests that have come in whole."""

    def __init__(self) -> None:
        self.complete = 0

    def on_message_complete(self) -> None:
        self.complete += 1


async def _serve(sock: socket.socket) -> None:
    with sock:
        requests = _Requests()
        parser = httptools.HttpRequestParser(requests)
        while True:
            await trio.lowlevel.wait_readable(sock)
            data = sock.recv(65536)
            if not data:
                return
            parser.feed_data(data)
            if requests.complete:
                sock.send(ANSWER * requests.complete)
                requests.complete = 0


async def _accept(listener: socket.socket) -> None:
    async with trio.open_nursery() as nursery:
        while True:
            await trio.lowlevel.wait_readable(listener)
            sock, _ = listener.accept()
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            nursery.start_soon(_serve, sock)


async def _run() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1024)
        listener.setblocking(False)
        print(listener.getsockname()[1], flush=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_accept, listener)
            await trio.to_thread.run_sync(sys.stdin.read)
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(_run)
