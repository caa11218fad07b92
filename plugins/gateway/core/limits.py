"""How much a key may use: so many requests and tokens a minute, and so much money a period."""

from dataclasses import dataclass, field

MINUTE_MS = 60_000


@dataclass(slots=True)
class Bucket:
    """A token bucket that holds a minute's worth and refills evenly. Times are milliseconds of one clock.

    What is only known afterwards (tokens of an answer) is charged then and may take it below zero: the debt is waited
    off before the next request.
    """

    per_minute: int
    level: float = field(init=False)
    _at_ms: int = 0

    def __post_init__(self) -> None:
        self.level = float(self.per_minute)

    def wait_ms(self, amount: float, now_ms: int) -> int:
        """How long until so much is there; 0 when it is now. Takes nothing."""
        self._refill(now_ms)
        missing = min(amount, self.per_minute) - self.level
        return 0 if missing <= 0 else max(1, round(missing * MINUTE_MS / self.per_minute))

    def take_or_wait_ms(self, amount: float, now_ms: int) -> int:
        """Take so much, if it is there, else nothing: then how long until it is, and 0 when it was."""
        wait_ms = self.wait_ms(amount, now_ms)
        if not wait_ms:
            self.level -= amount
        return wait_ms

    def take(self, amount: float, now_ms: int) -> None:
        """Take so much, below zero if need be."""
        self._refill(now_ms)
        self.level -= amount

    def go_on_from(self, before: "Bucket") -> None:
        """Have used what another bucket has used."""
        self.level = min(float(self.per_minute), self.per_minute - (before.per_minute - before.level))
        self._at_ms = before._at_ms

    def _refill(self, now_ms: int) -> None:
        if now_ms == self._at_ms:
            return
        elapsed = max(0, now_ms - self._at_ms)
        self._at_ms = now_ms
        self.level = min(float(self.per_minute), self.level + elapsed * self.per_minute / MINUTE_MS)


@dataclass(slots=True)
class Spending:
    """Money spent in the present period; a new period begins with nothing. Periods are numbered by the caller."""

    budget_nano_usd: int | None
    period: int = -1
    spent_nano_usd: int = 0

    def is_exhausted(self, period: int) -> bool:
        """Whether nothing may be spent any more in this period."""
        return self.budget_nano_usd is not None and self.spent(period) >= self.budget_nano_usd

    def spent(self, period: int) -> int:
        """What has been spent in this period."""
        return self.spent_nano_usd if period == self.period else 0

    def add(self, amount_nano_usd: int, period: int) -> None:
        """Spend; what an answer cost is only known when it is there, so the last one may go beyond the budget."""
        if period != self.period:
            self.period = period
            self.spent_nano_usd = 0
        self.spent_nano_usd += amount_nano_usd

    def go_on_from(self, before: "Spending") -> None:
        """Have spent what was spent before."""
        self.period, self.spent_nano_usd = before.period, before.spent_nano_usd
