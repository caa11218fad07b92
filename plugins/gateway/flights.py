"""Answers under way that several clients may read: identical requests share one call of an upstream.

A flight runs in the plugin's nursery and writes into a log; each subscriber reads that log at its own pace, a late one
from its beginning. The leader is a subscriber like any other: its leaving stops nothing while others read. When the
last one has left, the flight is cancelled, and with it the call of the upstream.

Bounds. A flight waits for its fastest reader to be within `WINDOW_BYTES`, so nobody is read ahead of for ever. The log
holds the whole answer up to `log_bytes_max`; beyond that it is no longer kept for the cache or for late joiners, what
everybody has read is dropped, and a reader further behind than the bound is cut, unless it is the only one.
"""

from collections.abc import Callable
from typing import Final

import trio

from plugins.gateway.calls import AnswerBroken, Call, Meta, Outcome
from plugins.gateway.core.errors import ApiError
from plugins.gateway.core.reading import Reader, Whole
from plugins.gateway.entries import Entry
from plugins.gateway.pipeline import Pipeline

WINDOW_BYTES: Final = 64 * 1024


class Flight:
    """One call of an upstream and its log. It is the sink of that call."""

    def __init__(
        self,
        key: bytes,
        call: Call,
        log_bytes_max: int,
        *,
        on_answer: "Callable[[Flight, Outcome], None]",
        on_over: "Callable[[Flight], None]",
    ) -> None:
        self._on_answer = on_answer
        self._on_over = on_over
        self.key = key
        self.call = call
        self.meta: Meta | None = None
        self.entry: Entry | None = None
        self.error: ApiError | None = None
        self.broken: AnswerBroken | None = None
        self.crash: Exception | None = None
        """A fault of the program, raised to the readers: in the plugin's nursery it would end all other answers."""
        self.is_over = False
        self.is_whole = True
        """Whether the log still has the answer from its beginning."""
        self.body: bytes | None = None
        self.scope = trio.CancelScope()
        self.subscribers: set[Subscriber] = set()
        self._log: list[bytes] = []
        self._dropped_frames = 0
        self._log_bytes = 0
        self._written_bytes = 0
        self._log_bytes_max = log_bytes_max
        self._news = trio.lowlevel.ParkingLot()
        self._room = trio.lowlevel.ParkingLot()

    async def run(self, pipeline: Pipeline) -> None:
        """Carry out the call. `on_answer` is called when the answer is complete, `on_over` last of all, whatever
        happened. Cancelled, it tells its readers that the gateway is stopping.
        """
        try:
            with self.scope:
                try:
                    await pipeline.execute(self.call, self)
                except ApiError as error:
                    self.error = error
                except AnswerBroken as broken:
                    self.broken = broken
                except Exception as crash:
                    self.crash = crash
        finally:
            if self.failure is None and self.broken is None and self.entry is None:
                self.error = ApiError(503, "shutting_down", "the gateway is stopping", retry_after_s=1.0)
            self.is_over = True
            self._news.unpark_all()
            self._on_over(self)

    @property
    def failure(self) -> Exception | None:
        """Why there is no answer; None when there is one, or a part of one."""
        return self.crash or self.error

    @property
    def can_be_joined(self) -> bool:
        """Whether one more reader would get all of the answer, as far as is known."""
        return self.is_whole and not (self.scope.cancel_called or self.failure or self.broken)

    def join(self) -> "Subscriber":
        """Become a reader of the answer, from its beginning."""
        assert self.is_whole
        subscriber = Subscriber(self)
        self.subscribers.add(subscriber)
        return subscriber

    # As a sink.

    async def begin(self, meta: Meta) -> None:
        """See `Sink`."""
        self.meta = meta
        self._news.unpark_all()

    async def whole(self, whole: Whole) -> None:
        """See `Sink`."""
        self.body = whole.body

    async def frames(self, frames: list[bytes]) -> None:
        """See `Sink`. Waits while every reader is more than the window behind."""
        size = sum(map(len, frames))
        self._log += frames
        self._log_bytes += size
        self._written_bytes += size
        self._news.unpark_all()
        if self._log_bytes > self._log_bytes_max:
            self._forget()
        while self._is_far_ahead():
            await self._room.park()

    async def end(self, reader: Reader | None, outcome: Outcome) -> None:
        """See `Sink`."""
        target = outcome.meta.target
        self.entry = Entry(
            self.call.surface,
            target.provider.name,
            target.model,
            outcome.usage,
            outcome.cost_nano_usd,
            frames=None if reader is None else self._log,
            body=self.body,
            usage_frame=reader.usage_frame if reader is not None else b"",
            trailer=reader.trailer if reader is not None else b"",
        )
        # The end of the upstream's connection is still to come, and no reader needs to wait for it.
        self.is_over = True
        self._news.unpark_all()
        self._on_answer(self, outcome)

    # As seen by its subscribers.

    def leave(self, subscriber: "Subscriber") -> None:
        """A reader is gone; with the last one the call ends."""
        self.subscribers.discard(subscriber)
        if not self.subscribers and not self.is_over:
            self.scope.cancel("the last reader has left")
        self._room.unpark_all()

    async def news(self) -> None:
        """Wait until something has happened."""
        await self._news.park()

    def read_from(self, position: int) -> list[bytes]:
        """The frames from this one on, by their number in the whole answer."""
        return self._log[position - self._dropped_frames :]

    def has_fallen_out(self, position: int) -> bool:
        """Whether the frame at this position is no longer there."""
        return position < self._dropped_frames

    def made_room(self) -> None:
        """A reader has read on."""
        self._room.unpark_all()

    def _is_far_ahead(self) -> bool:
        return bool(self.subscribers) and all(
            self._written_bytes - reader.read_bytes > WINDOW_BYTES for reader in self.subscribers
        )

    def _forget(self) -> None:
        """Too long to keep: drop what all have read, and cut those who are too far behind others."""
        self.is_whole = False
        fastest = max((reader.position for reader in self.subscribers), default=0)
        behind = [
            reader
            for reader in self.subscribers
            if reader.position < fastest and self._written_bytes - reader.read_bytes > self._log_bytes_max
        ]
        for reader in behind:
            reader.is_cut = True
        slowest = min((reader.position for reader in self.subscribers if not reader.is_cut), default=fastest)
        count = slowest - self._dropped_frames
        if count > 0:
            self._log_bytes -= sum(map(len, self._log[:count]))
            self._log = self._log[count:]
            self._dropped_frames = slowest


class Subscriber:
    """One reader of a flight."""

    def __init__(self, flight: Flight) -> None:
        self.flight = flight
        self.position = 0
        self.read_bytes = 0
        self.is_cut = False

    async def wait_begun(self) -> None:
        """Wait until it is known who answers, or that nobody does."""
        flight = self.flight
        while flight.meta is None and not flight.is_over:
            await flight.news()

    async def wait_over(self) -> None:
        """Wait for the end of the answer."""
        while not self.flight.is_over:
            await self.flight.news()

    async def next_frames(self) -> list[bytes]:
        """The frames since the last call, waiting for some; [] once the answer is over, well or not."""
        flight = self.flight
        while True:
            if self.is_cut or flight.has_fallen_out(self.position):
                self.is_cut = True
                return []
            frames = flight.read_from(self.position)
            if frames or flight.is_over:
                self.position += len(frames)
                return frames
            await flight.news()

    def sent(self, size: int) -> None:
        """The client has taken so many bytes."""
        self.read_bytes += size
        self.flight.made_room()

    def leave(self) -> None:
        """Read no more."""
        self.flight.leave(self)
