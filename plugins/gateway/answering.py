"""Answers on their way to the client, by ASGI: whole, as a stream, out of the cache, or as an error.

A stream that failed never looks whole: it ends with an error event, without [DONE], and its body is left unfinished, so
that the server breaks the connection off.
"""

from collections.abc import Sequence
from typing import Final

from pydantic_core import to_json

from host.api import Send
from plugins.gateway.calls import Meta, Outcome
from plugins.gateway.core.chat_forms import with_null_usage
from plugins.gateway.core.errors import ApiError
from plugins.gateway.core.reading import Reader, Whole
from plugins.gateway.core.sse import frame

Header = tuple[bytes, bytes]
JSON: Final[Header] = (b"content-type", b"application/json")
EVENT_STREAM: Final[tuple[Header, ...]] = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
_NULL_USAGE_SURFACES: Final = ("chat", "completions")


def headers_of(meta: Meta, cache: str) -> list[Header]:
    """What our headers say of an answer's origin."""
    provider = meta.target.provider
    made = [
        (b"x-quartet-provider", provider.name.encode()),
        (b"x-quartet-model", meta.target.model.encode("ascii", "replace")),
        (b"x-quartet-cache", cache.encode()),
        (b"x-quartet-attempts", b"%d" % meta.attempts),
        *meta.headers,
    ]
    if provider.is_simulated:
        made.append((b"x-quartet-simulated", b"true"))
    return made


async def send_whole(
    send: Send, body: bytes, headers: Sequence[Header], status: int = 200, kind: Header = JSON
) -> None:
    """A complete answer, of JSON unless another content type is given."""
    sized = [kind, (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": sized})
    await send({"type": "http.response.body", "body": body})


async def send_stream(send: Send, data: bytes, headers: Sequence[Header]) -> None:
    """A complete stream of events, at once."""
    await begin_stream(send, headers)
    await send({"type": "http.response.body", "body": data})


async def begin_stream(send: Send, headers: Sequence[Header]) -> None:
    """The head of a stream."""
    await send({"type": "http.response.start", "status": 200, "headers": [*EVENT_STREAM, *headers]})


async def send_error(send: Send, error: ApiError, surface: str, request_id: str) -> None:
    """An error instead of an answer, in the shape that clients of the endpoint read."""
    is_messages = surface == "messages"
    document = error.anthropic_document(request_id) if is_messages else error.document()
    await send_whole(send, to_json(document), error.headers(), error.status)


def error_frame(error: ApiError, surface: str, request_id: str) -> bytes:
    """An error inside a stream. The official SDKs raise it."""
    if surface == "messages":
        return frame(to_json(error.anthropic_document(request_id)), b"error")
    if surface == "responses":
        event = {"type": "error", "code": error.code, "message": error.message, "param": error.param}
        return frame(to_json(event | {"sequence_number": 0}), b"error")
    return frame(to_json(error.document()))


class ClientSink:
    """Hands an answer straight to one client; its slowness is felt by the upstream."""

    def __init__(self, send: Send, surface: str, cache: str, *, include_usage: bool) -> None:
        self.has_begun = False
        self.meta: Meta | None = None
        self.outcome: Outcome | None = None
        self._send = send
        self._cache = cache
        self._wants_null = include_usage and surface in _NULL_USAGE_SURFACES
        self._include_usage = include_usage

    async def begin(self, meta: Meta) -> None:
        """See `Sink`."""
        self.meta = meta

    async def whole(self, whole: Whole) -> None:
        """See `Sink`."""
        assert self.meta is not None
        self.has_begun = True
        kind = (b"content-type", whole.content_type)
        await send_whole(self._send, whole.body, headers_of(self.meta, self._cache), kind=kind)

    async def frames(self, frames: list[bytes]) -> None:
        """See `Sink`."""
        assert self.meta is not None
        if not self.has_begun:
            self.has_begun = True
            await begin_stream(self._send, headers_of(self.meta, self._cache))
        data = joined(frames, null_usage=self._wants_null)
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, reader: Reader | None, outcome: Outcome) -> None:
        """See `Sink`."""
        self.outcome = outcome
        if reader is not None:
            tail = (reader.usage_frame if self._include_usage else b"") + reader.trailer
            await self._send({"type": "http.response.body", "body": tail})


def joined(frames: Sequence[bytes], *, null_usage: bool) -> bytes:
    """Frames in one piece."""
    if null_usage:
        return b"".join(map(with_null_usage, frames))
    return frames[0] if len(frames) == 1 else b"".join(frames)
