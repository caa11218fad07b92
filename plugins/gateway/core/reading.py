"""What all translations of answers have in common: the answer as a whole, and the answer as a stream.

A `Reader` takes the events of one upstream stream and returns frames: bytes as they go to the client, each a complete
server-sent event in the format of the endpoint that the client called.
"""

from dataclasses import dataclass
from typing import Any, Final, Protocol

from pydantic_core import from_json

from plugins.gateway.core.errors import ApiError
from plugins.gateway.core.usage import Usage


class Malformed(Exception):
    """The upstream's answer breaks its own format, or is not whole."""


class UpstreamSaid(Exception):
    """The upstream reported an error inside an answer that had begun with 200."""

    def __init__(self, message: str, *, code: str | None = None, type: str = "", status: int = 502) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.type = type
        self.status = status


@dataclass(frozen=True, slots=True)
class Seed:
    """What an answer carries when the upstream does not say it: an id, the second of its creation, the model."""

    id: str
    created: int
    model: str


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request to an upstream: path and query under its base URL, body, and headers of its dialect."""

    path: str
    content: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Whole:
    """A complete answer in the format of the endpoint. `is_final` says that it ended by itself, and may be kept."""

    body: bytes
    usage: Usage | None
    is_final: bool = True
    content_type: bytes = b"application/json"


class Reader(Protocol):
    """Reads one upstream stream.

    `has_started`: the first token has come, so that the answer can no longer be another's. `is_done`: the stream has
    said that it is over, and no event after that matters. `output_bytes` counts what was generated, to estimate its
    tokens. `usage_frame` goes before `trailer` for clients that asked for the usage; both are valid once it is done.
    """

    usage_frame: bytes
    trailer: bytes

    @property
    def has_started(self) -> bool: ...
    @property
    def is_done(self) -> bool: ...
    @property
    def is_final(self) -> bool: ...
    @property
    def usage(self) -> Usage | None: ...
    @property
    def output_bytes(self) -> int: ...

    def feed(self, name: str, data: bytes) -> list[bytes]:
        """The frames that an event makes. Raises `Malformed` or `UpstreamSaid`; the reader is of no more use then."""

    def end(self) -> list[bytes]:
        """The connection ended in good order: the last frames. Raises `Malformed` when the answer is not whole."""


class Codec(Protocol):
    """Speaks for one endpoint of ours to one dialect of an upstream. `streams` says that it has a stream to read."""

    streams: bool

    def request(self, body: dict[str, Any], raw: bytes, model: str, *, stream: bool) -> Outgoing:
        """What to send. `raw` is the body as it came, to be sent as it is when nothing in it changes.

        Raises:
            ApiError: the request asks for what the upstream cannot do.
        """

    def whole(self, content: bytes, seed: Seed) -> Whole:
        """The answer in the endpoint's format. Raises `Malformed` or `UpstreamSaid`."""

    def reader(self, seed: Seed) -> Reader:
        """A reader of one stream."""


# What reading a value of another type than the format says runs into, in code that reads JSON.
_SHAPE_ERRORS: Final = (AttributeError, TypeError, KeyError, IndexError, ValueError)


def read_event(reader: Reader, name: str, data: bytes) -> list[bytes]:
    """`reader.feed`, where any surprise in the shape of an event is the upstream's fault. Raises like it."""
    try:
        return reader.feed(name, data)
    except _SHAPE_ERRORS as error:
        raise Malformed(f"an event of another shape ({type(error).__name__})") from None


def read_end(reader: Reader) -> list[bytes]:
    """`reader.end` likewise."""
    try:
        return reader.end()
    except _SHAPE_ERRORS as error:
        raise Malformed(f"an event of another shape ({type(error).__name__})") from None


def read_whole(codec: Codec, content: bytes, seed: Seed) -> Whole:
    """`codec.whole` likewise."""
    try:
        return codec.whole(content, seed)
    except _SHAPE_ERRORS as error:
        raise Malformed(f"a body of another shape ({type(error).__name__})") from None


def make_request(codec: Codec, body: dict[str, Any], raw: bytes, model: str, *, stream: bool) -> Outgoing:
    """`codec.request`, where any surprise in the shape of the body is the client's fault.

    Raises:
        ApiError: 400.
    """
    try:
        return codec.request(body, raw, model, stream=stream)
    except _SHAPE_ERRORS as error:
        reason = f"the request has not the shape that its endpoint asks for ({type(error).__name__})"
        raise ApiError(400, None, reason) from None


def parse_object(data: bytes) -> dict[str, Any]:
    """A JSON object. Raises `Malformed` for anything else."""
    try:
        document = from_json(data)
    except ValueError as error:
        raise Malformed(f"not JSON: {str(error)[:100]}") from None
    if not isinstance(document, dict):
        raise Malformed("not a JSON object")
    return document


def raise_if_error(document: dict[str, Any]) -> None:
    """Raise `UpstreamSaid` when the document is an error in the shape of OpenAI or one near to it."""
    error = document.get("error")
    if not error:
        return
    if not isinstance(error, dict):
        raise UpstreamSaid(str(error)[:2000])
    code = error.get("code")
    status = code if isinstance(code, int) and 400 <= code < 600 else 502
    text = code if isinstance(code, str) else None
    raise UpstreamSaid(
        str(error.get("message") or "the upstream failed")[:2000],
        code=text,
        type=str(error.get("type") or ""),
        status=status,
    )
