"""Durations and sizes: what is read, what is refused, and that both are written back as the same number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from host.units import Duration, Size, format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5.0),
        ("250ms", 0.25),
        ("100us", 0.0001),
        ("1h30m", 5400.0),
        ("1d2h3m4s5ms", 93784.005),
        ("1.5h", 5400.0),
        ("0s", 0.0),
        (3, 3.0),
        (0.5, 0.5),
    ],
)
def test_duration_with_units_is_seconds(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        "5",
        "s",
        "-5s",
        "5 s",
        "5S",
        "5sec",
        "30m1h",
        "5s5s",
        "5s\n",
        "٥s",
        "1" * 50 + "s",
        "1e3s",
        -1,
        -0.1,
        float("nan"),
        float("inf"),
        True,
        None,
        [],
        10**400,
    ],
)
def test_duration_of_anything_else_is_refused(value: object) -> None:
    with pytest.raises(PydanticCustomError, match="expected a duration such as"):
        parse_duration(value)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("512B", 512),
        ("64KiB", 65536),
        ("16MiB", 16 * 2**20),
        ("16 MiB", 16 * 2**20),
        ("1.5KiB", 1536),
        ("10MB", 10_000_000),
        ("1kB", 1000),
        ("2GiB", 2**31),
        ("1TiB", 2**40),
        (42, 42),
        ("0B", 0),
    ],
)
def test_size_with_a_unit_is_bytes(text: object, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    "value", ["", "16", "MiB", "16Mib", "16mb", "-1B", "0.5B", "1.0001kiB", "16MiB ", "1  B", -1, 1.5, True, None, {}]
)
def test_size_of_anything_else_is_refused(value: object) -> None:
    with pytest.raises(PydanticCustomError, match="expected a size such as"):
        parse_size(value)


@given(st.floats(min_value=0, max_value=1e12, allow_nan=False))
def test_duration_written_and_read_is_the_same(seconds: float) -> None:
    text = format_duration(seconds)
    assert len(text) > 40 or parse_duration(text) == seconds


@given(st.integers(min_value=0, max_value=10**9).map(lambda ms: ms / 1000))
def test_duration_in_milliseconds_is_written_short_and_exactly(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(min_value=0, max_value=2**60))
def test_size_written_and_read_is_the_same(size_bytes: int) -> None:
    assert parse_size(format_size(size_bytes)) == size_bytes


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (5.0, "5s"),
        (0.25, "250ms"),
        (5400.0, "1h30m"),
        (90.5, "1m30.5s"),
        (0.0001, "100us"),
        (86400.0, "1d"),
        (0.0, "0s"),
    ],
)
def test_duration_is_written_as_a_person_would(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_annotated_types_are_numbers_inside_and_text_in_json() -> None:
    assert TypeAdapter(Duration).validate_python("2m") == 120.0
    assert TypeAdapter(Duration).dump_json(120.0) == b'"2m"'
    assert TypeAdapter(Size).validate_python("1KiB") == 1024
    assert TypeAdapter(Size).dump_json(1024) == b'"1KiB"'
    with pytest.raises(ValidationError):
        TypeAdapter(Size).validate_python("1 potato")
