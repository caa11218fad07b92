"""The box office: the two layers together. A customer's request and a stampede's buyer both come through here.

`holds.hold` asks layer 1, `book` checks that the hold still stands and then claims in layer 2. What an answer means:

- A late holder: a booking first makes the hold last long enough. If it expired, or Redis lost it, and nobody took the
  seats since, it stands again; if somebody did, the late holder gets GONE and the newer hold is untouched.
- Layer 1 away: everybody goes on to layer 2, where at most `claims_max` ask at one time and the others wait in line.
- An answer that got lost is asked for again, under the same booking id, for `claim_patience`; then it is UNKNOWN, which
  is neither a sale nor a refusal. It can be settled later, and never turns into "failed" by itself.
"""

import secrets
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field, fields
from typing import Final

import psycopg
import trio

from host.api import OutcomeUnknown, ServiceUnavailable
from plugins.frontrow.claims import Claim, ClaimDesk, LastLineCrossed, is_retryable
from plugins.frontrow.core.tokens import NONCE_BYTES, Hold
from plugins.frontrow.holds import RETAKEN, TAKEN, UNPROTECTED, HoldDesk
from plugins.frontrow.payments import Payment
from plugins.frontrow.settings import Settings

BOOKED: Final = "booked"
SOLD: Final = "sold"
"""Somebody else owns one of the seats. Final."""
GONE: Final = "gone"
"""The hold has passed to somebody else, who may not book after all. Not final for the seat, but for this hold."""
LIMIT: Final = "limit"
"""The buyer would own more places of the event than one buyer may. Nothing was done."""
UNKNOWN: Final = "unknown"
UNAVAILABLE: Final = "unavailable"
"""Layer 2 could not be reached; certainly nothing was done."""

_VERDICTS: Final = {"won": BOOKED, "lost": SOLD, "void": GONE, "limit": LIMIT}

_RETRY_S: Final = 0.05
_RETRY_S_MAX: Final = 0.5


@dataclass(slots=True)
class Tally:
    """What happened at the box office; counts only ever grow."""

    holds_lost: int = 0
    """Holds found gone, or not to be asked about, when their holder came to book."""
    bookings: int = 0
    unknowns: int = 0
    """Claims whose answer got lost."""
    unknowns_resolved: int = 0
    """Of those, the ones that got an answer by being asked again."""
    last_line_crossed: int = 0
    """Second sales that only the unique index stopped. Anything but 0 is a fault of this program."""

    def add(self, other: "Tally") -> None:
        """Add another tally's counts to this one."""
        for part in fields(self):
            setattr(self, part.name, getattr(self, part.name) + getattr(other, part.name))


class ClaimLine:
    """Lets `claims_max` claims through at a time; the others wait in order, up to `waiting_max` of them."""

    def __init__(self, claims_max: int, waiting_max: int) -> None:
        self._turns = trio.Semaphore(claims_max)
        self._waiting_max = waiting_max
        self.waiting = 0

    async def __aenter__(self) -> None:
        try:
            self._turns.acquire_nowait()
            return
        except trio.WouldBlock:
            pass
        if self.waiting >= self._waiting_max:
            raise ServiceUnavailable("too many bookings wait in line; try again later")
        self.waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self.waiting -= 1

    async def __aexit__(self, *exc_info: object) -> None:
        self._turns.release()


@dataclass(slots=True)
class BoxOffice:
    """Both layers; any number of tasks may use it at once."""

    holds: HoldDesk
    claims: ClaimDesk
    settings: Settings
    announce_sale: Callable[[int, tuple[int, ...]], None] = lambda event_id, seats: None
    """Called after each sale with the event and the seats; must not block."""
    tally: Tally = field(default_factory=Tally)
    line: ClaimLine = field(init=False)

    def __post_init__(self) -> None:
        self.line = ClaimLine(self.settings.claims_max, self.settings.claims_waiting_max)

    def counted_apart(self) -> "BoxOffice":
        """The same box office, with the same line, keeping a tally of its own."""
        apart = copy(self)
        apart.tally = Tally()
        return apart

    def with_claims(self, claims: ClaimDesk, claims_max: int) -> "BoxOffice":
        """The same box office and tally in front of another desk, with a line of its own of `claims_max` at a time."""
        other = copy(self)
        other.claims = claims
        other.line = ClaimLine(claims_max, self.settings.claims_waiting_max)
        return other

    async def book(
        self,
        hold: Hold,
        buyer: str,
        booking_id: str,
        *,
        had_hold: bool = True,
        is_repeated: bool = False,
        is_order: bool = False,
        money: Payment | None = None,
    ) -> str:
        """Book the seats of a hold under `booking_id`: BOOKED, SOLD, GONE, UNKNOWN or UNAVAILABLE.

        `had_hold` is False for a buyer who came without one because layer 1 was away. Say `is_repeated` when a booking
        was asked for under this id before, and `is_order` when an order of this id is to be claimed: one that is
        authorised, or that `money` authorises in the same statement. Unless it is BOOKED, the money is not noted.

        Cancelling it abandons the wait for its turn; a claim that was sent is awaited, within `claim_timeout`.

        Raises:
            ServiceUnavailable: the line for layer 2 is full; nothing was done.
        """
        if had_hold:
            standing = await self.holds.keep(hold)
            if standing == TAKEN and not is_repeated:
                return await self._why_gone(hold)
            if standing in (RETAKEN, UNPROTECTED):
                self.tally.holds_lost += 1
        claim = Claim(booking_id, hold.event_id, hold.seats, buyer, hold.area, hold.quantity, is_order, money)
        verdict = await self._claim(claim, is_repeated)
        if verdict == BOOKED:
            self.tally.bookings += 1
            self.announce_sale(hold.event_id, hold.seats)
        return verdict

    async def _why_gone(self, hold: Hold) -> str:
        states = await self.holds.look(hold)
        return SOLD if states and any(state.is_sold for state in states) else GONE

    async def _claim(self, claim: Claim, is_repeated: bool) -> str:
        """Claim, and ask again while there is no answer."""
        may_be_done = is_repeated
        deadline = trio.current_time() + self.settings.claim_patience
        pause_s = _RETRY_S
        while True:
            answer = await self._attempt(claim, may_be_done)
            if answer == UNKNOWN and not may_be_done:
                self.tally.unknowns += 1
                may_be_done = True
            elif answer in (BOOKED, SOLD, GONE, LIMIT):
                self.tally.unknowns_resolved += may_be_done and not is_repeated
                return answer
            if trio.current_time() + pause_s > deadline:
                return UNKNOWN if may_be_done else UNAVAILABLE
            await trio.sleep(pause_s)
            pause_s = min(pause_s * 2, _RETRY_S_MAX)

    async def _attempt(self, claim: Claim, may_be_done: bool) -> str:
        async with self.line:
            try:
                # A claim that was sent is awaited: a buyer who leaves must not turn a sale into an unknown.
                with trio.move_on_after(self.settings.claim_timeout, shield=True):
                    return _VERDICTS[await self.claims.claim(claim, is_repeated=may_be_done)]
                return UNKNOWN
            except LastLineCrossed:
                self.tally.last_line_crossed += 1
                return SOLD
            except OutcomeUnknown:
                return UNKNOWN
            except ServiceUnavailable:
                return UNAVAILABLE
            except psycopg.Error as error:
                if not is_retryable(error):
                    raise
                return UNAVAILABLE


def new_nonce() -> str:
    """A random mark for the owner of a hold."""
    return secrets.token_hex(NONCE_BYTES)
