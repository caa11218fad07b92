"""A thousand clients that hardly read, a thousand that hardly write, and a hundred busy ones among them, for a minute.

    python -m benchmarks.soak_http [--seconds N] [--slow N] [--busy N]

The server runs alone on one core, all clients on the other. The busy clients are measured alone first, then among the
slow ones. Prints one JSON object: the busy clients' 99th percentile in both cases and their ratio, the server's memory
at the beginning, middle and end of the soak, and what the engine says of its connections when all clients have left.
"""

import argparse
import json
import os
import platform
import resource
import select
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.http_lane import pin, wait_until_served

CHUNK = bytes(64 * 1024)
ANSWER = b'{"ok":true}'
BUSY = b"GET /busy HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
READER = b"GET /endless HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
WRITER = b"POST /upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000000\r\n\r\n"
# How often each slow client reads or writes its little.
SLOW_PERIOD_S = 0.5
SLOW_READ_BYTES = 4096
SLOW_WRITE_BYTES = 100


def serve() -> None:
    """The server: endless answers, endless uploads, short requests, and its engine's counts."""
    import dataclasses

    import trio

    from host.http.engine import bind, engine_named
    from host.http.limits import Limits

    engine = engine_named("native")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = ANSWER
        if scope["path"] == "/counts":
            body = json.dumps(dataclasses.asdict(engine.statistics())).encode()
        elif scope["path"] == "/endless":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
        else:
            while (await receive()).get("more_body"):
                pass
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def run() -> None:
        pin(0)
        sockets = bind("127.0.0.1", 0)
        print(sockets[0].getsockname()[1], flush=True)
        await engine.serve(app, sockets, Limits(), drain=trio.Event())

    trio.run(run)


def be_slow(port: int, count: int) -> None:
    """So many slow readers and as many slow writers, until standard input ends; says when all are connected."""
    pin(1)
    clients: list[tuple[socket.socket, bool]] = []
    for number in range(2 * count):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        sock.connect(("127.0.0.1", port))
        is_reader = number < count
        sock.sendall(READER if is_reader else WRITER)
        sock.setblocking(False)
        clients.append((sock, is_reader))
    print("connected", flush=True)
    cut = 0
    began = time.perf_counter()
    turn = 0
    while not select.select([sys.stdin], [], [], 0.002)[0]:
        # A few at a time, so that the busy clients' core is never held for long.
        due = int((time.perf_counter() - began) / SLOW_PERIOD_S * len(clients))
        while turn < due:
            sock, is_reader = clients[turn % len(clients)]
            turn += 1
            try:
                if is_reader:
                    cut += not sock.recv(SLOW_READ_BYTES)
                else:
                    sock.send(bytes(SLOW_WRITE_BYTES))
            except BlockingIOError:
                pass
            except OSError:
                cut += 1
    print(cut, flush=True)


def be_busy(port: int, count: int, seconds: float) -> tuple[float, float]:
    """Requests a second of so many clients, and the 99th percentile of their time in milliseconds."""
    poll = select.epoll()
    sockets, began, times = {}, {}, []
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", port))
        sockets[sock.fileno()] = sock
        poll.register(sock, select.EPOLLIN)
        began[sock.fileno()] = time.perf_counter()
        sock.send(BUSY)
    start = now = time.perf_counter()
    while now < start + seconds:
        for number, _ in poll.poll(1):
            assert ANSWER in sockets[number].recv(65536)
            now = time.perf_counter()
            times.append(now - began[number])
            began[number] = now
            sockets[number].send(BUSY)
    poll.close()
    for sock in sockets.values():
        sock.close()
    times.sort()
    return len(times) / (now - start), times[int(len(times) * 0.99)] * 1e3


def counts(port: int) -> dict[str, int]:
    """What the engine says of its connections; the one that asks is not counted."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"GET /counts HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    found: dict[str, int] = json.loads(answer.partition(b"\r\n\r\n")[2])
    found["open_connections"] -= 1
    return found


def memory_mib(pid: int) -> float:
    """The resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def soak(options: argparse.Namespace) -> dict[str, Any]:
    """Run it all."""
    pin(1)
    this = [sys.executable, "-m", "benchmarks.soak_http"]
    with subprocess.Popen([*this, "--serve"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        wait_until_served(port)
        try:
            be_busy(port, options.busy, 2)
            alone_rps, alone_ms = be_busy(port, options.busy, min(15, options.seconds))
            memory = {"before": memory_mib(server.pid)}
            slow = subprocess.Popen(
                [*this, "--be-slow", str(port), "--slow", str(options.slow)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert slow.stdout is not None
            assert slow.stdin is not None
            slow.stdout.readline()
            quarter_s = options.seconds / 4
            rates = []
            for name in ("first_quarter", "half", "third_quarter", "end"):
                rates.append(be_busy(port, options.busy, quarter_s))
                memory[name] = memory_mib(server.pid)
            during = counts(port)
            slow.stdin.close()
            cut = int(slow.stdout.readline())
            slow.wait()
            deadline = time.monotonic() + 10
            while (after := counts(port))["open_connections"] and time.monotonic() < deadline:
                time.sleep(0.1)
        finally:
            server.kill()
    among_ms = sorted(p99 for _, p99 in rates)[len(rates) // 2]
    return {
        "benchmark": "soak_http",
        "seconds": options.seconds,
        "slow_readers": options.slow,
        "slow_writers": options.slow,
        "busy_clients": options.busy,
        "busy_alone": {"rps": round(alone_rps), "p99_ms": round(alone_ms, 2)},
        "busy_among_slow": {"rps": round(sum(rps for rps, _ in rates) / len(rates)), "p99_ms": round(among_ms, 2)},
        "p99_ratio": round(among_ms / alone_ms, 2),
        "memory_mib": {name: round(mib, 1) for name, mib in memory.items()},
        "open_during": during["open_connections"],
        "slow_clients_cut": cut,
        "counts_after": after,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }


def main() -> None:
    """Run the soak and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="how long the slow ones stay")
    parser.add_argument("--slow", type=int, default=1000, help="slow readers, and slow writers")
    parser.add_argument("--busy", type=int, default=100, help="busy clients")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--be-slow", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    files_max = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(files_max, 65536), files_max))
    if options.serve:
        serve()
    elif options.be_slow:
        be_slow(options.be_slow, options.slow)
    else:
        print(json.dumps(soak(options)))


if __name__ == "__main__":
    main()
