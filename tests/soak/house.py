"""The host under test: one real process with its embedded servers, which can be killed, restarted and reloaded."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import trio

from host.api import PoolLimits, TrioTransport
from host.testing import HostProcess, started_host
from host.toml_text import toml_value

PATIENCE_S = 120.0
"""How long anything may take that is to happen at all."""
CLIENT_TIMEOUT_S = 30.0
_LIMITS = PoolLimits(connections_max=400, connections_per_origin_max=400)

# What a soak needs otherwise than a site: the lab takes more than a visitor's hands would give it, and things that
# are kept for a while are let go within the time that the soak waits for silence.
SECTIONS: dict[str, dict[str, Any]] = {
    "server": {"port": 0},
    "plugins.frontrow": {"hold_ttl": "20s", "payment_ttl": "20s", "audit_interval": "10s"},
    "plugins.raft": {"actions_per_s": 200, "actions_burst": 400},
    "plugins.liveboard": {"room_idle": "2s", "crash_interval": "5s"},
    "plugins.gateway": {"providers_from_environment": False},
    "plugins.gateway.clocks": {"first_token": "2s", "between_chunks": "2s"},
}


@dataclass
class House:
    """One host on one folder. `life` counts its processes from 1; `is_open` is set while visitors may come in."""

    folder: Path
    life: int = 0
    url: str = ""
    is_open: trio.Event = field(default_factory=trio.Event)
    is_closing: trio.Event = field(default_factory=trio.Event)
    is_running: trio.Event = field(default_factory=trio.Event)
    """Set from the end of a start to the next kill. A host that cannot start its servers gives up, and rightly."""
    inside: int = 0
    """Visits under way."""
    kills: int = 0
    lines: list[str] = field(default_factory=list)
    """All that ended processes have logged."""
    _stack: ExitStack = field(default_factory=ExitStack)
    _process: HostProcess | None = None
    _http: httpx.AsyncClient | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def http(self) -> httpx.AsyncClient:
        """A client of this life's process."""
        assert self._http is not None
        return self._http

    async def start(self) -> None:
        """Start the process, and wait until every plugin is ready."""
        self._write_config()
        self._process = await trio.to_thread.run_sync(
            lambda: self._stack.enter_context(started_host(self.folder / "config.toml"))
        )
        self.life += 1
        self.url = self._process.url
        await self._open_client()
        await self.until_ready()
        self.is_running.set()

    async def until_ready(self) -> None:
        """Wait until all plugins are up and both servers answer."""
        with trio.fail_after(PATIENCE_S):
            while not await self._is_ready():  # noqa: ASYNC110  Another process has no event.
                await trio.sleep(0.1)

    async def _is_ready(self) -> bool:
        try:
            answer = await self.http.get("/-/plugins.json")
            states = [plugin["state"] for plugin in answer.json()["host"]["plugins"]]
            return states == ["ready"] * 4
        except httpx.TransportError:
            return False

    def let_in(self) -> None:
        """Open the doors."""
        self.is_closing = trio.Event()
        self.is_open.set()

    async def close(self) -> None:
        """Close the doors, wait until everybody has left, and close every connection of theirs."""
        self.is_open = trio.Event()
        self.is_closing.set()
        with trio.fail_after(PATIENCE_S):
            while self.inside:  # noqa: ASYNC110  Visits have no event.
                await trio.sleep(0.05)
        await self._open_client()

    @contextmanager
    def visit(self) -> Iterator[None]:
        """Count a visit."""
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    async def kill(self) -> None:
        """SIGKILL, and a new process on the same folder."""
        assert self._process is not None
        self.is_running = trio.Event()
        os.kill(self._process.pid, signal.SIGKILL)
        self.kills += 1
        await self.stop()
        await self.start()

    async def stop(self) -> int:
        """Stop the process if it still runs; the exit code, negative when a signal ended it."""
        assert self._process is not None
        process = self._process
        await trio.to_thread.run_sync(self._stack.close)
        self.lines += process.output
        return process.wait()

    def reload(self, plugin: str, **keys: Any) -> None:
        """Change a plugin's section, and have the host read it again."""
        assert self._process is not None
        self._write_config({f"plugins.{plugin}": {**SECTIONS[f"plugins.{plugin}"], **keys}})
        self._process.signal(signal.SIGHUP)

    def postmaster(self) -> int | None:
        """The first process of the embedded Postgres, None while there is none."""
        try:
            text = (self.folder / "data/postgres/pgdata/postmaster.pid").read_text()
            return int(text.split()[0])
        except (OSError, IndexError, ValueError):
            return None

    def redis(self) -> int | None:
        """The process of the embedded Redis, None while there is none."""
        mark = f"{self.folder}/data/redis/".encode()
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = path.read_bytes()
            except OSError:
                continue
            if mark in command and not command.startswith(b"postgres"):
                return int(path.parent.name)
        return None

    def log_lines(self) -> list[str]:
        """All that was logged so far."""
        running = self._process.output if self._process is not None and self._process.process.poll() is None else []
        return [*self.lines, *running]

    async def _open_client(self) -> None:
        """A client for what comes now; who still uses the one before loses its connections."""
        before, self._http = self._http, self._new_client()
        if before is not None:
            await before.aclose()

    def _new_client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, transport=TrioTransport(limits=_LIMITS), timeout=CLIENT_TIMEOUT_S)

    def _write_config(self, changed: dict[str, dict[str, Any]] | None = None) -> None:
        sections = {"data": {"dir": str(self.folder / "data")}, **SECTIONS, **(changed or {})}
        lines: list[str] = []
        for name, keys in sections.items():
            lines += [f"[{name}]", *(f"{key} = {toml_value(value)}" for key, value in keys.items()), ""]
        (self.folder / "config.toml").write_text("\n".join(lines))
