"""A thousand clients that hardly read, a thousand that hardly write, and a hundred busy ones among them, for a minute.

    python -m benchmarks.soak_http [--seconds N] [--slow N] [--busy N] [--leave N]

The server runs alone on one core, all clients on the other. The busy clients are measured alone first, then among the
slow ones. Some more clients leave in the middle of an answer, of a wait or of a body, beside everybody else: how long
their handlers work on is `cancel_p50_ms` and `cancel_p99_ms`. Prints one JSON object. Every connection is accounted
for: what is not as it should be stands in `failures`, and the exit code is 1.
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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.http_lane import pin, wait_until_served

CHUNK = bytes(64 * 1024)
ANSWER = b'{"ok":true}'
BUSY = b"GET /busy HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
READER = b"GET /endless HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
WRITER = b"POST /upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000000\r\n\r\n"
LEAVERS = {
    "streaming": b"GET /leave/%d HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "waiting": b"GET /wait/%d HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "reading": b"POST /read/%d HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nonly this",
}
# The busy clients' p99 among the slow ones against alone, and a handler's end.
P99_RATIO_MAX = 2.0
CANCEL_MS_MAX = 50.0
# How often each slow client reads or writes its little.
SLOW_PERIOD_S = 0.5
SLOW_READ_BYTES = 4096
SLOW_WRITE_BYTES = 100


def serve() -> None:
    """The server: endless answers, endless uploads, short requests, its engine's counts, and when handlers ended."""
    import dataclasses

    import trio

    from host.http.engine import bind, engine_named
    from host.http.limits import Limits

    engine = engine_named("native")
    ended: dict[str, float] = {}

    async def stream(send: Any, pause_s: float) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
            await trio.sleep(pause_s)

    async def be_left(scope: Any, receive: Any, send: Any) -> None:
        _, kind, number = scope["path"].split("/")
        try:
            if kind == "leave":
                await stream(send, 0.01)
            while kind == "read" and (await receive()).get("more_body"):
                pass
            await trio.sleep_forever()
        finally:
            ended[number] = time.monotonic()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = ANSWER
        if scope["path"] == "/counts":
            body = json.dumps({"engine": dataclasses.asdict(engine.statistics()), "ended": ended}).encode()
        elif scope["path"] == "/endless":
            await stream(send, 0)
        elif scope["path"].count("/") == 2:
            await be_left(scope, receive, send)
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


def be_slow(port: int, count: int, leavers: int, seconds: float) -> None:
    """So many slow readers and as many slow writers, until standard input ends; says when all are connected.

    Meanwhile the leavers come and go, one after the other. Prints at last who was cut, and when which leaver left.
    """
    pin(1)
    clients = []
    for number in range(2 * count):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        sock.connect(("127.0.0.1", port))
        sock.sendall(READER if number < count else WRITER)
        sock.setblocking(False)
        clients.append(sock)
    print("connected", flush=True)
    read_bytes, cut, leaving, left = [0] * count, set[int](), list[socket.socket](), dict[int, float]()
    began = time.perf_counter()
    turn = 0
    while not select.select([sys.stdin], [], [], 0.002)[0]:
        passed_s = time.perf_counter() - began
        # A few at a time, so that the busy clients' core is never held for long.
        while turn < int(passed_s / SLOW_PERIOD_S * len(clients)):
            number = turn % len(clients)
            turn += 1
            try:
                if number in cut:
                    continue
                if number >= count:
                    clients[number].send(bytes(SLOW_WRITE_BYTES))
                elif data := clients[number].recv(SLOW_READ_BYTES):
                    read_bytes[number] += len(data)
                else:
                    cut.add(number)
            except BlockingIOError:
                pass
            except OSError:
                cut.add(number)
        # Once the buffers of the slow readers are full.
        if len(left) < leavers and passed_s > (0.2 + 0.7 * len(left) / leavers) * seconds:
            leaving.append(socket.create_connection(("127.0.0.1", port)))
            kinds = list(LEAVERS.values())
            leaving[-1].send(kinds[len(leaving) % len(kinds)] % (len(leaving) - 1))
            # The one before has had its time to begin.
            if len(leaving) > 1:
                leaving[-2].close()
                left[len(leaving) - 2] = time.monotonic()
    starved = sum(not size for size in read_bytes)
    print(json.dumps({"cut": len(cut), "starved": starved, "left": left, "made": len(leaving)}), flush=True)


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


def ask(port: int) -> dict[str, Any]:
    """What the engine says of its connections, the one that asks not counted, and when which handler ended."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"GET /counts HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    found: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
    found["engine"]["open_connections"] -= 1
    return found


def memory_mib(pid: int) -> float:
    """The resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


@contextmanager
def child(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Another process of this benchmark, killed at the end."""
    command = [sys.executable, "-m", "benchmarks.soak_http", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    """The next line that it prints."""
    assert process.stdout is not None
    return process.stdout.readline()


def soak(options: argparse.Namespace) -> dict[str, Any]:
    """Run it all."""
    pin(1)
    with child("--serve") as server:
        port = int(line_of(server))
        wait_until_served(port)
        be_busy(port, options.busy, 2)
        alone_rps, alone_ms = be_busy(port, options.busy, min(15, options.seconds))
        memory = {"before": memory_mib(server.pid)}
        before = ask(port)["engine"]
        sizes = ["--slow", str(options.slow), "--leave", str(options.leave), "--seconds", str(options.seconds)]
        rates = []
        with child("--be-slow", str(port), *sizes) as slow:
            line_of(slow)
            for name in ("first_quarter", "half", "third_quarter", "end"):
                rates.append(be_busy(port, options.busy, options.seconds / 4))
                memory[name] = memory_mib(server.pid)
            during = ask(port)["engine"]
            assert slow.stdin is not None
            slow.stdin.close()
            report = json.loads(line_of(slow))
            slow.wait()
        asked = 2
        deadline = time.monotonic() + 10
        while (after := ask(port))["engine"]["open_connections"] and time.monotonic() < deadline:
            asked += 1
            time.sleep(0.1)
    among_ms = sorted(p99 for _, p99 in rates)[len(rates) // 2]
    # A handler that never ended counts with the whole time.
    ended = {number: after["ended"].get(number, left_s + options.seconds) for number, left_s in report["left"].items()}
    cancel_ms = sorted((ended[number] - left_s) * 1e3 for number, left_s in report["left"].items())
    document = {
        "benchmark": "soak_http",
        "seconds": options.seconds,
        "slow_readers": options.slow,
        "slow_writers": options.slow,
        "busy_clients": options.busy,
        "busy_alone": {"rps": round(alone_rps), "p99_ms": round(alone_ms, 2)},
        "busy_among_slow": {"rps": round(sum(rps for rps, _ in rates) / len(rates)), "p99_ms": round(among_ms, 2)},
        "p99_ratio": round(among_ms / alone_ms, 2),
        "cancel_p50_ms": round(cancel_ms[len(cancel_ms) // 2], 1),
        "cancel_p99_ms": round(cancel_ms[int(len(cancel_ms) * 0.99)], 1),
        "memory_mib": {name: round(mib, 1) for name, mib in memory.items()},
        "open_during": during["open_connections"],
        "slow_clients": {"cut": report["cut"], "that_read_nothing": report["starved"]},
        "counts_after": after["engine"],
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }
    made = 4 * options.busy + 2 * options.slow + report["made"] + asked
    accepted = after["engine"]["accepted_connections_total"] - before["accepted_connections_total"]
    document["failures"] = list(failures(document, unknown=accepted - made))
    return document


def failures(document: dict[str, Any], unknown: int) -> Iterator[str]:
    """What is not as it should be. `unknown` is how many more connections the server saw than were made."""
    counts, slow = document["counts_after"], document["slow_clients"]
    expected = document["slow_readers"] + document["slow_writers"]
    if document["open_during"] < expected:
        yield f"{expected - document['open_during']} of {expected} slow connections were not open at the end"
    if slow["cut"] or slow["that_read_nothing"]:
        yield f"{slow['cut']} slow clients were cut, {slow['that_read_nothing']} read nothing"
    if counts["open_connections"]:
        yield f"{counts['open_connections']} connections are open after all clients have left"
    if unknown:
        yield f"the server accepted {unknown:+} connections beside those that were made"
    for name, count in counts.items():
        if count and name not in ("open_connections", "accepted_connections_total"):
            yield f"{name} is {count}"
    if document["p99_ratio"] > P99_RATIO_MAX:
        yield f"the busy clients' p99 is {document['p99_ratio']} times its value alone"
    if document["cancel_p99_ms"] > CANCEL_MS_MAX:
        yield f"a handler worked on for {document['cancel_p99_ms']} ms after its client had left"


def main() -> None:
    """Run the soak and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="how long the slow ones stay")
    parser.add_argument("--slow", type=int, default=1000, help="slow readers, and slow writers")
    parser.add_argument("--busy", type=int, default=100, help="busy clients")
    parser.add_argument("--leave", type=int, default=300, help="clients that leave their handlers alone")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--be-slow", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    files_max = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(files_max, 65536), files_max))
    if options.serve:
        serve()
    elif options.be_slow:
        be_slow(options.be_slow, options.slow, options.leave, options.seconds)
    else:
        document = soak(options)
        print(json.dumps(document))
        sys.exit(1 if document["failures"] else 0)


if __name__ == "__main__":
    main()
