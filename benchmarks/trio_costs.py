"""What Trio's building blocks cost: the prices that decide where a task, a scope or a thread may stand.

    python -m benchmarks.trio_costs [--rounds N]

Each block is run many times in a row, in each of the rounds; the best round counts, since whatever else runs on the
machine only adds. Prints a table, then one JSON object with the microseconds of each.
"""

import argparse
import json
import platform
import time
from collections.abc import Awaitable, Callable
from os import cpu_count
from typing import Final

import trio
from trio.lowlevel import ParkingLot, checkpoint

REPEATS: Final = 2000
THREAD_REPEATS: Final = 200


async def nothing() -> None:
    """A coroutine that never yields."""


async def plain_await(repeats: int) -> None:
    for _ in range(repeats):
        await nothing()


async def checkpoints(repeats: int) -> None:
    for _ in range(repeats):
        await checkpoint()


async def cancel_scopes(repeats: int) -> None:
    for _ in range(repeats):
        with trio.CancelScope():  # noqa: ASYNC100 - its price is what is asked for
            pass


async def empty_nurseries(repeats: int) -> None:
    for _ in range(repeats):
        async with trio.open_nursery():
            pass


async def nurseries_with_a_child(repeats: int) -> None:
    for _ in range(repeats):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(nothing)


async def parks(repeats: int) -> None:
    """Two tasks wake each other in turn: two parks and two wakes in each round."""
    here, there = ParkingLot(), ParkingLot()

    async def answer() -> None:
        for _ in range(repeats // 2):
            await there.park()
            here.unpark()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        while not len(there):
            await checkpoint()
        for _ in range(repeats // 2):
            there.unpark()
            await here.park()


async def threads(repeats: int) -> None:
    for _ in range(repeats):
        await trio.to_thread.run_sync(int)


BLOCKS: Final[dict[str, tuple[Callable[[int], Awaitable[None]], int]]] = {
    "await_us": (plain_await, REPEATS),
    "checkpoint_us": (checkpoints, REPEATS),
    "cancel_scope_us": (cancel_scopes, REPEATS),
    "nursery_us": (empty_nurseries, REPEATS),
    "nursery_with_a_child_us": (nurseries_with_a_child, REPEATS),
    "park_and_wake_us": (parks, REPEATS),
    "thread_us": (threads, THREAD_REPEATS),
}


async def measure(rounds: int) -> dict[str, float]:
    """The best of the rounds for each block, in microseconds."""
    best = dict.fromkeys(BLOCKS, float("inf"))
    for _ in range(rounds):
        for name, (block, repeats) in BLOCKS.items():
            began = time.perf_counter()
            await block(repeats)
            best[name] = min(best[name], (time.perf_counter() - began) / repeats * 1e6)
    return {name: round(us, 2) for name, us in best.items()}


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trio_costs", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    found = trio.run(measure, parser.parse_args().rounds)
    for name, us in found.items():
        print(f"{name:24} {us:8.2f}")
    machine = {"python": platform.python_version(), "trio": trio.__version__, "cores": cpu_count()}
    print(json.dumps({"benchmark": "trio_costs", **found, **machine}))


if __name__ == "__main__":
    main()
