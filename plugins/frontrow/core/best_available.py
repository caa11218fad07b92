"""The best seats that are free: side by side, in one tier, nearest to the stage, and leaving nobody alone.

First only blocks are looked at that leave no single free seat at either side, for nobody would buy it; when there is
none, any block side by side; and only when the buyer does not mind to sit apart, the nearest seats of the tier.
Seats for wheelchairs and those beside them are found only by who asks for them.
"""

from dataclasses import dataclass
from typing import Final, Literal

from plugins.frontrow.core.house import Availability, Row

COUNT_MAX: Final = 10

How = Literal["together", "together-leaving-one", "apart"]


@dataclass(frozen=True, slots=True)
class Found:
    """Seats by position, and what had to be given up for them."""

    positions: tuple[int, ...]
    how: How


def best_available(
    availability: Availability, tier: str, count: int, *, is_accessible: bool = False, may_be_apart: bool = False
) -> Found | None:
    """The best `count` seats of a tier, or None when there are none such.

    With `is_accessible` one of them is a wheelchair's place, and the others are companions' beside it. Two looks at
    each row of the tier at most, each a handful of operations on one integer.
    """
    assert 0 < count <= COUNT_MAX, f"1 to {COUNT_MAX} seats"
    looks: tuple[tuple[How, bool], ...] = (("together", False), ("together-leaving-one", True))
    for how, may_leave_one in looks:
        found = _nearest_block(availability, tier, count, is_accessible, may_leave_one)
        if found is not None:
            return Found(found, how)
    if may_be_apart and not is_accessible:
        scattered = _nearest_anywhere(availability, tier, count)
        if scattered is not None:
            return Found(scattered, "apart")
    return None


def blocks(free: int, count: int) -> int:
    """The bits at which `count` free seats side by side begin."""
    starts = free
    for place in range(1, count):
        starts &= free >> place
    return starts


def leaving_one(free: int, count: int) -> int:
    """The bits at which a block of `count` would leave a single free seat at one of its sides."""
    left = (free << 1) & ~(free << 2)
    right = (free >> count) & ~(free >> (count + 1))
    return left | right


def _starts(row: Row, free: int, count: int, is_accessible: bool, may_leave_one: bool) -> int:
    if not is_accessible:
        free &= row.standard
        starts = blocks(free, count)
        return starts if may_leave_one or not starts else starts & ~leaving_one(free, count)
    if not free & row.accessible:
        return 0
    starts = blocks(free & (row.accessible | row.companion), count)
    within = 0
    for place in range(count):
        within |= (free & row.accessible) >> place
    return starts & within


def _nearest_block(
    availability: Availability, tier: str, count: int, is_accessible: bool, may_leave_one: bool
) -> tuple[int, ...] | None:
    house, free = availability.house, availability.free
    best: tuple[int, ...] | None = None
    best_reach = float("inf")
    for number in house.by_tier.get(tier, ()):
        row = house.rows[number]
        if row.nearest * count >= best_reach:
            # The rows that follow are further away still.
            break
        starts = _starts(row, free[number], count, is_accessible, may_leave_one)
        reach = row.reach
        while starts:
            lowest = starts & -starts
            start = lowest.bit_length() - 1
            distance = reach[start + count] - reach[start]
            if distance < best_reach:
                best, best_reach = row.block(start, count), distance
            starts ^= lowest
    return best


def _nearest_anywhere(availability: Availability, tier: str, count: int) -> tuple[int, ...] | None:
    house, free = availability.house, availability.free
    near: list[tuple[float, int]] = []
    for number in house.by_tier.get(tier, ()):
        row = house.rows[number]
        if len(near) == count and row.nearest >= near[-1][0]:
            break
        seats = free[number] & row.standard
        while seats:
            lowest = seats & -seats
            bit = lowest.bit_length() - 1
            near.append((row.reach[bit + 1] - row.reach[bit], row.positions[bit]))
            seats ^= lowest
        near = sorted(near)[:count]
    return tuple(sorted(position for _, position in near)) if len(near) == count else None
