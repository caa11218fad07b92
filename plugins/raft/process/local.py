"""A group of node processes on this machine, to be loaded and killed: for benchmarks and for tests of chaos."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, Literal

from plugins.raft.process.transport import Address

START_TIMEOUT_S: Final = 30.0
ELECTION_TIMEOUT_S: Final = 20.0


class LocalGroup:
    """Processes 1 to `size`. All methods block."""

    def __init__(self, folder: Path, size: int, options: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.peers = dict(enumerate(_free_addresses(size), start=1))
        self.urls: dict[int, str] = {}
        self._options = options
        self._processes: dict[int, subprocess.Popen[str]] = {}
        self._logs: dict[int, IO[str]] = {}

    def start(self, number: int) -> None:
        """Start a process, on the disk that it had. Raises RuntimeError, with what it printed, when it does not run."""
        peers = ",".join(f"{n}={address.host}:{address.port}" for n, address in self.peers.items())
        command = [sys.executable, "-m", "host.cli", "raft", "node", "--id", str(number), "--peers", peers]
        command += ["--data-dir", str(self.folder / f"n{number}"), "--http", "127.0.0.1:0", *self._options]
        log = (self.folder / f"n{number}.log").open("a")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("QUARTET_")}
        process = subprocess.Popen(
            [*command, "--set", f"data.dir={self.folder}/host"],
            stdout=subprocess.PIPE, stderr=log, text=True, env=environment,
        )  # fmt: skip
        self._logs[number], self._processes[number] = log, process
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            process.wait(START_TIMEOUT_S)
            raise RuntimeError(f"node {number} did not start: {(self.folder / f'n{number}.log').read_text()}")
        self.urls[number] = json.loads(line)["http"]

    def kill(self, number: int) -> None:
        """kill -9, and wait until it is gone."""
        self._end(number, signal.SIGKILL)

    def stop(self, number: int) -> int:
        """SIGTERM; the exit code."""
        return self._end(number, signal.SIGTERM)

    def _end(self, number: int, how: Literal[signal.Signals.SIGKILL, signal.Signals.SIGTERM]) -> int:
        process = self._processes.pop(number, None)
        if process is None:
            return 0
        process.send_signal(how)
        code = process.wait(START_TIMEOUT_S)
        assert process.stdout is not None
        process.stdout.close()
        self._logs.pop(number).close()
        return code

    @property
    def running(self) -> list[int]:
        """Who runs."""
        return sorted(self._processes)

    def pid(self, number: int) -> int:
        """The process id of one that runs."""
        return self._processes[number].pid

    def status(self, number: int) -> dict[str, Any] | None:
        """Where a node stands; None when it does not answer."""
        try:
            with urllib.request.urlopen(f"{self.urls[number]}/status", timeout=2) as answer:
                document: dict[str, Any] = json.load(answer)
                return document
        except (urllib.error.URLError, OSError, KeyError, ValueError):
            return None

    def leader(self) -> int:
        """Wait for a leader of the highest term that has committed in it. Raises RuntimeError after a while."""
        until = time.monotonic() + ELECTION_TIMEOUT_S
        while time.monotonic() < until:
            found = [status for number in self.running if (status := self.status(number)) is not None]
            top = max((status["term"] for status in found), default=0)
            for status in found:
                if status["role"] == "leader" and status["term"] == top and status["commit"] == status["last"]:
                    return int(status["id"])
            time.sleep(0.05)
        raise RuntimeError("no leader was elected in time")


@contextmanager
def local_group(folder: Path, size: int = 3, options: tuple[str, ...] = ()) -> Iterator[LocalGroup]:
    """A group that runs for the block, and is killed at its end."""
    group = LocalGroup(folder, size, options)
    try:
        for number in group.peers:
            group.start(number)
        yield group
    finally:
        for number in group.running:
            group.kill(number)


def _free_addresses(count: int) -> list[Address]:
    """Ports that are free now. Another program may take one before it is used: then the start says so."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [Address("127.0.0.1", sock.getsockname()[1]) for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()
