"""The breaker in front of layer 1: decides when Redis is asked, so that its absence costs one time-out and not each.

It does not flap per request: once open, nothing but its own probe can close it, and probes come one at a time, each
after a pause that doubles while they fail. Answers of calls that were under way when it opened change nothing.
"""

from dataclasses import dataclass
from typing import Literal

State = Literal["closed", "open", "probing"]


@dataclass(slots=True)
class Breaker:
    """Times are integers of one monotonic clock in milliseconds, given by the caller."""

    failures_max: int
    """Consecutive failures that open it."""
    pause_ms: int
    """How long it stays open at first."""
    pause_ms_max: int
    state: State = "closed"
    failures: int = 0
    probe_at_ms: int = 0
    pause_now_ms: int = 0
    opened_count: int = 0

    def admits(self, now_ms: int) -> bool:
        """Whether to call now. True once per pause while open: that call is the probe, and must be reported back."""
        if self.state == "closed":
            return True
        # A probe whose caller vanished must not keep the breaker open for ever: after the longest pause comes another.
        if now_ms < self.probe_at_ms:
            return False
        self.state = "probing"
        self.probe_at_ms = now_ms + self.pause_ms_max
        return True

    def succeeded(self, *, was_probe: bool) -> None:
        """A call was answered."""
        if self.state == "closed":
            self.failures = 0
        elif was_probe:
            self.state = "closed"
            self.failures = 0
            self.pause_now_ms = 0

    def failed(self, now_ms: int, *, was_probe: bool) -> None:
        """A call got no answer."""
        if self.state == "closed":
            self.failures += 1
            if self.failures >= self.failures_max:
                self.opened_count += 1
                self._open(now_ms, self.pause_ms)
        elif was_probe:
            self._open(now_ms, min(self.pause_now_ms * 2, self.pause_ms_max))

    def _open(self, now_ms: int, pause_ms: int) -> None:
        self.state = "open"
        self.pause_now_ms = pause_ms
        self.probe_at_ms = now_ms + pause_ms
