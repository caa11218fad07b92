"""One process of PySyncObj as its users run it, for `benchmarks.raft`: in memory, without a journal.

`python -m benchmarks.raft_peer SELF PEERS SECONDS WINDOW`: the one that leads keeps WINDOW calls unanswered for so long
and prints their rate as JSON; the others wait for the end of stdin.
"""

import json
import sys
import threading
import time
from typing import Any

from pysyncobj import SyncObj, replicated

COMMAND = b"x" * 64


class Register(SyncObj):  # type: ignore[misc]
    """A state machine that keeps the last command."""

    def __init__(self, own: str, peers: list[str]) -> None:
        super().__init__(own, peers)
        self._last = b""

    @replicated  # type: ignore[untyped-decorator]
    def put(self, command: bytes) -> None:
        self._last = command


class Load:
    """Keeps a window of calls under way."""

    def __init__(self, register: Register, window: int) -> None:
        self.done = 0
        self.failed = 0
        self._register = register
        self._room = threading.Semaphore(window)

    def _finished(self, result: Any, error: int) -> None:
        if error:
            self.failed += 1
        else:
            self.done += 1
        self._room.release()

    def run(self, seconds: float) -> None:
        """Call until the time is over."""
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            self._room.acquire()
            self._register.put(COMMAND, callback=self._finished)


def main() -> None:
    own, peers, seconds, window = sys.argv[1], sys.argv[2].split(","), float(sys.argv[3]), int(sys.argv[4])
    register = Register(own, peers)
    register.waitReady()
    time.sleep(1)
    if register._isLeader():
        load = Load(register, window)
        load.run(1.0)
        done, started = load.done, time.perf_counter()
        load.run(seconds)
        rate = (load.done - done) / (time.perf_counter() - started)
        print(json.dumps({"commits_per_s": round(rate), "failed": load.failed}), flush=True)
    else:
        print(json.dumps({}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
