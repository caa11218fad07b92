"""A request as the bytes that HTTP/1.1 sends (RFC 9112 sections 3 and 6). Pure: no socket, no clock.

What would let a value be read as framing is refused here: names that are no token, values with CR, LF or NUL, a length
that is not a number, a length beside a transfer coding (request smuggling, RFC 9112 section 11.2).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from host.http.client_connect import Origin

Field = tuple[bytes, bytes]

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


class RequestTemplate:
    """A request that is made again and again with other content: the rest of it is checked and put into bytes once.

    `headers` are its own, beside Host and Content-Length.

    Raises:
        httpx.LocalProtocolError: It cannot be sent as it stands; the message says which part.
        httpx.UnsupportedProtocol: The URL is not one of http or https, or has no host.
    """

    __slots__ = ("_empty", "_fields", "_head", "_method", "_url", "origin")

    def __init__(self, method: str, url: httpx.URL, headers: Sequence[Field] = ()) -> None:
        self.origin = origin_of(url)
        self._method = method
        self._url = url
        self._fields = [(b"host", url.netloc), *headers]
        # Checked together with a length, so that it has none of its own.
        self._empty = self._encode([*self._fields, (b"content-length", b"0")])
        self._head = self._empty.head.removesuffix(b"0\r\n\r\n")

    def fill(self, content: bytes, headers: Sequence[Field] = ()) -> EncodedRequest:
        """The request with this content. `headers` take the place of the template's of the same names.

        Raises:
            httpx.LocalProtocolError: One of `headers` cannot be sent.
        """
        length = (b"content-length", b"%d" % len(content))
        if headers:
            names = {name.lower() for name, _ in headers}
            encoded = self._encode(
                [field for field in self._fields if field[0].lower() not in names] + [*headers, length]
            )
            encoded.body = content
            return encoded
        return EncodedRequest(
            head=b"%b%b\r\n\r\n" % (self._head, length[1]),
            body=content,
            stream=None,
            length=len(content),
            is_head=self._empty.is_head,
            is_idempotent=self._empty.is_idempotent,
            closes=self._empty.closes,
        )

    def _encode(self, fields: list[Field]) -> EncodedRequest:
        return _encode_head(self._method, self._url.raw_path, fields)


def encode(request: httpx.Request) -> EncodedRequest:
    """Frame a request for HTTP/1.1.

    Raises:
        httpx.LocalProtocolError: The request cannot be sent as it stands; the message says which part.
    """
    target = request.extensions.get("target") or request.url.raw_path
    encoded = _encode_head(request.method, target, request.headers.raw)
    _attach_body(request, encoded)
    return encoded


def origin_of(url: httpx.URL, sni: str | None = None) -> Origin:
    """Where a URL leads.

    Raises:
        httpx.UnsupportedProtocol: The URL is not one of http or https, or has no host.
    """
    scheme, host = url.raw_scheme, url.raw_host
    if scheme not in (b"http", b"https"):
        raise httpx.UnsupportedProtocol(f"Request URL has an unsupported protocol '{url.scheme}://'.")
    if not host:
        raise httpx.UnsupportedProtocol("Request URL has no host.")
    return Origin(scheme, host, url.port, sni)


def frame_chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; the empty chunk, which would end it, is the caller's to avoid."""
    return b"%x\r\n%s\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


def _encode_head(method: str, target: bytes, fields: list[Field]) -> EncodedRequest:
    if method == "CONNECT":
        raise httpx.LocalProtocolError("CONNECT makes a tunnel: mount httpx's own transport for a proxy")
    start = b"%s %s HTTP/1.1\r\n" % (method.encode("ascii", "replace"), target)
    if _START.fullmatch(start) is None:
        raise httpx.LocalProtocolError(f"Illegal method or target: {start!r}")
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
    return encoded


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
