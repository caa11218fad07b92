"""One board with 100 and with 1,000 clients: durable operations and presence to every screen, beside Node's ws.

    python -m benchmarks.liveboard [--clients 100,1000] [--seconds N] [--rounds N]

A host as users run it, with Liveboard alone, on embedded Postgres and Redis (fsync on), pinned to one core; the clients
are raw sockets in this process (`liveboard_load`), on the other. Node's `ws` relays the same operations, one message
each, and stores nothing. For each number of clients:

- `ops_per_s`, `deliveries_per_s`: ten clients draw as fast as is taken, a bounded number of operations ahead of the
  slowest screen; a delivery is an operation on somebody else's screen. `ratio` is over Node's, `cpu_us_per_op` the
  host's processor time, which a busy machine disturbs least.
- `p50_ms`, `p99_ms`: from sending an operation to the last screen, while 100 clients move at 30 Hz and draw once a
  second; `presence_...` is the same of a movement, which waits for the next tick of the room. `cpu_busy` is the host's
  share of its core then, `waited` the share of the time in which it was ready and had none, because the machine was
  busy with something else (these latencies mean little above 0.1); `bytes_per_client_per_s` comes in at each screen.
- `join_ms`: from connecting to the last of 10,000 strokes. `idle_kb_per_client`: memory of clients that do nothing.
- `rss_mb`: the host's, with all clients there. `generator_cpu`: how busy this process was while operations were
  counted, 1 is all; `generator_frames_per_s` is what it reads when a server does nothing but send.

Each round has a host of its own, the best counts: noise only takes away. Prints a line for each, then one JSON object.
"""

import argparse
import json
import os
import platform
import secrets
import select
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.fanout import PEERS, WS_VERSION, install_ws
from benchmarks.http_lane import cpu_s, on_core, pin, wait_until_served
from benchmarks.liveboard_load import COMMITTED, STAMP, Crowd, Screen, handshake, masked
from benchmarks.stampede import servers
from host.testing import HostProcess, host_process
from plugins.frontrow.core.history import percentile
from plugins.liveboard.core import frames as f
from plugins.liveboard.core import operations as o
from plugins.liveboard.core.codec import encode_operation

WRITERS: Final = 10
AHEAD: Final = 200_000
"""Deliveries that may be under way: the writers are as many operations ahead of the slowest screen."""
BATCH: Final = 10
"""Operations that a writer sends at once, a message each."""
MOVERS: Final = 100
MOVES_HZ: Final = 30
STROKES_JOINED: Final = 10_000
POINTS: Final = 50
JOINS: Final = 5
SETTINGS: Final = {"operations_per_s": 1e6, "operations_burst": 1_000_000, "operations_max": 2_000_000}
# Who does not draw here does not ping, either.
SETTINGS_TEXT: Final = {"board_bytes_max": "1GiB", "silence_max": "10m"}
_STYLE: Final = o.Style(0x2468CF, 32, 100)
_LINE: Final = tuple(value for at in range(POINTS) for value in (at * 24 + at % 5, at * at % 313))


class Writer:
    """Makes operations of one site, one after another."""

    def __init__(self, screen: Screen | None = None) -> None:
        self.site = secrets.token_bytes(8)
        self.screen = screen
        self.seq = 0
        self.ahead = 0
        first = encode_operation(o.Operation(self.site, 1, 1, o.Stroke("pen", _STYLE, _LINE)))
        # Behind kind, site, and a number and a clock of a byte each.
        self._body = first[11:]

    def hello(self) -> bytes:
        return f.encode_frame(f.Hello(1, self.site, secrets.token_bytes(16), "", "", "bench", 0x2468CF, 0, bytes(32)))

    def operation(self) -> bytes:
        """The next stroke."""
        self.seq += 1
        number = _varint(self.seq)
        return b"\x01" + self.site + number + number + self._body


def _varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*data, value])


def offer(*operations: bytes) -> bytes:
    """The frame that offers operations."""
    return f.encode_frame(f.Offer(operations))


def rss_kb(pid: int) -> int:
    """What a process has in memory."""
    fields = Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()
    return int(fields[0])


def waited_s(pid: int) -> float:
    """How long a process has been ready to run and had to wait for a core; 0 where the system does not tell."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[1]) for task in tasks) / 1e9


@contextmanager
def board_host(urls: dict[str, Any]) -> Iterator[HostProcess]:
    """A host with Liveboard alone, on the first core."""
    with (
        tempfile.TemporaryDirectory() as folder,
        host_process(
            {"liveboard": SETTINGS | SETTINGS_TEXT},
            postgres_url=urls["postgres_url"],
            redis_url=urls["redis_url"],
            data_dir=Path(folder),
        ) as host,
    ):
        if (os.cpu_count() or 1) > 1:
            for task in Path(f"/proc/{host.pid}/task").iterdir():
                os.sched_setaffinity(int(task.name), {0})
        yield host


def gathered(host: HostProcess, clients: int, room: str) -> tuple[Crowd, list[Writer]]:
    """That many clients in a room, all synced."""
    port, crowd = int(host.url.rpartition(":")[2]), Crowd()
    writers = []
    for _ in range(clients):
        writer = Writer()
        writer.screen = crowd.join(port, f"/api/liveboard/rooms/{room}/socket", writer.hello())
        writers.append(writer)
        crowd.turn(0)
    crowd.until(lambda: all(screen.is_synced for screen in crowd.screens.values()))
    return crowd, writers


def draw_fast(host: HostProcess, crowd: Crowd, writers: list[Writer], seconds: float) -> dict[str, Any]:
    """Operations as fast as they are taken; all that were sent are also delivered."""
    waiting = 0

    def on_all(count: int) -> None:
        nonlocal waiting
        waiting -= count

    crowd.on_all = on_all
    ahead = AHEAD // len(crowd.screens)
    crowd.start_measuring()
    start, used_s, host_s = time.perf_counter(), time.process_time(), cpu_s(host.pid)
    sent = 0
    while time.perf_counter() < start + seconds:
        while waiting <= ahead - len(writers) * BATCH:
            for writer in writers:
                assert writer.screen is not None
                crowd.send_raw(writer.screen, b"".join(masked(offer(writer.operation())) for _ in range(BATCH)))
            sent += len(writers) * BATCH
            waiting += len(writers) * BATCH
        crowd.turn(0.1)
    crowd.until(lambda: waiting == 0)
    elapsed_s = time.perf_counter() - start
    others = len(crowd.screens) - 1
    return {
        "ops_per_s": round(sent / elapsed_s),
        "deliveries_per_s": round(sent * others / elapsed_s),
        "frames_per_s": round(crowd.frames / elapsed_s),
        "cpu_us_per_op": round((cpu_s(host.pid) - host_s) / sent * 1e6, 1),
        "generator_cpu": round((time.process_time() - used_s) / elapsed_s, 2),
    }


def move_and_draw(host: HostProcess, crowd: Crowd, writers: list[Writer], seconds: float) -> dict[str, Any]:
    """Movements at 30 Hz, spread over time, and a stroke a second of each who moves."""
    crowd.start_measuring()
    start, host_s, idle_s = time.perf_counter(), cpu_s(host.pid), waited_s(host.pid)
    interval = 1 / (MOVES_HZ * len(writers))
    turn = 0
    while (now := time.perf_counter()) < start + seconds:
        while now - start > turn * interval:
            writer = writers[turn % len(writers)]
            assert writer.screen is not None
            state = time.perf_counter_ns().to_bytes(8, "big") + bytes(8)
            crowd.send(writer.screen, f.encode_frame(f.Presence(state, b"")))
            if (turn // len(writers)) % MOVES_HZ == turn % len(writers) % MOVES_HZ:
                operation = writer.operation()
                crowd.sent_at[operation[1 : 1 + STAMP]] = time.perf_counter()
                crowd.send(writer.screen, offer(operation))
            turn += 1
        crowd.turn(max(0.0, start + turn * interval - time.perf_counter()))
    received, elapsed_s = crowd.bytes, time.perf_counter() - start
    crowd.until(lambda: not crowd.sent_at)
    presence = sorted(crowd.presence_latencies_s)
    operations = sorted(crowd.latencies_s)
    return {
        "p50_ms": round(percentile(operations, 50) * 1e3, 1),
        "p99_ms": round(percentile(operations, 99) * 1e3, 1),
        "presence_p50_ms": round(percentile(presence, 50) * 1e3, 1),
        "presence_p99_ms": round(percentile(presence, 99) * 1e3, 1),
        "waited": round((waited_s(host.pid) - idle_s) / elapsed_s, 2),
        "cpu_busy": round((cpu_s(host.pid) - host_s) / elapsed_s, 2),
        "bytes_per_client_per_s": round(received / elapsed_s / len(crowd.screens)),
    }


def join_ms(host: HostProcess) -> float:
    """A newcomer to a board of 10,000 strokes, the median of a few."""
    room = f"joined-{secrets.token_hex(4)}"
    crowd, (writer,) = gathered(host, 1, room)
    assert writer.screen is not None
    for _ in range(STROKES_JOINED // 200):
        crowd.send(writer.screen, offer(*(writer.operation() for _ in range(200))))
        crowd.turn(0)
    crowd.until(lambda: crowd.lowest == STROKES_JOINED)
    crowd.close()
    times = []
    for _ in range(JOINS):
        start = time.perf_counter()
        crowd, _ = gathered(host, 1, room)
        times.append(time.perf_counter() - start)
        assert crowd.lowest == STROKES_JOINED
        crowd.close()
    return round(median(times) * 1e3, 1)


def measure_board(urls: dict[str, Any], clients: int, seconds: float) -> dict[str, Any]:
    """One round with a host of its own."""
    with board_host(urls) as host:
        # What is loaded and made with the first client is none's own.
        gathered(host, 1, f"first-{secrets.token_hex(4)}")[0].close()
        before_kb = rss_kb(host.pid)
        crowd, writers = gathered(host, clients, f"board-{secrets.token_hex(4)}")
        idle_kb = (rss_kb(host.pid) - before_kb) / clients
        moved = move_and_draw(host, crowd, writers[:MOVERS], seconds)
        drawn = draw_fast(host, crowd, writers[:WRITERS], seconds)
        rss_mb = round(rss_kb(host.pid) / 1024, 1)
        crowd.close()
        return {**drawn, **moved, "join_ms": join_ms(host), "idle_kb_per_client": round(idle_kb, 1), "rss_mb": rss_mb}


def measure_node(clients: int, seconds: float) -> float:
    """Node's deliveries a second of the same operations, one message each, by as many writers and as far ahead."""
    command = [*on_core(0), "node", str(Path(__file__).with_name("fanout_node.mjs")), str(PEERS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline())
            wait_until_served(port)
            return _relayed(port, clients, seconds)
        finally:
            process.kill()


def _relayed(port: int, clients: int, seconds: float) -> float:
    message = Writer().operation()
    size = len(message) + (2 if len(message) < 126 else 4)
    batch = masked(message) * BATCH
    ahead = AHEAD // clients
    socks = [handshake(port, "/") for _ in range(clients)]
    by_number = {sock.fileno(): sock for sock in socks}
    poll = select.epoll()
    for sock in socks:
        poll.register(sock, select.EPOLLIN)
    buffer = bytearray(1 << 18)
    received = sent = 0
    start = time.perf_counter()
    while True:
        now = time.perf_counter()
        is_over = now > start + seconds
        if is_over and received >= sent * (clients - 1) * size:
            break
        assert now < start + seconds + 60, "deliveries are missing"
        while not is_over and sent - received / size / (clients - 1) <= ahead - WRITERS * BATCH:
            for sock in socks[:WRITERS]:
                sock.setblocking(True)
                sock.sendall(batch)
                sock.setblocking(False)
            sent += WRITERS * BATCH
        for number, _ in poll.poll(0.1):
            received += by_number[number].recv_into(buffer)
    elapsed_s = time.perf_counter() - start
    for sock in socks:
        sock.close()
    poll.close()
    return sent * (clients - 1) / elapsed_s


def generator_frames_per_s(clients: int, seconds: float) -> int:
    """Frames of one operation each that this process reads from somebody who only sends."""
    crowd = Crowd()
    ends = [socket.socketpair() for _ in range(clients)]
    writer = Writer()
    for ours, _ in ends:
        ours.setblocking(False)
        crowd.adopt(Screen(ours))
    frames = []
    for rev in range(1, 301):
        payload = (
            bytes((COMMITTED,))
            + _varint(rev)
            + b"\x01"
            + bytes(16)
            + f.encode_frame(f.Offer((writer.operation(),)))[2:]
        )
        frames.append(bytes((0x82, 126)) + len(payload).to_bytes(2, "big") + payload)
    with_head = b"".join(frames)
    child = os.fork()
    if child == 0:
        pin(0)
        while True:
            for _, theirs in ends:
                theirs.sendall(with_head)
    for _, theirs in ends:
        theirs.close()
    crowd.start_measuring()
    start = time.perf_counter()
    try:
        while time.perf_counter() < start + seconds:
            crowd.turn(0.1)
        return round(crowd.frames / (time.perf_counter() - start))
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        crowd.close()


def main() -> None:
    """Parse the arguments, run, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", default="100,1000", help="how many, with commas between; default 100,1000")
    parser.add_argument("--seconds", type=float, default=5, help="how long each load lasts")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, of which the best counts")
    options = parser.parse_args()
    pin(1)
    missing = install_ws()
    results: dict[str, Any] = {}
    with servers() as urls:
        for clients in map(int, options.clients.split(",")):
            rounds = []
            node = [0.0]
            for number in range(options.rounds):
                rounds.append(measure_board(urls, clients, options.seconds))
                if not missing:
                    node.append(measure_node(clients, options.seconds))
                print(
                    f"{clients} clients, round {number + 1}:",
                    json.dumps(rounds[-1]),
                    f"node {node[-1]:.0f}",
                    flush=True,
                )
            best = {key: (max if key.endswith("_per_s") else min)(each[key] for each in rounds) for key in rounds[0]}
            best["bytes_per_client_per_s"] = min(each["bytes_per_client_per_s"] for each in rounds)
            best["node_deliveries_per_s"] = None if missing else round(max(node))
            best["ratio"] = None if missing else round(best["deliveries_per_s"] / max(node), 2)
            best["generator_frames_per_s"] = generator_frames_per_s(clients, min(2.0, options.seconds))
            results[str(clients)] = best
    document = {
        "benchmark": "liveboard",
        "clients": results,
        "writers": WRITERS,
        "movers": MOVERS,
        "moves_hz": MOVES_HZ,
        "stroke_bytes": len(Writer().operation()),
        "durable": "fsync and synchronous_commit on",
        "node_ws": missing or WS_VERSION,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
