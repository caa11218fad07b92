"""A house as the search for seats sees it: rows of seats as bits of an integer, and how each seat stands.

A row is the seats of one section, one row label and one price tier, in the order in which people sit beside each other.
Seat `i` of it is bit `i`, and an aisle takes a bit of its own that is never free, so nobody sits together across it. A
row's free seats are one integer, so "four free seats side by side" is three shifts, however long the row is.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import hypot
from typing import Final, Literal

Kind = Literal["standard", "accessible", "companion"]

FREE: Final = 0
HELD: Final = 1
SOLD: Final = 2
BLOCKED: Final = 3
STATE_LETTERS: Final = "fhsb"
"""How a seat stands, as one letter: free, held, sold, blocked."""

_AISLE: Final = -1


@dataclass(frozen=True, slots=True)
class Place:
    """Where a seat is. Coordinates are metres on the house's plan; `aisle_after` parts it from the next one."""

    section: str
    row: str
    number: str
    x: float
    y: float
    tier: str
    kind: Kind = "standard"
    aisle_after: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Seats side by side. `positions` has the seat of each bit (-1 for an aisle), `reach` sums of their distances."""

    tier: str
    positions: tuple[int, ...]
    reach: tuple[float, ...]
    """Of bit `i`: the sum of the distances to the stage of all bits before it, so that a block's is a difference."""
    nearest: float
    standard: int
    accessible: int
    companion: int

    def block(self, start: int, count: int) -> tuple[int, ...]:
        """The seats of `count` bits from `start` on."""
        return self.positions[start : start + count]


class House:
    """The seats of an event, by position from 0. Never changes; how they stand is an `Availability`."""

    def __init__(self, places: Sequence[Place], stage: tuple[float, float]) -> None:
        self.seats = len(places)
        self.stage = stage
        self.row_of = array("i", bytes(4 * self.seats))
        self.bit_of = array("i", bytes(4 * self.seats))
        rows: list[Row] = []
        for positions in _side_by_side(places):
            for bit, position in enumerate(positions):
                if position != _AISLE:
                    self.row_of[position], self.bit_of[position] = len(rows), bit
            rows.append(_row(positions, places, stage))
        self.rows = tuple(rows)
        tiers = sorted({row.tier for row in rows})
        self.by_tier = {
            tier: sorted((i for i, row in enumerate(rows) if row.tier == tier), key=lambda i: rows[i].nearest)
            for tier in tiers
        }
        """The rows of each tier, the one whose nearest seat is nearest to the stage first."""


class Availability:
    """How each seat of a house stands. `free` has a row's free seats as bits."""

    def __init__(self, house: House, states: Iterable[int] | None = None) -> None:
        self.house = house
        self.states = bytearray(house.seats)
        self.free = [row.standard | row.accessible | row.companion for row in house.rows]
        if states is not None:
            for position, state in enumerate(states):
                if state != FREE:
                    self.set(position, state)

    def set(self, position: int, state: int) -> bool:
        """Say how a seat stands now. Whether that is news."""
        if self.states[position] == state:
            return False
        self.states[position] = state
        bit = 1 << self.house.bit_of[position]
        row = self.house.row_of[position]
        if state == FREE:
            self.free[row] |= bit
        else:
            self.free[row] &= ~bit
        return True

    def letters(self) -> str:
        """All seats in order, a letter each; see `STATE_LETTERS`."""
        return self.states.translate(_TO_LETTERS).decode()


_TO_LETTERS: Final = bytes(ord(STATE_LETTERS[state]) if state < len(STATE_LETTERS) else 0x3F for state in range(256))


def _side_by_side(places: Sequence[Place]) -> list[list[int]]:
    """Positions row by row, in the order of the plan, with -1 for an aisle."""
    rows: dict[tuple[str, str, str], list[int]] = {}
    for position, place in enumerate(places):
        row = rows.setdefault((place.section, place.row, place.tier), [])
        if row and _parts(places, row[-1], position):
            row.append(_AISLE)
        row.append(position)
        if place.aisle_after:
            row.append(_AISLE)
    return [row[:-1] if row[-1] == _AISLE else row for row in rows.values()]


def _parts(places: Sequence[Place], last: int, position: int) -> bool:
    """Whether seats of another tier sit between two that follow each other in their row."""
    return last != _AISLE and last != position - 1


def _row(positions: list[int], places: Sequence[Place], stage: tuple[float, float]) -> Row:
    distances = [0.0 if at == _AISLE else hypot(places[at].x - stage[0], places[at].y - stage[1]) for at in positions]
    reach = [0.0]
    for distance in distances:
        reach.append(reach[-1] + distance)
    kinds = {"standard": 0, "accessible": 0, "companion": 0}
    for bit, at in enumerate(positions):
        if at != _AISLE:
            kinds[places[at].kind] |= 1 << bit
    return Row(
        tier=places[positions[0]].tier,
        positions=tuple(positions),
        reach=tuple(reach),
        nearest=min(distance for distance, at in zip(distances, positions, strict=True) if at != _AISLE),
        standard=kinds["standard"],
        accessible=kinds["accessible"],
        companion=kinds["companion"],
    )
