"""Whole purchases a second over HTTP: hold a seat, make the order, pay it, and read that it is confirmed.

    python -m benchmarks.checkout [--seconds S] [--at-once N]

The host is a process of its own (native engine) with the simulated payment provider, which it asks over HTTP as it
would ask a real one, and so are Postgres and Redis. `--at-once` keep-alive clients, bare sockets in this process, each
buy one seat after another of an arena of 20,000. Whoever is told "not decided yet" asks again. Prints one JSON object:
`journeys_per_s`, the milliseconds that a journey took, the processor time that each server and this client spent on it,
and what the database says was sold.
"""

import argparse
import contextlib
import json
import os
import platform
import select
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx

from benchmarks.http_load import READ_BYTES, WAIT_S, connect, end_of, post
from benchmarks.servers import cpu_seconds, servers
from host.testing import host_process
from plugins.frontrow.core.history import percentile

ASK_AGAIN_S: Final = 0.005
GET: Final = "GET {} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"


class Buyer:
    """One client: its socket, and the purchase that it is at."""

    def __init__(self, sock: socket.socket, event_id: int, seats: Iterator[int]) -> None:
        self.sock = sock
        self.asks_again_at: float | None = None
        self.waits_ms: list[float] = []
        self.refused = 0
        self.asked_again = 0
        self._event_id = event_id
        self._seats = seats
        self._data = b""
        self._order = ""
        self.begin()

    def begin(self) -> None:
        """Ask for a hold on the next seat."""
        self._began_ns = time.perf_counter_ns()
        self._order = ""
        seat = next(self._seats)
        self._buyer = f"b{seat}"
        self._send("/api/frontrow/holds", {"event_id": self._event_id, "seats": [seat], "buyer": self._buyer})

    def read(self) -> None:
        """Take what came; when it is a whole answer, take the next step."""
        self._data += self.sock.recv(READ_BYTES)
        if end_of(self._data) is None:
            return
        status, body = int(self._data[9:12]), json.loads(self._data.partition(b"\r\n\r\n")[2])
        self._data = b""
        self.answered(status, body)
        if not self._order and status == 201 and "token" in body:
            self._send("/api/frontrow/orders", {"token": body["token"], "buyer": self._buyer})
        elif not self._order and status == 201:
            self._order = body["url"]
            self._send(f"{self._order}/payment", {"card": "ok"})
        elif body.get("state") == "confirmed":
            self.waits_ms.append((time.perf_counter_ns() - self._began_ns) / 1e6)
            self.begin()
        elif status in (200, 202):
            self.asks_again_at = time.perf_counter() + ASK_AGAIN_S
        else:
            self.refused += 1
            self.begin()

    def answered(self, status: int, body: dict[str, Any]) -> None:
        """Called with each answer, before the next step."""

    def ask_again(self) -> None:
        """Ask what became of the order."""
        self.asks_again_at = None
        self.asked_again += 1
        self.sock.send(GET.format(self._order).encode())

    def _send(self, path: str, body: dict[str, Any]) -> None:
        self.sock.send(post(path, json.dumps(body).encode()))


def buy(buyers: list[Buyer], seconds: float) -> float:
    """Let all of them buy for so long; the seconds that it took."""
    at = {buyer.sock.fileno(): buyer for buyer in buyers}
    began = heard = now = time.perf_counter()
    with select.epoll() as poll:
        for number in at:
            poll.register(number, select.EPOLLIN)
        while now < began + seconds:
            for number, _ in poll.poll(ASK_AGAIN_S):
                at[number].read()
                heard = now
            now = time.perf_counter()
            if now - heard > WAIT_S:
                raise SystemExit(f"no answer within {WAIT_S:g} s")
            for buyer in buyers:
                if buyer.asks_again_at is not None and now >= buyer.asks_again_at:
                    buyer.ask_again()
    return now - began


def cpu_seconds_of_all(urls: dict[str, Any], host_pid: int) -> dict[str, float]:
    """The processor time used so far: by the host, by Postgres with all its sessions, by Redis, and by this client."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    postgres = [urls["postgres_pid"], *(pid for pid, parent in parents.items() if parent == urls["postgres_pid"])]
    return {
        "host": cpu_seconds(host_pid),
        "postgres": sum(map(_cpu_seconds_unless_gone, postgres)),
        "redis": cpu_seconds(urls["redis_pid"]),
        "client": time.process_time(),
    }


def _cpu_seconds_unless_gone(pid: int) -> float:
    try:
        return cpu_seconds(pid)
    except OSError:
        return 0.0


def measure(urls: dict[str, Any], arguments: argparse.Namespace, data_dir: Path) -> dict[str, Any]:
    """A second of warming up, then the purchases that count."""
    where = {"postgres_url": urls["postgres_url"], "redis_url": urls["redis_url"], "data_dir": data_dir}
    with host_process({"frontrow": {"samples": False}}, **where) as host:
        event = httpx.post(f"{host.url}/api/frontrow/events", json={"name": "Benchmark", "sample": "arena"}, timeout=60)
        event_id = event.raise_for_status().json()["id"]
        seats = httpx.get(f"{host.url}/api/frontrow/events/{event_id}/seats", timeout=60).json()["seats"]
        ids = iter([seat["id"] for seat in seats])
        port = int(host.url.rpartition(":")[2])
        buyers = [Buyer(connect(port), event_id, ids) for _ in range(arguments.at_once)]
        buy(buyers, 1)
        for buyer in buyers:
            buyer.waits_ms.clear()
        before = cpu_seconds_of_all(urls, host.pid)
        took_s = buy(buyers, arguments.seconds)
        after = cpu_seconds_of_all(urls, host.pid)
        for buyer in buyers:
            buyer.sock.close()
        audit = httpx.post(f"{host.url}/api/frontrow/invariants", timeout=60).raise_for_status().json()
    waits = sorted(wait for buyer in buyers for wait in buyer.waits_ms)
    return {
        "at_once": arguments.at_once,
        "seconds": round(took_s, 2),
        "journeys": len(waits),
        "journeys_per_s": round(len(waits) / took_s, 1),
        "p50_ms": round(percentile(waits, 50), 2),
        "p99_ms": round(percentile(waits, 99), 2),
        "cpu_ms_a_journey": {who: round((after[who] - before[who]) * 1e3 / len(waits), 3) for who in before},
        "load_average": round(os.getloadavg()[0], 2),
        "refused": sum(buyer.refused for buyer in buyers),
        "asked_again": sum(buyer.asked_again for buyer in buyers),
        "invariants": audit["verdict"],
        "host": {"engine": "native", "python": platform.python_version(), "cores": os.cpu_count()},
    }


def main() -> None:
    """Parse the arguments, run, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checkout", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--at-once", type=int, default=96)
    arguments = parser.parse_args()
    with servers() as urls, tempfile.TemporaryDirectory() as data_dir:
        print(json.dumps(measure(urls, arguments, Path(data_dir))))


if __name__ == "__main__":
    main()
