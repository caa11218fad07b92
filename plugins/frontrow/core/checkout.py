"""The way of an order from its hold to its receipt, as a table: which event takes which state to which.

    held ──authorise──▶ authorised ──claim──▶ claimed ──capture──▶ captured ──confirm──▶ confirmed
      │ expire, cancel       │ seats gone          │ refused                                 │ refund
      ▼                      ▼                     ▼                                         ▼
    expired, cancelled    voiding ▶ voided      declined                          refunding ▶ refunded

Money that comes late finds its order expired: it is authorised all the same, the seats are claimed again if nobody has
them, and only otherwise the money goes back. Nothing is captured before the seats are the buyer's; a method that cannot
wait captures at once, and its money is refunded where an authorisation would be voided.

Each step is a conditional UPDATE of one row: it happens once, and whoever comes second finds out that it happened.
"""

from dataclasses import dataclass
from typing import Final, Literal

Action = Literal["claim", "capture", "confirm", "void", "refund", "look"]


@dataclass(frozen=True, slots=True)
class Step:
    """What an event does to an order in one of the states `of`. `frees` gives the seats back in the same statement.

    `via` is a state that the order passes through on its way, and that its history tells of.
    """

    of: tuple[str, ...]
    to: str
    frees: bool = False
    via: str = ""


STEPS: Final = {
    "authorise": Step(("held", "expired"), "authorised"),
    "claim": Step(("authorised",), "claimed"),
    "seats_gone": Step(("authorised",), "voiding"),
    "seats_gone_paid": Step(("authorised",), "refunding"),
    "capture": Step(("claimed",), "confirmed", via="captured"),
    "capture_refused": Step(("claimed",), "declined", frees=True),
    "confirm": Step(("captured",), "confirmed"),
    "expire": Step(("held",), "expired"),
    "cancel": Step(("held",), "cancelled"),
    "unwanted": Step(("cancelled", "declined"), "voiding"),
    "unwanted_paid": Step(("cancelled", "declined"), "refunding"),
    "refund": Step(("confirmed",), "refunding", frees=True),
    "voided": Step(("voiding",), "voided"),
    "refunded": Step(("refunding",), "refunded"),
    # Money alone: what the provider reports of a step that was taken already.
    "money": Step((), ""),
}
"""`capture` confirms in the same statement; `confirm` is for orders that were captured and no more.

`claim` is written here for the picture; it is made by the statement that claims the seats, and with it, as a rule,
`authorise`: by a claim that brings its money along."""

STATES: Final = frozenset({"held"} | {state for step in STEPS.values() for state in (step.to, step.via) if state})
FINAL: Final = frozenset({"confirmed", "voided", "refunded", "expired", "declined", "cancelled"})
"""Nothing is left to do; only new events take an order out of them."""

OWNS_SEATS: Final = frozenset({"claimed", "captured", "confirmed"})
"""The states in which an order has its seats."""

_NEXT: Final[dict[str, Action]] = {
    "held": "look",
    "authorised": "claim",
    "claimed": "capture",
    "captured": "confirm",
    "voiding": "void",
    "refunding": "refund",
}


def next_action(state: str) -> Action | None:
    """What is to be done for an order in this state; None when nothing is. "look": ask whether money has come."""
    assert state in STATES, f"there is no state {state!r}"
    return _NEXT.get(state)


def event_of_money(state: str, captured: int) -> str:
    """The event that a report of money is to an order in this state. `captured` more than 0: it cannot be voided."""
    if state in STEPS["authorise"].of:
        return "authorise"
    if state in STEPS["unwanted"].of:
        return "unwanted_paid" if captured else "unwanted"
    return "money"


def event_of_loss(captured: int) -> str:
    """The event of an authorised order whose seats are gone."""
    return "seats_gone_paid" if captured else "seats_gone"


def owed(state: str, price: int) -> int | None:
    """What captured less refunded must be in this state; None while money is on its way."""
    if state == "confirmed":
        return price
    return 0 if state in FINAL or state == "held" else None
