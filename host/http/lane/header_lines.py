"""Header lines that come again in answer after answer, rendered once."""

import itertools
from collections import Counter
from collections.abc import Sequence

# Of one name: one with more values is taken for one that always differs, as a request's id does.
_VALUES_MAX = 32
_NAMES_MAX = 256
# Longer ones are rare, and what is kept has a bound.
_LINE_BYTES_MAX = 512


_UNKNOWN = itertools.repeat(b"")


class HeaderLines:
    """The lines that are known. Checks nothing: a line break in a value is in its line."""

    __slots__ = ("_lines", "_values")

    def __init__(self) -> None:
        self._lines: dict[tuple[bytes, bytes], bytes] = {}
        self._values: Counter[bytes] = Counter()

    def __len__(self) -> int:
        return len(self._lines)

    def find(self, headers: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """The line of each header, b"" for one that is not known."""
        return list(map(self._lines.get, headers, _UNKNOWN))

    def make(self, name: bytes, value: bytes) -> bytes:
        """The line, which is known from now on if it may well come again."""
        line = b"%b: %b\r\n" % (name.lower(), value)
        values = self._values
        if values[name] < _VALUES_MAX and len(line) <= _LINE_BYTES_MAX and (name in values or len(values) < _NAMES_MAX):
            values[name] += 1
            self._lines[name, value] = line
        return line
