"""An upstream that answers with what was recorded, and remembers what it was asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio
from pydantic_core import from_json


@dataclass(slots=True)
class Asked:
    """One request as it was on the wire."""

    target: str
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class Recorded:
    """`answer` is what every request gets next: its status, its content type and its body."""

    port: int = 0
    answer: tuple[int, str, bytes] = (500, "text/plain", b"nothing recorded")
    asked: list[Asked] = field(default_factory=list)

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection."""
        data = b""
        async with stream:
            while more := await stream.receive_some():
                data += more
                request, blank, rest = data.partition(b"\r\n\r\n")
                if not blank:
                    continue
                line, *lines = request.decode().split("\r\n")
                headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines)}
                size = int(headers.get("content-length", "0"))
                if len(rest) < size:
                    continue
                self.asked.append(Asked(line.split(" ")[1], headers, from_json(rest[:size])))
                data = rest[size:]
                status, kind, body = self.answer
                head = f"HTTP/1.1 {status} Recorded\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
                await stream.send_all(head.encode() + body)


@asynccontextmanager
async def open_recorded() -> AsyncIterator[Recorded]:
    """Serve on a port of loopback for the block."""
    recorded = Recorded()
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        recorded.port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, recorded.serve, [listener])
        yield recorded
        nursery.cancel_scope.cancel()
