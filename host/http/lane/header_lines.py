"""Header lines that come again in answer after answer, rendered once."""

from collections import Counter

# Of one name: one with more values is taken for one that always differs, as a request's id does.
_VALUES_MAX = 32
_NAMES_MAX = 256
# Longer ones are rare, and what is kept has a bound.
_LINE_BYTES_MAX = 512


class HeaderLines:
    """The lines that are known. Checks nothing: a line break in a value is in its line."""

    __slots__ = ("_lines", "_values", "get")

    def __init__(self) -> None:
        self._lines: dict[tuple[bytes, bytes], bytes] = {}
        self.get = self._lines.get
        """The line of a name and value, None when it is not known."""
        self._values: Counter[bytes] = Counter()

    def __len__(self) -> int:
        return len(self._lines)

    def make(self, name: bytes, value: bytes) -> bytes:
        """The line, which is known from now on if it may well come again."""
        line = b"%b: %b\r\n" % (name.lower(), value)
        values = self._values
        if values[name] < _VALUES_MAX and len(line) <= _LINE_BYTES_MAX and (name in values or len(values) < _NAMES_MAX):
            values[name] += 1
            self._lines[name, value] = line
        return line
