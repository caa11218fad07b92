"""A host that is killed under open pages, and comes back at its address."""

import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from urllib.parse import urlsplit

from host.testing import HostProcess

CUT_OFF = ("WebSocket connection to", "Failed to load resource", "net::ERR_")
"""What a page says on its console while its host is dead."""


class KilledHost:
    """A host that is started again at its address after each kill. `start` takes items for `--set`."""

    def __init__(self, start: Callable[[tuple[str, ...]], AbstractContextManager[HostProcess]]) -> None:
        self._start = start
        self._running = start(())
        self.host = self._running.__enter__()
        self._port = urlsplit(self.host.url).port

    def kill(self) -> None:
        os.kill(self.host.pid, signal.SIGKILL)
        self.host.wait()
        self.stop()

    def start_again(self) -> None:
        self._running = self._start((f"server.port={self._port}",))
        self.host = self._running.__enter__()

    def stop(self) -> None:
        self._running.__exit__(None, None, None)
