"""Responses off one connection's bytes: llhttp (httptools), and the rules that llhttp leaves to its user. Pure.

One `ResponseParser` serves one connection, response after response. It never raises for what the peer sent: a breach
is kept in `fault`, so that whatever the cuts between reads, the same bytes give the same response and then the same
fault. A body that ended early is a fault, never a short body.
"""

import httptools

# Bytes of chunk extensions, chunk sizes and trailers that may arrive without a byte of body; llhttp sets no limit.
_OVERHEAD_BYTES_MAX = 65536


class _Breach(Exception):
    """The peer broke a rule. Stops llhttp from inside a callback; does not leave this module."""


class ResponseParser:
    """Reads the responses of one connection, one `begin` for each.

    Results, valid as soon as `head_complete`: `status`, `reason`, `version`, `headers`. `parts` collects body bytes
    until they are taken. `complete`: the response has ended, and `keep_alive` says whether another may follow on the
    connection. `fault`: why nothing after this point can be trusted, else "".
    """

    __slots__ = (
        "_chunked",
        "_codings",
        "_connection",
        "_has_surplus",
        "_header_bytes_left",
        "_header_bytes_max",
        "_informational",
        "_is_head",
        "_length",
        "_llhttp",
        "_overhead_bytes",
        "body_bytes",
        "complete",
        "fault",
        "head_complete",
        "headers",
        "idle_hint_s",
        "keep_alive",
        "parts",
        "reason",
        "received_bytes",
        "status",
        "version",
    )

    def __init__(self, header_bytes_max: int) -> None:
        self._header_bytes_max = header_bytes_max
        self._llhttp: httptools.HttpResponseParser | None = None
        self.idle_hint_s: float | None = None
        self.begin(is_head=False)

    def begin(self, *, is_head: bool) -> None:
        """Expect a new response; `is_head`: to a HEAD request, which has no body whatever its headers say."""
        if self._llhttp is None:
            self._llhttp = httptools.HttpResponseParser(self)
        self._is_head = is_head
        self._header_bytes_left = self._header_bytes_max
        self._overhead_bytes = 0
        self._has_surplus = False
        self.received_bytes = 0
        self.body_bytes = 0
        self.parts: list[bytes] = []
        self.head_complete = False
        self.complete = False
        self.keep_alive = False
        self.fault = ""
        self._reset_head()

    def feed(self, data: bytes) -> None:
        """Take bytes as they came off the wire."""
        self.received_bytes += len(data)
        try:
            if self.head_complete:
                self._feed_body(data)
            else:
                self._feed_head(data)
        except httptools.HttpParserUpgrade:
            self._fail("101 Switching Protocols without being asked")
        except httptools.HttpParserError as error:
            self._fail(str(error.__context__ if isinstance(error.__context__, _Breach) else error))
        if self.complete:
            self._settle()

    def feed_eof(self) -> None:
        """The peer has ended the stream: the end of a close-delimited body, the breaking off of anything else."""
        if self.complete or self.fault:
            return
        if not self.received_bytes:
            self.fault = "Server disconnected without sending a response."
        elif not self.head_complete:
            self.fault = "Server disconnected within the header section."
        elif self._length is None and not self._chunked:
            self.complete = True
        elif self._chunked:
            self.fault = f"Server disconnected before the last chunk, after {self.body_bytes} bytes of body."
        else:
            self.fault = f"Server disconnected after {self.body_bytes} of {self._length} bytes of body."

    def feed_reset(self, reason: str) -> None:
        """The stream ended in a way that no close-delimited body may end."""
        if not self.complete and not self.fault:
            self.fault = reason

    def take(self) -> bytes:
        """The body bytes that have arrived since the last call."""
        parts = self.parts
        if len(parts) == 1:
            self.parts = []
            return parts[0]
        if not parts:
            return b""
        self.parts = []
        return b"".join(parts)

    def close(self) -> None:
        """Let go of llhttp, whose callbacks refer back here: nothing is left for the cycle collector."""
        self._llhttp = None

    def _feed_head(self, data: bytes) -> None:
        # Fed in two pieces at the limit, so that whether a header section is too long does not depend on the reads.
        assert self._llhttp is not None
        left = self._header_bytes_left
        if len(data) <= left:
            self._header_bytes_left = left - len(data)
            self._llhttp.feed_data(data)
            return
        self._header_bytes_left = 0
        if left:
            self._llhttp.feed_data(data[:left])
        if not self.head_complete:
            self.fault = f"The header section is longer than {self._header_bytes_max} bytes."
        elif not self.complete:
            self._llhttp.feed_data(data[left:])
        else:
            self._has_surplus = True

    def _feed_body(self, data: bytes) -> None:
        assert self._llhttp is not None
        before = self.body_bytes
        self._llhttp.feed_data(data)
        if self.body_bytes > before:
            self._overhead_bytes = 0
            return
        self._overhead_bytes += len(data)
        if self._overhead_bytes > _OVERHEAD_BYTES_MAX and not self.complete:
            raise httptools.HttpParserError(f"More than {_OVERHEAD_BYTES_MAX} bytes of chunk framing without a body.")

    def _fail(self, reason: str) -> None:
        # What follows a complete response cannot spoil it; it only ends the connection.
        if self.complete:
            self._has_surplus = True
        else:
            self.fault = self.fault or reason

    def _settle(self) -> None:
        if self._has_surplus:
            self.keep_alive = False
        if self._is_head:
            self._llhttp = None  # it still waits for the body that a GET would have had

    def _reset_head(self) -> None:
        self._informational = False
        self._codings: list[bytes] = []
        self._chunked = False
        self._length: int | None = None
        self._connection = b""
        self.status = 0
        self.reason = b""
        self.version = ""
        self.headers: list[tuple[bytes, bytes]] = []

    # What llhttp calls.

    def on_message_begin(self) -> None:
        if self.complete:
            self._has_surplus = True
            raise _Breach("bytes after the end of the response")

    def on_status(self, reason: bytes) -> None:
        self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.head_complete:
            return  # a trailer: ignored, as RFC 9110 section 6.5.1 allows
        value = value.rstrip(b" \t")
        self.headers.append((name, value))
        size = len(name)
        if size == 14:
            if name.lower() == b"content-length":
                self._length = int(value)
        elif size == 17:
            if name.lower() == b"transfer-encoding":
                self._codings.append(value.lower())
        elif size == 10:
            lower = name.lower()
            if lower == b"connection":
                self._connection += b"," + value.lower()
            elif lower == b"keep-alive":
                self.idle_hint_s = _idle_hint_s(value)

    def on_headers_complete(self) -> None:
        assert self._llhttp is not None
        self.status = status = self._llhttp.get_status_code()
        self._check_framing(status)
        if status < 200:
            self._informational = True
            return
        self.keep_alive = self._asks_to_stay() if self._is_head else self._llhttp.should_keep_alive()
        if status in (204, 304):
            self._length = 0
        self.head_complete = True
        if self._is_head:
            self.complete = True

    def on_body(self, data: bytes) -> None:
        if self.complete:
            self._has_surplus = True
            raise _Breach("a body where none may be")
        self.body_bytes += len(data)
        self.parts.append(data)

    def on_message_complete(self) -> None:
        if self._informational:
            self._reset_head()
        else:
            self.complete = True

    def _check_framing(self, status: int) -> None:
        assert self._llhttp is not None
        self.version = version = self._llhttp.get_http_version()
        if version not in ("1.1", "1.0"):
            raise _Breach(f"HTTP/{version} on an HTTP/1.1 connection.")
        if status < 100:
            raise _Breach(f"The status code {status:03} does not exist.")
        if status == 101:
            raise _Breach("101 Switching Protocols without being asked.")
        if status < 200 and (self._codings or self._length):
            raise _Breach(f"An informational response ({status}) that declares a body.")  # RFC 9110 section 8.6
        if b"\0" in self.reason:
            raise _Breach("A NUL in the reason phrase.")
        if self._codings:
            # A coding that was not asked for with TE cannot be decoded, and an HTTP/1.0 sender that uses one must be
            # taken to frame wrongly (RFC 9112 section 6.1).
            if self._codings != [b"chunked"] or version == "1.0":
                raise _Breach(f"Transfer-Encoding {b', '.join(self._codings)!r} on HTTP/{version}.")
            self._chunked = True

    def _asks_to_stay(self) -> bool:
        tokens = [token.strip() for token in self._connection.split(b",")]
        return b"close" not in tokens and (self.version == "1.1" or b"keep-alive" in tokens)


def _idle_hint_s(value: bytes) -> float | None:
    """The `timeout` of a Keep-Alive header in seconds: how long the server says that it keeps an idle connection."""
    for parameter in value.lower().split(b","):
        name, _, number = parameter.strip().partition(b"=")
        if name == b"timeout" and number.isdigit() and len(number) < 7:
            return float(number)
    return None
