"""The gateway against its own upstream: what it adds to a request, and how many it carries.

    python -m benchmarks.gateway [--seconds N] [--rounds N] [--no-peers]

The gateway runs as a host of its own with no other plugin, memory cache, no database, one virtual key with limits and a
budget, and prices: what a request costs its user is what is measured. Its upstream is a process that answers at once
(`benchmarks.http_peer`); the load comes from this one, over bare sockets with prepared bytes (`benchmarks.http_load`).
LiteLLM and Portkey are measured the same way, in the same run, where `make bench-peers` has installed them.

Prints a line for each system, then one JSON object; of rates the best round counts, of costs the least:

- `pass_rps`: requests a second, 32 at once, each to the upstream and past the cache; `hit_rps`: each out of the cache;
  `miss_rps`: each looked up there, sent on as a call that others may join, and kept;
- `overhead_p50_us`, `overhead_p99_us`: one request at a time, minus the median of the upstream asked directly;
- `ttft_overhead_p50_us`: likewise until the first event of a stream;
- `hit_p50_us`: one hit at a time, connection and all;
- `streams_per_s`: streams of 50 chunks at once, 32 at once;
- `paced`: 500 streams of 50 chunks a second each, all at once. `on_time` of them were whole and had no chunk that came
  later than the next one was sent; `delay_..._ms` is a chunk's way from the upstream's socket to the client's;
- `..._cpu_us`: what one request (of `paced`: one chunk) costs the process; a busy machine disturbs it less than rates;
- `rss_mb`: after all that but the misses, with which the cache fills; `cold_start_s`: from the start of the process to
  its first answer;
- `floors`: the same load on the upstream alone, and on the smallest apps on the native engine
  (`benchmarks.gateway_floors`): `load` is what the generator can do, `answer` bounds hits, `call` what is passed on.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

import trio

from benchmarks import gateway_floors, http_peer
from benchmarks.gateway_rivals import KEY, RIVALS, RivalMissing
from benchmarks.http_lane import cpu_s, wait_until_served
from benchmarks.http_load import LoadError, ask, connect, follow_streams, many_at_once, one_at_a_time, post

AT_ONCE: Final = 32
PACED_STREAMS: Final = 500
WARM_UP_S: Final = 5.0
"""Node compiles what it has run some thousand times; everybody gets as much time for that."""
ALONE: Final = 2000
"""Requests one at a time, and for how many seconds of them at the most."""
ALONE_S: Final = 10.0
SERIAL: Final = "0" * 20
CONFIG: Final = """
[server]
port = 0
[data]
dir = "{data}"
[log]
level = "warning"
[plugins.gateway]
providers_from_environment = false
[plugins.gateway.providers.bench]
base_url = "http://127.0.0.1:{port}/v1"
api_key = {{ env = "BENCH_UPSTREAM_KEY" }}
[plugins.gateway.prices]
"bench/m" = {{ input = 1.0, output = 2.0 }}
[plugins.gateway.virtual_keys.bench]
key = {{ env = "BENCH_KEY" }}
requests_per_minute = 100_000_000
tokens_per_minute = 100_000_000_000
budget_usd = 1_000_000
[plugins.gateway.simulated]
enabled = "off"
"""


def chat(
    model: str, text: str, headers: Mapping[str, str] | None = None, *, stream: bool = False, store: bool = False
) -> bytes:
    """A request for chat completions, ready to be sent."""
    document = {"model": model, "messages": [{"role": "user", "content": text}], **({"stream": True} if stream else {})}
    control = {} if store else {"cache_control": "no-store"}
    return post(
        "/v1/chat/completions",
        json.dumps(document).encode(),
        authorization=f"Bearer {KEY}",
        **control,
        **(headers or {}),
    )


@contextmanager
def gateway(upstream_port: int) -> Iterator[tuple[int, int, float]]:
    """A host with the gateway alone: its port, its process, and the seconds that it took to its first answer."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.toml"
        plugins = Path(__file__).parents[1] / "plugins"
        others = [each.parent.name for each in plugins.glob("*/__init__.py") if each.parent.name != "gateway"]
        off = "\n".join(f"[plugins.{name}]\nenabled = false" for name in others)
        config.write_text(CONFIG.format(data=folder, port=upstream_port) + off)
        keys = os.environ | {"BENCH_KEY": KEY, "BENCH_UPSTREAM_KEY": "sk-upstream"}
        began = time.perf_counter()
        command = [sys.executable, "-m", "host.cli", "run", "--config", str(config)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=keys
        ) as process:
            assert process.stdout is not None
            said = []
            for line in process.stdout:
                said.append(line)
                if line.startswith("Ready on "):
                    break
            else:
                raise SystemExit("the host did not start:\n" + "".join(said))
            port = int(said[-1].split()[2].rpartition(":")[2])
            with connect(port) as probe:
                ask(probe, chat("bench/m", "first"))
            cold_start_s = time.perf_counter() - began
            try:
                yield port, process.pid, cold_start_s
            finally:
                process.terminate()


@contextmanager
def floor(kind: str, upstream_port: int) -> Iterator[tuple[int, int]]:
    """One of `benchmarks.gateway_floors`: its port and its process."""
    command = [sys.executable, "-m", "benchmarks.gateway_floors", kind, str(upstream_port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline())
            wait_until_served(port)
            yield port, process.pid
        finally:
            process.kill()


def rss_mb(pid: int) -> float:
    """The resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return round(int(line.split()[1]) / 1024, 1)
    return float("nan")


@dataclass(frozen=True, slots=True)
class Model:
    """What is asked: the name of the upstream's model, and of the one that takes its time; with which headers."""

    name: str
    paced: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Meter:
    """Measures what listens on a port. `pid` is its process, whose processor time counts; 0 when that is not wanted."""

    def __init__(self, port: int, pid: int, model: Model, options: argparse.Namespace) -> None:
        self._port = port
        self._pid = pid
        self._model = model
        self._seconds: float = options.seconds
        self._rounds: int = options.rounds
        self.whole = chat(model.name, "hello", model.headers)
        self.stream = chat(model.name, "hello", model.headers, stream=True)

    def alone(self, request: bytes, mark: bytes) -> tuple[list[float], list[float]]:
        """Microseconds to the first event and to the end, one request at a time."""
        return one_at_a_time(self._port, request, ALONE, ALONE_S, mark)

    def rate(self, request: bytes, mark: bytes, serial: bytes = b"") -> tuple[int, int]:
        """Answers a second, 32 at once, and what each costs the process in microseconds."""
        many_at_once(self._port, request, AT_ONCE, self._seconds / 4, mark, serial)
        rates, costs = [], []
        for _ in range(self._rounds):
            before = cpu_s(self._pid) if self._pid else 0.0
            count, took_s = many_at_once(self._port, request, AT_ONCE, self._seconds, mark, serial)
            rates.append(count / took_s)
            costs.append(((cpu_s(self._pid) if self._pid else 0.0) - before) / count * 1e6)
        return round(max(rates)), round(min(costs))

    def paced(self) -> dict[str, float]:
        """Many slow streams at once."""
        before = cpu_s(self._pid) if self._pid else 0.0
        requests = [
            chat(self._model.paced, f"paced {number}", self._model.headers, stream=True)
            for number in range(PACED_STREAMS)
        ]
        # The last begins while the first still runs.
        streams = follow_streams(self._port, requests, http_peer.CHUNKS * http_peer.INTERVAL_S * 0.9)
        delays = sorted(delay for stream in streams for delay in stream.delays_ms) or [float("nan")]
        late_ms = http_peer.INTERVAL_S * 1000
        on_time = [
            stream.is_whole and len(stream.delays_ms) == http_peer.CHUNKS and max(stream.delays_ms) <= late_ms
            for stream in streams
        ]
        cost_us = (cpu_s(self._pid) - before) / len(delays) * 1e6 if self._pid else 0.0
        return {
            "streams": len(streams),
            "whole": sum(stream.is_whole for stream in streams),
            "on_time": sum(on_time),
            "delay_p50_ms": round(median(delays), 2),
            "delay_p99_ms": round(delays[int(len(delays) * 0.99)], 2),
            "cpu_us": round(cost_us, 1),
        }

    def passed(self, direct: "Direct") -> dict[str, Any]:
        """What is measured of every gateway."""
        for request, mark in ((self.whole, b'"hi"'), (self.stream, b"[DONE]")):
            many_at_once(self._port, request, AT_ONCE, WARM_UP_S, mark)
        _, ends = self.alone(self.whole, b'"hi"')
        firsts, _ = self.alone(self.stream, b"[DONE]")
        pass_rps, pass_cpu_us = self.rate(self.whole, b'"hi"')
        streams_per_s, stream_cpu_us = self.rate(self.stream, b"[DONE]")
        return {
            "pass_rps": pass_rps,
            "pass_cpu_us": pass_cpu_us,
            "overhead_p50_us": round(median(ends) - direct.whole_us),
            "overhead_p99_us": round(ends[int(len(ends) * 0.99)] - direct.whole_us),
            "ttft_overhead_p50_us": round(median(firsts) - direct.first_us),
            "streams_per_s": streams_per_s,
            "stream_cpu_us": stream_cpu_us,
            "paced": self.paced(),
        }

    def hits(self) -> dict[str, int]:
        """What is measured of the cache."""
        request = chat(self._model.name, "cached", self._model.headers, store=True)
        with connect(self._port) as sock:
            ask(sock, request)
        mark = b"x-quartet-cache: hit"
        _, ends = self.alone(request, mark)
        hit_rps, hit_cpu_us = self.rate(request, mark)
        return {"hit_rps": hit_rps, "hit_cpu_us": hit_cpu_us, "hit_p50_us": round(median(ends))}

    def misses(self) -> dict[str, int]:
        """What it costs to fill the cache."""
        # Each of its own, so that it is looked up, sent on as what others may join, and kept.
        miss = chat(self._model.name, SERIAL, self._model.headers, store=True)
        miss_rps, miss_cpu_us = self.rate(miss, b"x-quartet-cache: miss", SERIAL.encode())
        return {"miss_rps": miss_rps, "miss_cpu_us": miss_cpu_us}


@dataclass(frozen=True, slots=True)
class Direct:
    """The upstream asked directly, one request at a time: medians to the end, and to the first event of a stream."""

    whole_us: float
    first_us: float


def measure_floors(port: int, options: argparse.Namespace) -> tuple[Direct, dict[str, Any]]:
    """The upstream alone, and the smallest apps."""
    meter = Meter(port, 0, Model("m", "paced"), options)
    direct = Direct(median(meter.alone(meter.whole, b'"hi"')[1]), median(meter.alone(meter.stream, b"[DONE]")[0]))
    load_rps, _ = meter.rate(meter.whole, b'"hi"')
    floors: dict[str, Any] = {
        "direct_p50_us": round(direct.whole_us),
        "direct_first_p50_us": round(direct.first_us),
        "load_rps": load_rps,
        "paced": meter.paced(),
    }
    for kind in gateway_floors.KINDS:
        with floor(kind, port) as (floor_port, pid):
            meter = Meter(floor_port, pid, Model("m", "paced"), options)
            _, ends = meter.alone(meter.whole, b'"hi"')
            floors[f"{kind}_rps"], floors[f"{kind}_cpu_us"] = meter.rate(meter.whole, b'"hi"')
            floors[f"{kind}_p50_us"] = round(median(ends))
    return direct, floors


def measure_rivals(port: int, direct: Direct, pass_rps: int, options: argparse.Namespace) -> dict[str, Any]:
    """LiteLLM and Portkey, or why they were not measured."""
    made: dict[str, Any] = {}
    for rival in RIVALS:
        model = Model("m", "paced", rival.headers(port))
        try:
            with rival.running(port, chat("m", "first", model.headers)) as (rival_port, pid, cold_start_s):
                figures = Meter(rival_port, pid, model, options).passed(direct)
                figures |= {"rss_mb": rss_mb(pid), "cold_start_s": round(cold_start_s, 2)}
        except (RivalMissing, LoadError, OSError) as error:
            made[rival.name] = f"not measured: {error}"
            made[f"ratio_{rival.name}"] = None
        else:
            made[rival.name] = figures
            made[f"ratio_{rival.name}"] = round(pass_rps / figures["pass_rps"], 1)
        print(f"{rival.name}: {json.dumps(made[rival.name])}", flush=True)
    return made


def main() -> None:
    """Parse the arguments, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each round of 32 at once lasts")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, of which the best counts")
    parser.add_argument("--no-peers", action="store_true", help="measure nobody else's gateway")
    options = parser.parse_args()
    load_1m = round(os.getloadavg()[0], 2)
    with http_peer.served() as port:
        direct, floors = measure_floors(port, options)
        print(f"floors: {json.dumps(floors)}", flush=True)
        with gateway(port) as (gateway_port, pid, cold_start_s):
            idle_mb = rss_mb(pid)
            meter = Meter(gateway_port, pid, Model("bench/m", "bench/paced"), options)
            figures = meter.passed(direct) | meter.hits()
            figures |= {"rss_mb": rss_mb(pid), "rss_idle_mb": idle_mb, "cold_start_s": round(cold_start_s, 2)}
            figures |= meter.misses() | {"rss_with_cache_mb": rss_mb(pid)}
        print(f"quartet: {json.dumps(figures)}", flush=True)
        peers = {} if options.no_peers else measure_rivals(port, direct, figures["pass_rps"], options)
    host = {"python": platform.python_version(), "trio": trio.__version__, "cores": os.cpu_count(), "load_1m": load_1m}
    print(json.dumps({"benchmark": "gateway", **figures, "floors": floors, **peers, "host": host}))


if __name__ == "__main__":
    main()
