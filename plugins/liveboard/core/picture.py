"""What a board shows: the fold of its operations in the order of (lamport, site, seq), kept up to date one at a time.

A mark's appearance is a function of the operations that concern it alone, so an operation that arrives late changes
just the marks it names, and the result is that of the whole fold from the beginning (the tests compare the two).

A mark is shown unless its own site hides it, an erasure removes all of it, or a clearing covers it; where removal and
anything else meet, removal wins. An erasure, move, restyling or clearing that its own site hides does not count.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from plugins.liveboard.core import operations as o
from plugins.liveboard.core.octets import Writer

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Shown:
    """A mark as it is to be drawn. `removed` are (first point, points) of a stroke, apart and ascending.

    `fill` is None for what has none. Of `dx` and `dy` the sum of all moves is taken as it is.
    """

    operation: o.Operation
    dx: int
    dy: int
    color: int
    size: int
    opacity: int
    fill: int | None
    removed: tuple[Range, ...]


class Picture:
    """The fold. `add` each new operation once; the order does not matter."""

    __slots__ = ("_changes", "_clears", "_operations", "_orders", "_shown", "_visibility")

    def __init__(self) -> None:
        self._operations: dict[o.OpId, o.Operation] = {}
        self._orders: list[o.Order] = []
        self._shown: dict[o.OpId, Shown | None] = {}
        # By target: who changes it, in the board's order. Kept also for targets that are not here yet.
        self._changes: dict[o.OpId, list[tuple[o.Order, int]]] = {}
        self._clears: dict[o.OpId, dict[bytes, int]] = {}
        # By target: the latest word of its own site, and whether it shows.
        self._visibility: dict[o.OpId, tuple[o.Order, bool]] = {}

    def __iter__(self) -> Iterator[Shown]:
        """The marks that show, the lowest first."""
        for _, site, seq in self._orders:
            shown = self._shown[o.OpId(site, seq)]
            if shown is not None:
                yield shown

    def get(self, id: o.OpId) -> Shown | None:
        """A mark as it shows, None when it does not, or is none."""
        return self._shown.get(id)

    def add(self, operation: o.Operation) -> set[o.OpId]:
        """Take one more operation into account; the ids of the marks whose appearance may have changed."""
        id, body = operation.id, operation.body
        if id in self._operations:
            return set()
        self._operations[id] = operation
        if isinstance(body, o.MARKS):
            order = operation.order
            self._orders.insert(bisect_left(self._orders, order), order)
            affected = {id}
        elif isinstance(body, o.CHANGES):
            for at, target in enumerate(body.targets):
                changes = self._changes.setdefault(target, [])
                change = (operation.order, at)
                changes.insert(bisect_left(changes, change), change)
            affected = set(body.targets)
        elif isinstance(body, o.Clear):
            self._clears[id] = dict(body.seen)
            affected = self._covered(self._clears[id])
        elif isinstance(body, o.Visibility):
            affected = self._set_visibility(operation, body)
        else:
            affected = set()
        return self._redraw(affected)

    def digest(self) -> bytes:
        """SHA-256 of everything that shows, in order: equal digests are equal pictures."""
        writer = Writer()
        for shown in self:
            writer.raw(shown.operation.site, o.SITE_BYTES)
            for number in (shown.operation.seq, shown.color, shown.size, shown.opacity):
                writer.varint(number)
            writer.varint(0 if shown.fill is None else shown.fill)
            writer.signed(shown.dx)
            writer.signed(shown.dy)
            writer.varint(len(shown.removed))
            for start, length in shown.removed:
                writer.varint(start)
                writer.varint(length)
        return sha256(bytes(writer.data)).digest()

    def is_hidden(self, id: o.OpId) -> bool:
        """Whether an operation's own site has taken it back."""
        return not self._visibility.get(id, (None, True))[1]

    def _set_visibility(self, operation: o.Operation, body: o.Visibility) -> set[o.OpId]:
        affected: set[o.OpId] = set()
        for seq in body.seqs:
            target = o.OpId(operation.site, seq)
            latest = self._visibility.get(target)
            if latest is None or latest[0] < operation.order:
                self._visibility[target] = (operation.order, body.visible)
                affected |= self._affected_by(target)
        return affected

    def _affected_by(self, id: o.OpId) -> set[o.OpId]:
        """The marks whose look depends on whether `id` counts."""
        operation = self._operations.get(id)
        if operation is None:
            return set()
        if isinstance(operation.body, o.CHANGES):
            return set(operation.body.targets)
        if isinstance(operation.body, o.Clear):
            return self._covered(self._clears[id])
        return {id}

    def _covered(self, seen: dict[bytes, int]) -> set[o.OpId]:
        return {o.OpId(site, seq) for _, site, seq in self._orders if seq <= seen.get(site, 0)}

    def _redraw(self, affected: set[o.OpId]) -> set[o.OpId]:
        marks = set()
        for id in affected:
            operation = self._operations.get(id)
            if operation is not None and isinstance(operation.body, o.MARKS):
                self._shown[id] = self._look(operation)
                marks.add(id)
        return marks

    def _look(self, operation: o.Operation) -> Shown | None:
        id, body = operation.id, operation.body
        if self.is_hidden(id):
            return None
        if any(id.seq <= seen.get(id.site, 0) and not self.is_hidden(clear) for clear, seen in self._clears.items()):
            return None
        dx = dy = 0
        look = _own_look(body)
        removed: list[Range] = []
        for order, at in self._changes.get(id, ()):
            changer = o.OpId(order.site, order.seq)
            if self.is_hidden(changer):
                continue
            change = self._operations[changer].body
            if isinstance(change, o.Move):
                dx, dy = dx + change.dx, dy + change.dy
            elif isinstance(change, o.Restyle):
                for name in look:
                    if (value := getattr(change, name)) is not None:
                        look[name] = value
            elif isinstance(change, o.Erase):
                # Ranges mean points; what has none is removed whole or not at all.
                if not change.ranges[at]:
                    return None
                if isinstance(body, o.Stroke):
                    removed += change.ranges[at]
        count = len(body.points) // 2 if isinstance(body, o.Stroke) else 0
        ranges = united(removed, count)
        if count and ranges == ((0, count),):
            return None
        fill = look.get("fill")
        return Shown(operation, dx, dy, look["color"], look["size"], look["opacity"], fill, ranges)


def _own_look(body: o.Body) -> dict[str, int]:
    if isinstance(body, o.Image):
        return {"color": 0, "size": 1, "opacity": o.OPACITY_MAX}
    assert isinstance(body, o.Stroke | o.Shape | o.Text), "only marks have a look"
    look = {"color": body.style.color, "size": body.style.size, "opacity": body.style.opacity}
    if not isinstance(body, o.Stroke):
        look["fill"] = body.fill
    return look


def united(ranges: list[Range], count: int) -> tuple[Range, ...]:
    """The points 0..count-1 that lie in any of `ranges`, as ranges that ascend and do not touch."""
    result: list[Range] = []
    for start, length in sorted(ranges):
        end = min(start + length, count)
        if start >= count:
            break
        if result and start <= result[-1][0] + result[-1][1]:
            first = result[-1][0]
            result[-1] = (first, max(result[-1][1], end - first))
        else:
            result.append((start, end - start))
    return tuple(result)
