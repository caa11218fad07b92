"""Redis Pub/Sub on a connection of its own, honest about what it may have missed.

Redis delivers at most once: what is published while a subscriber is away, or too slow, is gone (Redis documentation,
"Pub/Sub", delivery semantics). A reader here is told so, in its place among the messages: it receives `Missed` and
should then read the state anew from where that is kept. Sharded channels (Redis 7's SSUBSCRIBE) are not offered.
"""

import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Literal

import trio

from host.errors import ServiceUnavailable
from host.services.redis_calls import ConnectionLost, pack_words
from host.services.redis_connection import BROKEN, Connection, backoff_s, describe

# A peer that has vanished sends no FIN: after this long without a word it is asked for one.
PING_INTERVAL_S: Final = 10.0

_Kind = Literal["SUBSCRIBE", "PSUBSCRIBE"]
_UNDO: Final[dict[_Kind, str]] = {"SUBSCRIBE": "UNSUBSCRIBE", "PSUBSCRIBE": "PUNSUBSCRIBE"}
_CONFIRMS: Final[dict[bytes, tuple[_Kind, bool]]] = {
    b"subscribe": ("SUBSCRIBE", True),
    b"unsubscribe": ("SUBSCRIBE", False),
    b"psubscribe": ("PSUBSCRIBE", True),
    b"punsubscribe": ("PSUBSCRIBE", False),
}
_Name = tuple[_Kind, bytes]


@dataclass(frozen=True, slots=True)
class PubSubMessage:
    """One published message. `pattern` is the pattern that let it in, None for a channel subscribed by name."""

    channel: str
    data: bytes
    pattern: str | None = None


@dataclass(frozen=True, slots=True)
class Missed:
    """Here messages may be missing. `dropped` is their number where it is known, None where nobody can know it.

    "reconnected": the connection was lost, or the subscription took effect only now. "overflow": the reader was too
    slow, and the oldest in its queue made room.
    """

    reason: Literal["reconnected", "overflow"]
    dropped: int | None = None


@dataclass(frozen=True, slots=True)
class PubSubStatistics:
    """`messages` received and `dropped` of them; `queued` items and bytes wait for the reader."""

    is_connected: bool
    subscriptions: int
    messages: int
    dropped: int
    reconnections: int
    queued: int
    queued_peak: int
    queued_bytes: int


class PubSub:
    """A subscriber: `subscribe`, then `async for item in pubsub`, each a `PubSubMessage` or a `Missed`. For one reader.

    The queue between Redis and the reader holds `queue_items` and `queue_bytes`. When it is full the oldest
    messages are dropped, and a `Missed` with their number stands in their place: Redis itself is never held up,
    which would make it close the connection (client-output-buffer-limit pubsub).
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        *,
        timeout_s: float,
        queue_items: int,
        queue_bytes: int,
        ping_interval_s: float = PING_INTERVAL_S,
    ) -> None:
        assert queue_items > 0, "a queue that holds nothing"
        assert queue_bytes > 0, "a queue that holds nothing"
        self._connect = connect
        self._timeout_s = timeout_s
        self._ping_interval_s = ping_interval_s
        self._queue_items = queue_items
        self._queue_bytes = queue_bytes
        self._queue: deque[PubSubMessage | Missed] = deque()
        self._queued_bytes = self._queued_peak = 0
        # What has made room at the front of the queue: how many messages, and whether a `Missed` was among them.
        self._overflown = 0
        self._overflown_gap = False
        self._messages = self._dropped = self._reconnections = 0
        self._wanted: set[_Name] = set()
        self._subscribed: set[_Name] = set()
        # Confirmations still due on this connection, by name: a name is settled when there are none.
        self._unconfirmed: dict[_Name, int] = {}
        self._is_connected = False
        self._gap_due = False
        self._heard_at_s = -math.inf
        self._scope = trio.CancelScope()
        self._is_closed = False
        self._readable = trio.lowlevel.ParkingLot()
        self._settled = trio.lowlevel.ParkingLot()
        self._wake_sender = trio.Event()

    async def subscribe(self, *channels: str) -> None:
        """Subscribe to channels; they are in effect when it returns, and again after every reconnection.

        Cancelled or failed, the wish stands: when it is granted later, a `Missed` says so. `unsubscribe` takes it
        back.

        Raises:
            ServiceUnavailable: not confirmed within the time-out of a command; Redis is down, most likely.
        """
        await self._want("SUBSCRIBE", channels)

    async def psubscribe(self, *patterns: str) -> None:
        """Subscribe to the channels that match glob patterns; otherwise as `subscribe`."""
        await self._want("PSUBSCRIBE", patterns)

    def unsubscribe(self, *channels: str) -> None:
        """Give up channels, without waiting. What has been received already, or is on its way, may still be read."""
        self._wanted -= _names("SUBSCRIBE", channels)
        self._wake_sender.set()

    def punsubscribe(self, *patterns: str) -> None:
        """Give up patterns; otherwise as `unsubscribe`."""
        self._wanted -= _names("PSUBSCRIBE", patterns)
        self._wake_sender.set()

    async def receive(self) -> PubSubMessage | Missed:
        """Wait for the next item. Cancelled, it takes none.

        Raises:
            ServiceUnavailable: the subscriber is closed and its queue is empty.
        """
        await trio.lowlevel.checkpoint()
        while not self._queue and not self._overflown and not self._overflown_gap:
            if self._is_closed:
                raise ServiceUnavailable("this subscriber is closed")
            await self._readable.park()
        if self._overflown or self._overflown_gap:
            missed = Missed("overflow", None if self._overflown_gap else self._overflown)
            self._overflown, self._overflown_gap = 0, False
            return missed
        item = self._queue.popleft()
        self._queued_bytes -= _bytes_of(item)
        return item

    def __aiter__(self) -> AsyncIterator[PubSubMessage | Missed]:
        return self

    async def __anext__(self) -> PubSubMessage | Missed:
        return await self.receive()

    def statistics(self) -> PubSubStatistics:
        """A snapshot."""
        return PubSubStatistics(
            is_connected=self._is_connected,
            subscriptions=len(self._wanted),
            messages=self._messages,
            dropped=self._dropped,
            reconnections=self._reconnections,
            queued=len(self._queue),
            queued_peak=self._queued_peak,
            queued_bytes=self._queued_bytes,
        )

    def close(self) -> None:
        """Close at once; a waiting reader gets `ServiceUnavailable`."""
        self._is_closed = True
        self._scope.cancel(reason="the subscriber was closed")
        self._readable.unpark_all()
        self._settled.unpark_all()

    async def run(self) -> None:
        """Keep the connection, for ever, until `close`. For the nursery of the `Redis` that made it."""
        failures = 0
        try:
            with self._scope:
                while True:
                    try:
                        connection = await self._connect()
                    except ServiceUnavailable:
                        failures += 1
                    else:
                        failures = 1
                        await self._serve(connection)
                    await trio.sleep(backoff_s(failures))
        finally:
            self.close()

    async def _want(self, kind: _Kind, names: Iterable[str]) -> None:
        wished = _names(kind, names)
        self._wanted |= wished
        self._wake_sender.set()
        is_granted = False
        try:
            with trio.move_on_after(self._timeout_s):
                await trio.lowlevel.checkpoint()
                while not self._is_closed and not (is_granted := self._grants(wished)):
                    await self._settled.park()
        finally:
            self._gap_due = self._gap_due or not is_granted
        if not is_granted:
            raise ServiceUnavailable("the subscription was not confirmed in time; it will be made when Redis is there")

    def _grants(self, wished: set[_Name]) -> bool:
        """Whether all of them still wished for are in effect; `unsubscribe` may have taken some back."""
        due = wished & self._wanted
        return due <= self._subscribed and not any(name in self._unconfirmed for name in due)

    async def _serve(self, connection: Connection) -> None:
        self._is_connected = True
        self._heard_at_s = monotonic()
        # What is wished for and confirmed nowhere yet has missed nothing: `subscribe` still waits for it.
        self._gap_due = self._gap_due or bool(self._subscribed & self._wanted)
        self._reconnections += bool(self._subscribed)
        self._subscribed.clear()
        self._unconfirmed.clear()
        try:
            async with trio.open_nursery() as nursery:
                for part in (self._send, self._receive):
                    nursery.start_soon(self._until_broken, part, connection, nursery.cancel_scope)
        finally:
            self._is_connected = False
            connection.close()

    async def _until_broken(
        self, part: Callable[[Connection], Awaitable[None]], connection: Connection, scope: trio.CancelScope
    ) -> None:
        try:
            await part(connection)
        except BROKEN as error:
            scope.cancel(reason=describe(error))

    async def _send(self, connection: Connection) -> None:
        """Bring what the server knows in line with what is wished for; ask for a sign of life when there is none."""
        asked: set[_Name] = set()
        while True:
            self._wake_sender = trio.Event()
            commands: list[tuple[str | bytes, ...]] = []
            for names, is_new in ((self._wanted - asked, True), (asked - self._wanted, False)):
                for kind, name in sorted(names):
                    commands.append((kind if is_new else _UNDO[kind], name))
                    self._unconfirmed[kind, name] = self._unconfirmed.get((kind, name), 0) + 1
            asked = set(self._wanted)
            silent_s = monotonic() - self._heard_at_s
            if silent_s >= self._ping_interval_s + self._timeout_s:
                raise ConnectionLost(f"Redis has been silent for {silent_s:.0f} s")
            if silent_s >= self._ping_interval_s:
                commands.append(("PING",))
            if commands:
                with trio.move_on_after(self._timeout_s) as patience:
                    await connection.transport.send_all(b"".join([pack_words(args) for args in commands]))
                if patience.cancelled_caught:
                    raise ConnectionLost("Redis takes nothing any more")
            with trio.move_on_after(min(self._timeout_s, self._ping_interval_s)):
                await self._wake_sender.wait()

    async def _receive(self, connection: Connection) -> None:
        while True:
            reply = await connection.receive()
            self._heard_at_s = monotonic()
            # The answer to PING is "+PONG" before the first subscription and ["pong", ""] after it.
            if isinstance(reply, Exception):
                raise ConnectionLost(f"Redis refused a subscription: {reply}")
            if isinstance(reply, list):
                self._take(reply)

    def _take(self, reply: list[Any]) -> None:
        kind = reply[0]
        if kind == b"message":
            if ("SUBSCRIBE", reply[1]) in self._wanted:
                self._put(PubSubMessage(_text(reply[1]), reply[2]))
        elif kind == b"pmessage":
            if ("PSUBSCRIBE", reply[1]) in self._wanted:
                self._put(PubSubMessage(_text(reply[2]), reply[3], _text(reply[1])))
        elif kind in _CONFIRMS:
            self._confirm(*_CONFIRMS[kind], reply[1])

    def _confirm(self, kind: _Kind, is_subscribed: bool, name: bytes) -> None:
        key = (kind, name)
        (self._subscribed.add if is_subscribed else self._subscribed.discard)(key)
        due = self._unconfirmed.pop(key, 0) - 1
        if due > 0:
            self._unconfirmed[key] = due
        if self._gap_due and not self._unconfirmed:
            self._gap_due = False
            self._put(Missed("reconnected"))
        self._settled.unpark_all()

    def _put(self, item: PubSubMessage | Missed) -> None:
        self._messages += isinstance(item, PubSubMessage)
        self._queue.append(item)
        self._queued_bytes += _bytes_of(item)
        while len(self._queue) > self._queue_items or self._queued_bytes > self._queue_bytes:
            dropped = self._queue.popleft()
            self._queued_bytes -= _bytes_of(dropped)
            if isinstance(dropped, PubSubMessage):
                self._overflown += 1
                self._dropped += 1
            else:
                self._overflown_gap = True
        self._queued_peak = max(self._queued_peak, len(self._queue))
        self._readable.unpark()


def _names(kind: _Kind, names: Iterable[str]) -> set[_Name]:
    return {(kind, name.encode("utf-8", "surrogateescape")) for name in names}


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _bytes_of(item: PubSubMessage | Missed) -> int:
    return len(item.data) + len(item.channel) if isinstance(item, PubSubMessage) else 0
