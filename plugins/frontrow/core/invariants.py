"""The invariants of a run: what each one states, and the verdict over all of them.

The shell counts, by SQL against the tables and by comparing them with what the buyers were told; this module says what
the counts must be. A count that could not be taken is None, and makes the verdict "unknown" rather than good.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Verdict = Literal["holds", "broke", "unknown"]


@dataclass(frozen=True, slots=True)
class Invariant:
    """A statement about a run that is true when its count is as expected: zero, or `expected`'s figure of the run."""

    name: str
    statement: str
    expected: Literal["none", "seats", "sellable", "one"] = "none"


INVARIANTS: Final = (
    Invariant("one_sale_per_seat", "No seat has more than one live sale."),
    Invariant("seats_and_sales_agree", "A seat carries a booking if and only if that booking has a live sale of it."),
    Invariant("nothing_appears_or_vanishes", "Seats sold and seats free together are all seats.", "seats"),
    Invariant("told_is_booked", "Every buyer who was told “booked” has that booking, with a seat."),
    Invariant("booked_is_told", "Every booking belongs to a buyer who was told so, or told that it is unknown."),
    Invariant("one_booking_per_buyer", "No buyer has more than one booking."),
    Invariant("no_phantom_sold", "Nobody was turned away from a seat that then stayed free."),
    Invariant(
        "sells_what_it_can", "As many seats are sold as there were buyers or seats, whichever is less.", "sellable"
    ),
    Invariant("last_line_stands", "The unique index on live sales is in place and valid.", "one"),
    Invariant("last_line_unneeded", "The unique index never had to stop a second sale of a seat."),
)


@dataclass(frozen=True, slots=True)
class Expectation:
    """The figures that a run's counts are held against. `excused` buyers got no verdict because a service was away."""

    buyers: int
    seats: int
    excused: int

    def least(self, invariant: Invariant) -> int:
        """The smallest count at which the invariant holds."""
        if invariant.expected == "sellable":
            return max(min(self.buyers, self.seats) - self.excused, 0)
        return self.most(invariant)

    def most(self, invariant: Invariant) -> int:
        """The largest count at which the invariant holds."""
        most = {"none": 0, "one": 1, "seats": self.seats, "sellable": min(self.buyers, self.seats)}
        return most[invariant.expected]


def judge(counts: Mapping[str, int | None], expectation: Expectation, checked_at: float) -> list[dict[str, Any]]:
    """Each invariant with what was found. `holds` is None where there is no count. `checked_at` is Unix seconds."""
    findings: list[dict[str, Any]] = []
    for invariant in INVARIANTS:
        found = counts.get(invariant.name)
        least, most = expectation.least(invariant), expectation.most(invariant)
        findings.append(
            {
                "name": invariant.name,
                "statement": invariant.statement,
                "holds": None if found is None else least <= found <= most,
                "found": found,
                "expected": most if least == most else f"{least} to {most}",
                "checked_at": checked_at,
            }
        )
    return findings


def verdict(findings: Iterable[Mapping[str, Any]]) -> Verdict:
    """ "broke" when one is known not to hold, "unknown" when one could not be checked, "holds" when all do."""
    held = [finding["holds"] for finding in findings]
    if False in held:
        return "broke"
    return "unknown" if None in held or not held else "holds"
