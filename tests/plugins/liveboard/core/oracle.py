"""The board by the slow, obvious way: the whole list sorted, and folded from the beginning for every mark."""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from plugins.liveboard.core import operations as o


def picture_of(operations: Iterable[o.Operation]) -> list[dict[str, Any]]:
    """What shows, the lowest first."""
    board = sorted(set(operations), key=lambda each: (each.lamport, each.site, each.seq))
    taken_back: dict[tuple[bytes, int], bool] = {}
    for operation in board:
        if isinstance(operation.body, o.Visibility):
            for seq in operation.body.seqs:
                taken_back[operation.site, seq] = not operation.body.visible
    counting = [each for each in board if not taken_back.get((each.site, each.seq), False)]
    picture = []
    for mark in counting:
        if not isinstance(mark.body, o.MARKS):
            continue
        look = _look(mark, counting)
        if look is not None:
            picture.append({"id": (mark.site, mark.seq), **look})
    return picture


def _look(mark: o.Operation, counting: list[o.Operation]) -> dict[str, Any] | None:
    body = mark.body
    style = {"color": 0, "size": 1, "opacity": 100} if isinstance(body, o.Image) else {}
    style = style or {name: getattr(body.style, name) for name in ("color", "size", "opacity")}
    if isinstance(body, o.Shape | o.Text):
        style["fill"] = body.fill
    points = set(range(len(body.points) // 2)) if isinstance(body, o.Stroke) else {0}
    left = set(points)
    dx = dy = 0
    for change in counting:
        match change.body:
            case o.Clear(seen) if mark.seq <= dict(seen).get(mark.site, 0):
                return None
            case o.Move(targets) if mark.id in targets:
                dx, dy = dx + change.body.dx, dy + change.body.dy
            case o.Restyle(targets) if mark.id in targets:
                style |= {name: value for name in style if (value := getattr(change.body, name)) is not None}
            case o.Erase(targets, ranges) if mark.id in targets:
                removed = ranges[targets.index(mark.id)]
                if not removed:
                    return None
                if isinstance(body, o.Stroke):
                    left -= {point for start, length in removed for point in range(start, start + length)}
            case _:
                pass
    return {"dx": dx, "dy": dy, **style, "removed": points - left} if left else None


def root_of(leaves: list[bytes]) -> bytes:
    """RFC 9162 §2.1.1, word for word: "k is the largest power of two smaller than n"."""
    if not leaves:
        return sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return sha256(b"\x01" + root_of(leaves[:k]) + root_of(leaves[k:])).digest()
