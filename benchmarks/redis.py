"""Redis on Trio against redis-py on asyncio (hiredis in both), and against the floor: one buffer, written and read raw.

`python -m benchmarks.redis [--url unix:///…] [--rounds 7]`

Two questions, each asked of every client on the same server, in interleaved rounds:

- one at a time: how long does `set(key, token, nx=True, px=ttl)` take?
- 1,000 at once: tasks wait at a gate, each then calls that once for the same key; from the gun to the last reply.

redis-py is given a warmed-up pool of the size that suited it best (`PEER_POOL`), on asyncio's own loop and on uvloop.
Prints a table, and one JSON object as the last line. Medians over all rounds; the ratios are against the better peer.
"""

import argparse
import asyncio
import gc
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import hiredis
import redis.asyncio
import trio
import trio.testing
import uvloop

from host.services.redis import Redis
from host.services.redis_url import parse_redis_url

CALLERS = 1000
SEQUENTIAL_CALLS = 500
STAMPEDES = 10
TTL_MS = 30_000
KEY = "bench:seat"
# Of 1, 10, 25, 50, 100 and 1,000 connections the fastest for 1,000 callers on two cores.
PEER_POOL = 10


@dataclass
class Instant:
    """Now, on the clock on the wall and on that of this thread's CPU time."""

    wall_s: float = field(default_factory=time.perf_counter)
    cpu_s: float = field(default_factory=time.thread_time)


@dataclass
class Samples:
    """What one client has shown: a latency in µs per sequential call, a time in ms per stampede, its CPU time too.

    CPU time is what can still be compared when others use the machine: waiting for a core is not in it.
    """

    sequential_us: list[float] = field(default_factory=list)
    stampede_ms: list[float] = field(default_factory=list)
    stampede_cpu_ms: list[float] = field(default_factory=list)

    def stampede(self, gun: "Instant", end: "Instant") -> None:
        """Note a stampede between two moments."""
        self.stampede_ms.append((end.wall_s - gun.wall_s) * 1000)
        self.stampede_cpu_ms.append((end.cpu_s - gun.cpu_s) * 1000)

    def summary(self) -> dict[str, float]:
        """Medians, rounded."""
        found = {"stampede_ms": round(statistics.median(self.stampede_ms), 2)}
        found["stampede_best_ms"] = round(min(self.stampede_ms), 2)
        found["stampede_cpu_ms"] = round(statistics.median(self.stampede_cpu_ms), 2)
        found["calls_per_s"] = round(CALLERS / statistics.median(self.stampede_ms) * 1000)
        if self.sequential_us:
            found["sequential_us"] = round(statistics.median(self.sequential_us), 1)
        return found


async def quartet_round(url: str, samples: Samples, fast: bool) -> None:
    """One round of `host.services.redis`; `fast` calls `execute_command` in place of `set`."""
    client = Redis(url, name="benchmark")

    def call(token: str) -> Awaitable[object]:
        if fast:
            return client.execute_command("SET", KEY, token, "NX", "PX", TTL_MS)
        return client.set(KEY, token, nx=True, px=TTL_MS)

    async with trio.open_nursery() as background:
        await background.start(client.run)
        samples.sequential_us += await sequential(call)
        for _ in range(STAMPEDES):
            await client.delete(KEY)
            gate, replies, ended = trio.Event(), [], []

            async def caller(
                number: int,
                gate: trio.Event = gate,
                replies: list[object] = replies,
                ended: list[Instant] = ended,
            ) -> None:
                await gate.wait()
                replies.append(await call(f"token-{number}"))
                if len(replies) == CALLERS:
                    ended.append(Instant())

            async with trio.open_nursery() as callers:
                for number in range(CALLERS):
                    callers.start_soon(caller, number)
                await trio.testing.wait_all_tasks_blocked()
                gun = Instant()
                gate.set()
            samples.stampede(gun, ended[0])
            assert replies.count(True) == 1, "not exactly one winner"
        background.cancel_scope.cancel()


async def peer_round(url: str, samples: Samples) -> None:
    """One round of redis-py on asyncio."""
    pool = redis.asyncio.BlockingConnectionPool.from_url(url, max_connections=PEER_POOL, timeout=60, protocol=2)
    client = redis.asyncio.Redis(connection_pool=pool)

    def call(token: str) -> Awaitable[object]:
        return client.set(KEY, token, nx=True, px=TTL_MS)

    await asyncio.gather(*(client.ping() for _ in range(CALLERS)))
    samples.sequential_us += await sequential(call)
    for _ in range(STAMPEDES):
        await client.delete(KEY)
        gate, replies, ended = asyncio.Event(), [], []

        async def caller(
            number: int,
            gate: asyncio.Event = gate,
            replies: list[object] = replies,
            ended: list[Instant] = ended,
        ) -> None:
            await gate.wait()
            replies.append(await call(f"token-{number}"))
            if len(replies) == CALLERS:
                ended.append(Instant())

        callers = [asyncio.create_task(caller(number)) for number in range(CALLERS)]
        await asyncio.sleep(0.01)
        gun = Instant()
        gate.set()
        await asyncio.gather(*callers)
        samples.stampede(gun, ended[0])
        assert replies.count(True) == 1, "not exactly one winner"
    await client.aclose()
    await pool.disconnect()


async def sequential(call: Callable[[str], Awaitable[object]]) -> list[float]:
    """The latency of calls made one at a time, in µs, after some to warm up."""
    found = []
    for number in range(SEQUENTIAL_CALLS + 50):
        began_s = time.perf_counter()
        await call(f"token-{number}")
        found.append((time.perf_counter() - began_s) * 1e6)
    return found[50:]


def raw_round(url: str, samples: Samples) -> None:
    """The floor: the same 1,000 commands packed, written in one buffer and their replies counted, nothing else."""
    address = parse_redis_url(url)
    family = socket.AF_UNIX if address.path else socket.AF_INET
    with socket.socket(family) as raw:
        raw.connect(address.path or (address.host, address.port))
        for _ in range(STAMPEDES):
            raw.sendall(hiredis.pack_command(("DEL", KEY)))
            raw.recv(100)
            reader, due = hiredis.Reader(notEnoughData=Ellipsis), CALLERS
            gun = Instant()
            commands = [("SET", KEY, f"token-{number}", "NX", "PX", TTL_MS) for number in range(CALLERS)]
            raw.sendall(b"".join([hiredis.pack_command(command) for command in commands]))
            while due:
                reader.feed(raw.recv(65536))
                while reader.gets() is not Ellipsis:
                    due -= 1
            samples.stampede(gun, Instant())


@contextmanager
def server(url: str | None) -> Iterator[str]:
    """The URL of the server to measure: the given one, or that of an embedded Redis started for the block."""
    if url is not None:
        yield url
        return
    command = [sys.executable, "-m", "host.services.embedded", "--redis"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        yield json.loads(child.stdout.readline())["redis_url"]
        child.stdin.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.redis")
    parser.add_argument("--url", help="a Redis to measure with; by default an embedded one is started")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--gc-as-is", action="store_true", help="leave the garbage collector as Python starts it")
    if not parser.parse_args().gc_as_is:
        # What was imported is never garbage: no collection, of either side, walks over it.
        gc.collect()
        gc.freeze()
    rounds: int = parser.parse_args().rounds
    samples = {name: Samples() for name in ("raw", "quartet", "quartet_fast", "redis_py", "redis_py_uvloop")}
    with server(parser.parse_args().url) as url:
        for _ in range(rounds):
            raw_round(url, samples["raw"])
            trio.run(quartet_round, url, samples["quartet"], False)
            asyncio.run(peer_round(url, samples["redis_py"]))
            trio.run(quartet_round, url, samples["quartet_fast"], True)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(peer_round(url, samples["redis_py_uvloop"]))
    found = {name: of.summary() for name, of in samples.items()}
    for name, row in found.items():
        print(f"{name:16}", "  ".join(f"{key} {value:>9,}" for key, value in row.items()))
    peers = (found["redis_py"], found["redis_py_uvloop"])
    throughput = found["quartet"]["calls_per_s"] / max(peer["calls_per_s"] for peer in peers)
    cpu = min(peer["stampede_cpu_ms"] for peer in peers) / found["quartet"]["stampede_cpu_ms"]
    latency = min(peer["sequential_us"] for peer in peers) / found["quartet"]["sequential_us"]
    result = {
        "benchmark": "redis",
        "callers": CALLERS,
        "rounds": rounds,
        "clients": found,
        "throughput_against_best_peer": round(throughput, 2),
        "cpu_against_best_peer": round(cpu, 2),
        "sequential_speed_against_best_peer": round(latency, 2),
        "times_the_raw_floor": round(found["quartet"]["stampede_ms"] / found["raw"]["stampede_ms"], 2),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "redis_py": redis.__version__,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
