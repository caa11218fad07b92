"""Numbers that carry their unit in a configuration: `Duration` ("1h30m") and `Size` ("16MiB").

They are plain numbers to the program, seconds and bytes, and text with a unit to people. Both ways are exact: what
`format_*` writes, `parse_*` reads back as the same number.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

# Largest first: a duration names each unit once, in this order.
DURATION_UNITS: Final[Mapping[str, Decimal]] = {
    "d": Decimal(86_400),
    "h": Decimal(3_600),
    "m": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal("0.001"),
    "us": Decimal("0.000001"),
}
SIZE_UNITS: Final[Mapping[str, int]] = {
    "TiB": 2**40,
    "GiB": 2**30,
    "MiB": 2**20,
    "KiB": 2**10,
    "TB": 10**12,
    "GB": 10**9,
    "MB": 10**6,
    "kB": 10**3,
    "B": 1,
}

_EXPECTED_DURATION: Final = 'a duration such as "250ms", "5s" or "1h30m", or a number of seconds'
_EXPECTED_SIZE: Final = 'a size such as "512B", "64KiB" or "16MiB", or a number of bytes'

_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(us|ms|[smhd])", re.ASCII)
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?) ?([A-Za-z]+)", re.ASCII)
_NUMBER_CHARS_MAX: Final = 40


def unusable(expected: str, found: str = "") -> PydanticCustomError:
    """The error of a validator that knows best what it expected. `found` replaces the display of the input."""
    return PydanticCustomError("quartet_expected", "expected {expected}", {"expected": expected, "found": found})


def parse_duration(value: object) -> float:
    """Seconds from text with units ("1h30m", "250ms"; largest unit first, each once) or from a number of seconds.

    Raises:
        PydanticCustomError: anything else, and what is negative or not finite.
    """
    if isinstance(value, str):
        if len(value) > _NUMBER_CHARS_MAX or not re.fullmatch(f"(?:{_DURATION_PART.pattern})+", value, re.ASCII):
            raise unusable(_EXPECTED_DURATION)
        order = list(DURATION_UNITS)
        parts = _DURATION_PART.findall(value)
        places = [order.index(unit) for _, unit in parts]
        if places != sorted(set(places)):
            raise unusable(_EXPECTED_DURATION)
        return float(sum(Decimal(number) * DURATION_UNITS[unit] for number, unit in parts))
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf"):
        try:
            return float(value)
        except OverflowError:
            pass
    raise unusable(_EXPECTED_DURATION)


def format_duration(seconds: float) -> str:
    """Shortest text that `parse_duration` reads back as the same number."""
    if seconds == 0:
        return "0s"
    exact = Decimal(repr(seconds))
    if exact < DURATION_UNITS["s"]:
        unit = "ms" if exact >= DURATION_UNITS["ms"] else "us"
        return f"{_plain(exact / DURATION_UNITS[unit])}{unit}"
    text = ""
    for unit in ("d", "h", "m"):
        whole, exact = divmod(exact, DURATION_UNITS[unit])
        if whole:
            text += f"{_plain(whole)}{unit}"
    return f"{text}{_plain(exact)}s" if exact else text


def parse_size(value: object) -> int:
    """Bytes from text with a unit ("16MiB" is binary, "16MB" decimal) or from a whole number of bytes.

    Raises:
        PydanticCustomError: anything else, a fraction of a byte included.
    """
    if isinstance(value, str) and len(value) <= _NUMBER_CHARS_MAX and (match := _SIZE.fullmatch(value)):
        number, unit = match.groups()
        if unit in SIZE_UNITS:
            size = Decimal(number) * SIZE_UNITS[unit]
            if size == int(size):
                return int(size)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise unusable(_EXPECTED_SIZE)


def format_size(size_bytes: int) -> str:
    """Shortest text that `parse_size` reads back as the same number, in binary units."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size_bytes and size_bytes % SIZE_UNITS[unit] == 0:
            return f"{size_bytes // SIZE_UNITS[unit]}{unit}"
    return f"{size_bytes}B"


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "examples": ["250ms", "5s", "1h30m"]}, {"type": "number", "minimum": 0}]}
    ),
]
"""Seconds as a float; "5s", "250ms", "1h30m" or a number of seconds in the configuration; never negative."""

Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(format_size, return_type=str, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "string", "examples": ["64KiB", "16MiB"]}, {"type": "integer", "minimum": 0}]}),
]
"""Bytes as an int; "64KiB", "16MiB", "10MB" or a number of bytes in the configuration; never negative."""


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
