"""In which order the targets of a group are tried.

A strategy puts the targets into an order of preference; the first that is healthy is tried, the others are its
fallbacks. Targets whose window is too small for the prompt, or that cannot do what is asked, are left out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

Strategy = Literal["priority", "weighted", "least_latency", "least_busy", "cheapest", "canary"]

LATENCY_HALF_LIFE_MS: Final = 10_000
"""How fast an old peak is forgotten."""


@dataclass(slots=True)
class PeakEwma:
    """A latency that rises at once and falls slowly (Finagle's "Peak EWMA"): one slow answer is remembered."""

    value_ms: float = 0.0
    _at_ms: int = 0

    def observe(self, latency_ms: float, now_ms: int) -> None:
        """An answer took that long."""
        if latency_ms >= self.value_ms:
            self.value_ms = latency_ms
        else:
            keep = 0.5 ** (max(0, now_ms - self._at_ms) / LATENCY_HALF_LIFE_MS)
            # Without traffic for a while one fast answer says more than the old peak.
            self.value_ms = self.value_ms * keep + latency_ms * (1 - keep)
        self._at_ms = now_ms


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the choice knows of a target. `is_open`: its breaker lets nothing through now.

    `cost` is of a typical request, in any unit common to all; `context_tokens` None is a window of unknown size.
    """

    weight: float = 1.0
    latency_ms: float = 0.0
    in_flight: int = 0
    cost: float = 0.0
    context_tokens: int | None = None
    is_open: bool = False
    is_capable: bool = True


def order(
    strategy: Strategy,
    candidates: Sequence[Candidate],
    *,
    randoms: Sequence[float] = (),
    sticky: float = 0.0,
    prompt_tokens: int = 0,
) -> list[int]:
    """The indexes of the usable candidates, the best first; those with an open breaker last.

    `randoms`: one number in [0, 1) for each candidate, for "weighted". `sticky` in [0, 1) stays the same for one
    caller, for "canary". Returns nothing when no candidate can do it.
    """
    usable = [index for index, candidate in enumerate(candidates) if candidate.is_capable]
    wide = [index for index in usable if _fits(candidates[index], prompt_tokens)]
    if not wide and usable:
        # None is said to be wide enough: the widest may still say so itself, better than we can estimate.
        wide = [max(usable, key=lambda index: candidates[index].context_tokens or 0)]
    ordered = _by_strategy(strategy, candidates, wide, randoms, sticky)
    return sorted(ordered, key=lambda index: candidates[index].is_open)


def _fits(candidate: Candidate, prompt_tokens: int) -> bool:
    return candidate.context_tokens is None or prompt_tokens <= candidate.context_tokens


def _by_strategy(
    strategy: Strategy, candidates: Sequence[Candidate], usable: list[int], randoms: Sequence[float], sticky: float
) -> list[int]:
    if strategy == "weighted":
        return sorted(usable, key=lambda index: -_weighted_key(candidates[index].weight, randoms[index]))
    if strategy == "least_latency":
        # Requests under way stand for latency that has not been seen yet.
        return sorted(usable, key=lambda index: candidates[index].latency_ms * (candidates[index].in_flight + 1))
    if strategy == "least_busy":
        return sorted(usable, key=lambda index: candidates[index].in_flight / max(candidates[index].weight, 1e-9))
    if strategy == "cheapest":
        return sorted(usable, key=lambda index: candidates[index].cost)
    if strategy == "canary":
        chosen = _bucket([(index, candidates[index].weight) for index in usable], sticky)
        return [chosen, *(index for index in usable if index != chosen)] if chosen is not None else []
    return usable


def _weighted_key(weight: float, random_unit: float) -> float:
    """Sorting by this key draws without replacement in proportion to the weights (Efraimidis and Spirakis, 2006)."""
    if weight <= 0:
        return -1.0
    return math.exp(math.log(max(random_unit, 1e-300)) / weight)


def _bucket(weights: Sequence[tuple[int, float]], unit: float) -> int | None:
    """The item in whose share of the whole `unit` falls."""
    left = unit * sum(weight for _, weight in weights)
    for index, weight in weights:
        left -= weight
        if left < 0:
            return index
    return weights[-1][0] if weights else None
