"""An httpx request as the bytes that HTTP/1.1 sends (RFC 9112 sections 3 and 6). Pure: no socket, no clock.

What would let a value be read as framing is refused here: names that are no token, values with CR, LF or NUL, a length
that is not a number, a length beside a transfer coding (request smuggling, RFC 9112 section 11.2).
"""

import re
from dataclasses import dataclass

import httpx

# RFC 9110 section 9.2.2; a request with an Idempotency-Key declares the same for itself.
_IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_START = re.compile(rb"%s [\x21-\x7e]+ HTTP/1\.1\r\n" % _TOKEN)
# field-value, RFC 9110 section 5.5: visible characters, obs-text, space and tab; no other control character.
_FIELDS = re.compile(rb"(?:%s: [\t\x20-\x7e\x80-\xff]*\r\n)*" % _TOKEN)


@dataclass(slots=True)
class EncodedRequest:
    """The header section of a request, and how its body is framed.

    `body` is the whole body when it is in memory, else None and `stream` yields it. `length` is the declared
    Content-Length, None for a chunked body. `closes`: the request itself asks for the connection to be closed.
    """

    head: bytes
    body: bytes | None
    stream: httpx.AsyncByteStream | None
    length: int | None
    is_head: bool
    is_idempotent: bool
    closes: bool

    @property
    def is_replayable(self) -> bool:
        """Whether the same bytes can be sent a second time."""
        return self.body is not None


def encode(request: httpx.Request) -> EncodedRequest:
    """Frame a request for HTTP/1.1.

    Raises:
        httpx.LocalProtocolError: The request cannot be sent as it stands; the message says which part.
    """
    method = request.method
    if method == "CONNECT":
        raise httpx.LocalProtocolError("CONNECT makes a tunnel: mount httpx's own transport for a proxy")
    target = request.extensions.get("target") or request.url.raw_path
    start = b"%s %s HTTP/1.1\r\n" % (method.encode("ascii", "replace"), target)
    if _START.fullmatch(start) is None:
        raise httpx.LocalProtocolError(f"Illegal method or target: {start!r}")
    fields = request.headers.raw
    block = b"".join([b"%s: %s\r\n" % field for field in fields])
    # One pattern over the block is cheaper than one for each field; the count catches a field that brings its own line.
    if _FIELDS.fullmatch(block) is None or block.count(b"\n") != len(fields):
        raise httpx.LocalProtocolError(f"Illegal header name or value: {_first_illegal(fields)!r}")
    encoded = EncodedRequest(
        head=start + block + b"\r\n",
        body=None,
        stream=None,
        length=0,
        is_head=method == "HEAD",
        is_idempotent=method in _IDEMPOTENT_METHODS,
        closes=False,
    )
    _read_framing(fields, encoded)
    _attach_body(request, encoded)
    return encoded


def frame_chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; the empty chunk, which would end it, is the caller's to avoid."""
    return b"%x\r\n%s\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


def _read_framing(fields: list[tuple[bytes, bytes]], encoded: EncodedRequest) -> None:
    lengths: list[bytes] = []
    codings: list[bytes] = []
    hosts = 0
    for name, value in fields:
        lower = name.lower()
        if lower == b"host":
            hosts += 1
        elif lower == b"content-length":
            lengths.append(value)
        elif lower == b"transfer-encoding":
            codings.append(value)
        elif lower == b"connection":
            encoded.closes = encoded.closes or b"close" in [token.strip() for token in value.lower().split(b",")]
        elif lower == b"idempotency-key":
            encoded.is_idempotent = True
    if hosts != 1:
        raise httpx.LocalProtocolError(f"A request has one Host header, this one has {hosts}")
    if len(lengths) + len(codings) > 1:
        raise httpx.LocalProtocolError("A request has one Content-Length or one Transfer-Encoding, not several")
    if codings:
        if codings[0].strip().lower() != b"chunked":
            raise httpx.LocalProtocolError(f"The only transfer coding here is chunked, not {codings[0]!r}")
        encoded.length = None
    elif lengths:
        if not lengths[0].isdigit():
            raise httpx.LocalProtocolError(f"Content-Length is {lengths[0]!r}: it must be a number of bytes")
        encoded.length = int(lengths[0])


def _attach_body(request: httpx.Request, encoded: EncodedRequest) -> None:
    stream = request.stream
    if not isinstance(stream, httpx.ByteStream):
        assert isinstance(stream, httpx.AsyncByteStream), "httpx.AsyncClient sends asynchronous bodies only"
        encoded.stream = stream
        return
    body = request.read()
    if encoded.length is None:
        body = (frame_chunk(body) if body else b"") + LAST_CHUNK
    elif len(body) != encoded.length:
        raise httpx.LocalProtocolError(f"The body has {len(body)} bytes, the headers declare {encoded.length}")
    encoded.body = body


def _first_illegal(fields: list[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
    def is_legal(field: tuple[bytes, bytes]) -> bool:
        return b"\n" not in field[0] + field[1] and _FIELDS.fullmatch(b"%s: %s\r\n" % field) is not None

    return next(field for field in fields if not is_legal(field))
