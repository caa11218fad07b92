"""Ways to an answer: out of the cache, by a flight that others may share, or by a call of its own."""

import trio

from plugins.gateway.answering import begin_stream, headers_of, joined, send_stream, send_whole
from plugins.gateway.asked import Asked
from plugins.gateway.calls import AnswerBroken, Call, Meta, Outcome
from plugins.gateway.core.errors import ApiError
from plugins.gateway.core.reading import Reader, Whole
from plugins.gateway.entries import Entry
from plugins.gateway.exchange import Exchange, break_off
from plugins.gateway.flights import Flight, Subscriber
from plugins.gateway.pipeline import Pipeline
from plugins.gateway.presence import Presence
from plugins.gateway.store import Store
from plugins.gateway.telemetry import Telemetry


class Delivery:
    """Carries answers to clients, and keeps the flights. `nursery`, the plugin's, carries the flights."""

    def __init__(
        self, pipeline: Pipeline, store: Store, telemetry: Telemetry, presence: Presence, *, entry_bytes_max: int
    ) -> None:
        self.nursery: trio.Nursery | None = None
        self.flights: dict[bytes, Flight] = {}
        self._pipeline = pipeline
        self._store = store
        self._telemetry = telemetry
        self._presence = presence
        self._entry_bytes_max = entry_bytes_max

    async def hit(
        self, exchange: Exchange, asked: Asked, entry: Entry, age_ms: int, *, cosine: float | None = None
    ) -> None:
        """Serve an answer that was kept. `cosine`: to another question, which is as near as that."""
        exchange.cache = "hit"
        telemetry = self._telemetry
        if telemetry.live.is_watched:
            telemetry.live.step(exchange.request_id, "hit")
        exchange.provider, exchange.upstream_model, exchange.usage = entry.provider, entry.model, entry.usage
        telemetry.saved(entry.usage, entry.cost_nano_usd)
        target_headers = [*self._store.headers_of(entry), (b"age", b"%d" % (age_ms // 1000))]
        if cosine is not None:
            target_headers.append((b"x-quartet-similarity", b"%.4f" % cosine))
        exchange.status = 200
        if asked.stream:
            await send_stream(exchange.send, entry.as_stream(include_usage=asked.include_usage), target_headers)
        else:
            await send_whole(exchange.send, entry.as_body(), target_headers)

    async def solo(self, exchange: Exchange, call: Call, asked: Asked) -> None:
        """Carry out a call that nobody else may share."""
        sink = ClientSink(exchange, asked)

        async def carry_out() -> None:
            try:
                await self._pipeline.execute(call, sink)
                exchange.status = 200
            except AnswerBroken as broken:
                await break_off(exchange, broken.failure.error)

        try:
            await self._presence.during(exchange, carry_out)
        finally:
            exchange.attempts = call.attempts
            if sink.meta is not None:
                exchange.answered_by(sink.meta)
            if sink.outcome is not None:
                exchange.usage = sink.outcome.usage

    async def shared(self, exchange: Exchange, key: bytes, call: Call, asked: Asked, *, single_flight: bool) -> None:
        """Join the flight that is under way for equal requests, or begin one."""
        flight = self.flights.get(key) if single_flight else None
        if flight is None or not flight.can_be_joined:
            exchange.cache = "miss"
            flight = self._launch(key, call)
        else:
            exchange.cache = "coalesced"
        await self._follow(exchange, flight.join(), asked)

    def _launch(self, key: bytes, call: Call) -> Flight:
        flight = Flight(key, call, self._entry_bytes_max, on_answer=self._store.keep, on_over=self._land)
        self.flights[key] = flight
        assert self.nursery is not None, "the plugin's task is running"
        self.nursery.start_soon(flight.run, self._pipeline)
        return flight

    def _land(self, flight: Flight) -> None:
        if self.flights.get(flight.key) is flight:
            del self.flights[flight.key]

    async def _follow(self, exchange: Exchange, reader: Subscriber, asked: Asked) -> None:
        """Read the answer of a flight, whoever started it."""
        flight = reader.flight

        async def read() -> None:
            await reader.wait_begun()
            if flight.call.stream and asked.stream:
                await _follow_stream(exchange, reader, asked)
            else:
                await reader.wait_over()
                await _send_landed(exchange, reader, asked)

        try:
            await self._presence.during(exchange, read)
        finally:
            reader.leave()
            exchange.attempts = flight.call.attempts
            if flight.meta is not None:
                exchange.answered_by(flight.meta)
            if flight.entry is not None:
                exchange.usage = flight.entry.usage
                if exchange.cache == "coalesced" and exchange.status == 200:
                    self._telemetry.saved(flight.entry.usage, flight.entry.cost_nano_usd)


class ClientSink:
    """Hands an answer straight to one client; its slowness is felt by the upstream."""

    def __init__(self, exchange: Exchange, asked: Asked) -> None:
        self.meta: Meta | None = None
        self.outcome: Outcome | None = None
        self._exchange = exchange
        self._asked = asked
        self._has_null_usage = _has_null_usage(exchange, asked)

    async def begin(self, meta: Meta) -> None:
        """See `Sink`."""
        self.meta = meta

    async def whole(self, whole: Whole) -> None:
        """See `Sink`."""
        assert self.meta is not None
        exchange = self._exchange
        kind = (b"content-type", whole.content_type)
        await send_whole(exchange.send, whole.body, headers_of(self.meta, exchange.cache), kind=kind)

    async def frames(self, frames: list[bytes]) -> None:
        """See `Sink`."""
        assert self.meta is not None
        exchange = self._exchange
        if not exchange.has_begun:
            exchange.has_begun = True
            exchange.content_type = self.meta.content_type
            await begin_stream(exchange.send, headers_of(self.meta, exchange.cache), self.meta.content_type)
        data = joined(frames, null_usage=self._has_null_usage)
        await exchange.send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, reader: Reader | None, outcome: Outcome) -> None:
        """See `Sink`."""
        self.outcome = outcome
        if reader is not None:
            tail = (reader.usage_frame if self._asked.include_usage else b"") + reader.trailer
            await self._exchange.send({"type": "http.response.body", "body": tail})


async def _follow_stream(exchange: Exchange, reader: Subscriber, asked: Asked) -> None:
    flight = reader.flight
    frames = await reader.next_frames()
    if not frames and flight.failure is not None:
        raise flight.failure
    assert flight.meta is not None
    exchange.has_begun = True
    await begin_stream(exchange.send, headers_of(flight.meta, exchange.cache))
    null_usage = _has_null_usage(exchange, asked)
    while frames:
        data = joined(frames, null_usage=null_usage)
        await exchange.send({"type": "http.response.body", "body": data, "more_body": True})
        reader.sent(len(data))
        frames = await reader.next_frames()
    if flight.entry is not None and not reader.is_cut:
        tail = (flight.entry.usage_frame if asked.include_usage else b"") + flight.entry.trailer
        exchange.status = 200
        await exchange.send({"type": "http.response.body", "body": tail})
        return
    if reader.is_cut:
        error = ApiError(503, "slow_reader", "this client read too slowly, others were waiting")
    elif flight.broken is not None:
        error = flight.broken.failure.error
    else:
        error = flight.error or ApiError(502, "upstream_disconnected", "the answer broke off")
    await break_off(exchange, error)
    if flight.crash is not None:
        raise flight.crash


async def _send_landed(exchange: Exchange, reader: Subscriber, asked: Asked) -> None:
    flight = reader.flight
    if flight.failure is not None:
        raise flight.failure
    if flight.broken is not None:
        raise flight.broken.failure.error
    entry = flight.entry
    if entry is None or not flight.is_whole or not entry.can_be(stream=asked.stream):
        raise ApiError(503, "not_shareable", "the answer is too long to be shared; ask again", retry_after_s=1)
    assert flight.meta is not None
    headers = headers_of(flight.meta, exchange.cache)
    exchange.status = 200
    if asked.stream:
        await send_stream(exchange.send, entry.as_stream(include_usage=asked.include_usage), headers)
    else:
        await send_whole(exchange.send, entry.as_body(), headers)


def _has_null_usage(exchange: Exchange, asked: Asked) -> bool:
    """Whether every chunk says that the usage is still to come."""
    return asked.include_usage and exchange.surface in ("chat", "completions")
