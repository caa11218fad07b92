"""Requests a second of the native engine against uvicorn (uvloop, httptools) and hypercorn (trio), one bare ASGI app.

    python -m benchmarks.http_lane [--seconds N] [--rounds N]

Each server runs alone in a process of its own on one core; the load comes from the other: wrk where it is installed,
else a small generator of our own, both without pipelining. The servers take turns, round by round, and the best round
of each counts: noise only ever takes away. `cpu_us` is the processor time for each request, which noise touches least.
Prints one line for each round, then one JSON object.
"""

import argparse
import json
import os
import platform
import re
import select
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CONNECTIONS = 32
BODY = b'{"ok":true}'
REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
SERVERS = ("native", "uvicorn", "hypercorn")
_UNITS_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The app that all of them serve."""
    if scope["type"] != "http":
        raise NotImplementedError
    await receive()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


def serve(name: str) -> None:
    """Serve for ever on a free port, which is printed first."""
    pin(0)
    if name == "uvicorn":
        import uvicorn

        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        print(listener.getsockname()[1], flush=True)
        config = uvicorn.Config(
            app, loop="uvloop", http="httptools", lifespan="off", access_log=False, log_level="error"
        )
        uvicorn.Server(config).run([listener])
        return
    import trio

    if name == "hypercorn":
        import hypercorn.trio
        from hypercorn.config import Config

        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        print(listener.getsockname()[1], flush=True)
        plain = Config()
        plain.bind = [f"fd://{listener.detach()}"]
        plain.loglevel = "error"
        trio.run(hypercorn.trio.serve, app, plain)
        return
    from host.http.engine import bind, engine_named
    from host.http.limits import Limits

    async def run() -> None:
        sockets = bind("127.0.0.1", 0)
        print(sockets[0].getsockname()[1], flush=True)
        await engine_named("native").serve(app, sockets, Limits(), drain=trio.Event())

    trio.run(run)


def pin(core: int) -> None:
    """Stay on one core, where the system lets us choose and there are two."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {core})


def on_core(core: int) -> list[str]:
    """What stands before a command so that it stays on one core."""
    return ["taskset", "-c", str(core)] if shutil.which("taskset") and (os.cpu_count() or 1) > 1 else []


@contextmanager
def served(name: str) -> Iterator[tuple[int, int]]:
    """A server in a process of its own; its port and process id."""
    command = [sys.executable, "-m", "benchmarks.http_lane", "--serve", name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline())
            wait_until_served(port)
            yield port, process.pid
        finally:
            process.kill()


def wait_until_served(port: int) -> None:
    """Return once a connection is accepted."""
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"nothing listens on port {port}")


def cpu_s(pid: int) -> float:
    """The processor time that a process has used; 0 where the system has no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(port: int, seconds: float) -> tuple[float, float]:
    """Requests a second, and the 99th percentile of their time in milliseconds."""
    return load_with_wrk(port, seconds) if shutil.which("wrk") else load_with_sockets(port, seconds)


def load_with_wrk(port: int, seconds: float) -> tuple[float, float]:
    """By wrk: one thread, as many connections as the benchmark has."""
    command = [
        *on_core(1),
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds:g}s",
        "--latency",
        f"http://127.0.0.1:{port}/",
    ]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", out)
    assert rate, out
    assert p99, out
    assert "Non-2xx" not in out, out
    return float(rate[1]), float(p99[1]) * _UNITS_MS[p99[2]]


def load_with_sockets(port: int, seconds: float) -> tuple[float, float]:
    """By sockets of our own, for machines without wrk."""
    poll = select.poll()
    sockets = {}
    began = {}
    for _ in range(CONNECTIONS):
        sock = socket.create_connection(("127.0.0.1", port))
        sockets[sock.fileno()] = sock
        poll.register(sock, select.POLLIN)
        began[sock.fileno()] = time.perf_counter()
        sock.send(REQUEST)
    times = []
    start = now = time.perf_counter()
    while now < start + seconds:
        for number, _ in poll.poll(1000):
            assert BODY in sockets[number].recv(65536)
            now = time.perf_counter()
            times.append(now - began[number])
            began[number] = now
            sockets[number].send(REQUEST)
    for sock in sockets.values():
        sock.close()
    times.sort()
    return len(times) / (now - start), times[int(len(times) * 0.99)] * 1e3


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=4, help="how long each round loads each server")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, of which the best counts")
    parser.add_argument("--serve", choices=SERVERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    best: dict[str, tuple[float, float]] = {}
    least_us: dict[str, float] = {}
    for number in range(options.rounds):
        for name in SERVERS:
            with served(name) as (port, pid):
                load(port, 1)
                began_s = cpu_s(pid)
                rps, p99_ms = load(port, options.seconds)
                cost_us = (cpu_s(pid) - began_s) / (rps * options.seconds) * 1e6
            print(
                f"round {number + 1}: {name:>9} {rps:8.0f} requests/s, p99 {p99_ms:.2f} ms,"
                f" {cost_us:.1f} µs of its core each",
                flush=True,
            )
            best[name] = max(best.get(name, (0.0, 0.0)), (rps, p99_ms))
            least_us[name] = min(least_us.get(name, cost_us), cost_us)
    document = {
        "benchmark": "http_lane",
        "connections": CONNECTIONS,
        **{f"{name}_rps": round(best[name][0]) for name in SERVERS},
        "ratio_to_uvicorn": round(best["native"][0] / best["uvicorn"][0], 2),
        "p99_ms": round(best["native"][1], 2),
        "uvicorn_p99_ms": round(best["uvicorn"][1], 2),
        "cpu_us": {name: round(least_us[name], 1) for name in SERVERS},
        "rounds": options.rounds,
        "seconds": options.seconds,
        "load": "wrk" if shutil.which("wrk") else "own sockets",
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
