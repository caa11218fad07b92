"""The search for the best seats on the arena of 20,000: how long the slowest of many takes, empty to nearly sold out.

    python -m benchmarks.best_available

Prints a line for each filling, then one JSON object. No I/O: this is the pure search, as a request runs it.
"""

import json
import platform
import random
import time
from statistics import median

from plugins.frontrow.core.best_available import best_available
from plugins.frontrow.core.house import SOLD, Availability, House
from plugins.frontrow.core.samples import arena
from plugins.frontrow.venue_plan import VenuePlan

FILLINGS = (0.0, 0.5, 0.9, 0.97, 0.99, 1.0)
COUNTS = (1, 2, 3, 4, 6, 8, 10)


def main() -> None:
    """Search, print."""
    plan = VenuePlan.model_validate(arena())
    house = House([place for place, _ in plan.places()], (plan.stage.x, plan.stage.y))
    rng = random.Random(1)
    times_ms: list[float] = []
    for filling in FILLINGS:
        availability = Availability(house)
        for position in range(house.seats):
            if rng.random() < filling:
                availability.set(position, SOLD)
        of_filling: list[float] = []
        for tier in house.by_tier:
            for count in COUNTS:
                for may_be_apart in (False, True):
                    began_ns = time.perf_counter_ns()
                    best_available(availability, tier, count, may_be_apart=may_be_apart)
                    of_filling.append((time.perf_counter_ns() - began_ns) / 1e6)
        print(f"sold={filling:.0%} median_ms={median(of_filling):.3f} max_ms={max(of_filling):.3f}")
        times_ms += of_filling
    result = {"seats": house.seats, "searches": len(times_ms), "median_ms": round(median(times_ms), 3)}
    print(json.dumps(result | {"max_ms": round(max(times_ms), 3), "python": platform.python_version()}))


if __name__ == "__main__":
    main()
