"""Images and audio: bodies of any kind to an upstream of OpenAI's dialect and back, but for the name of the model."""

import re
from typing import Any, Final

from plugins.gateway.core.dialects.openai import with_model
from plugins.gateway.core.errors import ApiError
from plugins.gateway.core.reading import Outgoing, Reader, Seed, Whole, parse_object, raise_if_error
from plugins.gateway.core.usage import usage_of_openai

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
    """One endpoint, relayed whole."""

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
        """See `Codec`. Sound is taken as it comes; what looks like JSON must not be an error."""
        usage = None
        if content[:1] == b"{":
            document = parse_object(content)
            raise_if_error(document)
            usage = usage_of_openai(document.get("usage"))
        return Whole(content, usage, is_final=False)

    def reader(self, seed: Seed) -> Reader:
        """See `Codec`."""
        raise AssertionError("these are relayed whole")


def form_of(raw: bytes, content_type: bytes) -> dict[str, Any]:
    """What the gateway needs of a form: the model it asks for, and the type of the body with its boundary.

    Raises:
        ApiError: 400, it names no model.
    """
    found = _MODEL_PART.search(raw)
    if found is None:
        raise ApiError(400, "missing_required_parameter", "you must provide a model parameter", param="model")
    return {"model": found[2].decode("utf-8", "replace"), CONTENT_TYPE: content_type}
