"""What a request costs through httpx's API on Trio: our transport against httpx's own, same local server.

    python -m benchmarks.http_client [--requests N] [--rounds N]

The server is a child process (`benchmarks.http_peer`), so that its work does not count where there are two cores. The
transports take turns, round by round, and the best round of each counts: noise only ever adds. Prints one line for
each round, then one JSON object whose `native_us`, `httpx_us` and `ratio` map "1" (one request at a time) and "32" (as
many at once) to the figure; `floor_us` is the same through httpx's API with a transport that answers out of memory.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable

import httpx
import trio

from benchmarks.http_peer import BODY, served
from host.http.client import PoolLimits, TrioTransport

REQUEST = {"model": "fake", "messages": [{"role": "user", "content": "hi"}]}
AT_ONCE = (1, 32)


class _Memory(httpx.AsyncBaseTransport):
    """Answers at once: what is measured is httpx's API alone."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        headers = [(b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % len(BODY))]
        return httpx.Response(200, headers=headers, stream=httpx.ByteStream(BODY))


def _native() -> httpx.AsyncBaseTransport:
    return TrioTransport(limits=PoolLimits(connections_max=100))


def _httpx() -> httpx.AsyncBaseTransport:
    return httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=100, max_keepalive_connections=100))


TRANSPORTS: dict[str, Callable[[], httpx.AsyncBaseTransport]] = {
    "native": _native,
    "httpx": _httpx,
    "floor": _Memory,
}


async def _measure(client: httpx.AsyncClient, url: str, at_once: int, requests: int) -> float:
    """Microseconds of wall clock for each of `requests`, made by `at_once` tasks."""

    async def caller(count: int) -> None:
        for _ in range(count):
            response = await client.post(url, json=REQUEST)
            assert response.json()["id"] == "x"

    each = max(1, requests // at_once)
    began = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(at_once):
            nursery.start_soon(caller, each)
    return (time.perf_counter() - began) / (each * at_once) * 1e6


async def _compare(url: str, requests: int, rounds: int) -> dict[str, dict[int, float]]:
    best: dict[str, dict[int, float]] = {name: {} for name in TRANSPORTS}
    for at_once in AT_ONCE:
        for number in range(rounds):
            for name, make in TRANSPORTS.items():
                async with httpx.AsyncClient(transport=make()) as client:
                    await _measure(client, url, at_once, at_once * 4)
                    us = await _measure(client, url, at_once, requests)
                best[name][at_once] = min(us, best[name].get(at_once, us))
                print(f"round {number + 1}: {name:>6} at {at_once:>2} at once: {us:8.1f} µs a request")
    return best


def main() -> None:
    """Run the comparison and print it."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--requests", type=int, default=1600, help="requests for each measurement")
    arguments.add_argument("--rounds", type=int, default=5, help="measurements, of which the best counts")
    options = arguments.parse_args()
    with served() as port:
        best = trio.run(_compare, f"http://127.0.0.1:{port}/v1/chat/completions", options.requests, options.rounds)
    document = {
        "benchmark": "http_client",
        "at_once": AT_ONCE,
        **{f"{name}_us": {str(n): round(us, 1) for n, us in best[name].items()} for name in TRANSPORTS},
        "ratio": {str(n): round(best["httpx"][n] / best["native"][n], 2) for n in AT_ONCE},
        "requests": options.requests,
        "rounds": options.rounds,
        "python": platform.python_version(),
        "httpx": httpx.__version__,
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
