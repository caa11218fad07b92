"""A client that sends commands ahead of their answers, many in one frame: for load, for tests, and for bulk work."""

from collections.abc import Sequence

import trio

from plugins.raft.process.transport import Address
from plugins.raft.process.wire import (
    CLIENT,
    Frames,
    Hello,
    Told,
    decode_answers,
    encode_commands,
    encode_hello,
    encode_read,
    framed,
)

READ_BYTES = 256 * 1024


class Lane:
    """One connection to one node. A broken one raises trio.BrokenResourceError: what was unanswered is unknown then."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._frames = Frames()

    @classmethod
    async def open(cls, address: Address, node: int) -> "Lane":
        """Connect to a node. Raises OSError."""
        stream = await trio.open_tcp_stream(*address)
        await stream.send_all(framed(encode_hello(Hello(CLIENT, 0, node, ""))))
        return cls(stream)

    async def send(self, items: Sequence[tuple[int, bytes]]) -> None:
        """Send commands, each with a tag of one's own."""
        await self._stream.send_all(framed(encode_commands(tuple(items))))

    async def send_read(self, tag: int, key: bytes) -> None:
        """Ask for a linearizable read."""
        await self._stream.send_all(framed(encode_read(tag, key)))

    async def receive(self) -> list[Told]:
        """Wait for some answers. Raises trio.EndOfChannel when the node is gone."""
        while True:
            data = await self._stream.receive_some(READ_BYTES)
            if not data:
                raise trio.EndOfChannel("the node closed the connection")
            found = [told for payload in self._frames.feed(bytes(data)) for told in decode_answers(payload)]
            if found:
                return found

    async def aclose(self) -> None:
        """Close the connection."""
        await trio.aclose_forcefully(self._stream)
