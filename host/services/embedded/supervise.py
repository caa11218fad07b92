"""Keeping one server up: start it, wait for its end, start it again; stop it when cancelled.

The states of the loop, for both servers alike: clear leftovers → spawn → answering → (ended by itself → back-off →
again). The first start must succeed, since a host that cannot start its servers has to say so; later ones are tried
for ever, as the disk may be full for a while and nobody is served by giving up.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import trio

from host.errors import HostError
from host.services.embedded.child import Child
from host.services.embedded.place import Place

log = logging.getLogger("quartet.embedded")

BACKOFF_FIRST_S = 0.05
BACKOFF_MAX_S = 5.0
# Up for this long, a server counts as healthy again and its next end starts with the shortest back-off.
STABLE_S = 30.0
LOG_BYTES_MAX = 8 << 20
LOG_BYTES_KEPT = 1 << 20
_LOG_CHECK_S = 5.0


@dataclass(frozen=True)
class Endpoint:
    """A running embedded server. `url` stays the same over restarts; `pid` is None while it is down."""

    service: str
    url: str
    version: str
    program: Path
    log: Path
    pid: Callable[[], int | None]
    restarts: Callable[[], int]


@dataclass(frozen=True)
class Restart:
    """A server ended by itself and is up again. `down_s` is how long it was not."""

    service: str
    reason: str
    restarts: int
    down_s: float


class Server(Protocol):
    """What differs between the servers."""

    place: Place

    async def start(self) -> Child:
        """Clear what an earlier run left, start, and return once it answers. Cancelled or failed: nothing runs."""

    async def stop(self, child: Child | None) -> None:
        """End it cleanly, and what it left when it ended by itself (None). Shielded, and bounded."""


class Supervisor:
    """The loop around one `Server`. `child` is the one that runs now."""

    def __init__(self, server: Server, on_restart: Callable[[Restart], None] | None = None) -> None:
        self._server = server
        self._on_restart = on_restart
        self._backoff_s = BACKOFF_FIRST_S
        self.child: Child | None = None
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """The pid of the server that answers, None while it is down."""
        return self.child.pid if self.child is not None else None

    async def run(self, announce: Callable[[], None]) -> None:
        """Keep it up until cancelled, then stop it. `announce` is called once it answers for the first time.

        Raises:
            HostError: the first start failed.
        """
        self.child = await self._server.start()
        try:
            announce()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_bound_log, self._server.place.log)
                while True:
                    await self._again(self.child)
        finally:
            child, self.child = self.child, None
            await self._server.stop(child)

    async def _again(self, child: Child) -> None:
        """Wait for the end of `child` and have the next one running."""
        started_at = trio.current_time()
        status = await child.wait()
        self.child = None
        ended_at = trio.current_time()
        service = self._server.place.service
        reason = f"signal {-status}" if status < 0 else f"exit code {status}"
        log.warning("%s (pid %d) ended by itself: %s; starting it again", service, child.pid, reason)
        backoff_s = self._backoff_s if ended_at - started_at < STABLE_S else BACKOFF_FIRST_S
        while True:
            await trio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, BACKOFF_MAX_S)
            try:
                self.child = await self._server.start()
                break
            except HostError as error:
                log.error("%s does not start again, next try in %.1f s: %s", service, backoff_s, error)
        self._backoff_s = backoff_s
        self.restarts += 1
        event = Restart(service, reason, self.restarts, trio.current_time() - ended_at)
        log.warning("%s is up again (pid %d) after %.2f s", service, self.child.pid, event.down_s)
        if self._on_restart is not None:
            self._on_restart(event)


async def _bound_log(path: Path) -> None:
    """Keep `path` below a size. Truncating under the server is safe, since it writes with O_APPEND."""
    while True:
        await trio.sleep(_LOG_CHECK_S)
        try:
            trim_log(path)
        except OSError as error:
            log.warning("cannot bound %s: %s", path, error)


def trim_log(path: Path, bytes_max: int = LOG_BYTES_MAX, bytes_kept: int = LOG_BYTES_KEPT) -> None:
    """Empty `path` if it is larger than `bytes_max`; its last `bytes_kept` bytes go to `path.1`."""
    size = path.stat().st_size
    if size <= bytes_max:
        return
    with path.open("r+b") as file:
        file.seek(-bytes_kept, 2)
        path.with_name(f"{path.name}.1").write_bytes(file.read(bytes_kept))
        file.truncate(0)
