"""Answers on their way to the client, by ASGI: whole, as a stream, out of the cache, or as an error.

A stream that failed never looks whole: it ends with an error event, without [DONE], and its body is left unfinished, so
that the server breaks the connection off.
"""

from collections.abc import Sequence
from typing import Final

from pydantic_core import to_json

from host.api import Send
from plugins.gateway.calls import Meta
from plugins.gateway.core.chat_forms import with_null_usage
from plugins.gateway.core.errors import ApiError
from plugins.gateway.core.sse import frame

Header = tuple[bytes, bytes]
JSON: Final[Header] = (b"content-type", b"application/json")
EVENTS: Final = b"text/event-stream"
_STREAM: Final[tuple[Header, ...]] = (
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)


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


async def begin_stream(send: Send, headers: Sequence[Header], kind: bytes = EVENTS) -> None:
    """The head of a stream."""
    given = [(b"content-type", kind), *_STREAM, *headers]
    await send({"type": "http.response.start", "status": 200, "headers": given})


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


def joined(frames: Sequence[bytes], *, null_usage: bool) -> bytes:
    """Frames in one piece."""
    if null_usage:
        return b"".join(map(with_null_usage, frames))
    return frames[0] if len(frames) == 1 else b"".join(frames)
