"""WebSocket frames (RFC 6455 §5) to messages and back. Pure: no socket, no clock.

Framing is our own, the mask is `websockets`' in C: the parser of `websockets` costs several times as much for each
frame (docs/serving.md has the figures). Compression (RFC 7692) is that of `websockets`.
"""

import struct
from codecs import IncrementalDecoder, getincrementaldecoder

from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.speedups import apply_mask

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
NORMAL, PROTOCOL_ERROR, NO_STATUS, ABNORMAL, INVALID_DATA = 1000, 1002, 1005, 1006, 1007
TOO_BIG, CRASHED, RESTART = 1009, 1011, 1012
CONTROL_BYTES_MAX = 125

_OPCODES = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})
_CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)})
# Up to here a slice is cheaper than a view of it.
_SLICED_BYTES_MAX = 4096
_Utf8 = getincrementaldecoder("utf-8")


class FrameError(Exception):
    """The peer broke the protocol or a limit; the connection fails with `code` (RFC 6455 §7.1.7)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def encode_frame(opcode: int, payload: bytes, *, is_compressed: bool = False) -> bytes:
    """One unmasked, final frame."""
    first = 0xC0 | opcode if is_compressed else 0x80 | opcode
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65536:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


def encode_close(code: int, reason: str = "") -> bytes:
    """A close frame. `NO_STATUS` sends none; a reason that is too long is cut at a character's end."""
    text = reason.encode()[: CONTROL_BYTES_MAX - 2].decode("utf-8", "ignore").encode()
    return encode_frame(CLOSE, b"" if code == NO_STATUS else struct.pack("!H", code) + text)


def decode_close(payload: bytes) -> tuple[int, str]:
    """The code and reason of a close frame's payload. Raises `FrameError`."""
    if not payload:
        return NO_STATUS, ""
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or code not in _CLOSE_CODES:
        raise FrameError(PROTOCOL_ERROR, "the close code is not one that may be sent")
    return code, _decoded(payload[2:])


class MessageReader:
    """Takes what a client sent and gives whole messages and control frames, as `(opcode, payload)`; text as `str`.

    Holds no more than one message of `message_bytes_max` and what came with one read: a frame that announces more is
    refused before it is stored.
    """

    def __init__(self, message_bytes_max: int, deflate: PerMessageDeflate | None = None) -> None:
        self._message_bytes_max = message_bytes_max
        self._deflate = deflate
        self._buffer: bytes | bytearray = b""
        self._at = 0
        # The fragments of the message that has begun.
        self._opcode = CONTINUATION
        self._size = 0
        self._parts: list[bytes] = []
        self._text: list[str] = []
        self._utf8: IncrementalDecoder | None = None
        # Of a text frame that is not whole yet: a decoder that runs ahead, and how much it has seen.
        self._ahead: IncrementalDecoder | None = None
        self._seen = 0

    def feed(self, data: bytes) -> None:
        """Take what was read."""
        buffer = self._buffer
        if self._at == len(buffer):
            self._buffer, self._at = data, 0
            return
        if isinstance(buffer, bytearray):
            del buffer[: self._at]
        else:
            self._buffer = buffer = bytearray(memoryview(buffer)[self._at :])
        self._at = 0
        buffer += data

    def next(self) -> tuple[int, str | bytes] | None:
        """The next message or control frame; None when more must be fed. Raises `FrameError`."""
        while (frame := self._next_frame()) is not None:
            first, payload = frame
            opcode, is_final = first & 0x0F, bool(first & 0x80)
            if opcode >= CLOSE:
                return opcode, payload
            if self._deflate is not None:
                payload = self._inflate(self._deflate, opcode, payload, first)
            if is_final and opcode:
                return opcode, _decoded(payload) if opcode == TEXT else payload
            self._add(opcode, payload, is_final=is_final)
            if is_final:
                opcode, self._opcode, self._size = self._opcode, CONTINUATION, 0
                message: str | bytes = "".join(self._text) if opcode == TEXT else b"".join(self._parts)
                self._text.clear()
                self._parts.clear()
                return opcode, message
        return None

    def _next_frame(self) -> tuple[int, bytes] | None:
        buffer, at = self._buffer, self._at
        available = len(buffer) - at
        if available < 2:
            return None
        first, second = buffer[at], buffer[at + 1]
        size, start = second & 0x7F, at + 6
        if size == 126:
            if available < 4:
                return None
            size, start, shortest = (buffer[at + 2] << 8) | buffer[at + 3], at + 8, 126
        elif size == 127:
            if available < 10:
                return None
            size, start, shortest = int.from_bytes(buffer[at + 2 : at + 10], "big"), at + 14, 65536
        else:
            shortest = 0
        if not shortest <= size < 1 << 63:
            raise FrameError(PROTOCOL_ERROR, "a length is not in its shortest form")
        self._check(first, second, size)
        end = start + size
        if len(buffer) < end:
            if self._deflate is None and (first & 0x0F == TEXT or (first & 0x0F == 0 and self._utf8 is not None)):
                self._look_ahead(start)
            return None
        self._at, self._ahead = end, None
        masked = buffer[start:end] if size <= _SLICED_BYTES_MAX else memoryview(buffer)[start:end]
        return first, apply_mask(masked, buffer[start - 4 : start])

    def _check(self, first: int, second: int, size: int) -> None:
        opcode = first & 0x0F
        if not second & 0x80:
            raise FrameError(PROTOCOL_ERROR, "a client's frames are masked")
        if first & 0x30 or opcode not in _OPCODES:
            raise FrameError(PROTOCOL_ERROR, "reserved bits or opcodes are used")
        if first & 0x40 and (self._deflate is None or opcode not in (TEXT, BINARY)):
            raise FrameError(PROTOCOL_ERROR, "a frame is compressed that may not be")
        if opcode >= CLOSE:
            if size > CONTROL_BYTES_MAX or not first & 0x80:
                raise FrameError(PROTOCOL_ERROR, "a control frame is too long or fragmented")
        elif (opcode == CONTINUATION) != (self._opcode != CONTINUATION):
            raise FrameError(PROTOCOL_ERROR, "a continuation does not fit")
        elif self._size + size > self._message_bytes_max:
            raise self._too_big()

    def _look_ahead(self, start: int) -> None:
        """Refuse text at its first wrong byte, though its frame is not whole yet (RFC 6455 §8.1)."""
        if self._ahead is None:
            self._ahead, self._seen = _Utf8(), 0
            if self._utf8 is not None:
                self._ahead.setstate(self._utf8.getstate())
        turn = self._seen % 4
        mask = (self._buffer[start - 4 : start] * 2)[turn : turn + 4]
        fresh = self._buffer[start + self._seen :]
        self._seen += len(fresh)
        if fresh:
            _decoded(apply_mask(fresh, mask), self._ahead, is_final=False)

    def _add(self, opcode: int, payload: bytes, *, is_final: bool) -> None:
        """Keep a fragment; text is validated as it comes."""
        if opcode:
            self._opcode = opcode
            self._utf8 = _Utf8() if opcode == TEXT else None
        self._size += len(payload)
        if self._utf8 is not None:
            self._text.append(_decoded(payload, self._utf8, is_final=is_final))
        elif payload:
            # Empty fragments are not kept: nothing limits their number. (Empty strings are all one object.)
            self._parts.append(payload)
        if len(self._text) > _SLICED_BYTES_MAX:
            self._text = ["".join(self._text)]

    def _inflate(self, deflate: PerMessageDeflate, opcode: int, payload: bytes, first: int) -> bytes:
        frame = Frame(Opcode(opcode), payload, bool(first & 0x80), bool(first & 0x40))
        try:
            # zlib takes 0 for "no limit".
            return bytes(deflate.decode(frame, max_size=max(1, self._message_bytes_max - self._size)).data)
        except PayloadTooBig:
            raise self._too_big() from None
        except ProtocolError as error:
            raise FrameError(INVALID_DATA, str(error)) from None

    def _too_big(self) -> FrameError:
        return FrameError(TOO_BIG, f"messages are limited to {self._message_bytes_max} bytes")


def _decoded(payload: bytes, decoder: IncrementalDecoder | None = None, *, is_final: bool = True) -> str:
    try:
        return payload.decode() if decoder is None else decoder.decode(payload, is_final)
    except UnicodeDecodeError:
        raise FrameError(INVALID_DATA, "text is not UTF-8") from None
