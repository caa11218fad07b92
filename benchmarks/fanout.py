"""Deliveries a second of a WebSocket relay: one client sends, all others get it; the native engine against Node's ws.

    python -m benchmarks.fanout [--seconds N] [--rounds N]

Messages of 200 bytes, 100 and 1,000 clients. Each relay runs alone on one core, the clients on the other; the sender
keeps a bounded number of messages ahead of the average receiver. Deliveries are counted by their bytes. The relays take
turns and the best round of each counts. Node's ws is installed by npm into `benchmarks/.peers` (ignored by git);
without Node the JSON says so. Prints one line for each round, then one JSON object.
"""

import argparse
import json
import os
import platform
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

from benchmarks.http_lane import on_core, pin, wait_until_served

CLIENTS = (100, 1000)
MESSAGE_BYTES = 200
DELIVERY_BYTES = MESSAGE_BYTES + 4
# Messages that the sender may be ahead of the average receiver.
WINDOW = 256
PEERS = Path(__file__).with_name(".peers")
WS_VERSION = "8.18.3"
_HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
# A masked frame whose mask is zero.
_MESSAGE = bytes((0x82, 0x80 | 126)) + MESSAGE_BYTES.to_bytes(2, "big") + bytes(4) + b"x" * MESSAGE_BYTES


def serve_native() -> None:
    """A relay as a plugin would write it."""
    import trio

    from host.api import WebSocket, WebSocketFrame
    from host.http.engine import bind, engine_named
    from host.http.limits import Limits

    sockets: set[WebSocket] = set()

    async def relay(scope: Any, receive: Any, send: Any) -> None:
        async with WebSocket(scope, receive, send) as socket:
            sockets.add(socket)
            try:
                async for message in socket:
                    assert isinstance(message, bytes)
                    frame = WebSocketFrame.binary(message)
                    for other in list(sockets):
                        if other is not socket:
                            try:
                                other.send_nowait(frame)
                            except trio.WouldBlock:
                                await other.send(frame)
            finally:
                sockets.discard(socket)

    async def run() -> None:
        pin(0)
        listeners = bind("127.0.0.1", 0)
        print(listeners[0].getsockname()[1], flush=True)
        await engine_named("native").serve(relay, listeners, Limits(), drain=trio.Event())

    trio.run(run)


@contextmanager
def served(name: str) -> Iterator[int]:
    """A relay in a process of its own; its port."""
    if name == "native":
        command = [sys.executable, "-m", "benchmarks.fanout", "--serve"]
    else:
        command = [*on_core(0), "node", str(Path(__file__).with_name("fanout_node.mjs")), str(PEERS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline())
            wait_until_served(port)
            yield port
        finally:
            process.kill()


def connect(port: int) -> socket.socket:
    """A WebSocket whose handshake is done."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(_HANDSHAKE)
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += sock.recv(1)
    assert answer.startswith(b"HTTP/1.1 101 "), answer
    sock.setblocking(False)
    return sock


def measure(port: int, clients: int, seconds: float) -> float:
    """Deliveries a second to all clients but the sender."""
    sender = connect(port)
    receivers = {sock.fileno(): sock for sock in (connect(port) for _ in range(clients - 1))}
    poll = select.epoll()
    for number in receivers:
        poll.register(number, select.EPOLLIN)
    poll.register(sender, select.EPOLLOUT)
    buffer = bytearray(1 << 20)
    outgoing = memoryview(_MESSAGE * 64)
    sent_bytes = received_bytes = 0
    per_message_bytes = DELIVERY_BYTES * len(receivers)
    start = now = time.perf_counter()
    is_sending = True
    while True:
        now = time.perf_counter()
        if now > start + seconds:
            is_sending = False
            whole, part = divmod(sent_bytes, len(_MESSAGE))
            # What was begun must be finished before everything sent has also been delivered.
            if not part and received_bytes >= whole * per_message_bytes:
                break
            assert now < start + seconds + 30, "deliveries are missing"
        ahead = sent_bytes / len(_MESSAGE) - received_bytes / per_message_bytes
        part = sent_bytes % len(_MESSAGE)
        wants_out = (is_sending and ahead < WINDOW) or bool(part)
        poll.modify(sender, select.EPOLLOUT if wants_out else 0)
        for number, _ in poll.poll(0.1):
            if number != sender.fileno():
                received_bytes += receivers[number].recv_into(buffer)
                continue
            part = sent_bytes % len(_MESSAGE)
            count = 64 if is_sending else 1
            sent_bytes += sender.send(outgoing[part : count * len(_MESSAGE)])
    elapsed_s = now - start
    deliveries = received_bytes / DELIVERY_BYTES
    for sock in (sender, *receivers.values()):
        sock.close()
    poll.close()
    return deliveries / elapsed_s


def install_ws() -> str:
    """Have Node's ws at hand; the reason why not, "" when it is."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "Node is not installed"
    if (PEERS / "node_modules" / "ws").is_dir():
        return ""
    PEERS.mkdir(exist_ok=True)
    (PEERS / "package.json").write_text('{"private": true}\n')
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", f"ws@{WS_VERSION}"]
    done = subprocess.run(command, cwd=PEERS, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"npm could not install ws: {done.stderr.strip()[:200]}"


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4, help="how long each round sends")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, of which the best counts")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve_native()
        return
    pin(1)
    missing = install_ws()
    relays = ["native"] if missing else ["native", "node_ws"]
    best = {name: dict.fromkeys(CLIENTS, 0.0) for name in relays}
    for clients in CLIENTS:
        for number in range(options.rounds):
            for name in relays:
                with served(name) as port:
                    rate = measure(port, clients, options.seconds)
                best[name][clients] = max(best[name][clients], rate)
                print(f"round {number + 1}: {name:>7} to {clients:>4} clients: {rate:9.0f} deliveries/s", flush=True)
    document: dict[str, Any] = {
        "benchmark": "fanout",
        "clients": CLIENTS,
        "message_bytes": MESSAGE_BYTES,
        **{f"{name}_deliveries_per_s": {str(n): round(best[name][n]) for n in CLIENTS} for name in relays},
        "ratio": None if missing else {str(n): round(best["native"][n] / best["node_ws"][n], 2) for n in CLIENTS},
        "node_ws": missing or WS_VERSION,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
