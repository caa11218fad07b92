"""Bytes read and written in the board's grammar: one way to write a value, and no other is read.

`varint` is LEB128 of 0..2^53-1 in the fewest bytes; `signed` is a varint of the zigzag of a number (0, -1, 1, -2, …).
"""

from plugins.liveboard.core.errors import CodecError
from plugins.liveboard.core.operations import INTEGER_MAX, check_integer

_VARINT_BYTES_MAX = 8


class Writer:
    """Collects bytes. Raises `CodecError` for what the grammar cannot say."""

    __slots__ = ("data",)

    def __init__(self) -> None:
        self.data = bytearray()

    def byte(self, value: int) -> None:
        self.data.append(check_integer(value, 0, 255, "a byte"))

    def raw(self, value: bytes, length: int) -> None:
        if not isinstance(value, bytes) or len(value) != length:
            raise CodecError(f"{value!r} is not {length} bytes")
        self.data += value

    def varint(self, value: int) -> None:
        check_integer(value, 0, INTEGER_MAX, "a varint")
        while value > 0x7F:
            self.data.append(value & 0x7F | 0x80)
            value >>= 7
        self.data.append(value)

    def signed(self, value: int) -> None:
        check_integer(value, -(2**52), 2**52 - 1, "a signed varint")
        self.varint(2 * value if value >= 0 else -2 * value - 1)

    def block(self, value: bytes) -> None:
        """A length and that many bytes."""
        self.varint(len(value))
        self.data += value

    def text(self, value: str) -> None:
        """A block of UTF-8."""
        try:
            self.block(value.encode())
        except UnicodeEncodeError:
            raise CodecError("a text holds half a surrogate pair") from None


class Reader:
    """Reads `data` from `at` to `end`. Raises `CodecError` on the first byte that is not as a `Writer` writes."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self.data = data
        self.at = at
        self.end = len(data) if end is None else end

    def byte(self) -> int:
        if self.at >= self.end:
            raise CodecError(f"it ends at byte {self.end}, in the middle")
        value = self.data[self.at]
        self.at += 1
        return value

    def raw(self, length: int) -> bytes:
        start, self.at = self.at, self.at + length
        if self.at > self.end:
            raise CodecError(f"it ends at byte {self.end}, in the middle")
        return bytes(self.data[start : self.at])

    def varint(self, low: int = 0, high: int = INTEGER_MAX, name: str = "a number") -> int:
        start = self.at
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift >= 7 * _VARINT_BYTES_MAX:
                raise CodecError(f"the number at byte {start} is longer than {_VARINT_BYTES_MAX} bytes")
        if byte == 0 and shift:
            raise CodecError(f"the number at byte {start} is not in its shortest form")
        if not low <= value <= high:
            raise CodecError(f"{name} at byte {start} is {value}, not from {low} to {high}")
        return value

    def signed(self, low: int, high: int, name: str) -> int:
        start = self.at
        coded = self.varint()
        value = -(coded + 1 >> 1) if coded & 1 else coded >> 1
        if not low <= value <= high:
            raise CodecError(f"{name} at byte {start} is {value}, not from {low} to {high}")
        return value

    def block(self, bytes_max: int, name: str) -> bytes:
        return self.raw(self.varint(0, bytes_max, f"the length of {name}"))

    def text(self, bytes_max: int, name: str) -> str:
        start = self.at
        try:
            return self.block(bytes_max, name).decode()
        except UnicodeDecodeError:
            raise CodecError(f"{name} at byte {start} is not UTF-8") from None

    def finish(self) -> None:
        if self.at != self.end:
            raise CodecError(f"{self.end - self.at} bytes too many at byte {self.at}")
