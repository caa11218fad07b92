"""Messages to peers over TCP: one connection and one writer for each, made again for ever when it breaks.

A peer that takes nothing fills its buffer; what comes then is lost, which Raft mends, and the core is told.
"""

import random
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import trio

from plugins.raft.core.codec import encode
from plugins.raft.core.messages import Message
from plugins.raft.process.wire import PEER, Hello, encode_hello, framed

BUFFER_BYTES_MAX: Final = 16 * 1024 * 1024
CONNECT_TIMEOUT_S: Final = 2.0
SEND_TIMEOUT_S: Final = 5.0
"""A peer that takes no bytes for so long is connected to anew."""
PAUSE_S: Final = (0.02, 0.5)
"""The first and the longest pause between two attempts; each is drawn from half to all of it."""


class Address(NamedTuple):
    """Where a peer listens."""

    host: str
    port: int


class _Peer:
    __slots__ = ("buffer", "is_connected", "parts", "size", "wake")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self.wake = trio.Event()
        self.is_connected = False


class TcpTransport:
    """Sends for one node. `run` serves all its peers."""

    def __init__(self, node: int, peers: Mapping[int, Address], url: str, unreachable: Callable[[int], None]) -> None:
        self._node = node
        self._addresses = dict(peers)
        self._url = url
        self._unreachable = unreachable
        self._peers = {number: _Peer() for number in peers if number != node}
        self.lost = 0
        """Messages that did not leave."""

    def send(self, message: Message) -> None:
        """Put a message to those that wait. Never waits; lost when too much waits, or nobody knows the peer."""
        peer = self._peers.get(message.to)
        if peer is None or not peer.is_connected:
            self.lost += 1
            return
        if peer.size > BUFFER_BYTES_MAX:
            self.lost += 1
            self._unreachable(message.to)
            return
        payload = encode(message)
        peer.parts.append(framed(payload))
        peer.size += len(payload)

    def flush(self) -> None:
        """Let the writers go."""
        for peer in self._peers.values():
            if peer.parts:
                peer.wake.set()

    def connected(self) -> dict[int, bool]:
        """Who can be reached."""
        return {number: peer.is_connected for number, peer in self._peers.items()}

    async def run(self) -> None:
        """Keep a connection to each peer until cancelled."""
        async with trio.open_nursery() as nursery:
            for number, peer in self._peers.items():
                nursery.start_soon(self._keep, number, peer)

    async def _keep(self, number: int, peer: _Peer) -> None:
        pause_s = PAUSE_S[0]
        while True:
            try:
                with trio.fail_after(CONNECT_TIMEOUT_S):
                    stream = await trio.open_tcp_stream(*self._addresses[number])
            except (OSError, trio.TooSlowError):
                await trio.sleep(pause_s * random.uniform(0.5, 1))
                pause_s = min(PAUSE_S[1], pause_s * 2)
                continue
            pause_s = PAUSE_S[0]
            async with stream:
                await self._write(stream, number, peer)
            # Whatever waits was meant for a state of the peer that may be gone.
            peer.parts, peer.size = [], 0
            self._unreachable(number)

    async def _write(self, stream: trio.SocketStream, number: int, peer: _Peer) -> None:
        hello = Hello(PEER, self._node, number, self._url)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_until_closed, stream, nursery.cancel_scope)
            try:
                await stream.send_all(framed(encode_hello(hello)))
                peer.is_connected = True
                while True:
                    if not peer.parts:
                        peer.wake = trio.Event()
                        await peer.wake.wait()
                    data = b"".join(peer.parts)
                    peer.parts, peer.size = [], 0
                    with trio.fail_after(SEND_TIMEOUT_S):
                        await stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
                nursery.cancel_scope.cancel(reason="the connection broke")
            finally:
                peer.is_connected = False


async def _until_closed(stream: trio.SocketStream, scope: trio.CancelScope) -> None:
    """A peer sends nothing back on this connection; its end is the end of the connection."""
    try:
        while await stream.receive_some(1024):
            pass
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    scope.cancel(reason="the peer closed the connection")
