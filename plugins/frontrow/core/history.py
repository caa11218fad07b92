"""What each buyer of a run asked and heard, in flat arrays that the hot path writes without making an object.

A buyer's `invoked` is when the first command left, `decided` when the last answer came, both in nanoseconds of one
monotonic clock. Figures, timeline and the JSON lines that a run keeps for ever are computed from it afterwards.
"""

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from plugins.frontrow.core import outcome

NO_SEAT: Final = -1
NOT_YET: Final = 0
TIMELINE_STEPS: Final = 60
SAMPLE_BUYERS: Final = 60

_NAMES: Final = outcome.NAMES


class History:
    """One slot a buyer. `seat` is the position of the seat that the buyer's latest answer was about."""

    __slots__ = ("bookings", "buyers", "decided_ns", "gun_ns", "invoked_ns", "outcomes", "retries", "seat", "settled")

    def __init__(self, buyers: int) -> None:
        self.buyers = buyers
        self.gun_ns = NOT_YET
        self.outcomes = bytearray(buyers)
        self.invoked_ns = array("q", bytes(8 * buyers))
        self.decided_ns = array("q", bytes(8 * buyers))
        self.seat = array("i", [NO_SEAT]) * buyers
        # How often a buyer asked again after the first time.
        self.retries = array("i", bytes(4 * buyers))
        # The id of the booking that a buyer asked layer 2 for, by buyer: only those who got that far have one.
        self.bookings: dict[int, str] = {}
        # The buyers who were told "unknown", and for whom the truth was found out later.
        self.settled: set[int] = set()

    def count(self, *outcomes: int) -> int:
        """How many buyers stand at one of these outcomes."""
        return sum(self.outcomes.count(value) for value in outcomes)

    def buyers_at(self, *outcomes: int) -> list[int]:
        """The buyers who stand at one of these outcomes, in order."""
        wanted = bytes(outcomes)
        return [buyer for buyer, value in enumerate(self.outcomes) if value in wanted]

    def attempts(self, buyer: int) -> int:
        """How often a buyer asked for a seat."""
        return 1 + self.retries[buyer] if self.invoked_ns[buyer] else 0

    def attempts_sum(self) -> int:
        """How often all of them did."""
        return self.buyers - self.invoked_ns.count(NOT_YET) + sum(self.retries)

    def elapsed_ms(self) -> float:
        """From the gun to the last verdict, in milliseconds; 0 when nobody has heard anything."""
        last_ns = max(self.decided_ns, default=NOT_YET)
        return (last_ns - self.gun_ns) / 1e6 if last_ns else 0.0


@dataclass(frozen=True, slots=True)
class Spread:
    """Percentiles of the time that buyers waited for their verdict, in milliseconds; None when there is no buyer."""

    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    max_ms: float | None


def percentile(ascending: list[float], percent: float) -> float:
    """The nearest-rank percentile: the smallest value that `percent` of all are not above."""
    assert ascending, "no values have no percentile"
    rank = -(-len(ascending) * percent // 100)
    return ascending[max(int(rank), 1) - 1]


def spread(history: History, *outcomes: int) -> Spread:
    """How long those at these outcomes waited for their verdict."""
    gun_ns = history.gun_ns
    return spread_of((history.decided_ns[buyer] - gun_ns) / 1e6 for buyer in history.buyers_at(*outcomes))


def spread_of(waits_ms: Iterable[float]) -> Spread:
    """The percentiles of these waits."""
    waits = sorted(waits_ms)
    if not waits:
        return Spread(None, None, None, None)
    return Spread(*(round(percentile(waits, percent), 3) for percent in (50, 90, 99, 100)))


def timeline(history: History) -> list[dict[str, float]]:
    """How the crowd melted away: counts at even steps from the gun (all waiting) to the last verdict (none)."""
    elapsed_ns = max(history.decided_ns, default=NOT_YET) - history.gun_ns
    if elapsed_ns <= 0:
        return []
    step_ns = max(elapsed_ns // TIMELINE_STEPS, 1)
    steps = -(-elapsed_ns // step_ns) + 1
    booked, rejected = [0] * steps, [0] * steps
    for value, decided_ns in zip(history.outcomes, history.decided_ns, strict=True):
        if decided_ns:
            step = min(-(-(decided_ns - history.gun_ns) // step_ns), steps - 1)
            if value == outcome.BOOKED:
                booked[step] += 1
            else:
                rejected[step] += 1
    points: list[dict[str, float]] = []
    booked_sum = rejected_sum = 0
    for step in range(steps):
        booked_sum += booked[step]
        rejected_sum += rejected[step]
        waiting = history.buyers - booked_sum - rejected_sum
        t_ms = round(min(step * step_ns, elapsed_ns) / 1e6, 3)
        points.append({"t_ms": t_ms, "waiting": waiting, "booked": booked_sum, "rejected": rejected_sum})
    return points


def sample(history: History) -> list[dict[str, Any]]:
    """A few buyers, spread evenly over all, and what they have heard: what a picture of the crowd shows."""
    step = -(-history.buyers // SAMPLE_BUYERS)
    return [
        {"buyer": buyer, "seat": history.seat[buyer], "outcome": _NAMES[history.outcomes[buyer]]}
        for buyer in range(0, history.buyers, step)
    ]


def to_lines(history: History, head: Mapping[str, Any], order: Iterable[int]) -> Iterator[str]:
    """The history as JSON lines: `head` first, then a line a buyer in the order of arrival, times in whole µs."""
    yield json.dumps({"format": "frontrow-history/1", **head}, sort_keys=True) + "\n"
    gun_ns = history.gun_ns
    for buyer in order:
        invoked_ns, decided_ns = history.invoked_ns[buyer], history.decided_ns[buyer]
        invoked = (invoked_ns - gun_ns) // 1000 if invoked_ns else "null"
        decided = (decided_ns - gun_ns) // 1000 if decided_ns else "null"
        seat = history.seat[buyer] if history.seat[buyer] != NO_SEAT else "null"
        more = f',"booking":"{history.bookings[buyer]}"' if buyer in history.bookings else ""
        more += ',"settled":true' if buyer in history.settled else ""
        yield (
            f'{{"buyer":{buyer},"invoke_us":{invoked},"verdict_us":{decided},"seat":{seat},'
            f'"attempts":{history.attempts(buyer)},"verdict":"{_NAMES[history.outcomes[buyer]]}"{more}}}\n'
        )
