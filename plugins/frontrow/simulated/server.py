"""A small HTTP/1.1 server on loopback, for the simulated provider and for what it reports back.

JSON in, JSON out, one connection a task, kept alive. Whatever is not such a request ends its connection. It is no
server for the world: the host has one.
"""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import httptools
import trio
from pydantic_core import to_json

BODY_BYTES_MAX: Final = 64 * 1024
CONNECTIONS_MAX: Final = 1024
IDLE_S: Final = 60.0

Handler = Callable[[str, str, Mapping[str, str], bytes], Awaitable[tuple[int, Any] | None]]
"""Method, target, headers (lower case) and body to a status and a document; None hangs up without an answer."""


async def serve_loopback(
    handler: Handler, *, port: int = 0, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve until cancelled; `started` with the port."""
    turns = trio.Semaphore(CONNECTIONS_MAX)

    async def connection(stream: trio.SocketStream) -> None:
        async with stream, turns:
            try:
                await _serve_connection(stream, handler)
            except (trio.BrokenResourceError, trio.ClosedResourceError, httptools.HttpParserError):
                # The peer left, or speaks something else.
                return

    listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        task_status.started(listeners[0].socket.getsockname()[1])
        await trio.serve_listeners(connection, listeners, handler_nursery=nursery)


class _Request:
    """Collects one request after the other, as llhttp calls back."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.target = b""
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.is_complete = False

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.is_complete = True


async def _serve_connection(stream: trio.SocketStream, handler: Handler) -> None:
    request = _Request()
    parser = httptools.HttpRequestParser(request)
    while True:
        data: bytes | bytearray = b""
        with trio.move_on_after(IDLE_S):
            data = await stream.receive_some()
        if not data:
            return
        parser.feed_data(data)
        if len(request.body) > BODY_BYTES_MAX:
            return
        if not request.is_complete:
            continue
        method = parser.get_method().decode()
        answer = await handler(method, request.target.decode("latin-1"), request.headers, bytes(request.body))
        if answer is None:
            return
        status, document = answer
        body = to_json(document)
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
        await stream.send_all(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        if not parser.should_keep_alive():
            return
        request.reset()
        parser = httptools.HttpRequestParser(request)
