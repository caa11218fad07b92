"""An arena sold out at once: 20,000 seats, 100,000 buyers with three tries each, all in flight together, on one host.

    python -m benchmarks.arena [--rounds N] [--buyers N] [--seats N]

Each buyer is a Trio task that goes the way of a customer's request, without HTTP: a hold in Redis on a seat of its
choice, and, when that is granted, the conditional UPDATE in Postgres behind the desk that gathers claims. Turned away,
it tries another seat. The clock runs from the gun to the last buyer's verdict; what was sold is counted by SQL.
`cpu_s` is the processor time of this process, gathering the crowd included.

`redis_floor_s` is what as many SET NX take alone, as one pipeline on a raw socket in the same run.
Prints a line a round, then one JSON object with the medians.
"""

import argparse
import gc
import json
import platform
import resource
import tempfile
import time
import uuid
from collections import Counter
from os import cpu_count
from pathlib import Path
from statistics import median
from typing import Any, Final

import trio

from benchmarks.frontrow_kit import front_row
from benchmarks.servers import servers
from benchmarks.stampede import redis_floors_ms
from host.api import Postgres
from plugins.frontrow.box_office import BOOKED, SOLD, BoxOffice, new_nonce
from plugins.frontrow.core.arrivals import mix
from plugins.frontrow.core.tokens import Hold
from plugins.frontrow.gate import Gate
from plugins.frontrow.holds import TAKEN

TRIES: Final = 3
WAVE: Final = 256
EVENT = "INSERT INTO frontrow.events (name) VALUES (%s) RETURNING id"
SEATS = """
INSERT INTO frontrow.seats (event_id, position, label)
SELECT %s, place, 'S' || (place + 1) FROM generate_series(0, %s - 1) AS place RETURNING id
"""
SALES = """
SELECT count(*), count(DISTINCT sale.seat_id), count(*) FILTER (WHERE seat.booking_id = sale.booking_id)
  FROM frontrow.booking_seats AS sale JOIN frontrow.seats AS seat ON seat.id = sale.seat_id
 WHERE seat.event_id = %s AND sale.released_at IS NULL
"""


class Crowd:
    """All buyers of one round."""

    def __init__(self, sale: BoxOffice, event_id: int, seats: list[int], seed: int) -> None:
        self.sale, self.event_id, self.seats, self.seed = sale, event_id, seats, seed
        self.gate = Gate()
        self.verdicts: Counter[str] = Counter()
        self.attempts = 0

    async def buyer(self, number: int) -> None:
        """Three tries, each for another seat."""
        holds, seats, nonce = self.sale.holds, self.seats, new_nonce()
        await self.gate.wait()
        for attempt in range(TRIES):
            seat = seats[mix(self.seed, attempt, number) % len(seats)]
            self.attempts += 1
            hold = Hold(self.event_id, (seat,), nonce)
            standing = await holds.hold(holds.request(hold))
            if standing == TAKEN:
                continue
            verdict = await self.sale.book(hold, f"buyer-{number}", str(uuid.uuid4()))
            if verdict != SOLD:
                self.verdicts[verdict] += 1
                return
        self.verdicts["turned away"] += 1

    async def rush(self, buyers: int) -> float:
        """Seconds from the gun to the last verdict."""
        async with trio.open_nursery() as nursery:
            for number in range(buyers):
                nursery.start_soon(self.buyer, number)
                if number % 500 == 0:
                    await trio.lowlevel.checkpoint()
            while len(self.gate) < buyers:
                await trio.lowlevel.checkpoint()
            gc.freeze()
            began = time.perf_counter()
            while self.gate:
                self.gate.let_go(WAVE)
                await trio.lowlevel.checkpoint()
        gc.unfreeze()
        return time.perf_counter() - began


async def sell_out(sale: BoxOffice, postgres: Postgres, arguments: argparse.Namespace, seed: int) -> dict[str, Any]:
    """One arena, from its opening to the last verdict."""
    event_id = await postgres.fetch_value(EVENT, [f"Arena {seed}"])
    seats = [row[0] for row in await postgres.fetch_all(SEATS, [event_id, arguments.seats])]
    crowd = Crowd(sale, event_id, seats, seed)
    began_cpu = time.process_time()
    seconds = await crowd.rush(arguments.buyers)
    cpu_s = time.process_time() - began_cpu
    row = await postgres.fetch_one(SALES, [event_id])
    assert row is not None
    sales, sold, agreeing = row
    return {
        "seconds": round(seconds, 3),
        "cpu_s": round(cpu_s, 3),
        "attempts": crowd.attempts,
        "attempts_per_s": round(crowd.attempts / seconds),
        "sold": sold,
        "oversold": max(sales - sold, crowd.verdicts[BOOKED] - sold, sales - agreeing),
        "verdicts": dict(crowd.verdicts),
    }


async def measure(urls: dict[str, Any], arguments: argparse.Namespace, data_dir: Path) -> dict[str, Any]:
    """All rounds, and the floor after them."""
    async with front_row(urls, data_dir) as (plugin, postgres):
        assert plugin.sale is not None
        rounds = []
        for number in range(arguments.rounds):
            rounds.append(await sell_out(plugin.sale, postgres, arguments, number))
            print(json.dumps(rounds[-1]), flush=True)
    attempts = round(median(each["attempts"] for each in rounds))
    return {
        "seats": arguments.seats,
        "buyers": arguments.buyers,
        "rounds": len(rounds),
        "sold": min(each["sold"] for each in rounds),
        "oversold": max(each["oversold"] for each in rounds),
        "seconds": median(each["seconds"] for each in rounds),
        "cpu_s": median(each["cpu_s"] for each in rounds),
        "attempts": attempts,
        "attempts_per_s": median(each["attempts_per_s"] for each in rounds),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "redis_floor_s": round(redis_floors_ms(urls["redis_url"], attempts)[0] / 1e3, 3),
        "host": {"python": platform.python_version(), "trio": trio.__version__, "cores": cpu_count()},
    }


def main() -> None:
    """Parse the arguments, run, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.arena", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--buyers", type=int, default=100_000)
    parser.add_argument("--seats", type=int, default=20_000)
    arguments = parser.parse_args()
    with servers() as urls, tempfile.TemporaryDirectory() as data_dir:
        print(json.dumps(trio.run(measure, urls, arguments, Path(data_dir))))


if __name__ == "__main__":
    main()
