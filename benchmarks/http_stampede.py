"""A stampede over real HTTP: 1,000 keep-alive clients ask for a hold on one seat at the same moment.

    python -m benchmarks.http_stampede [--clients N] [--rounds N]

The host is a process of its own (native engine), and so are Postgres and Redis; the clients are bare sockets in this
process, their requests written beforehand. From the first byte sent to the last answer read. Prints one JSON object:
`created`, `conflict` and `other` answers, `total_ms` (median of the rounds, with one new seat each), `p99_ms`, and the
host's processor time for a request.

Without Redis nobody waits: every hold is granted unprotected, and layer 2 decides at the booking. `redis_down` is that:
Redis has been killed, and the same clients then all book.
"""

import argparse
import json
import os
import platform
import select
import signal
import socket
import tempfile
import time
from os import cpu_count
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from benchmarks.http_load import READ_BYTES, WAIT_S, connect, end_of, post
from benchmarks.servers import cpu_seconds, servers
from host.testing import host_process
from plugins.frontrow.core.history import percentile

HOLDS = "/api/frontrow/holds"
BOOKINGS = "/api/frontrow/bookings"


class Answers:
    """What all clients heard in one rush, and when."""

    def __init__(self, sockets: list[socket.socket], requests: list[bytes]) -> None:
        self.bodies: list[bytes] = [b""] * len(sockets)
        self.waits_ms: list[float] = []
        places = {sock.fileno(): place for place, sock in enumerate(sockets)}
        with select.epoll() as poll:
            for sock in sockets:
                poll.register(sock, select.EPOLLIN)
            began_ns = time.perf_counter_ns()
            for sock, request in zip(sockets, requests, strict=True):
                sock.send(request)
            while len(self.waits_ms) < len(sockets):
                ready = poll.poll(WAIT_S)
                if not ready:
                    raise SystemExit(f"no answer within {WAIT_S:g} s")
                for number, _ in ready:
                    place = places[number]
                    self.bodies[place] += sockets[place].recv(READ_BYTES)
                    if end_of(self.bodies[place]) is not None:
                        self.waits_ms.append((time.perf_counter_ns() - began_ns) / 1e6)
        self.waits_ms.sort()

    def count(self, status: int) -> int:
        """How many answers have this status."""
        return sum(body.startswith(b"HTTP/1.1 %d " % status) for body in self.bodies)

    def figures(self, created: str, refused: str) -> dict[str, Any]:
        """The figures of this rush."""
        figures = {created: self.count(201), refused: self.count(409)}
        other = len(self.bodies) - sum(figures.values())
        return {
            **figures,
            "other": other,
            "total_ms": round(self.waits_ms[-1], 3),
            "p99_ms": round(percentile(self.waits_ms, 99), 3),
        }


def hold_requests(event_id: int, seat: int, clients: int) -> list[bytes]:
    """One request a client, each a buyer of its own."""
    return [
        post(HOLDS, json.dumps({"event_id": event_id, "seats": [seat], "buyer": f"b{number}"}).encode())
        for number in range(clients)
    ]


def booking_requests(holds: Answers) -> list[bytes]:
    """What each client that was given a hold sends next."""
    tokens = [json.loads(body.partition(b"\r\n\r\n")[2])["token"] for body in holds.bodies]
    return [
        post(BOOKINGS, json.dumps({"token": token, "buyer": f"b{number}"}).encode())
        for number, token in enumerate(tokens)
    ]


def free_seats(url: str, event_id: int) -> list[int]:
    """The ids of the event's free seats."""
    seats = httpx.get(f"{url}/api/frontrow/events/{event_id}/seats").raise_for_status().json()["seats"]
    return [seat["id"] for seat in seats if not seat["sold"]]


def stop_redis(urls: dict[str, Any]) -> None:
    """Kill Redis, and hold its keeper still, who would start it again."""
    os.kill(urls["pid"], signal.SIGSTOP)
    os.kill(urls["redis_pid"], signal.SIGKILL)


def measure(urls: dict[str, Any], arguments: argparse.Namespace, data_dir: Path) -> dict[str, Any]:
    """All rounds with Redis, then one without."""
    sections = {"frontrow": {"samples": False}}
    with host_process(
        sections, postgres_url=urls["postgres_url"], redis_url=urls["redis_url"], data_dir=data_dir
    ) as host:
        event = httpx.get(f"{host.url}/api/frontrow/events").raise_for_status().json()["events"][0]
        seats = free_seats(host.url, event["id"])
        port = int(host.url.rpartition(":")[2])
        sockets = [connect(port) for _ in range(arguments.clients)]
        rounds = []
        began_cpu_s = 0.0
        for number in range(arguments.rounds + 1):
            if number == 1:
                began_cpu_s = cpu_seconds(host.pid)
            heard = Answers(sockets, hold_requests(event["id"], seats[number], arguments.clients))
            if number:
                rounds.append(heard.figures("created", "conflict"))
                print(json.dumps(rounds[-1]), flush=True)
        cpu_s = cpu_seconds(host.pid) - began_cpu_s
        stop_redis(urls)
        try:
            holds = Answers(sockets, hold_requests(event["id"], seats[-1], arguments.clients))
            booked = Answers(sockets, booking_requests(holds)) if holds.count(201) == arguments.clients else None
            sold = seats[-1] not in free_seats(host.url, event["id"])
        finally:
            os.kill(urls["pid"], signal.SIGCONT)
        for sock in sockets:
            sock.close()
    without_redis = {"holds": holds.figures("unprotected", "conflict"), "is_sold": sold}
    if booked is not None:
        without_redis["bookings"] = booked.figures("booked", "sold")
    return {
        "clients": arguments.clients,
        "rounds": len(rounds),
        "created": max(each["created"] for each in rounds),
        "conflict": min(each["conflict"] for each in rounds),
        "other": max(each["other"] for each in rounds),
        "total_ms": median(each["total_ms"] for each in rounds),
        "p99_ms": median(each["p99_ms"] for each in rounds),
        "host_cpu_ms_a_request": round(cpu_s * 1e3 / (len(rounds) * arguments.clients), 3),
        "redis_down": without_redis,
        "host": {"engine": "native", "python": platform.python_version(), "cores": cpu_count()},
    }


def main() -> None:
    """Parse the arguments, run, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http_stampede", description=__doc__)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    with servers() as urls, tempfile.TemporaryDirectory() as data_dir:
        print(json.dumps(measure(urls, arguments, Path(data_dir))))


if __name__ == "__main__":
    main()
