"""The points of a stroke: by far the most of what is read and written, and so the part that is made to be quick.

The first point is a place, the second its difference from the first, every further one the change of that difference.
"""

from itertools import accumulate
from typing import Final

from plugins.liveboard.core.errors import CodecError
from plugins.liveboard.core.octets import Reader, Writer
from plugins.liveboard.core.operations import COORDINATE_MAX, POINTS_MAX, check_integer

_ZIGZAG: Final = [-(coded + 1 >> 1) if coded & 1 else coded >> 1 for coded in range(1 << 14)]
"""The signed number of each varint of one byte or two."""


def write_points(writer: Writer, points: tuple[int, ...], pressures: tuple[int, ...] | None) -> None:
    """Write points as x, y, x, y, …, with a pressure of 0 to 255 for each or None. Raises `CodecError`."""
    if len(points) % 2 or (pressures is not None and len(pressures) * 2 != len(points)):
        raise CodecError(f"{len(points)} coordinates do not make points with their pressures")
    writer.byte(0 if pressures is None else 1)
    writer.varint(len(points) // 2)
    x = y = dx = dy = pressure = 0
    for index in range(0, len(points), 2):
        check_integer(points[index], -COORDINATE_MAX, COORDINATE_MAX, "x")
        check_integer(points[index + 1], -COORDINATE_MAX, COORDINATE_MAX, "y")
        new_dx, new_dy = points[index] - x, points[index + 1] - y
        writer.signed(new_dx - dx)
        writer.signed(new_dy - dy)
        x, y = points[index], points[index + 1]
        # The first point is a place, not a movement.
        dx, dy = (new_dx, new_dy) if index else (0, 0)
        if pressures is not None:
            writer.signed(check_integer(pressures[index // 2], 0, 255, "a pressure") - pressure)
            pressure = pressures[index // 2]


def read_points(reader: Reader) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Points and pressures as `write_points` writes them. Raises `CodecError`."""
    flags = reader.byte()
    if flags > 1:
        raise CodecError(f"the flags of a stroke are {flags}, not 0 or 1")
    count = reader.varint(1, POINTS_MAX, "the number of points")
    width = 2 + flags
    numbers = _read_signed_run(reader, count * width)
    xs, ys = _second_sums(numbers[0::width]), _second_sums(numbers[1::width])
    if any(max(places) > COORDINATE_MAX or min(places) < -COORDINATE_MAX for places in (xs, ys)):
        raise CodecError(f"a point lies beyond {COORDINATE_MAX}")
    points = [0] * (2 * count)
    points[0::2], points[1::2] = xs, ys
    pressures = None
    if flags:
        pressures = tuple(accumulate(numbers[2::3]))
        if max(pressures) > 255 or min(pressures) < 0:
            raise CodecError("a pressure is not from 0 to 255")
    return tuple(points), pressures


def _read_signed_run(reader: Reader, count: int) -> list[int]:
    """`count` signed numbers, most of them of one byte or two: these are read without a call each."""
    data, at, end = reader.data, reader.at, reader.end
    numbers = []
    for _ in range(count):
        # A number of one byte or two, unless what is read is at the end, longer, or misspelt.
        if at + 1 >= end:
            pass
        elif (low := data[at]) < 0x80:
            at += 1
            numbers.append(_ZIGZAG[low])
            continue
        elif 0 < (high := data[at + 1]) < 0x80:
            at += 2
            numbers.append(_ZIGZAG[low & 0x7F | high << 7])
            continue
        reader.at = at
        numbers.append(reader.signed(-(2**52), 2**52, "a point"))
        at = reader.at
    reader.at = at
    return numbers


def _second_sums(changes: list[int]) -> list[int]:
    """The places of which `changes` are: the first itself, then its first difference, then changes of that."""
    return list(accumulate(changes[:1] + list(accumulate(changes[1:]))))
