"""What a thousand watchers of a live seat map cost the sale, and how late they see what becomes of it.

    python -m benchmarks.live_map [--watchers N] [--seconds S] [--at-once N] [--rounds N]

The host is a process of its own (native engine), and so are Postgres and Redis. `--at-once` keep-alive clients, bare
sockets in this process, each buy one seat of an arena of 20,000 after another, while `--watchers` connections to the
arena's stream of server-sent events are drained by this process; one is read, and tells how long after the hold's
answer its seat was on the map.

The clients of the watchers need processor time too, on the machine of the host here. So each round with watchers is
followed by a control: the same sale, while as many connections drain the same bytes at the same pace from a process
that does nothing else. What the watchers cost the host is the difference. Prints one JSON object
with the medians of the rounds.
"""

import argparse
import json
import multiprocessing
import os
import platform
import re
import select
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

import httpx

from benchmarks.checkout import ASK_AGAIN_S, Buyer
from benchmarks.http_load import READ_BYTES, WAIT_S, connect
from benchmarks.servers import cpu_seconds, servers
from host.testing import host_process
from plugins.frontrow.core.history import percentile

WATCH: Final = "GET /api/frontrow/events/{}/changes HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: text/event-stream\r\n\r\n"
# Of a seat that was held and sold between two changes the map tells that it is sold.
_SEAT: Final = re.compile(rb'\[(\d+),"[hs]"\]')


class Crowd:
    """Those that watch. The first of them is read, the others are only drained."""

    def __init__(self, port: int, event_id: int, watchers: int) -> None:
        self.bytes = 0
        self.pieces = 0
        """What the first of them received of."""
        self.seen: dict[int, float] = {}
        self._sockets = {sock.fileno(): sock for sock in (connect(port) for _ in range(watchers))}
        self._first = next(iter(self._sockets), -1)
        self._rest = b""
        for sock in self._sockets.values():
            sock.send(WATCH.format(event_id).encode())

    @property
    def numbers(self) -> list[int]:
        """The file descriptors."""
        return list(self._sockets)

    def read(self, number: int) -> None:
        """Take what came."""
        data = self._sockets[number].recv(READ_BYTES)
        self.bytes += len(data)
        if number != self._first:
            return
        self.pieces += 1
        text = self._rest + data
        end = text.rfind(b"\n\n") + 2
        now = time.perf_counter()
        for found in _SEAT.findall(text, 0, end):
            self.seen.setdefault(int(found), now)
        self._rest = text[end:]

    def wait_for_the_map(self) -> None:
        """Until all of them have begun to receive."""
        waiting = set(self._sockets)
        with select.epoll() as poll:
            for number in waiting:
                poll.register(number, select.EPOLLIN)
            while waiting:
                ready = poll.poll(WAIT_S)
                if not ready:
                    raise SystemExit(f"{len(waiting)} watchers got no map within {WAIT_S:g} s")
                for number, _ in ready:
                    self.read(number)
                    waiting.discard(number)

    def close(self) -> None:
        """Leave."""
        for sock in self._sockets.values():
            sock.close()


class HoldTimes(Buyer):
    """A buyer that notes when its holds were answered, by the seat's position."""

    held: dict[int, float]
    position_of: dict[int, int]

    def __init__(self, sock: socket.socket, event_id: int, seats: Any, position_of: dict[int, int]) -> None:
        self.held = {}
        self.position_of = position_of
        super().__init__(sock, event_id, seats)

    def answered(self, status: int, body: dict[str, Any]) -> None:
        if status == 201 and "token" in body:
            self.held[self.position_of[body["seats"][0]]] = time.perf_counter()


def sell(buyers: list[HoldTimes], crowd: Crowd, seconds: float) -> float:
    """Let all of them buy for so long; the seconds that it took."""
    at = {buyer.sock.fileno(): buyer for buyer in buyers}
    watching = set(crowd.numbers)
    began = now = time.perf_counter()
    with select.epoll() as poll:
        for number in (*at, *watching):
            poll.register(number, select.EPOLLIN)
        while now < began + seconds:
            for number, _ in poll.poll(ASK_AGAIN_S):
                if number in watching:
                    crowd.read(number)
                else:
                    at[number].read()
            now = time.perf_counter()
            for buyer in buyers:
                if buyer.asks_again_at is not None and now >= buyer.asks_again_at:
                    buyer.ask_again()
    return now - began


def figures(host: Any, buyers: list[HoldTimes], crowd: Crowd, seconds: float) -> dict[str, Any]:
    """The rate of the sale, what it cost the host, and how late the map was."""
    sell(buyers, crowd, 1)
    for buyer in buyers:
        buyer.waits_ms.clear()
        buyer.held.clear()
    began_cpu_s, began_bytes, began_pieces = cpu_seconds(host.pid), crowd.bytes, crowd.pieces
    took_s = sell(buyers, crowd, seconds)
    cpu_s = cpu_seconds(host.pid) - began_cpu_s
    journeys = sum(len(buyer.waits_ms) for buyer in buyers)
    held = {position: at for buyer in buyers for position, at in buyer.held.items()}
    late = sorted((crowd.seen[position] - at) * 1e3 for position, at in held.items() if position in crowd.seen)
    return {
        "watchers": len(crowd.numbers),
        "journeys_per_s": round(journeys / took_s, 1),
        "journeys_per_host_cpu_s": round(journeys / cpu_s, 1),
        "host_cpu_share": round(cpu_s / took_s, 3),
        "map_bytes_per_s": round((crowd.bytes - began_bytes) / took_s),
        "map_pieces_per_s": round((crowd.pieces - began_pieces) / took_s, 2),
        "map_p50_ms": round(percentile(late, 50), 1) if late else None,
        "map_p99_ms": round(percentile(late, 99), 1) if late else None,
    }


class Control:
    """A process that sends each of its connections so many bytes at that pace, and does nothing else."""

    def __init__(self, like: dict[str, Any]) -> None:
        pieces_per_s = max(like["map_pieces_per_s"], 0.1)
        piece_bytes = round(like["map_bytes_per_s"] / pieces_per_s / like["watchers"])
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self._listener.getsockname()[1]
        arguments = (self._listener, like["watchers"], b"x" * max(piece_bytes, 1), 1 / pieces_per_s)
        self._process = multiprocessing.get_context("fork").Process(target=_send_at_pace, args=arguments, daemon=True)
        self._process.start()

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.join()
        self._listener.close()


def _send_at_pace(listener: socket.socket, connections: int, piece: bytes, interval_s: float) -> None:
    sockets = [listener.accept()[0] for _ in range(connections)]
    due = time.monotonic()
    while True:
        for sock in sockets:
            sock.sendall(piece)
        due += interval_s
        time.sleep(max(due - time.monotonic(), 0))


def port_of(host: Any) -> int:
    """Where it listens."""
    return int(host.url.rpartition(":")[2])


@contextmanager
def sale(host: Any, at_once: int) -> Iterator[tuple[int, list[HoldTimes]]]:
    """A new arena, which a round cannot sell out, and who buys there."""
    made = httpx.post(f"{host.url}/api/frontrow/events", json={"name": "Benchmark", "sample": "arena"}, timeout=60)
    event_id = made.raise_for_status().json()["id"]
    seats = httpx.get(f"{host.url}/api/frontrow/events/{event_id}/seats", timeout=60).json()["seats"]
    ids, position_of = iter([seat["id"] for seat in seats]), {seat["id"]: seat["position"] for seat in seats}
    buyers = [HoldTimes(connect(port_of(host)), event_id, ids, position_of) for _ in range(at_once)]
    yield event_id, buyers
    for buyer in buyers:
        buyer.sock.close()


@contextmanager
def crowd_of(port: int, event_id: int, watchers: int) -> Iterator[Crowd]:
    """That many watchers, all of whom have the map."""
    crowd = Crowd(port, event_id, watchers)
    crowd.wait_for_the_map()
    yield crowd
    crowd.close()


def measure(urls: dict[str, Any], arguments: argparse.Namespace, data_dir: Path) -> dict[str, Any]:
    """The sale with watchers of the host's, and with the same connections to somebody else, in turns."""
    where = {"postgres_url": urls["postgres_url"], "redis_url": urls["redis_url"], "data_dir": data_dir}
    with host_process({"frontrow": {"samples": False}}, **where) as host:
        with sale(host, arguments.at_once) as (event_id, buyers):
            alone = figures(host, buyers, Crowd(port_of(host), event_id, 0), arguments.seconds)
        watched, controls = [], []
        for _ in range(arguments.rounds):
            with sale(host, arguments.at_once) as (event_id, buyers):
                with crowd_of(port_of(host), event_id, arguments.watchers) as crowd:
                    watched.append(figures(host, buyers, crowd, arguments.seconds))
                control = Control(watched[-1])
                with crowd_of(control.port, event_id, arguments.watchers) as crowd:
                    controls.append(figures(host, buyers, crowd, arguments.seconds))
                control.close()
    return {
        "alone": alone,
        "watched": _median_of(watched),
        "control": _median_of(controls),
        "rounds": len(watched),
        "rate_kept": _ratio(watched, controls, "journeys_per_s"),
        "journeys_per_host_cpu_s_kept": _ratio(watched, controls, "journeys_per_host_cpu_s"),
        "watching_host_cpu_share": round(
            median(
                seen["host_cpu_share"] - seen["journeys_per_s"] / unseen["journeys_per_host_cpu_s"]
                for seen, unseen in zip(watched, controls, strict=True)
            ),
            3,
        ),
        "load_average": round(os.getloadavg()[0], 2),
        "host": {"engine": "native", "python": platform.python_version(), "cores": os.cpu_count()},
    }


def _median_of(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each figure the one in the middle; None where a round has none."""
    values = {name: [each[name] for each in rounds] for name in rounds[0]}
    return {name: None if None in found else round(median(found), 3) for name, found in values.items()}


def _ratio(watched: list[dict[str, Any]], controls: list[dict[str, Any]], name: str) -> float:
    return round(median(seen[name] / unseen[name] for seen, unseen in zip(watched, controls, strict=True)), 3)


def main() -> None:
    """Parse the arguments, run, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live_map", description=__doc__)
    parser.add_argument("--watchers", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--at-once", type=int, default=32)
    arguments = parser.parse_args()
    with servers() as urls, tempfile.TemporaryDirectory() as data_dir:
        print(json.dumps(measure(urls, arguments, Path(data_dir))))


if __name__ == "__main__":
    main()
