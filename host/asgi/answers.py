"""Answers: bytes with a status and headers, JSON, and problems (RFC 9457)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import to_json

from host.descriptors import Send
from host.errors import HttpProblem, OutcomeUnknown, ServiceUnavailable

RawHeaders = list[tuple[bytes, bytes]]
Headers = Mapping[str, str] | Iterable[tuple[bytes, bytes]]

_JSON = (b"content-type", b"application/json")
_PROBLEM = (b"content-type", b"application/problem+json")
_HTML = (b"content-type", b"text/html; charset=utf-8")
_TEXT = (b"content-type", b"text/plain; charset=utf-8")

# What a client should wait before it asks again when a service that the host lends is away.
SERVICE_RETRY_AFTER_S = 1


@dataclass(slots=True)
class Response:
    """A complete answer, held in memory. `headers` are lower-case pairs of bytes, without Content-Length."""

    status: int = 200
    body: bytes = b""
    headers: RawHeaders = field(default_factory=list)

    async def send(self, send: Send, *, head: bool = False) -> None:
        """Send it; with `head` only what a HEAD request is owed (RFC 9110 §9.3.2)."""
        headers = self.headers
        if self.status not in (204, 304):
            headers = [*headers, (b"content-length", b"%d" % len(self.body))]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if head else self.body})


def encode_headers(headers: Headers) -> RawHeaders:
    """Bring headers into ASGI's form: lower-case pairs of bytes.

    Raises:
        ValueError: a name or value holds a control character, which would let it forge another header.
    """
    if not isinstance(headers, Mapping):
        return list(headers)
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    for name, value in raw:
        if not name or any(byte < 33 or byte == 127 for byte in name):
            raise ValueError(f"{name!r} is no name of a header")
        if any((byte < 32 and byte != 9) or byte == 127 for byte in value):
            raise ValueError(f"the value of header {name.decode('latin-1')} holds a control character")
    return raw


def json_response(document: Any, status: int = 200, headers: Headers = ()) -> Response:
    """Answer with JSON. Takes whatever pydantic can write: models, dataclasses, dates, UUIDs; NaN becomes null."""
    return Response(status, to_json(document, inf_nan_mode="null"), [_JSON, *encode_headers(headers)])


def html_response(html: str, status: int = 200, headers: Headers = ()) -> Response:
    """Answer with a page."""
    return Response(status, html.encode(), [_HTML, *encode_headers(headers)])


def text_response(text: str, status: int = 200, headers: Headers = ()) -> Response:
    """Answer with plain text."""
    return Response(status, text.encode(), [_TEXT, *encode_headers(headers)])


def empty_response(status: int = 204, headers: Headers = ()) -> Response:
    """Answer without a body."""
    return Response(status, b"", encode_headers(headers))


def problem_response(problem: HttpProblem) -> Response:
    """Answer with a problem document; nobody may keep it."""
    body = to_json(problem.body(), inf_nan_mode="null", fallback=str)
    return Response(problem.status, body, [_PROBLEM, (b"cache-control", b"no-store"), *encode_headers(problem.headers)])


async def send_json(send: Send, status: int, document: Any, headers: Headers = ()) -> None:
    """Send a JSON answer; see `json_response`."""
    await json_response(document, status, headers).send(send)


async def send_problem(send: Send, problem: HttpProblem) -> None:
    """Send a problem as the answer."""
    await problem_response(problem).send(send)


def problem_from(error: BaseException) -> HttpProblem | None:
    """The answer that an exception stands for, or None when it is a fault of the program.

    `HttpProblem` is itself; a lent service that is away is 503 with Retry-After; a lost outcome is 503 of type
    "unknown", which says that it may have been done. A group counts when every leaf does; its first leaf answers.
    """
    if isinstance(error, HttpProblem):
        return error
    if isinstance(error, ServiceUnavailable):
        return HttpProblem(503, str(error), headers={"Retry-After": str(SERVICE_RETRY_AFTER_S)})
    if isinstance(error, OutcomeUnknown):
        return HttpProblem(503, str(error), type="unknown", title="Outcome unknown")
    if isinstance(error, BaseExceptionGroup):
        problems = [problem_from(leaf) for leaf in error.exceptions]
        if None not in problems:
            return problems[0]
    return None
