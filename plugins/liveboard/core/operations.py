"""Operations: the immutable records that a board is a set of.

An operation is named by (site, seq). `site` is eight random bytes, drawn anew for each load of a page; `seq` counts
that site's operations from 1 without a gap. `lamport` is one more than the highest the site had seen (Lamport 1978),
and the picture is drawn in the order of (lamport, site, seq), which is total and the same everywhere.

Coordinates are integers in eighths of a CSS pixel at zoom 1. Marks (`Stroke`, `Shape`, `Text`, `Image`) draw; the
others change what marks show. An operation may name one that has not arrived: it waits for it.

- `Visibility` hides or shows operations of its own site, and is how undo and redo are done: of a mark, or of what an
  erasure, move, restyling or clearing did. The latest in order counts.
- `Erase` removes marks whole, or ranges of a stroke's points. Removals add up: a mark shows what none has removed.
- `Move` adds up too: two people who move one mark at once move it by both.
- `Restyle` sets fields of a mark's style; for each field the latest in order counts.
- `Clear` carries the version vector its author saw, and removes exactly the marks in it: a stroke that was drawn at the
  same time elsewhere stays.
- `Pruned` stands where compaction has dropped an operation's body; it keeps the hash, so no digest changes.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from plugins.liveboard.core.errors import CodecError

SITE_BYTES: Final = 8
HASH_BYTES: Final = 32
INTEGER_MAX: Final = 2**53 - 1
"""The largest integer that JavaScript's numbers hold exactly."""
COORDINATE_MAX: Final = 2**30
"""In eighths of a pixel: 134 million pixels either way."""
SIZE_MAX: Final = 65_535
OPACITY_MAX: Final = 100
COLOR_MAX: Final = 0xFFFFFF
FILL_MAX: Final = COLOR_MAX + 1

OPERATION_BYTES_MAX: Final = 32_768
POINTS_MAX: Final = 8_192
TEXT_BYTES_MAX: Final = 4_096
TARGETS_MAX: Final = 2_048
RANGES_MAX: Final = 512
"""Ranges removed from one stroke by one erasure."""
CLEAR_SITES_MAX: Final = 3_000
IMAGE_BYTES_MAX: Final = 16 * 2**20

STROKE_TOOLS: Final = {"pen": 1, "highlighter": 2}
SHAPE_FORMS: Final = {"line": 1, "arrow": 2, "rectangle": 3, "ellipse": 4}
TEXT_FORMS: Final = {"text": 1, "note": 2}
IMAGE_TYPES: Final = {"image/png": 1, "image/jpeg": 2, "image/webp": 3, "image/gif": 4}
STYLE_FIELDS: Final = {"color": 1, "size": 2, "opacity": 4, "fill": 8}


class OpId(NamedTuple):
    """The name of an operation. Tuples compare as the board orders: bytes, then number."""

    site: bytes
    seq: int


@dataclass(frozen=True, slots=True)
class Style:
    """`color` is 0xRRGGBB; `size` the line's width or the letters' height in eighths of a pixel; `opacity` 1..100 %."""

    color: int
    size: int
    opacity: int


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line drawn by hand: x, y, x, y, …; `pressures` has a number 0..255 for each point, or is None."""

    tool: str
    style: Style
    points: tuple[int, ...]
    pressures: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """A figure from one corner or end to the other. `fill` is 0 for none, else the colour + 1."""

    form: str
    style: Style
    fill: int
    x0: int
    y0: int
    x1: int
    y1: int


@dataclass(frozen=True, slots=True)
class Text:
    """A text, or a note on paper of colour `fill` - 1. `width` 0 lets the lines be as long as they are."""

    form: str
    style: Style
    fill: int
    x: int
    y: int
    width: int
    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """A picture by the SHA-256 of its file, which is kept beside the board."""

    type: str
    sha256: bytes
    file_bytes: int
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Visibility:
    """Hides or shows operations of its own site, which all precede it; `seqs` ascend."""

    visible: bool
    seqs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Erase:
    """Removes marks. `ranges[i]` are (first point, points) of `targets[i]` in ascending order; none is all of it."""

    targets: tuple[OpId, ...]
    ranges: tuple[tuple[tuple[int, int], ...], ...]


@dataclass(frozen=True, slots=True)
class Move:
    """Moves marks by (dx, dy)."""

    targets: tuple[OpId, ...]
    dx: int
    dy: int


@dataclass(frozen=True, slots=True)
class Restyle:
    """Sets the fields that are not None on marks."""

    targets: tuple[OpId, ...]
    color: int | None = None
    size: int | None = None
    opacity: int | None = None
    fill: int | None = None


@dataclass(frozen=True, slots=True)
class Clear:
    """Removes the marks that its author saw: of each site those with a seq up to the number beside it."""

    seen: tuple[tuple[bytes, int], ...]


@dataclass(frozen=True, slots=True)
class Pruned:
    """What is left of an operation whose body compaction has dropped: the hash of what it was."""

    hash: bytes


@dataclass(frozen=True, slots=True)
class Unread:
    """In the place of a body that nobody needs here: the bytes beside it have it."""


UNREAD: Final = Unread()
Body = Stroke | Shape | Text | Image | Visibility | Erase | Move | Restyle | Clear | Pruned | Unread
MARKS: Final = (Stroke, Shape, Text, Image)
CHANGES: Final = (Erase, Move, Restyle)


class Order(NamedTuple):
    """Where an operation stands on the board; tuples compare as the board orders."""

    lamport: int
    site: bytes
    seq: int


@dataclass(frozen=True, slots=True)
class Operation:
    """One record of the board. `seq` and `lamport` are from 1 to `INTEGER_MAX`."""

    site: bytes
    seq: int
    lamport: int
    body: Body

    @property
    def id(self) -> OpId:
        return OpId(self.site, self.seq)

    @property
    def order(self) -> Order:
        return Order(self.lamport, self.site, self.seq)


def check_integer(value: object, low: int, high: int, name: str) -> int:
    """`value`, when it is an integer from `low` to `high`. Raises `CodecError` otherwise, for True and 1.0 as well."""
    if type(value) is not int or not low <= value <= high:
        raise CodecError(f"{name} is {value!r}, not an integer from {low} to {high}")
    return value
