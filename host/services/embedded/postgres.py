"""The embedded Postgres: made once, started in a fraction of a second, kept up, stopped with the host.

It listens on a unix socket alone, in a directory of mode 0700: who may enter it is trusted, nobody else can connect.
Plugins are the user `quartet`, owner of the database `quartet` and no superuser, so an SQL injection runs no program.
`fsync` and `synchronous_commit` stay on: this is the truth, whatever it runs on.
"""

import contextlib
import math
import os
import re
import shutil
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

import trio

from host.errors import HostError
from host.services.embedded import wire
from host.services.embedded.binaries import PostgresBinaries, find_postgres
from host.services.embedded.child import Child
from host.services.embedded.leftovers import Leftovers
from host.services.embedded.place import Place, log, settled
from host.services.embedded.supervise import Endpoint, Restart, Supervisor

USER = DATABASE = "quartet"
SUPERUSER = "postgres"
SOCKET_NAME = ".s.PGSQL.5432"
INITDB_TIMEOUT_S = 60.0
# Crash recovery replays about max_wal_size at most, and syncs every file first: seconds, minutes on a slow disk.
START_TIMEOUT_S = 180.0
# A start that takes longer says so.
START_NOTICE_S = 5.0
FAST_STOP_TIMEOUT_S = 10.0
# The postmaster itself kills its children five seconds after an immediate shutdown (SIGKILL_CHILDREN_AFTER_SECS).
IMMEDIATE_STOP_TIMEOUT_S = 6.0
_FAST = (signal.SIGINT, FAST_STOP_TIMEOUT_S)
_IMMEDIATE = (signal.SIGQUIT, IMMEDIATE_STOP_TIMEOUT_S)
SETTINGS: Mapping[str, str] = {
    "fsync": "on",
    "synchronous_commit": "on",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "512MB",
    "min_wal_size": "80MB",
    # Nothing replicates from it: less is written per transaction.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # Compiling a query costs more than the short ones of the plugins take.
    "jit": "off",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_checkpoints": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
}
_POLL_S = 0.003
_PING_TIMEOUT_S = 5.0
# SQLSTATEs: the role or the database is missing; too early.
_ROLE_MISSING, _DATABASE_MISSING, _STARTING_UP = "28000", "3D000", "57P03"
_ALREADY_THERE = frozenset({"42710", "42P04"})


async def run_embedded_postgres(
    data_dir: Path,
    *,
    settings: Mapping[str, str] | None = None,
    on_restart: Callable[[Restart], None] | None = None,
    task_status: trio.TaskStatus[Endpoint] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a private Postgres with its data under `data_dir`; started with its `Endpoint` once it accepts queries.

    When the server ends by itself it is started again, with back-off, under the same URL, and `on_restart` is called
    in this task. `settings` override `SETTINGS`. Cancelled: the server is shut down (fast, then immediate, then
    killed).

    Raises:
        TakenByAnotherHost: the directory belongs to a host that runs.
        HostError: no Postgres is found, or the first start fails.
    """
    with settled(data_dir, "postgres", SOCKET_NAME, marker="pgdata/PG_VERSION") as place:
        binaries = await trio.to_thread.run_sync(find_postgres, place.owner, _data_version(place))
        server = PostgresServer(place, binaries, {**SETTINGS, **(settings or {})})
        supervisor = Supervisor(server, on_restart)
        url = f"postgresql://{USER}@/{DATABASE}?host={quote(str(place.run_dir), safe='/')}"
        endpoint = Endpoint(
            service="postgres",
            url=url,
            version=binaries.version,
            program=binaries.folder / "postgres",
            log=place.log,
            pid=lambda: supervisor.pid,
            restarts=lambda: supervisor.restarts,
        )

        def announce() -> None:
            log.info("postgres %s is up (pid %s), data in %s", binaries.version, supervisor.pid, server.data)
            place.tell(endpoint.url)
            task_status.started(endpoint)

        await supervisor.run(announce)


class PostgresServer:
    """The `Server` that `Supervisor` keeps up."""

    def __init__(self, place: Place, binaries: PostgresBinaries, settings: Mapping[str, str]) -> None:
        self.place = place
        self.data = place.home / "pgdata"
        self._binaries = binaries
        self._settings = settings
        self._socket = place.run_dir / SOCKET_NAME
        postmaster = rf"(?:^|/)postgres[ \0].*[ \0]cluster_name={place.token}"
        self._leftovers = Leftovers(place, re.compile(rf"^postgres: {place.token}: |{postmaster}", re.DOTALL))

    async def start(self) -> Child:
        """Make the cluster if there is none, clear leftovers, start, and return once the database answers.

        Raises:
            HostError: with the end of the server's log.
        """
        await self._leftovers.clear(_IMMEDIATE)
        if not (self.data / "PG_VERSION").exists():
            await self._make_cluster()
        self._remove_stale_lock_files()
        child = self._spawn(self._command(), death_signal=signal.SIGQUIT)
        try:
            with trio.move_on_after(START_TIMEOUT_S):
                await self._until_answering(child)
                return child
            raise HostError(
                f"postgres did not answer within {START_TIMEOUT_S:.0f} s (START_TIMEOUT_S): {self.place.last_words()}"
            )
        except BaseException:
            await self.stop(child)
            raise

    async def stop(self, child: Child | None) -> None:
        """Fast shutdown, then immediate, then SIGKILL; backends that are orphaned by then are ended too."""
        how = await child.stop(_FAST, _IMMEDIATE) if child is not None else None
        if child is not None and how not in (None, signal.SIGINT):
            log.warning("postgres (pid %d) needed %s to end; it recovers at its next start", child.pid, how)
        if how is not signal.SIGINT:
            with trio.CancelScope(shield=True):
                await self._leftovers.clear(_IMMEDIATE)

    async def _make_cluster(self) -> None:
        """Run initdb beside the final place and rename: a cluster that was cut short is never taken for one."""
        for earlier in self.place.home.glob("pgdata.new-*"):
            await trio.to_thread.run_sync(shutil.rmtree, earlier, True)
        # By pid: the bootstrap of a killed host may still write into its own.
        unfinished = self.place.home / f"pgdata.new-{os.getpid()}"
        command: list[str | Path] = [
            self._binaries.folder / "initdb", "-D", unfinished, "-U", SUPERUSER,
            "--auth-local=trust", "--auth-host=reject", "--encoding=UTF8", "--locale=C",
            "--data-checksums", "--no-sync", "--no-instructions",
        ]  # fmt: skip
        if self._binaries.major >= 17:
            command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        child = self._spawn(command, death_signal=signal.SIGKILL)
        status = None
        try:
            with trio.move_on_after(INITDB_TIMEOUT_S):
                status = await child.wait()
        finally:
            await child.stop()
        if status is None:
            raise HostError(
                f"initdb did not end within {INITDB_TIMEOUT_S:.0f} s (INITDB_TIMEOUT_S): {self.place.last_words()}"
            )
        if status != 0:
            raise HostError(f"initdb failed with status {status}: {self.place.last_words()}")
        unfinished.rename(self.data)
        if self._settings["fsync"] != "off":
            # What initdb left to the kernel (--no-sync) is on the disk soon after; the start need not wait for it.
            threading.Thread(target=os.sync, name="sync new cluster", daemon=True).start()

    def _command(self) -> list[str | Path]:
        settings = dict(self._settings) | {
            "listen_addresses": "",
            "port": "5432",
            "unix_socket_directories": str(self.place.run_dir),
            "unix_socket_permissions": "0700",
            # In every process title: how leftovers are found.
            "cluster_name": self.place.token,
            "logging_collector": "off",
            "log_destination": "stderr",
        }
        command: list[str | Path] = [self._binaries.folder / "postgres", "-D", self.data]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        return command

    def _spawn(self, command: list[str | Path], death_signal: signal.Signals) -> Child:
        return Child.spawn(
            command, owner=self.place.owner, directory=self.place.home, log=self.place.log, death_signal=death_signal
        )

    def _remove_stale_lock_files(self) -> None:
        """Drop the pid files: the lock on the directory is ours, and no process of this cluster runs any more.

        Postgres itself takes any live process with that pid for its own, and in a container small pids come again.
        """
        for path in (self.data / "postmaster.pid", self._socket.with_name(f"{SOCKET_NAME}.lock"), self._socket):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    async def _until_answering(self, child: Child) -> None:
        """Watch the postmaster's status file, which costs it nothing, then log in once."""
        notice_at = trio.current_time() + START_NOTICE_S
        while not self._is_ready():
            if trio.current_time() > notice_at:
                log.warning("postgres is still starting: %s", self.place.last_words())
                notice_at = math.inf
            if child.exit_status is not None:
                raise HostError(
                    f"postgres ended with status {child.exit_status} at its start: {self.place.last_words()}"
                )
            await trio.sleep(_POLL_S)
        while True:
            try:
                with trio.fail_after(_PING_TIMEOUT_S):
                    await wire.postgres_session(self._socket, USER, DATABASE)
                return
            except wire.Refused as error:
                if error.code in (_ROLE_MISSING, _DATABASE_MISSING):
                    await self._make_database()
                elif error.code != _STARTING_UP:
                    raise HostError(f"postgres refuses the login of {USER}: {error}") from error
            except (OSError, trio.BrokenResourceError, trio.TooSlowError):
                if child.exit_status is not None:
                    raise HostError(f"postgres ended at its start: {self.place.last_words()}") from None
            await trio.sleep(_POLL_S)

    def _is_ready(self) -> bool:
        """Line 8 of postmaster.pid (since Postgres 10, utils/pidfile.h) says `ready` once it accepts connections."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[7].strip() == "ready"

    async def _make_database(self) -> None:
        """Create the role and the database that a new cluster lacks."""
        for statement in (
            f"CREATE ROLE {USER} LOGIN CREATEDB",
            f"GRANT pg_monitor, pg_signal_backend TO {USER}",
            f"CREATE DATABASE {DATABASE} OWNER {USER}",
        ):
            try:
                await wire.postgres_session(self._socket, SUPERUSER, "postgres", (statement,))
            except wire.Refused as error:
                if error.code not in _ALREADY_THERE:
                    raise HostError(f"cannot make the database {DATABASE}: {error}") from error


def _data_version(place: Place) -> int | None:
    """The major version that made the data, None when there are none."""
    try:
        return int((place.home / "pgdata" / "PG_VERSION").read_text().strip())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise HostError(f"cannot tell which PostgreSQL made {place.home / 'pgdata'}: {error}") from error
