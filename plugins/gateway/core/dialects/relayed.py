"""Images and audio: bodies of any kind to an upstream of OpenAI's dialect and back, but for the name of the model.

An answer of JSON or text is taken whole, so that another upstream can be asked when it is none. Events (partial images,
words of a transcript) and sound go to the client as they come.
"""

import re
from typing import Any, Final

from pydantic_core import to_json

from plugins.gateway.core.dialects.openai import with_model
from plugins.gateway.core.errors import ApiError
from plugins.gateway.core.reading import Malformed, Outgoing, Reader, Seed, Whole, parse_object, raise_if_error
from plugins.gateway.core.sse import DONE, Event, frame
from plugins.gateway.core.usage import Usage, usage_of_openai

PATHS: Final = (
    "/images/generations",
    "/images/edits",
    "/images/variations",
    "/audio/speech",
    "/audio/transcriptions",
    "/audio/translations",
)
_MODEL_PART: Final = re.compile(rb'(name="?model"?[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n)([^\r\n]{1,256})(?=\r\n)')
CONTENT_TYPE: Final = "content-type"
"""Under this name the body of a call keeps the type that it came with."""


class RelayCodec:
    """One endpoint. Whether its answer is a stream is seen from the answer: see `stream_of`."""

    streams = False

    def __init__(self, path: str) -> None:
        self._path = path

    def request(self, body: dict[str, Any], raw: bytes, model: str, *, stream: bool) -> Outgoing:
        """See `Codec`."""
        content_type = body.get(CONTENT_TYPE)
        if content_type is None:
            return Outgoing(self._path, with_model(body, raw, model))
        content = _MODEL_PART.sub(lambda found: found[1] + model.encode(), raw, count=1)
        return Outgoing(self._path, content, ((b"content-type", content_type),))

    def whole(self, content: bytes, seed: Seed) -> Whole:
        """See `Codec`. What looks like JSON must not be an error."""
        usage = None
        if content[:1] == b"{":
            document = parse_object(content)
            raise_if_error(document)
            usage = usage_of_openai(document.get("usage"))
        return Whole(content, usage, is_final=False)

    def reader(self, seed: Seed) -> Reader:
        """See `Codec`."""
        raise AssertionError("what is a stream says its answer")


class RelayedEvents:
    """Reads a stream of events, which is whole once one of them has said that something is complete."""

    content_type = b"text/event-stream"

    def __init__(self) -> None:
        self.has_started = self.is_done = self.is_final = False
        self.usage: Usage | None = None
        self.output_bytes = 0
        self.usage_frame = b""
        self.trailer = b""
        self._has_completed = False

    def feed(self, name: str, data: bytes) -> list[bytes]:
        """See `Reader`."""
        if data.startswith(b"[DONE]"):
            return [DONE]
        event = parse_object(data)
        kind = event.get("type") or name
        if kind == "error":
            raise_if_error({"error": event.get("error") or event})
        raise_if_error(event)
        self.has_started = True
        if isinstance(kind, str) and kind.endswith((".completed", ".done")):
            self._has_completed = True
            self.usage = usage_of_openai(event.get("usage")) or self.usage
        return [frame(data if b"\n" not in data else to_json(event), name.encode())]

    def end(self) -> list[bytes]:
        """See `Reader`."""
        if not self._has_completed:
            raise Malformed("its stream ended before anything was complete")
        self.is_done = True
        return []


class RelayedBytes:
    """Reads bytes that mean nothing to the gateway: whole once their connection says that they are."""

    def __init__(self, content_type: bytes) -> None:
        self.content_type = content_type
        self.has_started = self.is_done = self.is_final = False
        self.usage: Usage | None = None
        self.output_bytes = 0
        self.usage_frame = b""
        self.trailer = b""

    def feed(self, name: str, data: bytes) -> list[bytes]:
        """See `Reader`. `data` is what one read gave."""
        self.has_started = True
        return [data]

    def end(self) -> list[bytes]:
        """See `Reader`."""
        self.is_done = True
        return []


class NoDecoder:
    """Stands where events are decoded, for bytes that are none."""

    def feed(self, data: bytes) -> list[Event]:
        """What came, as it came."""
        return [("", data)]

    def end(self) -> list[Event]:
        """Nothing is left over."""
        return []


def stream_of(content_type: bytes) -> RelayedEvents | RelayedBytes | None:
    """Who reads an answer of this type, None when it is to be taken whole."""
    kind = content_type.partition(b";")[0].strip().lower()
    if kind == b"text/event-stream":
        return RelayedEvents()
    if kind.startswith((b"audio/", b"video/")) or kind == b"application/octet-stream":
        return RelayedBytes(content_type)
    return None


def form_of(raw: bytes, content_type: bytes) -> dict[str, Any]:
    """What the gateway needs of a form: the model it asks for, and the type of the body with its boundary.

    Raises:
        ApiError: 400, it names no model.
    """
    found = _MODEL_PART.search(raw)
    if found is None:
        raise ApiError(400, "missing_required_parameter", "you must provide a model parameter", param="model")
    return {"model": found[2].decode("utf-8", "replace"), CONTENT_TYPE: content_type}
