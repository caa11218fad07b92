"""Which of the texts seen before is nearest to this one, by the angle between their vectors."""

import math
from collections import OrderedDict
from collections.abc import Sequence
from operator import mul
from typing import Final

GROUP_ENTRIES_MAX: Final = 256
"""Vectors that one search goes through: a few milliseconds of the loop at the most, with a thousand dimensions each."""


class NearestIndex:
    """Vectors in groups, of which only their own is searched. Bounded: the oldest of a group, and of all, go first."""

    def __init__(self, entries_max: int) -> None:
        self._entries_max = entries_max
        self._groups: OrderedDict[bytes, OrderedDict[bytes, tuple[float, ...]]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, group: bytes, key: bytes, vector: Sequence[float]) -> None:
        """Remember a vector under a key. One without a direction is nowhere near anything, and left out."""
        unit = _unit(vector)
        if unit is None:
            return
        members = self._groups.setdefault(group, OrderedDict())
        self._groups.move_to_end(group)
        self._count += key not in members
        members[key] = unit
        members.move_to_end(key)
        if len(members) > GROUP_ENTRIES_MAX:
            self._drop_oldest(group)
        while self._count > self._entries_max:
            self._drop_oldest(next(iter(self._groups)))

    def nearest(self, group: bytes, vector: Sequence[float]) -> tuple[bytes, float] | None:
        """The key of the nearest vector of the group and the cosine of the angle between; None when there is none."""
        unit = _unit(vector)
        members = self._groups.get(group)
        if unit is None or not members:
            return None
        self._groups.move_to_end(group)
        scores = ((sum(map(mul, unit, other)), key) for key, other in members.items() if len(other) == len(unit))
        cosine, key = max(scores, default=(-1.0, b""))
        return (key, cosine) if key else None

    def forget(self, group: bytes, key: bytes) -> None:
        """Its answer is not kept any more."""
        members = self._groups.get(group)
        if members is not None and members.pop(key, None) is not None:
            self._count -= 1
            if not members:
                del self._groups[group]

    def _drop_oldest(self, group: bytes) -> None:
        self.forget(group, next(iter(self._groups[group])))


def _unit(vector: Sequence[float]) -> tuple[float, ...] | None:
    norm = math.sqrt(sum(map(mul, vector, vector)))
    if not norm or not math.isfinite(norm):
        return None
    return tuple(number / norm for number in vector)
