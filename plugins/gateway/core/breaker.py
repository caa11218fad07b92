"""A circuit breaker for one target: an upstream's model.

    closed ──failures──▶ open ──pause over──▶ half_open ──probe succeeds──▶ closed
                          ▲                        │
                          └──────probe fails───────┘

It opens on `failures_max` failures in a row, or when at least half of the newest `window` outcomes are failures. While
open nothing is let through; after the pause one probe is, and no second one beside it. The pause doubles while probes
fail. A call that was cancelled by its client counts as neither success nor failure, and a cancelled probe gives its
place back. What was let through before the breaker opened says nothing when it ends after.

A 429 with Retry-After is no failure: it only keeps the target out until then (`hold_until`).
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

State = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one call; hand it back to the breaker exactly once, with what became of it."""

    epoch: int
    is_probe: bool


@dataclass(slots=True)
class Breaker:
    """Times are integers in milliseconds of one monotonic clock, given by the caller."""

    failures_max: int = 5
    window: int = 20
    pause_ms: int = 1000
    pause_ms_max: int = 30_000
    state: State = "closed"
    failures: int = 0
    opened_count: int = 0
    retry_at_ms: int = 0
    pause_now_ms: int = 0
    held_until_ms: int = 0
    is_probing: bool = False
    _epoch: int = 0
    _outcomes: deque[bool] = field(default_factory=deque)

    def wait_ms(self, now_ms: int) -> int:
        """How long until a call may be let through: 0 when it may be now."""
        wait = max(0, self.held_until_ms - now_ms)
        if self.state == "open":
            wait = max(wait, self.retry_at_ms - now_ms)
        elif self.state == "half_open" and self.is_probing:
            wait = max(wait, 1, self.pause_now_ms)
        return wait

    def admit(self, now_ms: int) -> Permit | None:
        """Leave to call now, None when the caller must go elsewhere or wait."""
        if now_ms < self.held_until_ms:
            return None
        if self.state == "closed":
            return Permit(self._epoch, is_probe=False)
        if self.state == "open":
            if now_ms < self.retry_at_ms:
                return None
            self.state = "half_open"
        if self.is_probing:
            return None
        self.is_probing = True
        return Permit(self._epoch, is_probe=True)

    def succeeded(self, permit: Permit) -> None:
        """The call was answered."""
        if permit.epoch != self._epoch:
            return
        if permit.is_probe:
            self._close()
            return
        self.failures = 0
        self._note(ok=True)

    def failed(self, permit: Permit, now_ms: int) -> None:
        """The call failed in a way that speaks against the target."""
        if permit.epoch != self._epoch:
            return
        if permit.is_probe:
            self._open(now_ms, min(self.pause_now_ms * 2, self.pause_ms_max))
            return
        self.failures += 1
        self._note(ok=False)
        full = len(self._outcomes) >= self.window
        if self.failures >= self.failures_max or (full and self._outcomes.count(False) * 2 >= self.window):
            self._open(now_ms, self.pause_ms)

    def failed_late(self, now_ms: int) -> None:
        """An answer that had begun well, and was counted so, broke off. Says something only while closed."""
        if self.state == "closed":
            self.failed(Permit(self._epoch, is_probe=False), now_ms)

    def abandoned(self, permit: Permit) -> None:
        """The call ended without saying anything about the target: its client left, or the request was wrong."""
        if permit.epoch == self._epoch and permit.is_probe:
            self.is_probing = False

    def hold_until(self, until_ms: int) -> None:
        """Let nothing through until then: the target said so itself."""
        self.held_until_ms = max(self.held_until_ms, until_ms)

    def _note(self, *, ok: bool) -> None:
        self._outcomes.append(ok)
        if len(self._outcomes) > self.window:
            self._outcomes.popleft()

    def _close(self) -> None:
        self.state = "closed"
        self._epoch += 1
        self.failures = 0
        self.is_probing = False
        self.pause_now_ms = 0
        self._outcomes.clear()

    def _open(self, now_ms: int, pause_ms: int) -> None:
        self.state = "open"
        self._epoch += 1
        self.opened_count += 1
        self.is_probing = False
        self.pause_now_ms = pause_ms
        self.retry_at_ms = now_ms + pause_ms
        self._outcomes.clear()
