"""The encoding: one form for each operation, and nothing else is read."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.liveboard.core import operations as o
from plugins.liveboard.core.codec import decode_operation, encode_operation
from plugins.liveboard.core.documents import document_of, operation_of
from plugins.liveboard.core.errors import CodecError
from plugins.liveboard.core.octets import Reader, Writer
from plugins.liveboard.simulation.authors import random_board, site_of

STROKE = o.Stroke("pen", o.Style(1, 2, 3), (1, 2, 3, 4), (0, 255))
GOOD = o.Operation(site_of(1), 5, 7, STROKE)


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_operation_survives_its_encoding_and_its_document(seed: int) -> None:
    for entry in random_board(seed, 20):
        assert decode_operation(entry.data) == entry.operation
        assert encode_operation(entry.operation) == entry.data
        assert operation_of(document_of(entry.operation)) == entry.operation


@settings(deadline=None)
@given(st.integers(0, 2**32), st.data())
def test_changed_bytes_are_refused_or_another_operation(seed: int, data: st.DataObject) -> None:
    entry = random_board(seed, 5)[-1]
    changed = bytearray(entry.data)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        operation = decode_operation(bytes(changed))
    except CodecError:
        return
    assert encode_operation(operation) == bytes(changed)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_or_read_whole(data: bytes) -> None:
    for kind in (*range(1, 10), 127):
        text = bytes([kind]) + site_of(0) + b"\x09\x01" + data
        try:
            operation = decode_operation(text)
        except CodecError:
            continue
        assert encode_operation(operation) == text


@settings(deadline=None)
@given(st.integers(0, o.INTEGER_MAX), st.integers(-(2**52), 2**52 - 1))
def test_number_is_written_in_its_shortest_form(number: int, signed: int) -> None:
    writer = Writer()
    writer.varint(number)
    assert len(writer.data) == max(1, -(-number.bit_length() // 7))
    writer.signed(signed)
    reader = Reader(bytes(writer.data))
    assert reader.varint() == number
    assert reader.signed(-(2**52), 2**52, "it") == signed
    reader.finish()


@pytest.mark.parametrize(
    "change",
    [
        {"seq": 0},
        {"seq": True},
        {"seq": 1.0},
        {"lamport": 2**53},
        {"lamport": float("nan")},
        {"site": b"short"},
        {"site": "text"},
        {"body": replace(STROKE, points=(float("inf"), 0, 1, 1))},
        {"body": replace(STROKE, points=(1.5, 0, 1, 1))},
        {"body": replace(STROKE, points=(2**30 + 1, 0, 1, 1))},
        {"body": replace(STROKE, points=(1, 2, 3))},
        {"body": replace(STROKE, points=(), pressures=())},
        {"body": replace(STROKE, points=(1,) * 2 * (o.POINTS_MAX + 1), pressures=None)},
        {"body": replace(STROKE, pressures=(1,))},
        {"body": replace(STROKE, pressures=(1, 256))},
        {"body": replace(STROKE, tool="brush")},
        {"body": replace(STROKE, style=o.Style(-1, 1, 1))},
        {"body": replace(STROKE, style=o.Style(1, 0, 1))},
        {"body": replace(STROKE, style=o.Style(1, 1, 0))},
        {"body": o.Text("text", o.Style(1, 1, 1), 0, 0, 0, 0, "\ud800")},
        {"body": o.Text("text", o.Style(1, 1, 1), 0, 0, 0, 0, "x" * 4097)},
        {"body": o.Visibility(True, (5,))},
        {"body": o.Visibility(True, (2, 1))},
        {"body": o.Visibility(True, ())},
        {"body": o.Move((o.OpId(site_of(1), 2), o.OpId(site_of(1), 1)), 0, 0)},
        {"body": o.Move((o.OpId(b"\x02" * 8, 2), o.OpId(b"\x01" * 8, 1)), 0, 0)},
        {"body": o.Move((), 0, 0)},
        {"body": o.Restyle((o.OpId(site_of(1), 2),))},
        {"body": o.Erase((o.OpId(site_of(1), 2),), (((0, 1), (1, 1)),))},
        {"body": o.Erase((o.OpId(site_of(1), 2),), ())},
        {"body": o.Erase((o.OpId(site_of(1), 2),), (((-1, 1),),))},
        {"body": o.Clear(((site_of(1), 0),))},
    ],
    ids=lambda change: "-".join(f"{key} {value!r}"[:60] for key, value in change.items()),
)
def test_value_that_no_operation_has_is_refused_before_it_is_written(change: dict[str, Any]) -> None:
    encode_operation(GOOD)
    with pytest.raises(CodecError):
        encode_operation(replace(GOOD, **change))


@pytest.mark.parametrize(
    "document", [{}, {"kind": "stroke"}, [], None, {"kind": "x"}, {**document_of(GOOD), "site": 5}]
)
def test_document_that_is_no_operation_is_refused(document: Any) -> None:
    with pytest.raises(CodecError):
        operation_of(document)


def test_even_stroke_costs_two_bytes_a_point() -> None:
    random = Random(1)
    x = y = 0
    dx, dy = 24, -8
    points = []
    for _ in range(100):
        dx, dy = dx + random.randint(-12, 12), dy + random.randint(-12, 12)
        x, y = x + dx, y + dy
        points += [x, y]
    size = len(encode_operation(replace(GOOD, body=replace(STROKE, points=tuple(points), pressures=None))))
    assert size < 230
