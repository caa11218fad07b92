"""The embedded Redis: a private server on a unix socket, without persistence, kept up and stopped with the host.

What it holds may be lost at any time, and is: nothing is written to disk. When full it refuses writes (`noeviction`),
as dropping a hold silently would be worse than an error.
"""

import contextlib
import re
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

import trio

from host.errors import HostError
from host.services.embedded import wire
from host.services.embedded.binaries import RedisBinary, find_redis
from host.services.embedded.child import Child
from host.services.embedded.leftovers import Leftovers
from host.services.embedded.place import Place, log, settled
from host.services.embedded.supervise import Endpoint, Restart, Supervisor

SOCKET_NAME = "redis.sock"
START_TIMEOUT_S = 15.0
STOP_TIMEOUT_S = 3.0
SETTINGS: Mapping[str, str] = {
    "save": "",
    "appendonly": "no",
    "maxmemory": "512mb",
    "maxmemory-policy": "noeviction",
    # A subscriber that does not read is cut off: hard limit, soft limit, seconds above the soft one.
    "client-output-buffer-limit": "pubsub 32mb 8mb 60",
    "maxclients": "1000",
    "loglevel": "notice",
}
_POLL_S = 0.003
_PING_TIMEOUT_S = 5.0


async def run_embedded_redis(
    data_dir: Path,
    *,
    settings: Mapping[str, str] | None = None,
    on_restart: Callable[[Restart], None] | None = None,
    task_status: trio.TaskStatus[Endpoint] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a private Redis; started with its `Endpoint` once it answers. It restarts empty, under the same URL.

    `settings` override `SETTINGS`. Cancelled: the server is stopped, at last by SIGKILL.

    Raises:
        TakenByAnotherHost: the directory belongs to a host that runs.
        HostError: no server is found, or the first start fails.
    """
    with settled(data_dir, "redis", SOCKET_NAME, marker="run") as place:
        binary = await trio.to_thread.run_sync(find_redis, place.owner)
        server = RedisServer(place, binary, {**SETTINGS, **(settings or {})})
        supervisor = Supervisor(server, on_restart)
        endpoint = Endpoint(
            service="redis",
            url=f"unix://{quote(str(server.socket), safe='/')}?db=0",
            version=binary.version,
            program=binary.program,
            log=place.log,
            pid=lambda: supervisor.pid,
            restarts=lambda: supervisor.restarts,
        )

        def announce() -> None:
            log.info("redis %s is up (pid %s)", binary.version, supervisor.pid)
            place.tell(endpoint.url)
            task_status.started(endpoint)

        await supervisor.run(announce)


class RedisServer:
    """The `Server` that `Supervisor` keeps up."""

    def __init__(self, place: Place, binary: RedisBinary, settings: Mapping[str, str]) -> None:
        self.place = place
        self.socket = place.run_dir / SOCKET_NAME
        self._binary = binary
        self._settings = settings
        pattern = rf"(?:^|/)(?:redis-server|valkey-server)[ \0].*{re.escape(str(self.socket))}"
        self._leftovers = Leftovers(place, re.compile(pattern, re.DOTALL))

    async def start(self) -> Child:
        """Clear leftovers, start, and return once it answers a PING.

        Raises:
            HostError: with the end of the server's log.
        """
        await self._leftovers.clear()
        with contextlib.suppress(FileNotFoundError):
            self.socket.unlink()
        child = Child.spawn(
            self._command(),
            owner=self.place.owner,
            directory=self.place.home,
            log=self.place.log,
            # It has nothing to save, and a script that runs for ever would make it deaf to SIGTERM.
            death_signal=signal.SIGKILL,
        )
        try:
            with trio.move_on_after(START_TIMEOUT_S):
                await self._until_answering(child)
                return child
            raise HostError(
                f"redis did not answer within {START_TIMEOUT_S:.0f} s (START_TIMEOUT_S): {self.place.last_words()}"
            )
        except BaseException:
            await self.stop(child)
            raise

    async def stop(self, child: Child | None) -> None:
        """SIGTERM, then SIGKILL; the socket file goes too."""
        if child is not None:
            await child.stop((signal.SIGTERM, STOP_TIMEOUT_S))
        with contextlib.suppress(FileNotFoundError):
            self.socket.unlink()

    def _command(self) -> list[str | Path]:
        settings = dict(self._settings) | {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "daemonize": "no",
            "dir": str(self.place.home),
            "logfile": "",
        }
        command: list[str | Path] = [self._binary.program]
        for name, value in settings.items():
            command += [f"--{name}", *(value.split() if name == "client-output-buffer-limit" else [value])]
        return command

    async def _until_answering(self, child: Child) -> None:
        while True:
            if child.exit_status is not None:
                raise HostError(f"redis ended with status {child.exit_status} at its start: {self.place.last_words()}")
            try:
                with trio.fail_after(_PING_TIMEOUT_S):
                    await wire.redis_ping(self.socket)
                return
            except (OSError, trio.BrokenResourceError, trio.TooSlowError, wire.Refused):
                await trio.sleep(_POLL_S)
