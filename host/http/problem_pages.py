"""Problems on their way to a person: a problem document (RFC 9457) becomes a page when the browser prefers one.

Programs, and scripts that fetch, get the document as it is. It does not matter who answered with the problem: the
dispatcher, a router, a folder of files or a plugin of its own accord.
"""

import json
from typing import Any, Final

import structlog

from host.descriptors import Message
from host.http.pages import Pages

log: structlog.stdlib.BoundLogger = structlog.get_logger("quartet.http")

_PROBLEM: Final = b"application/problem+json"
_JSON: Final = (b"application/problem+json", b"application/json", b"application/*", b"*/*")
_HTML: Final = (b"text/html", b"text/*", b"*/*")


def prefers_html(accept: bytes) -> bool:
    """Whether an Accept header (RFC 9110 §12.5.1) ranks a page above JSON. No browser's `fetch` does by itself."""
    accept = accept.lower()
    if b"text/" not in accept:
        return False
    weights: dict[bytes, float] = {}
    for item in accept.split(b","):
        kind, *parameters = (part.strip() for part in item.split(b";"))
        weights[kind] = next((_weight(p[2:]) for p in parameters if p.startswith(b"q=")), 1.0)
    return _best(weights, _HTML) > _best(weights, _JSON)


class ProblemPage:
    """One answer that a person waits for. `pages` draws the page; `path` is where the person wanted to go.

    With `head` the page is owed without its body (RFC 9110 §9.3.2).
    """

    def __init__(self, pages: Pages, path: str, *, head: bool = False) -> None:
        self._pages = pages
        self._path = path
        self._head = head
        self._start: Message | None = None

    def instead_of(self, message: Message) -> list[Message]:
        """The messages to send in this one's place: none while a problem's body is awaited."""
        if message["type"] == "http.response.start":
            is_problem = any(
                name == b"content-type" and value.startswith(_PROBLEM) for name, value in message.get("headers", ())
            )
            self._start = message if is_problem else None
            return [] if is_problem else [message]
        if self._start is None:
            return [message]
        start, self._start = self._start, None
        page = None if message.get("more_body", False) else self._page(start["status"], message.get("body", b""))
        if page is None:
            return [start, message]
        headers = [pair for pair in start["headers"] if pair[0] not in (b"content-type", b"content-length")]
        headers += [(b"content-type", b"text/html; charset=utf-8"), (b"vary", b"accept")]
        # An answer to HEAD may leave the length out; here it might be that of a page without the problem's detail.
        headers += [] if self._head else [(b"content-length", b"%d" % len(page))]
        return [{**start, "headers": headers}, {**message, "body": b"" if self._head else page}]

    def _page(self, status: int, body: bytes) -> bytes | None:
        """The page, or None when it cannot be drawn: the document itself is better than no answer."""
        try:
            problem: Any = json.loads(body) if body else {}
            html = self._pages.problem({"status": status, **problem}, self._path)
        except Exception:
            log.exception("the page of a problem cannot be drawn", path=self._path)
            return None
        return None if html is None else html.encode()


def _best(weights: dict[bytes, float], kinds: tuple[bytes, ...]) -> float:
    """The weight of the most specific range that is named."""
    return next((weights[kind] for kind in kinds if kind in weights), 0.0)


def _weight(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
