"""A token bucket: how fast a client may go, and how much at once."""


class Bucket:
    """Holds up to `burst` tokens and gains `per_s` each second. Time is given by whoever asks."""

    __slots__ = ("_at", "_burst", "_per_s", "_tokens")

    def __init__(self, per_s: float, burst: float, now: float) -> None:
        self._per_s = per_s
        self._burst = self._tokens = burst
        self._at = now

    def take(self, tokens: float, now: float) -> float:
        """Take tokens, on credit if need be; how long to wait until the debt is paid, 0 when there is none."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_s) - tokens
        self._at = now
        return max(0.0, -self._tokens / self._per_s)

    def try_take(self, tokens: float, now: float) -> bool:
        """Take tokens if they are there; False, and nothing taken, when they are not."""
        debt_s = self.take(tokens, now)
        if debt_s:
            self._tokens += tokens
        return not debt_s
