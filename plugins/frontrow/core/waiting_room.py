"""The waiting room: who is next, decided so that anybody can check it.

Whoever came before the opening takes part in a lottery. The house commits to a seed by publishing its hash when the
room is made, and publishes the seed at the opening, with a hash of all who entered: the order is that of HMAC(seed,
ticket), which anybody recomputes. So the seed cannot be changed after seeing who entered, nor the order or the entrants
after the opening. It does not keep a house that knows its own seed from entering for itself.

Whoever comes after the opening stands behind them, first come, first served.

Admission is a function of time alone: so many at the opening, so many a second since. Nothing has to tick, so a restart
loses nobody's place.
"""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

SEED_BYTES: Final = 32


def seed_hash(seed: bytes) -> str:
    """What is published of the seed before the opening."""
    return hashlib.sha256(seed).hexdigest()


def entrants_hash(tickets: Iterable[str]) -> str:
    """What is published of the entrants at the opening: over their tickets in ascending order, a line each."""
    return hashlib.sha256("".join(f"{ticket}\n" for ticket in sorted(tickets)).encode()).hexdigest()


def lot(seed: bytes, ticket: str) -> bytes:
    """A ticket's lot: the lower, the sooner."""
    return hmac.digest(seed, ticket.encode(), hashlib.sha256)


def draw(seed: bytes, tickets: Iterable[str]) -> list[str]:
    """The tickets in the order of the lottery; the first has place 1."""
    return sorted(tickets, key=lambda ticket: (lot(seed, ticket), ticket))


@dataclass(frozen=True, slots=True)
class Admission:
    """How fast the room empties. Changing the rate begins a new one, with `base` as far as the old one had come."""

    base: int
    """Places admitted at `since_ms`."""
    since_ms: int
    per_s: float

    def admitted(self, now_ms: int) -> int:
        """The highest place that is admitted now."""
        return self.base + int(max(now_ms - self.since_ms, 0) * self.per_s / 1000)

    def turn_ms(self, place: int, now_ms: int) -> int | None:
        """How long until a place is admitted: 0 when it is, None when that never comes at this rate."""
        if place <= self.admitted(now_ms):
            return 0
        if self.per_s <= 0:
            return None
        return max(int(self.since_ms + (place - self.base) * 1000 / self.per_s - now_ms) + 1, 1)

    def changed(self, per_s: float, now_ms: int) -> "Admission":
        """From now on at another rate."""
        return Admission(self.admitted(now_ms), now_ms, per_s)
