"""One request of a client, and what is noted of it on its way."""

import time

import trio

from host.api import ClientDisconnected, Receive, Scope, Send
from plugins.gateway.answering import EVENTS, error_frame
from plugins.gateway.asked import Asked
from plugins.gateway.calls import Meta
from plugins.gateway.core.errors import ApiError
from plugins.gateway.core.usage import Usage
from plugins.gateway.telemetry import Record


class Exchange:
    """One request. `has_begun`: a part of its answer, as a stream, has gone out."""

    status = attempts = 0
    stream = has_begun = False
    cache = "bypass"
    error = model = provider = upstream_model = key = ""
    content_type = EVENTS
    first_token_us = 0.0
    usage: Usage | None = None

    def __init__(self, scope: Scope, receive: Receive, send: Send, surface: str, request_id: str) -> None:
        self.began_ns = time.perf_counter_ns()
        self.scope = scope
        self.receive = receive
        self.send = send
        self.surface = surface
        self.request_id = request_id
        self.headers: dict[bytes, bytes] = dict(scope["headers"])

    def note(self, asked: Asked) -> None:
        """What it turned out to ask for."""
        self.model = asked.model
        self.stream = asked.stream

    def answered_by(self, meta: Meta) -> None:
        """Who answers it."""
        self.provider = meta.target.provider.name
        self.upstream_model = meta.target.model
        self.first_token_us = meta.first_token_us

    def failed(self, error: ApiError) -> None:
        """What its client is told instead of an answer, or of the rest of one."""
        self.status, self.error = error.status, error.code or error.type

    def record(self) -> Record:
        """All of it, once it is over."""
        usage = self.usage
        return Record(
            self.request_id,
            self.surface,
            self.model[:128],
            self.provider,
            self.status or 500,
            self.cache,
            self.stream,
            self.attempts,
            (time.perf_counter_ns() - self.began_ns) / 1e3,
            self.first_token_us,
            0 if usage is None else usage.input_tokens,
            0 if usage is None else usage.output_tokens,
            self.key,
            self.error,
            time.time(),
        )


async def break_off(exchange: Exchange, error: ApiError) -> None:
    """End a stream that failed: an error event, where it is one of events, and no end of the body."""
    exchange.failed(error)
    if not exchange.content_type.startswith(EVENTS):
        return
    data = error_frame(error, exchange.surface, exchange.request_id)
    await exchange.send({"type": "http.response.body", "body": data, "more_body": True})


def is_leaving(error: BaseException) -> bool:
    """Whether nothing but a cancellation, or the client's leaving, is behind it."""
    if isinstance(error, BaseExceptionGroup):
        return error.split((trio.Cancelled, ClientDisconnected))[1] is None
    return isinstance(error, trio.Cancelled | ClientDisconnected)
