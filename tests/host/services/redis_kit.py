"""Redis servers that a test may stop, stall and restart, and a way to run a client on one."""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import trio

from host.services.embedded.binaries import find_redis
from host.services.embedded.owner import user_of
from host.services.redis import Redis

PATIENCE_S = 20


class OwnRedis:
    """A redis-server child on a unix socket, with nothing kept on disk."""

    def __init__(self, folder: Path, *settings: str) -> None:
        self.path = str(folder / "redis.sock")
        self.url = f"unix://{self.path}"
        self._folder = folder
        self._settings = settings
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it accepts connections; returns at once when it runs."""
        if self._child is not None:
            return
        program = find_redis(user_of(os.geteuid(), os.getegid())).program
        Path(self.path).unlink(missing_ok=True)
        settings = ["--port", "0", "--unixsocket", self.path, "--save", "", "--dir", str(self._folder), *self._settings]
        self._child = subprocess.Popen([str(program), *settings], stdout=subprocess.DEVNULL)
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(self.path)
                return
            except OSError:
                assert time.monotonic() < deadline_s, "redis-server does not start"
                time.sleep(0.01)

    def signal(self, number: int) -> None:
        assert self._child is not None
        self._child.send_signal(number)

    def kill(self) -> None:
        """SIGKILL; it can be started again."""
        if self._child is not None:
            self.signal(signal.SIGKILL)
            self._child.wait()
            self._child = None


@contextmanager
def own_redis(*settings: str) -> Iterator[OwnRedis]:
    """A server of the test's own for the block."""
    with tempfile.TemporaryDirectory(prefix="redis-", dir="/tmp") as folder:
        server = OwnRedis(Path(folder), *settings)
        try:
            server.start()
            yield server
        finally:
            server.kill()


@asynccontextmanager
async def running(url: str, **options: Any) -> AsyncIterator[Redis]:
    """A client whose connection task runs for the block. The block has `PATIENCE_S`."""
    redis = Redis(url, name="test", **options)
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(redis.run)
            yield redis
            nursery.cancel_scope.cancel()


async def until(condition: Any) -> None:
    """Wait for `condition()` to hold: it is another process, or a kernel buffer, that brings it about."""
    while not condition():  # noqa: ASYNC110
        await trio.sleep(0.001)
