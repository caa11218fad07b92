"""The trace of a comparison: who comes when and wants which seats. A pure function of its seed, the same for all."""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from plugins.frontrow.core.arrivals import arrival_order, mix

_WISHES: Final = 0x57495348


@dataclass(frozen=True, slots=True)
class Wish:
    """One buyer, who comes `at_ms` after the gun and wants these seats (positions), in that order, all or none."""

    buyer: int
    at_ms: float
    seats: tuple[int, ...]


def trace_of(seed: int, buyers: int, seats: int, party: int, spread_ms: float) -> list[Wish]:
    """The wishes in order of arrival, spread evenly over `spread_ms`; each is for `party` of the `seats`."""
    assert party <= seats, "nobody can have more seats than there are"
    return [
        Wish(buyer, round(place * spread_ms / buyers, 3), _seats(seed, buyer, seats, party))
        for place, buyer in enumerate(arrival_order(seed, buyers))
    ]


def trace_sha256(trace: Sequence[Wish]) -> str:
    """What makes two comparisons of one trace recognisable."""
    return hashlib.sha256(json.dumps([[w.buyer, w.at_ms, w.seats] for w in trace]).encode()).hexdigest()


def still_possible(trace: Sequence[Wish], turned_away: Collection[int], sold: Collection[int]) -> list[Wish]:
    """The wishes of buyers who were turned away from seats all of which are free: in the end, what was undersold."""
    taken = set(sold)
    return [wish for wish in trace if wish.buyer in turned_away and taken.isdisjoint(wish.seats)]


def _seats(seed: int, buyer: int, seats: int, party: int) -> tuple[int, ...]:
    wanted: dict[int, None] = {}
    for attempt in range(64 * party):
        wanted.setdefault(mix(seed, _WISHES, buyer * 1024 + attempt) % seats)
        if len(wanted) == party:
            break
    # So many draws without a new seat happen to nobody; the row then goes on from the first.
    for seat in range(seats):
        if len(wanted) < party:
            wanted.setdefault(seat)
    return tuple(wanted)
