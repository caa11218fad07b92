"""A document that is made once and sent often: as it is or compressed, whole or as "you have it"."""

import hashlib

from host.asgi import RawHeaders, Request, Response
from host.http.compression import ENCODED, VARY, accepts_gzip, gzipped


class KeptDocument:
    """Two forms of a document, each with a tag of its own (RFC 9110 §8.8.3). It must hold no secret: see `compression`.

    Making one takes about 30 µs a KiB, so large ones are made in a thread. Never changes, and so may be shared.
    """

    __slots__ = ("_packed", "_plain")

    def __init__(self, content: bytes, media_type: str = "application/json") -> None:
        tag = hashlib.sha256(content).hexdigest()[:32]
        headers = [(b"content-type", media_type.encode()), VARY]
        self._plain = (content, f'"{tag}"', headers)
        self._packed = (gzipped(content), f'"{tag}-gzip"', [*headers, ENCODED])

    def answer(self, request: Request, headers: RawHeaders) -> Response:
        """The form that the client takes, with further `headers`; 304 when the client has it."""
        content, etag, own = self._packed if accepts_gzip(request) else self._plain
        given = [*own, (b"etag", etag.encode()), *headers]
        return Response(304, b"", given) if knows_tag(request, etag) else Response(200, content, given)


def knows_tag(request: Request, etag: str) -> bool:
    """Whether the client has what has this tag (If-None-Match, RFC 9110 §13.1.2)."""
    tags = request.headers.get("if-none-match", "")
    return tags.strip() == "*" or any(tag.strip().removeprefix("W/") == etag for tag in tags.split(","))
