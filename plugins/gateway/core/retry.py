"""When to try again, and where: fall over to the next target at once, and only then wait and begin another round.

Waits are exponential with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015). What an upstream
says by Retry-After is kept. A budget bounds how much of the traffic may ask a target that it has asked before, so that
an outage is not answered with a storm (Google SRE book, "Handling Overload"). The first attempt at each target is free
of it: when a provider dies under a thousand requests, all thousand go to the next, which gets no more than the traffic.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Final

from plugins.gateway.core.errors import Failure

RETRY_AFTER_S_MAX: Final = 86_400.0


@dataclass(slots=True)
class Budget:
    """Tokens for repeated attempts: each request adds `ratio` of one, each attempt that repeats another takes one.

    `reserve` tokens are there at the start, and are the most that can be saved up.
    """

    ratio: float
    reserve: float
    tokens: float = field(init=False)
    refused_count: int = 0
    spent_count: int = 0

    def __post_init__(self) -> None:
        self.tokens = self.reserve

    def deposit(self) -> None:
        """A request came in."""
        self.tokens = min(self.reserve, self.tokens + self.ratio)

    def spend(self) -> bool:
        """Take a token, False when there is none: then the attempt must not be made."""
        if self.tokens < 1:
            self.refused_count += 1
            return False
        self.tokens -= 1
        self.spent_count += 1
        return True


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before round 1, 2, …: up to `base_ms · 2^(round - 1)`, at most `max_ms`."""

    base_ms: int = 250
    max_ms: int = 8000

    def delay_ms(self, round_number: int, random_unit: float) -> int:
        """Full jitter: anything between nothing and the bound. `random_unit` is in [0, 1)."""
        bound = min(self.max_ms, self.base_ms * 2 ** min(round_number - 1, 30))
        return int(bound * random_unit)


@dataclass(frozen=True, slots=True)
class Try:
    """Make an attempt at `target` after `delay_ms`."""

    target: int
    delay_ms: int = 0


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Make no further attempt. `failure` is what to tell, None when nothing was ever tried.

    `retry_after_ms` is when one may come back, None when that is not known.
    """

    failure: Failure | None
    retry_after_ms: int | None = None


class Campaign:
    """The attempts of one request over its targets, in order of preference.

    `rounds_max` counts passes over the targets; the first one never waits. `wait_ms(target, now)` is how long a
    target's breaker keeps it closed; `patience_ms` is the longest such wait that is worth it, anything longer is given
    up at once. Call `next` for the first step and after each failure.
    """

    def __init__(
        self,
        targets: int,
        *,
        rounds_max: int,
        attempts_max: int,
        patience_ms: int,
        backoff: Backoff,
        budget: Budget,
        wait_ms: Callable[[int, int], int],
        deadline_ms: int,
    ) -> None:
        assert targets > 0
        self.attempts = 0
        self._untried = list(range(targets))
        self._asked: set[int] = set()
        self._eligible = list(range(targets))
        self._rounds_max = rounds_max
        self._attempts_max = attempts_max
        self._patience_ms = patience_ms
        self._backoff = backoff
        self._budget = budget
        self._wait_ms = wait_ms
        self._deadline_ms = deadline_ms
        self._round = 1
        self._failure: Failure | None = None

    def failed(self, target: int, failure: Failure) -> None:
        """An attempt at `target` failed; a target that can never do it is left out from now on."""
        if self._failure is None or failure.verdict != "retry" or self._failure.verdict == "retry":
            self._failure = failure
        if failure.verdict != "retry" and target in self._eligible:
            self._eligible.remove(target)

    def refused(self, target: int) -> None:
        """The breaker of `target` let nobody through after all (another took its probe): that was no attempt."""
        self.attempts -= 1
        self._asked.discard(target)

    def next(self, now_ms: int, random_unit: float) -> Try | GiveUp:
        """The next step. `random_unit` in [0, 1) decides the jitter, should there be a wait."""
        failure = self._failure
        if failure is not None and failure.verdict == "final":
            return GiveUp(failure)
        if self.attempts >= self._attempts_max or now_ms >= self._deadline_ms:
            return self._give_up(now_ms)
        while self._untried:
            target = self._untried.pop(0)
            if target in self._eligible and self._wait_ms(target, now_ms) == 0:
                return self._try(target, 0, now_ms)
        return self._next_round(now_ms, random_unit)

    def _next_round(self, now_ms: int, random_unit: float) -> Try | GiveUp:
        if self._round >= self._rounds_max or not self._eligible:
            return self._give_up(now_ms)
        self._round += 1
        waits = [(self._wait_ms(target, now_ms), target) for target in self._eligible]
        shortest = min(waits)[0]
        delay_ms = max(shortest, self._backoff.delay_ms(self._round - 1, random_unit))
        if shortest > self._patience_ms or now_ms + delay_ms >= self._deadline_ms:
            return self._give_up(now_ms)
        ready = [target for wait, target in waits if wait <= delay_ms]
        self._untried = ready[1:]
        return self._try(ready[0], delay_ms, now_ms)

    def _try(self, target: int, delay_ms: int, now_ms: int) -> Try | GiveUp:
        if target in self._asked and not self._budget.spend():
            return self._give_up(now_ms)
        self._asked.add(target)
        self.attempts += 1
        return Try(target, delay_ms)

    def _give_up(self, now_ms: int) -> GiveUp:
        waits = [self._wait_ms(target, now_ms) for target in self._eligible]
        return GiveUp(self._failure, min(waits) if waits and min(waits) > 0 else None)


def parse_retry_after(headers: Sequence[tuple[bytes, bytes]], now_unix_s: float) -> float | None:
    """Seconds from `retry-after-ms`, else from `retry-after` (seconds or an HTTP date); None without a usable one."""
    found = {name.lower(): value for name, value in headers if name.lower() in (b"retry-after", b"retry-after-ms")}
    seconds: float | None = None
    try:
        if b"retry-after-ms" in found:
            seconds = float(found[b"retry-after-ms"]) / 1000
        elif b"retry-after" in found:
            text = found[b"retry-after"].decode("latin-1").strip()
            if text.replace(".", "", 1).isdigit():
                seconds = float(text)
            else:
                seconds = parsedate_to_datetime(text).timestamp() - now_unix_s
    except (ValueError, OverflowError):
        return None
    return seconds if seconds is not None and 0 <= seconds <= RETRY_AFTER_S_MAX else None
