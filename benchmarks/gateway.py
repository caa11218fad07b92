"""The gateway against its own upstream: what it adds to a request, and how many it carries.

    python -m benchmarks.gateway [--engine native|hypercorn] [--requests N] [--peer NAME=URL=MODEL ...]

The gateway runs as a host of its own with no other plugin, memory cache, no database; its upstream is a process that
answers at once (`benchmarks.gateway_peer`); the load comes from this one, over raw sockets with prepared bytes. Another
gateway that runs already in front of the same kind of upstream is measured by the same load with `--peer`.

Prints lines, then one JSON object:

- `pass_rps`: requests a second, 32 at once, each to the upstream; `hit_rps`: each out of the cache;
- `overhead_p50_us`, `overhead_p99_us`: one request at a time, minus the median of the upstream asked directly;
- `ttft_overhead_p50_us`: likewise until the first event of a stream;
- `…_cpu_us`: what one request costs the gateway's process, which a busy machine disturbs less than rates;
- `streams_per_s`: streams of 50 chunks, 32 at once; `paced`: 500 streams of 50 chunks a second each;
- `rss_mb`: after all that; `cold_start_s`: from the start of the process to its first answer.
"""

import argparse
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import trio

AT_ONCE = 32
PACED_STREAMS = 500
WARM_UP = 200
CONFIG = """
[server]
port = 0
engine = "{engine}"
[data]
dir = "{data}"
[log]
level = "warning"
[plugins.gateway]
providers_from_environment = false
providers = {{ bench = {{ base_url = "http://127.0.0.1:{port}/v1" }} }}
[plugins.gateway.simulated]
enabled = "off"
"""


class Wire:
    """One connection that sends prepared requests and reads answers up to their end."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._rest = b""
        self.first_ns = 0

    async def ask(self, request: bytes) -> bytes:
        """The answer, headers and all; `first_ns` is when its first event, or its end, came."""
        await self._stream.send_all(request)
        data, self._rest, self.first_ns = self._rest, b"", 0
        while True:
            if not self.first_ns and b"\r\ndata: " in data:
                self.first_ns = time.perf_counter_ns()
            if (end := _end_of(data)) is not None:
                self._rest = data[end:]
                self.first_ns = self.first_ns or time.perf_counter_ns()
                return data[:end]
            more = await self._stream.receive_some(262_144)
            if not more:
                raise SystemExit(f"the connection ended early: {data[:300]!r}")
            data += more

    async def aclose(self) -> None:
        await self._stream.aclose()


def _end_of(data: bytes) -> int | None:
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return None
    headers = data[:head].lower()
    place = headers.find(b"content-length: ")
    if place >= 0:
        size = int(headers[place + 16 :].partition(b"\r\n")[0])
        return head + 4 + size if len(data) >= head + 4 + size else None
    end = data.find(b"0\r\n\r\n", head)
    while end >= 0 and data[end - 2 : end] != b"\r\n":
        end = data.find(b"0\r\n\r\n", end + 1)
    return end + 5 if end >= 0 else None


def request_of(model: str, text: str, *, stream: bool = False, store: bool = False) -> bytes:
    """A request, ready to be sent."""
    body = json.dumps(
        {"model": model, "messages": [{"role": "user", "content": text}], **({"stream": True} if stream else {})}
    ).encode()
    control = "" if store else "cache-control: no-store\r\n"
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n{control}"
    return f"{head}authorization: Bearer sk-bench\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


async def connect(port: int) -> Wire:
    """A connection without Nagle's delay."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Wire(stream)


async def throughput(port: int, request: bytes, count: int, mark: bytes) -> float:
    """Requests a second, `AT_ONCE` at once; each answer must hold `mark`."""
    each = count // AT_ONCE

    async def caller(number: int) -> None:
        wire = await connect(port)
        for _ in range(number):
            answer = await wire.ask(request)
            if mark not in answer:
                raise SystemExit(f"not the answer: {answer[:400]!r}")
        await wire.aclose()

    await caller(WARM_UP)
    began = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(AT_ONCE):
            nursery.start_soon(caller, each)
    return each * AT_ONCE / (time.perf_counter() - began)


async def latencies_us(port: int, request: bytes, count: int) -> tuple[list[float], list[float]]:
    """One request at a time: microseconds to the first event and to the end, sorted."""
    wire = await connect(port)
    firsts, ends = [], []
    for number in range(count + WARM_UP):
        began_ns = time.perf_counter_ns()
        await wire.ask(request)
        if number >= WARM_UP:
            firsts.append((wire.first_ns - began_ns) / 1e3)
            ends.append((time.perf_counter_ns() - began_ns) / 1e3)
    await wire.aclose()
    return sorted(firsts), sorted(ends)


async def paced(port: int, model: str) -> dict[str, float]:
    """Many slow streams at once: how many were whole, and how late they ended."""
    durations: list[float] = []

    async def follow(number: int) -> None:
        await trio.sleep(number * 0.001)
        wire = await connect(port)
        began = time.perf_counter()
        answer = await wire.ask(request_of(model, f"paced {number}", stream=True))
        if answer.count(b" token") == 50 and b"[DONE]" in answer:
            durations.append(time.perf_counter() - began)
        await wire.aclose()

    with trio.move_on_after(30):
        async with trio.open_nursery() as nursery:
            for number in range(PACED_STREAMS):
                nursery.start_soon(follow, number)
    durations.sort()
    late_s = [duration - 1.0 for duration in durations] or [float("nan")]
    return {
        "streams": PACED_STREAMS,
        "whole": len(durations),
        "late_p50_ms": round(median(late_s) * 1000, 1),
        "late_p99_ms": round(late_s[int(len(late_s) * 0.99) - 1] * 1000, 1),
    }


@contextmanager
def upstream() -> Iterator[int]:
    """The upstream's port."""
    command = [sys.executable, "-m", "benchmarks.gateway_peer"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peer:
        assert peer.stdout is not None
        assert peer.stdin is not None
        yield int(peer.stdout.readline())
        peer.stdin.close()


@contextmanager
def gateway(upstream_port: int, engine: str) -> Iterator[tuple[int, int, float]]:
    """A host with the gateway alone: its port, its process, and the seconds that it took to its first answer."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.toml"
        sections = [f"[plugins.{name}]\nenabled = false\n" for name in _other_plugins()]
        config.write_text(CONFIG.format(engine=engine, data=folder, port=upstream_port) + "\n".join(sections))
        began = time.perf_counter()
        command = [sys.executable, "-m", "host.cli", "run", "--config", str(config)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            assert process.stdout is not None
            port = 0
            for line in process.stdout:
                if line.startswith("Ready on "):
                    port = int(line.split()[2].rpartition(":")[2])
                    break
            with socket.create_connection(("127.0.0.1", port)) as probe:
                probe.sendall(request_of("bench/m", "first"))
                assert b"200" in probe.recv(65536)[:40]
            cold_start_s = time.perf_counter() - began
            try:
                yield port, process.pid, cold_start_s
            finally:
                process.terminate()


def _other_plugins() -> list[str]:
    folder = Path(__file__).parents[1] / "plugins"
    return [each.name for each in folder.iterdir() if (each / "__init__.py").exists() and each.name != "gateway"]


def cpu_s(pid: int) -> float:
    """What a process has used of the processor, in the kernel too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def throughput_and_cpu(pid: int, port: int, request: bytes, count: int, mark: bytes) -> tuple[float, float]:
    """The best rate of three, and the least of the gateway's own processor time for one request in microseconds."""
    rates, costs = [], []
    for _ in range(3):
        before = cpu_s(pid) if pid else 0.0
        rates.append(await throughput(port, request, count, mark))
        costs.append(((cpu_s(pid) if pid else 0.0) - before) / (count + WARM_UP) * 1e6)
    return max(rates), min(costs)


def rss_mb(pid: int) -> float:
    """The resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


async def measure(port: int, model: str, direct: tuple[float, float], requests: int, *, pid: int = 0) -> dict[str, Any]:
    """All figures of one gateway. `direct`: the upstream's own medians, to the end and to the first event. `pid`: the
    process, when it is ours, which has a cache and whose processor time counts."""
    whole, stream = request_of(model, "hello"), request_of(model, "hello", stream=True)
    _, ends = await latencies_us(port, whole, requests // 8)
    firsts, _ = await latencies_us(port, stream, requests // 16)
    rate, cost = await throughput_and_cpu(pid, port, whole, requests, b'"hi"')
    figures: dict[str, Any] = {
        "pass_rps": round(rate),
        "pass_cpu_us": round(cost),
        "overhead_p50_us": round(median(ends) - direct[0]),
        "overhead_p99_us": round(ends[int(len(ends) * 0.99)] - direct[0]),
        "ttft_overhead_p50_us": round(median(firsts) - direct[1]),
    }
    if pid:
        hit = request_of(model, "cached", store=True)
        await throughput(port, hit, AT_ONCE, b"200")
        rate, cost = await throughput_and_cpu(pid, port, hit, requests * 2, b"x-quartet-cache: hit")
        _, alone = await latencies_us(port, hit, requests // 8)
        figures |= {"hit_rps": round(rate), "hit_cpu_us": round(cost), "hit_p50_us": round(median(alone))}
    rate, cost = await throughput_and_cpu(pid, port, stream, requests // 8, b"[DONE]")
    figures |= {"streams_per_s": round(rate), "stream_cpu_us": round(cost)}
    figures["paced"] = await paced(port, model.replace("/m", "/paced"))
    return figures


async def run(options: argparse.Namespace, port: int) -> dict[str, Any]:
    """Measure the gateway, then the peers."""
    _, ends = await latencies_us(port, request_of("m", "hello"), options.requests // 8)
    firsts, _ = await latencies_us(port, request_of("m", "hello", stream=True), options.requests // 16)
    direct = (median(ends), median(firsts))
    print(f"the upstream alone: {direct[0]:.0f} µs, {direct[1]:.0f} µs to the first event")
    with gateway(port, options.engine) as (gateway_port, pid, cold_start_s):
        idle_mb = rss_mb(pid)
        document = await measure(gateway_port, "bench/m", direct, options.requests, pid=pid)
        document |= {"rss_mb": round(rss_mb(pid), 1), "rss_idle_mb": round(idle_mb, 1)}
        document["cold_start_s"] = round(cold_start_s, 2)
    print(f"quartet ({options.engine}): {json.dumps(document)}")
    for peer in options.peer:
        name, url, model = peer.split("=")
        peer_port = int(url.rstrip("/").rpartition(":")[2])
        figures = await measure(peer_port, model, direct, max(512, options.requests // 8))
        print(f"{name}: {json.dumps(figures)}")
        document |= {name: figures, f"ratio_{name}": round(document["pass_rps"] / figures["pass_rps"], 1)}
    host = {"python": platform.python_version(), "trio": trio.__version__, "cores": os.cpu_count()}
    return {
        "benchmark": "gateway",
        "engine": options.engine,
        **document,
        "direct_p50_us": round(direct[0]),
        "host": host,
    }


def main() -> None:
    """Parse the arguments, run, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="native")
    parser.add_argument("--requests", type=int, default=8000, help="requests of the largest measurement")
    parser.add_argument("--peer", action="append", default=[], help="NAME=http://127.0.0.1:PORT=MODEL, running already")
    options = parser.parse_args()
    with upstream() as port:
        print(json.dumps(trio.run(run, options, port)))


if __name__ == "__main__":
    main()
