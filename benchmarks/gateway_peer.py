"""The upstream that `benchmarks.gateway` puts behind each gateway: Chat Completions at once, as little else as can be.

Prints its port on one line and serves until its standard input closes. A body with `"stream":true` is answered with 50
chunks, all at once, or 20 ms apart when the model is called "paced". Private to the benchmark: it checks nothing.
"""

import contextlib
import socket
import sys

import httptools
import trio

CHUNKS = 50
INTERVAL_S = 0.02
_HEAD = b'{"id":"c","object":"chat.completion.chunk","created":1,"model":"bench","choices":[{"index":0,"delta":'
WHOLE = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"bench","choices":[{"index":0,"message":{"role":'
    b'"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":1,'
    b'"total_tokens":10}}'
)
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(WHOLE), WHOLE)
_BEGIN = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _chunk(data: bytes) -> bytes:
    event = b"data: %s\n\n" % data
    return b"%x\r\n%s\r\n" % (len(event), event)


_FIRST = _chunk(_HEAD + b'{"role":"assistant","content":""},"finish_reason":null}]}')
_TOKEN = _chunk(_HEAD + b'{"content":" token"},"finish_reason":null}]}')
_LAST = _chunk(_HEAD + b'{},"finish_reason":"stop"}]}') + _chunk(b"[DONE]") + b"0\r\n\r\n"
_STREAM = _BEGIN + _FIRST + _TOKEN * CHUNKS + _LAST


class _Request:
    def __init__(self) -> None:
        self.body = b""
        self.is_complete = False

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.is_complete = True


async def _serve(sock: socket.socket) -> None:
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
    with contextlib.suppress(trio.BrokenResourceError, OSError):
        async with stream:
            while True:
                request = _Request()
                parser = httptools.HttpRequestParser(request)
                while not request.is_complete:
                    data = await stream.receive_some(65536)
                    if not data:
                        return
                    parser.feed_data(data)
                await _answer(stream, request.body)


async def _answer(stream: trio.SocketStream, body: bytes) -> None:
    if b'"stream":true' not in body.replace(b" ", b""):
        await stream.send_all(_ANSWER)
    elif b"paced" not in body:
        await stream.send_all(_STREAM)
    else:
        await stream.send_all(_BEGIN + _FIRST)
        began = trio.current_time()
        for number in range(CHUNKS):
            await trio.sleep_until(began + (number + 1) * INTERVAL_S)
            await stream.send_all(_TOKEN)
        await stream.send_all(_LAST)


async def _accept(listener: socket.socket) -> None:
    async with trio.open_nursery() as nursery:
        while True:
            await trio.lowlevel.wait_readable(listener)
            with contextlib.suppress(BlockingIOError):
                while True:
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
