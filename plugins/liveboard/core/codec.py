"""The canonical encoding of an operation: for each operation exactly one string of bytes, and what is hashed.

    operation  = kind:byte site:8 bytes seq:varint lamport:varint body
    style      = color:varint size:varint opacity:varint
    stroke     = tool:byte style flags:byte count:varint point*      flags: 1 when there are pressures
    point      = ddx:signed ddy:signed [dp:signed]
    shape      = form:byte style fill:varint x0:signed y0:signed x1:signed y1:signed
    text       = form:byte style fill:varint x:signed y:signed width:varint text
    image      = type:byte sha256:32 bytes file_bytes:varint x:signed y:signed width:varint height:varint
    visibility = visible:byte count:varint (seq - seq before):varint*
    targets    = sites:varint (site:8 bytes count:varint (seq - seq before):varint*)*
    erase      = targets (ranges:varint (start - end before):varint length:varint)*
    move       = targets dx:signed dy:signed
    restyle    = targets fields:byte value*                fields: 1 color, 2 size, 4 opacity, 8 fill
    clear      = sites:varint (site:8 bytes seq:varint)*
    pruned     = hash:32 bytes

The first point is written as it is, the second as its difference from the first, every further one as the change of
that difference: a pen that moves evenly costs two bytes a point. Sites and targets ascend, without repetition. Nothing
may follow the body. `web/liveboard/core/codec.js` is the same in JavaScript.
"""

from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Any, Final

from plugins.liveboard.core import operations as o
from plugins.liveboard.core.errors import CodecError
from plugins.liveboard.core.octets import Reader, Writer
from plugins.liveboard.core.points import read_points, write_points

C: Final = o.COORDINATE_MAX

KINDS: Final[dict[type, int]] = {
    o.Stroke: 1,
    o.Shape: 2,
    o.Text: 3,
    o.Image: 4,
    o.Visibility: 5,
    o.Erase: 6,
    o.Move: 7,
    o.Restyle: 8,
    o.Clear: 9,
    o.Pruned: 127,
}


def encode_operation(operation: o.Operation) -> bytes:
    """The bytes of an operation.

    Raises:
        CodecError: a value is of the wrong type, out of its range or out of order, or all of it is too long.
    """
    body = operation.body
    writer = Writer()
    writer.byte(KINDS[type(body)])
    writer.raw(operation.site, o.SITE_BYTES)
    writer.varint(o.check_integer(operation.seq, 1, o.INTEGER_MAX, "seq"))
    writer.varint(o.check_integer(operation.lamport, 1, o.INTEGER_MAX, "lamport"))
    _WRITE[type(body)](writer, body)
    data = bytes(writer.data)
    # What can be written and not read would be refused by every peer: ranges are checked in one place, the reader.
    if decode_operation(data) != operation:
        raise CodecError(f"{operation!r} does not survive its encoding")
    return data


def decode_operation(data: bytes) -> o.Operation:
    """The operation that these bytes are.

    Raises:
        CodecError: they are none, or not in the one form, or longer than `OPERATION_BYTES_MAX`.
    """
    if len(data) > o.OPERATION_BYTES_MAX:
        raise CodecError(f"an operation of {len(data)} bytes is longer than {o.OPERATION_BYTES_MAX}")
    reader = Reader(data)
    kind = reader.byte()
    read = _READ.get(kind)
    if read is None:
        raise CodecError(f"kind {kind} is not known")
    site = reader.raw(o.SITE_BYTES)
    seq = reader.varint(1, name="seq")
    lamport = reader.varint(1, name="lamport")
    body = read(reader, seq)
    reader.finish()
    return o.Operation(site, seq, lamport, body)


def decode_stamp(data: bytes) -> o.Operation:
    """The operation with its body unread, unless it is pruned: for bytes that were decoded before.

    Raises:
        CodecError: not even the stamp is there.
    """
    reader = Reader(data)
    kind = reader.byte()
    site = reader.raw(o.SITE_BYTES)
    seq, lamport = reader.varint(), reader.varint()
    body = _read_pruned(reader, seq) if kind == KINDS[o.Pruned] else o.UNREAD
    return o.Operation(site, seq, lamport, body)


def _name_of(table: Mapping[str, int], value: int, what: str) -> str:
    for name, number in table.items():
        if number == value:
            return name
    raise CodecError(f"{what} {value} is not known")


def _number_of(table: Mapping[str, int], name: str, what: str) -> int:
    number = table.get(name)
    if number is None:
        raise CodecError(f"{what} {name!r} is not known")
    return number


def _write_style(writer: Writer, style: o.Style) -> None:
    writer.varint(style.color)
    writer.varint(style.size)
    writer.varint(style.opacity)


def _read_style(reader: Reader) -> o.Style:
    color = reader.varint(0, o.COLOR_MAX, "color")
    size = reader.varint(1, o.SIZE_MAX, "size")
    return o.Style(color, size, reader.varint(1, o.OPACITY_MAX, "opacity"))


def _write_stroke(writer: Writer, body: o.Stroke) -> None:
    writer.byte(_number_of(o.STROKE_TOOLS, body.tool, "tool"))
    _write_style(writer, body.style)
    write_points(writer, body.points, body.pressures)


def _read_stroke(reader: Reader, seq: int) -> o.Stroke:
    tool = _name_of(o.STROKE_TOOLS, reader.byte(), "tool")
    return o.Stroke(tool, _read_style(reader), *read_points(reader))


def _write_shape(writer: Writer, body: o.Shape) -> None:
    writer.byte(_number_of(o.SHAPE_FORMS, body.form, "form"))
    _write_style(writer, body.style)
    writer.varint(body.fill)
    for value in (body.x0, body.y0, body.x1, body.y1):
        writer.signed(value)


def _read_shape(reader: Reader, seq: int) -> o.Shape:
    form = _name_of(o.SHAPE_FORMS, reader.byte(), "form")
    style = _read_style(reader)
    fill = reader.varint(0, o.FILL_MAX, "fill")
    return o.Shape(form, style, fill, *_read_place(reader), *_read_place(reader))


def _read_place(reader: Reader) -> tuple[int, int]:
    return reader.signed(-C, C, "x"), reader.signed(-C, C, "y")


def _write_text(writer: Writer, body: o.Text) -> None:
    writer.byte(_number_of(o.TEXT_FORMS, body.form, "form"))
    _write_style(writer, body.style)
    writer.varint(body.fill)
    writer.signed(body.x)
    writer.signed(body.y)
    writer.varint(body.width)
    writer.text(body.text)


def _read_text(reader: Reader, seq: int) -> o.Text:
    form = _name_of(o.TEXT_FORMS, reader.byte(), "form")
    style = _read_style(reader)
    fill = reader.varint(0, o.FILL_MAX, "fill")
    x, y = _read_place(reader)
    width = reader.varint(0, C, "width")
    return o.Text(form, style, fill, x, y, width, reader.text(o.TEXT_BYTES_MAX, "the text"))


def _write_image(writer: Writer, body: o.Image) -> None:
    writer.byte(_number_of(o.IMAGE_TYPES, body.type, "type"))
    writer.raw(body.sha256, o.HASH_BYTES)
    writer.varint(body.file_bytes)
    writer.signed(body.x)
    writer.signed(body.y)
    writer.varint(body.width)
    writer.varint(body.height)


def _read_image(reader: Reader, seq: int) -> o.Image:
    kind = _name_of(o.IMAGE_TYPES, reader.byte(), "type")
    sha256 = reader.raw(o.HASH_BYTES)
    file_bytes = reader.varint(1, o.IMAGE_BYTES_MAX, "file_bytes")
    x, y = _read_place(reader)
    width = reader.varint(1, C, "width")
    return o.Image(kind, sha256, file_bytes, x, y, width, reader.varint(1, C, "height"))


def _write_seqs(writer: Writer, seqs: tuple[int, ...]) -> None:
    writer.varint(len(seqs))
    before = 0
    for seq in seqs:
        writer.varint(o.check_integer(seq, before + 1, o.INTEGER_MAX, "the next seq") - before)
        before = seq


def _read_seqs(reader: Reader, count_max: int, seq_max: int) -> tuple[int, ...]:
    count = reader.varint(1, count_max, "the number of targets")
    seqs = tuple(accumulate(reader.varint(1, name="the next target") for _ in range(count)))
    if seqs[-1] > seq_max:
        raise CodecError(f"target {seqs[-1]} is above {seq_max}")
    return seqs


def _write_visibility(writer: Writer, body: o.Visibility) -> None:
    writer.byte(1 if body.visible else 0)
    _write_seqs(writer, body.seqs)


def _read_visibility(reader: Reader, seq: int) -> o.Visibility:
    visible = reader.byte()
    if visible > 1:
        raise CodecError(f"visible is {visible}, not 0 or 1")
    return o.Visibility(visible == 1, _read_seqs(reader, o.TARGETS_MAX, seq - 1))


def _write_targets(writer: Writer, targets: tuple[o.OpId, ...]) -> None:
    by_site: dict[bytes, list[int]] = {}
    for site, seq in targets:
        by_site.setdefault(site, []).append(seq)
    writer.varint(len(by_site))
    for site, seqs in by_site.items():
        writer.raw(site, o.SITE_BYTES)
        _write_seqs(writer, tuple(seqs))


def _read_targets(reader: Reader) -> tuple[o.OpId, ...]:
    targets: list[o.OpId] = []
    before = b""
    for _ in range(reader.varint(1, o.TARGETS_MAX, "the number of sites")):
        site = _read_next_site(reader, before)
        targets += [o.OpId(site, seq) for seq in _read_seqs(reader, o.TARGETS_MAX - len(targets), o.INTEGER_MAX)]
        before = site
    return tuple(targets)


def _read_next_site(reader: Reader, before: bytes) -> bytes:
    site = reader.raw(o.SITE_BYTES)
    if site <= before:
        raise CodecError(f"site {site.hex()} does not come after {before.hex()}")
    return site


def _write_erase(writer: Writer, body: o.Erase) -> None:
    if len(body.ranges) != len(body.targets):
        raise CodecError(f"{len(body.ranges)} sets of ranges for {len(body.targets)} targets")
    _write_targets(writer, body.targets)
    for ranges in body.ranges:
        writer.varint(len(ranges))
        end = 0
        for start, length in ranges:
            writer.varint(start - end)
            writer.varint(length)
            end = start + length


def _read_erase(reader: Reader, seq: int) -> o.Erase:
    targets = _read_targets(reader)
    return o.Erase(targets, tuple(_read_ranges(reader) for _ in targets))


def _read_ranges(reader: Reader) -> tuple[tuple[int, int], ...]:
    ranges: list[tuple[int, int]] = []
    end = 0
    for _ in range(reader.varint(0, o.RANGES_MAX, "the number of ranges")):
        # Two ranges without a point between them are one.
        start = end + reader.varint(1 if ranges else 0, o.POINTS_MAX, "the start of a range")
        length = reader.varint(1, o.POINTS_MAX, "the length of a range")
        end = start + length
        if end > o.POINTS_MAX:
            raise CodecError(f"a range ends at point {end}, above {o.POINTS_MAX}")
        ranges.append((start, length))
    return tuple(ranges)


def _write_move(writer: Writer, body: o.Move) -> None:
    _write_targets(writer, body.targets)
    writer.signed(body.dx)
    writer.signed(body.dy)


def _read_move(reader: Reader, seq: int) -> o.Move:
    targets = _read_targets(reader)
    return o.Move(targets, reader.signed(-C, C, "dx"), reader.signed(-C, C, "dy"))


def _write_restyle(writer: Writer, body: o.Restyle) -> None:
    _write_targets(writer, body.targets)
    values = {bit: value for name, bit in o.STYLE_FIELDS.items() if (value := getattr(body, name)) is not None}
    writer.byte(sum(values))
    for value in values.values():
        writer.varint(value)


def _read_restyle(reader: Reader, seq: int) -> o.Restyle:
    targets = _read_targets(reader)
    fields = reader.byte()
    if not 1 <= fields <= 15:
        raise CodecError(f"the fields of a restyling are {fields}, not from 1 to 15")
    return o.Restyle(
        targets,
        reader.varint(0, o.COLOR_MAX, "color") if fields & 1 else None,
        reader.varint(1, o.SIZE_MAX, "size") if fields & 2 else None,
        reader.varint(1, o.OPACITY_MAX, "opacity") if fields & 4 else None,
        reader.varint(0, o.FILL_MAX, "fill") if fields & 8 else None,
    )


def write_versions(writer: Writer, versions: tuple[tuple[bytes, int], ...]) -> None:
    """A version vector: pairs of site and seq, the sites ascending."""
    writer.varint(len(versions))
    for site, seq in versions:
        writer.raw(site, o.SITE_BYTES)
        writer.varint(seq)


def read_versions(reader: Reader, sites_max: int) -> tuple[tuple[bytes, int], ...]:
    """What `write_versions` wrote. Raises `CodecError`."""
    versions = []
    before = b""
    for _ in range(reader.varint(0, sites_max, "the number of sites")):
        before = _read_next_site(reader, before)
        versions.append((before, reader.varint(1, name="seq")))
    return tuple(versions)


def _write_clear(writer: Writer, body: o.Clear) -> None:
    write_versions(writer, body.seen)


def _read_clear(reader: Reader, seq: int) -> o.Clear:
    return o.Clear(read_versions(reader, o.CLEAR_SITES_MAX))


def _write_pruned(writer: Writer, body: o.Pruned) -> None:
    writer.raw(body.hash, o.HASH_BYTES)


def _read_pruned(reader: Reader, seq: int) -> o.Pruned:
    return o.Pruned(reader.raw(o.HASH_BYTES))


_WRITE: Final[dict[type, Callable[[Writer, Any], None]]] = {
    o.Stroke: _write_stroke,
    o.Shape: _write_shape,
    o.Text: _write_text,
    o.Image: _write_image,
    o.Visibility: _write_visibility,
    o.Erase: _write_erase,
    o.Move: _write_move,
    o.Restyle: _write_restyle,
    o.Clear: _write_clear,
    o.Pruned: _write_pruned,
}
_READ: Final[dict[int, Callable[[Reader, int], o.Body]]] = {
    1: _read_stroke,
    2: _read_shape,
    3: _read_text,
    4: _read_image,
    5: _read_visibility,
    6: _read_erase,
    7: _read_move,
    8: _read_restyle,
    9: _read_clear,
    127: _read_pruned,
}
