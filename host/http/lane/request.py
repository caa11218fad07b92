"""Requests out of bytes: llhttp's callbacks, the checks it leaves to us, and what every refusal is answered with.

llhttp in its strict mode refuses, with 400: bare CR and LF, obsolete folding, white space around names, control
characters, repeated, signed or overlong Content-Length, Content-Length beside Transfer-Encoding, chunk sizes that are
no plain hexadecimal number. The rest is checked here; each check names its clause.
"""

import re
from collections import deque

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from host.http.limits import KIB, Limits

# Parsed at a time, so that a read full of pipelined requests becomes few objects at once.
HEAD_SLICE_BYTES = 4 * KIB
BODY_SLICE_BYTES = 16 * KIB
# Room for what counts towards no limit (white space, empty lines) before an unfinished head is given up.
_HEAD_SLACK_BYTES = 256

_NOTED = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect", b"upgrade"})
# llhttp knows these for RTSP and ICE.
_FOREIGN_METHODS = frozenset({"SOURCE", "DESCRIBE", "ANNOUNCE", "SETUP", "PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER"})
# RFC 3986 §3.2.2 without userinfo; anything else in Host is 400 (RFC 9112 §3.2).
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

    __slots__ = (
        "content_length",
        "expects_continue",
        "has_upgrade",
        "headers",
        "http_version",
        "is_complete",
        "keep_alive",
        "method",
        "parts",
        "target",
    )

    def __init__(self, method: str, target: str, http_version: str, headers: list[tuple[bytes, bytes]]) -> None:
        self.method = method
        self.target = target
        self.http_version = http_version
        self.headers = headers
        self.keep_alive = True
        self.has_upgrade = False
        self.expects_continue = False
        self.content_length: int | None = None
        self.parts: list[bytes] = []
        self.is_complete = False

    def values(self, name: bytes) -> list[bytes]:
        """The members of a list-valued header, lower case."""
        lines = [value for key, value in self.headers if key == name]
        return [member.strip().lower() for line in lines for member in line.split(b",")]


class RequestParser:
    """Turns bytes into requests, as many at a time as the connection asks for.

    `feed` takes what was read, `advance` parses a slice of it. Requests whose head is complete come to `ready`, in
    order; the body of the last one is still growing unless it `is_complete`. After a `fault` nothing more is parsed;
    the requests before it are whole and are to be answered first.
    """

    def __init__(self, limits: Limits) -> None:
        self.ready: deque[Request] = deque()
        self.fault: Refusal | None = None
        self._limits = limits
        self._parser = HttpRequestParser(self)
        self._pending: bytes | memoryview = b""
        self._request: Request | None = None
        self._slice_bytes = HEAD_SLICE_BYTES
        self._is_in_head = True
        self._has_begun = False
        self._is_upgraded = False
        self._raw_head_bytes = 0
        self._head_bytes = 0
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._noted: list[tuple[bytes, bytes]] = []
        self._known_host = b""

    @property
    def has_pending(self) -> bool:
        """Whether there are bytes that were fed and not parsed; nothing more may be fed before they are."""
        return bool(self._pending)

    @property
    def is_between_requests(self) -> bool:
        """Whether nothing of a further request has come."""
        return self._is_in_head and not self._has_begun and not self._pending

    def feed(self, data: bytes) -> None:
        """Take what was read from the socket."""
        assert not self._pending
        self._pending = data

    def take_rest(self) -> bytes:
        """What follows the head of an upgraded request: no longer ours to parse."""
        rest, self._pending = bytes(self._pending), b""
        return rest

    def advance(self) -> None:
        """Parse a slice of what was fed."""
        data, size = self._pending, self._slice_bytes
        if len(data) <= size:
            piece, self._pending = data, b""
        else:
            view = memoryview(data)
            piece, self._pending = view[:size], view[size:]
        self._raw_head_bytes += len(piece)
        try:
            self._parser.feed_data(piece)
        except HttpParserUpgrade as upgrade:
            self._go_on_after_upgrade(memoryview(piece)[upgrade.args[0] :])
        except HttpParserError as error:
            if self.fault is None:
                self.fault = Refusal(400, str(error))
            self._pending = b""
        if self._raw_head_bytes > _HEAD_SLACK_BYTES and self.fault is None:
            self._check_unfinished_head()

    def ignore_upgrade(self, request: Request) -> None:
        """Go on in HTTP/1.1 after a request for an upgrade that is not to be (RFC 9110 §7.8: it may be ignored).

        llhttp has skipped its body; a parser that believes to have seen a head with the same framing reads it.
        """
        assert self._is_upgraded
        self._is_upgraded = False
        is_chunked = any(name == b"transfer-encoding" for name, _ in request.headers)
        if not is_chunked and not request.content_length:
            return
        framing = b"Transfer-Encoding: chunked" if is_chunked else b"Content-Length: %d" % (request.content_length or 0)
        self._parser = HttpRequestParser(self)
        self._parser.feed_data(b"POST / HTTP/1.1\r\nHost: -\r\n%b\r\n\r\n" % framing)
        self.ready.pop()
        self._request = request
        request.is_complete = False

    # What llhttp calls; an exception in any of them ends its parsing with an error.

    def on_message_begin(self) -> None:
        self._has_begun = True
        self._target = b""
        self._headers = []
        self._noted = []
        self._head_bytes = 0

    def on_url(self, part: bytes) -> None:
        self._target += part
        if len(self._target) > self._limits.target_bytes_max:
            self._refuse(414, f"path and query are longer than {self._limits.target_bytes_max} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._is_in_head:
            # Trailers: whatever they say is too late to be believed (RFC 9110 §6.5.1 lets us drop them).
            self._head_bytes += len(name) + len(value) + 4
            if self._head_bytes > self._limits.header_bytes_max:
                self._refuse(431, "the trailers are too large")
            return
        name = name.lower()
        if value.endswith((b" ", b"\t")):
            value = value.rstrip(b" \t")
        pair = (name, value)
        if name in _NOTED:
            self._noted.append(pair)
        self._head_bytes += len(name) + len(value) + 4
        self._headers.append(pair)

    def on_headers_complete(self) -> None:
        parser = self._parser
        self._check_size(self._head_bytes + len(self._target))
        try:
            target = self._target.decode("ascii")
        except UnicodeDecodeError:
            self._refuse(400, "the target holds bytes that should have been percent-encoded")
        request = Request(parser.get_method().decode("ascii"), target, parser.get_http_version(), self._headers)
        request.keep_alive = parser.should_keep_alive()
        request.has_upgrade = parser.should_upgrade()
        self._check_line(request)
        self._check_noted(request)
        self._is_in_head = False
        self._head_bytes = 0
        self._slice_bytes = max(HEAD_SLICE_BYTES, request.content_length or BODY_SLICE_BYTES)
        self._request = request
        self.ready.append(request)

    def on_body(self, part: bytes) -> None:
        assert self._request is not None
        self._request.parts.append(part)

    def on_message_complete(self) -> None:
        assert self._request is not None
        self._request.is_complete = True
        self._is_in_head = True
        self._has_begun = False
        self._raw_head_bytes = 0
        self._slice_bytes = HEAD_SLICE_BYTES

    def _refuse(self, status: int, detail: str) -> None:
        self.fault = Refusal(status, detail)
        raise self.fault

    def _check_unfinished_head(self) -> None:
        """Hold a head that may never end to its limits; one that has ended was counted exactly."""
        if not self._is_in_head:
            self._raw_head_bytes = 0
            return
        try:
            self._check_size(self._raw_head_bytes - _HEAD_SLACK_BYTES)
        except Refusal:
            self._pending = b""

    def _check_size(self, head_bytes: int) -> None:
        limits = self._limits
        if head_bytes > limits.header_bytes_max:
            self._refuse(431, f"the headers are larger than {limits.header_bytes_max} bytes")
        if len(self._headers) > limits.header_count_max:
            self._refuse(431, f"there are more than {limits.header_count_max} headers")

    def _check_line(self, request: Request) -> None:
        if request.http_version not in ("1.1", "1.0"):
            self._refuse(505, f"HTTP/{request.http_version} is not spoken here")
        if request.method == "CONNECT" or request.method in _FOREIGN_METHODS:
            self._refuse(501, f"{request.method} is not served here")
        if "#" in request.target or (request.target == "*" and request.method != "OPTIONS"):
            # RFC 9112 §3.2: no form of the target has a fragment, and the asterisk is for OPTIONS.
            self._refuse(400, "the target is malformed")

    def _check_noted(self, request: Request) -> None:
        is_1_0 = request.http_version == "1.0"
        hosts = 0
        for name, value in self._noted:
            if name == b"host":
                hosts += 1
                self._noted_host(value)
            elif name == b"content-length":
                request.content_length = int(value)
            elif name == b"transfer-encoding":
                if is_1_0:
                    # RFC 9112 §6.1: its framing is faulty.
                    self._refuse(400, "HTTP/1.0 has no Transfer-Encoding")
                if value.lower() != b"chunked":
                    self._refuse(501, "no transfer coding but chunked is understood")
            elif name == b"expect" and not is_1_0:
                if value.lower() != b"100-continue":
                    self._refuse(417, "no expectation but 100-continue can be met")
                request.expects_continue = True
        if hosts > 1 or not (hosts or is_1_0):
            self._refuse(400, "a request has exactly one Host")

    def _noted_host(self, value: bytes) -> None:
        if value != self._known_host:
            if not _HOST.fullmatch(value):
                self._refuse(400, "the Host is malformed")
            self._known_host = value

    def _go_on_after_upgrade(self, rest: memoryview) -> None:
        """llhttp stops where the protocol may change; who serves the request decides whether it does."""
        pending = self._pending
        self._pending = bytes(rest) + bytes(pending) if pending else bytes(rest)
        self._is_upgraded = True
