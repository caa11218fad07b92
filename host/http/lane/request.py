"""Requests out of bytes: llhttp's callbacks, the checks it leaves to us, and what every refusal is answered with.

llhttp in its strict mode refuses, with 400: bare CR and LF, obsolete folding, white space around names, control
characters, repeated, signed or overlong Content-Length, Content-Length beside Transfer-Encoding, chunk sizes that are
no plain hexadecimal number. The rest is checked here, with its clause.
"""

import re
from collections import deque

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from host.http.limits import KIB, Limits

# Parsed at a time, so that a read full of pipelined requests does not become as many objects at once.
HEAD_SLICE_BYTES = 4 * KIB
BODY_SLICE_BYTES = 16 * KIB
# What counts towards no limit (white space, empty lines) in a head that has not ended.
_HEAD_SLACK_BYTES = 256

_NOTED = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect", b"connection"})
# No proxy is here; the others llhttp knows for RTSP and ICE.
_UNSERVED_METHODS = frozenset(
    {"CONNECT", "SOURCE", "DESCRIBE", "ANNOUNCE", "SETUP", "PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER"}
)
# As a number: bytes look for one ten times as fast as for bytes.
_HASH = ord("#")
# RFC 3986 §3.2.2 without userinfo.
_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%-]*(?::[0-9]*)?|\[[0-9A-Fa-f:.A-Za-z%_~-]+\](?::[0-9]*)?")


class Refusal(Exception):
    """A request that the engine itself answers, and that ends its connection. `header` is a line of that answer."""

    def __init__(self, status: int, detail: str, header: bytes = b"") -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.header = header


class Request:
    """A request whose head is complete. Its body arrives in `parts`; `is_complete` once all of it has."""

    http_version = "1.1"
    keep_alive = True
    has_upgrade = expects_continue = is_chunked = is_complete = False
    content_length = 0

    def __init__(self, method: str, target: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.parts: list[bytes] = []

    def values(self, name: bytes) -> list[bytes]:
        """The members of a list-valued header."""
        lines = [value for key, value in self.headers if key == name]
        return [member for line in lines for part in line.split(b",") if (member := part.strip())]


class RequestParser:
    """Turns bytes into requests, as many at a time as the connection asks for.

    `advance` parses a slice of what was read. Requests whose head is complete come to `ready`, in order; the body of
    the last one is still growing unless it `is_complete`. After a `fault` nothing more is parsed; the requests before
    it are to be answered first. The `on_` methods are llhttp's to call.
    """

    def __init__(self, limits: Limits) -> None:
        self.ready: deque[Request] = deque()
        self.fault: Refusal | None = None
        self._limits = limits
        self._parser = HttpRequestParser(self)
        # Read and not parsed yet; nothing more is to be read before it is.
        self.pending: bytes | memoryview = b""
        self._slice_bytes = HEAD_SLICE_BYTES
        self._request: Request
        self._is_in_head = True
        self._has_begun = False
        self._raw_bytes = self._trailer_bytes = 0
        self._target = b""
        self._fields = list[tuple[bytes, bytes]]()
        self._known_host = b""

    @property
    def is_between_requests(self) -> bool:
        """Whether nothing of a further request has come."""
        return not self._has_begun and not self.pending

    def advance(self, data: bytes = b"") -> None:
        """Parse a slice of what is `pending`, or of what was read from the socket when nothing is."""
        piece, size = self.pending or data, self._slice_bytes
        if len(piece) <= size:
            self.pending = b""
        else:
            view = memoryview(piece)
            piece, self.pending = view[:size], view[size:]
        self._raw_bytes += len(piece)
        try:
            self._parser.feed_data(piece)
            if not self._is_in_head:
                self._raw_bytes = 0
            elif self._raw_bytes > _HEAD_SLACK_BYTES:
                # A head that may never end; one that has ended was counted exactly.
                self._check_size(self._raw_bytes - _HEAD_SLACK_BYTES)
        except HttpParserUpgrade as upgrade:
            # llhttp stops where the protocol may change; who serves the request decides whether it does.
            self.pending = bytes(piece[upgrade.args[0] :]) + bytes(self.pending)
        except (HttpParserError, Refusal) as error:
            self.fault = self.fault or Refusal(400, str(error))
            self.pending = b""

    def ignore_upgrade(self, request: Request) -> None:
        """Go on in HTTP/1.1 after a request for an upgrade that is not to be (RFC 9110 §7.8 lets it be ignored).

        llhttp has skipped its body; a parser that believes to have seen a head with the same framing reads it.
        """
        if request.is_chunked or request.content_length:
            framing = b"Transfer-Encoding: chunked" if request.is_chunked else b"%d" % request.content_length
            self._parser = HttpRequestParser(self)
            self._parser.feed_data(
                b"POST / HTTP/1.1\r\nHost: -\r\n%b%b\r\n\r\n"
                % (b"" if request.is_chunked else b"Content-Length: ", framing)
            )
            self.ready.pop()
            self._request = request
            request.is_complete = False

    def on_message_begin(self) -> None:
        self._has_begun = True
        self._target = b""
        self._fields = []

    def on_url(self, part: bytes) -> None:
        self._target += part
        if len(self._target) > self._limits.target_bytes_max:
            self._refuse(414, f"path and query are longer than {self._limits.target_bytes_max} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_in_head:
            self._fields.append((name, value))
            return
        # Trailers: too late to be believed, whatever they say (RFC 9110 §6.5.1 lets us drop them).
        self._trailer_bytes += len(name) + len(value) + 4
        if self._trailer_bytes > self._limits.header_bytes_max:
            self._refuse(431, "the trailers are too large")

    def on_headers_complete(self) -> None:
        parser, target, fields = self._parser, self._target, self._fields
        head_bytes = self._raw_bytes
        if head_bytes > self._limits.header_bytes_max:
            # With what follows it: so it has to be counted.
            head_bytes = len(target) + sum(len(name) + len(value) + 4 for name, value in fields)
        self._check_size(head_bytes, len(fields))
        method = parser.get_method().decode("ascii")
        # llhttp leaves the blanks behind a value.
        headers = [(name.lower(), value.rstrip(b" \t")) for name, value in fields]
        request = self._request = Request(method, target, headers)
        if not parser.should_keep_alive():
            request.keep_alive = False
        if parser.should_upgrade():
            request.has_upgrade = True
        self._check_noted(request)
        if not target.isascii() or _HASH in target or (target == b"*" and method != "OPTIONS"):
            # RFC 9112 §3.2: no form of the target has a fragment, and the asterisk is for OPTIONS.
            self._refuse(400, "the target is malformed")
        if method in _UNSERVED_METHODS:
            self._refuse(501, f"{method} is not served here")
        self._is_in_head = False
        self._trailer_bytes = 0
        self._slice_bytes = max(HEAD_SLICE_BYTES, request.content_length or BODY_SLICE_BYTES)
        self.ready.append(request)

    def on_body(self, part: bytes) -> None:
        self._request.parts.append(part)

    def on_message_complete(self) -> None:
        self._request.is_complete = True
        self._is_in_head = True
        self._has_begun = False
        self._raw_bytes = 0
        self._slice_bytes = HEAD_SLICE_BYTES

    def _refuse(self, status: int, detail: str) -> None:
        self.fault = Refusal(status, detail)
        raise self.fault

    def _check_size(self, head_bytes: int, headers: int = 0) -> None:
        limits = self._limits
        if head_bytes > limits.header_bytes_max:
            self._refuse(431, f"the headers are larger than {limits.header_bytes_max} bytes")
        if headers > limits.header_count_max:
            self._refuse(431, f"there are more than {limits.header_count_max} headers")

    def _check_noted(self, request: Request) -> None:
        hosts = 0
        is_1_1 = request.keep_alive
        for name, value in [pair for pair in request.headers if pair[0] in _NOTED]:
            if name == b"host":
                hosts += 1
                if value != self._known_host:
                    if not _HOST.fullmatch(value):
                        self._refuse(400, "the Host is malformed")
                    self._known_host = value
            elif name == b"content-length":
                request.content_length = int(value)
            elif name == b"transfer-encoding":
                request.is_chunked = True
                if value.lower() != b"chunked":
                    self._refuse(501, "no transfer coding but chunked is understood")
            elif name == b"expect":
                request.expects_continue = True
                if value.lower() != b"100-continue":
                    self._refuse(417, "no expectation but 100-continue can be met")
            else:
                is_1_1 = False
        if not is_1_1:
            self._check_version(request)
        if hosts > 1 or not (hosts or request.http_version == "1.0"):
            self._refuse(400, "a request has exactly one Host")

    def _check_version(self, request: Request) -> None:
        """Only 1.1 keeps the connection without having to say so; whatever does not, or says so, is asked."""
        version = request.http_version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            self._refuse(505, f"HTTP/{version} is not spoken here")
        if version == "1.0":
            request.expects_continue = request.has_upgrade = False
            if request.is_chunked:
                # RFC 9112 §6.1: its framing is faulty.
                self._refuse(400, "HTTP/1.0 has no Transfer-Encoding")
