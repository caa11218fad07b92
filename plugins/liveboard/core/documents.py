"""Operations as JSON documents: for vectors, exports and certificates. JavaScript's core uses these very objects.

Sites and hashes are lower-case hex. What is read is checked by encoding it.
"""

from collections.abc import Callable
from typing import Any, Final

from plugins.liveboard.core import operations as o
from plugins.liveboard.core.codec import encode_operation
from plugins.liveboard.core.errors import CodecError

Document = dict[str, Any]


def document_of(operation: o.Operation) -> Document:
    """An operation as a document."""
    kind, body = _WRITE[type(operation.body)](operation.body)
    stamp = {"site": operation.site.hex(), "seq": operation.seq, "lamport": operation.lamport}
    return {"kind": kind, **stamp, **body}


def operation_of(document: Document) -> o.Operation:
    """The operation that a document is.

    Raises:
        CodecError: it is none.
    """
    try:
        body = _READ[document["kind"]](document)
        operation = o.Operation(bytes.fromhex(document["site"]), document["seq"], document["lamport"], body)
        encode_operation(operation)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CodecError(f"not an operation: {error!r}") from error
    return operation


def _style_document(style: o.Style) -> Document:
    return {"color": style.color, "size": style.size, "opacity": style.opacity}


def _style_of(document: Document) -> o.Style:
    return o.Style(document["color"], document["size"], document["opacity"])


def _targets_document(targets: tuple[o.OpId, ...]) -> list[Document]:
    return [{"site": site.hex(), "seq": seq} for site, seq in targets]


def _targets_of(document: Document) -> tuple[o.OpId, ...]:
    return tuple(o.OpId(bytes.fromhex(each["site"]), each["seq"]) for each in document["targets"])


def _stroke(body: o.Stroke) -> tuple[str, Document]:
    pressures = None if body.pressures is None else list(body.pressures)
    rest = {"points": list(body.points), "pressures": pressures}
    return "stroke", {"tool": body.tool, **_style_document(body.style), **rest}


def _stroke_of(d: Document) -> o.Stroke:
    pressures = None if d["pressures"] is None else tuple(d["pressures"])
    return o.Stroke(d["tool"], _style_of(d), tuple(d["points"]), pressures)


def _plain(body: Any, *names: str) -> Document:
    return {name: getattr(body, name) for name in names}


def _shape(body: o.Shape) -> tuple[str, Document]:
    return "shape", _style_document(body.style) | _plain(body, "form", "fill", "x0", "y0", "x1", "y1")


def _shape_of(d: Document) -> o.Shape:
    return o.Shape(d["form"], _style_of(d), d["fill"], d["x0"], d["y0"], d["x1"], d["y1"])


def _text(body: o.Text) -> tuple[str, Document]:
    return "text", _style_document(body.style) | _plain(body, "form", "fill", "x", "y", "width", "text")


def _text_of(d: Document) -> o.Text:
    return o.Text(d["form"], _style_of(d), d["fill"], d["x"], d["y"], d["width"], d["text"])


def _image(body: o.Image) -> tuple[str, Document]:
    rest = {"sha256": body.sha256.hex(), "fileBytes": body.file_bytes}
    return "image", rest | _plain(body, "type", "x", "y", "width", "height")


def _image_of(d: Document) -> o.Image:
    sha256 = bytes.fromhex(d["sha256"])
    return o.Image(d["type"], sha256, d["fileBytes"], d["x"], d["y"], d["width"], d["height"])


def _visibility(body: o.Visibility) -> tuple[str, Document]:
    return "visibility", {"visible": body.visible, "seqs": list(body.seqs)}


def _erase(body: o.Erase) -> tuple[str, Document]:
    pairs = zip(_targets_document(body.targets), body.ranges, strict=True)
    return "erase", {"targets": [{**target, "ranges": [list(each) for each in ranges]} for target, ranges in pairs]}


def _erase_of(d: Document) -> o.Erase:
    return o.Erase(_targets_of(d), tuple(tuple((a, b) for a, b in each["ranges"]) for each in d["targets"]))


def _move(body: o.Move) -> tuple[str, Document]:
    return "move", {"targets": _targets_document(body.targets), "dx": body.dx, "dy": body.dy}


def _restyle(body: o.Restyle) -> tuple[str, Document]:
    values = {name: value for name in o.STYLE_FIELDS if (value := getattr(body, name)) is not None}
    return "restyle", {"targets": _targets_document(body.targets), **values}


def _clear(body: o.Clear) -> tuple[str, Document]:
    return "clear", {"seen": [[site.hex(), seq] for site, seq in body.seen]}


_WRITE: Final[dict[type, Callable[[Any], tuple[str, Document]]]] = {
    o.Stroke: _stroke,
    o.Shape: _shape,
    o.Text: _text,
    o.Image: _image,
    o.Visibility: _visibility,
    o.Erase: _erase,
    o.Move: _move,
    o.Restyle: _restyle,
    o.Clear: _clear,
    o.Pruned: lambda body: ("pruned", {"hash": body.hash.hex()}),
}
_READ: Final[dict[str, Callable[[Document], o.Body]]] = {
    "stroke": _stroke_of,
    "shape": _shape_of,
    "text": _text_of,
    "image": _image_of,
    "visibility": lambda d: o.Visibility(d["visible"], tuple(d["seqs"])),
    "erase": _erase_of,
    "move": lambda d: o.Move(_targets_of(d), d["dx"], d["dy"]),
    "restyle": lambda d: o.Restyle(_targets_of(d), *(d.get(name) for name in o.STYLE_FIELDS)),
    "clear": lambda d: o.Clear(tuple((bytes.fromhex(site), seq) for site, seq in d["seen"])),
    "pruned": lambda d: o.Pruned(bytes.fromhex(d["hash"])),
}
