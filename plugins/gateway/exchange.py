"""One request of a client, and what is noted of it on its way."""

import time

import trio

from host.api import ClientDisconnected, Receive, Scope, Send
from plugins.gateway.answering import EVENTS, error_frame
from plugins.gateway.asked import Asked
from plugins.gateway.calls import Meta
from plugins.gateway.core.errors import ApiError
from plugins.gateway.core.usage import Usage
from plugins.gateway.telemetry import Record, record_of


class Exchange:
    """One request. `has_begun`: a part of its answer, as a stream, has gone out."""

    __slots__ = (
        "attempts",
        "began_ns",
        "cache",
        "content_type",
        "error",
        "first_token_us",
        "has_begun",
        "headers",
        "key",
        "model",
        "provider",
        "receive",
        "request_id",
        "scope",
        "send",
        "status",
        "stream",
        "surface",
        "upstream_model",
        "usage",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, surface: str, request_id: str) -> None:
        self.began_ns = time.perf_counter_ns()
        self.scope = scope
        self.receive = receive
        self.send = send
        self.surface = surface
        self.request_id = request_id
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.status = 0
        self.error = ""
        self.cache = "bypass"
        self.model = self.provider = self.upstream_model = self.key = ""
        self.stream = self.has_begun = False
        self.content_type = EVENTS
        self.attempts = 0
        self.first_token_us = 0.0
        self.usage: Usage | None = None

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
        return record_of(
            request_id=self.request_id,
            endpoint=self.surface,
            model=self.model,
            status=self.status or 500,
            cache=self.cache,
            stream=self.stream,
            began_ns=self.began_ns,
            provider=self.provider,
            attempts=self.attempts,
            first_token_us=self.first_token_us,
            usage=self.usage,
            key=self.key,
            error=self.error,
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
