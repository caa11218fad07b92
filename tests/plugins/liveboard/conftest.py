"""Liveboard over real servers, and a client for it that is a replica in Python."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from plugins.liveboard.core import frames as f
from plugins.liveboard.core import operations as o
from plugins.liveboard.core.codec import encode_operation
from plugins.liveboard.core.opset import Entry, OperationSet, entry_of

NOTHING = bytes(32)
CLOSE_PATIENCE_S = 10
STYLE = o.Style(0x1F6F6B, 24, 100)


def stroke(x: int = 0) -> o.Stroke:
    return o.Stroke("pen", STYLE, (x, 0, x + 8, 8, x + 16, 24))


class Client:
    """A page in Python: keeps the board, its own unsaved operations, and all frames that it has not looked for."""

    def __init__(self, name: str = "tester") -> None:
        self.name = name
        self.site = secrets.token_bytes(8)
        self.token = secrets.token_bytes(16)
        self.board = OperationSet()
        self.receipts: dict[bytes, bytes] = {}
        self.unsaved: list[Entry] = []
        self.acknowledged: set[o.OpId] = set()
        self.rev = 0
        self.seq = 0
        self.inbox: list[Any] = []
        self.people: dict[int, f.Person] = {}
        self.welcome: f.Welcome | None = None
        self.is_synced = False
        self.changed = trio.Event()
        self.socket: WebSocketConnection | None = None

    @asynccontextmanager
    async def connected(self, url: str, room: str, *, key: str = "", password: str = "") -> AsyncIterator["Client"]:
        """Be in the room for the block, synced at its start."""
        async with self.connected_raw(url, room) as socket, trio.open_nursery() as nursery:
            self.is_synced = False
            nursery.start_soon(self._read, socket)
            self.inbox = [each for each in self.inbox if not isinstance(each, f.Bye)]
            await self.send(self.hello(key, password))
            await self.until(lambda: self.is_synced or any(isinstance(each, f.Bye) for each in self.inbox))
            yield self
            nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def connected_raw(self, url: str, room: str) -> AsyncIterator[WebSocketConnection]:
        """The socket alone.

        The stream is ours: trio-websocket's own way to open one forgets to close it when it is cancelled while it
        connects, and, after the server's close, leaves it to be closed by the server alone.
        """
        address = urlsplit(url)
        assert address.hostname is not None
        assert address.port is not None
        stream = await trio.open_tcp_stream(address.hostname, address.port)
        try:
            async with trio.open_nursery() as nursery:
                self.socket = await wrap_client_stream(
                    nursery,
                    stream,
                    address.netloc,
                    f"/api/liveboard/rooms/{room}/socket",
                    subprotocols=["liveboard.v1"],
                    max_message_size=2**24,
                    message_queue_size=1000,
                )
                yield self.socket
                with trio.move_on_after(CLOSE_PATIENCE_S):
                    await self.socket.aclose()
                nursery.cancel_scope.cancel()
        finally:
            await trio.aclose_forcefully(stream)

    def hello(self, key: str = "", password: str = "") -> f.Hello:
        digest = self.board.digest if self.rev else NOTHING
        return f.Hello(1, self.site, self.token, key, password, self.name, 0x123456, self.rev, digest)

    async def send(self, frame: Any) -> None:
        assert self.socket is not None
        await self.socket.send_message(f.encode_frame(frame))

    def is_gone(self) -> bool:
        """Whether the connection has ended."""
        return self.socket is None or self.socket.closed is not None

    def make(self, body: o.Body, *, lamport: int | None = None) -> Entry:
        own = max((each.operation.lamport for each in self.unsaved), default=0)
        self.seq += 1
        clock = max(self.board.lamport_max, own) + 1 if lamport is None else lamport
        entry = entry_of(encode_operation(o.Operation(self.site, self.seq, clock, body)))
        self.unsaved.append(entry)
        return entry

    async def draw(self, *bodies: o.Body) -> list[Entry]:
        """Make operations and offer them."""
        entries = [self.make(body) for body in bodies or (stroke(),)]
        await self.offer(entries)
        return entries

    async def offer(self, entries: list[Entry]) -> None:
        for at in range(0, len(entries), 200):
            await self.send(f.Offer(tuple(entry.data for entry in entries[at : at + 200])))

    async def until(self, check: Callable[[], Any], timeout_s: float = 30.0) -> Any:
        """Wait until what arrived makes it true, and return it."""
        with trio.fail_after(timeout_s):
            while not (found := check()):
                await self.changed.wait()
        return found

    def names(self) -> set[str]:
        """Who is there, as far as this client was told."""
        return {person.name for person in self.people.values()}

    async def saved(self) -> None:
        await self.until(lambda: not self.unsaved)

    async def expect(self, kind: type, timeout_s: float = 30.0) -> Any:
        """The next frame of that kind, taken out of the inbox."""
        frame = await self.until(lambda: next((each for each in self.inbox if isinstance(each, kind)), None), timeout_s)
        self.inbox.remove(frame)
        return frame

    async def has(self, rev: int, timeout_s: float = 30.0) -> None:
        await self.until(lambda: self.rev >= rev, timeout_s)

    async def _read(self, socket: WebSocketConnection) -> None:
        try:
            while True:
                await self._take(f.decode_frame(await socket.get_message()))
                self.changed.set()
                self.changed = trio.Event()
        except ConnectionClosed:
            self.changed.set()
            self.changed = trio.Event()

    async def _take(self, frame: Any) -> None:
        match frame:
            case f.Welcome():
                self.welcome = frame
                if frame.resync:
                    await self._resync(dict(frame.versions))
            case f.Committed(rev, operations):
                assert rev in (0, self.rev + 1), f"revision {self.rev + 1} is missing"
                for receipt, data in operations:
                    entry = entry_of(data)
                    self.board.add(entry)
                    self.receipts[entry.leaf] = receipt
                    if entry.operation.site == self.site:
                        self._acknowledge(entry.operation.id)
                self.rev += len(operations) if rev else 0
            case f.Synced(rev, digest):
                self.rev = rev
                self.is_synced = True
                assert self.welcome is not None
                assert self.welcome.resync or digest == self.board.digest
                if self.unsaved:
                    await self.offer(self.unsaved)
            case f.Have(site, seq) if site == self.site:
                for entry in list(self.unsaved):
                    if entry.operation.seq <= seq:
                        self._acknowledge(entry.operation.id)
            case f.People(whole, people, left):
                if whole:
                    self.people.clear()
                self.people.update({person.number: person for person in people})
                for number in left:
                    # Who came after that one left, but before it was told, never knew it.
                    self.people.pop(number, None)
            case _:
                self.inbox.append(frame)

    def _acknowledge(self, id: o.OpId) -> None:
        self.acknowledged.add(id)
        self.unsaved = [entry for entry in self.unsaved if entry.operation.id != id]

    async def _resync(self, versions: dict[bytes, int]) -> None:
        await self.send(f.Known(tuple(sorted(self.board.versions.items()))))
        lacking = self.board.missing_in(versions)
        await self.send(f.Restore(tuple((self.receipts[entry.leaf], entry.data) for entry in lacking)))
        self.rev = 0
