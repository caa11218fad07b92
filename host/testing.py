"""The test kit for plugin authors; once the host is installed, its fixtures are there in pytest.

    from host.testing import running_host

    async def test_hello(postgres_url, redis_url, tmp_path):
        servers = {"postgres_url": postgres_url, "redis_url": redis_url}
        async with running_host({"weather": {}}, data_dir=tmp_path, **servers) as host:
            answer = await host.http.get("/api/weather")

`running_host` runs the host inside the test, `host_process` as a child that can be signalled and killed. Both listen on
a free port of loopback. Fixtures: `postgres_url`, `redis_url` (real servers, see `host.testing_servers`), `host_url` (a
host process with all built-in plugins, shared by a module's tests).

`QUARTET_TEST_ENGINE=hypercorn pytest` runs every one of these hosts on that engine.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from host.testing_servers import module_postgres_url as module_postgres_url
from host.testing_servers import postgres_server_url as postgres_server_url
from host.testing_servers import postgres_url as postgres_url
from host.testing_servers import redis_server_url as redis_server_url
from host.testing_servers import redis_url as redis_url
from host.testing_servers import reused_postgres_url as reused_postgres_url

if TYPE_CHECKING:
    import httpx

    from host.application import Application

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 40.0

# Names the engine that serves the hosts of tests; without it they run on the default.
ENGINE_VARIABLE = "QUARTET_TEST_ENGINE"

Sections = Mapping[str, Mapping[str, Any]]


def pytest_report_header() -> str | None:
    """Say which engine is tested when it is not the default."""
    return " ".join(("hosts run with", *engine_sets())) if engine_sets() else None


def engine_sets() -> tuple[str, ...]:
    """What `ENGINE_VARIABLE` asks of a host, as items for `--set`: for tests that start one by other means."""
    name = os.environ.get(ENGINE_VARIABLE)
    return (f"server.engine={name}",) if name else ()


@dataclass(frozen=True, slots=True)
class RunningHost:
    """A host inside the test. `http` is a client of it; `application` gives access to its insides."""

    url: str
    http: "httpx.AsyncClient"
    application: "Application"


@asynccontextmanager
async def running_host(
    plugins: Sections,
    *,
    postgres_url: str = "embedded",
    redis_url: str = "embedded",
    data_dir: Path,
    sets: tuple[str, ...] = (),
) -> AsyncIterator[RunningHost]:
    """Run a host with only these plugins, by name, each with the keys of its section, for the block.

    Entered once every plugin is up or has failed; left once the host has stopped in order. `sets` are further
    `key=value` items as for `--set`.

    Raises:
        HostError: the host cannot start; its configuration is wrong, for one.
    """
    # Every pytest run in this environment loads this module: what it needs only now is imported only now.
    import httpx
    import trio

    from host.application import Application, Options
    from host.config import load_settings
    from host.errors import HostError

    config = _write_config(data_dir, plugins, postgres_url, redis_url)
    application = Application(load_settings(config, {}, (*engine_sets(), *sets)), Options(owns_process=False))
    failure: HostError | None = None
    async with trio.open_nursery() as nursery:
        try:
            await nursery.start(application.run)
        except HostError as error:
            # Raised past the nursery, which would wrap it in a group.
            failure = error
        else:
            try:
                async with httpx.AsyncClient(base_url=application.urls[0], timeout=30) as http:
                    yield RunningHost(application.urls[0], http, application)
            finally:
                application.stop()
    if failure is not None:
        raise failure


@dataclass(slots=True)
class HostProcess:
    """A host as a child process. `config` is its configuration file, `output` collects all that it prints."""

    process: "subprocess.Popen[str]"
    config: Path
    url: str = ""
    output: list[str] = field(default_factory=list)

    @property
    def pid(self) -> int:
        return self.process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Wait for its end and return the exit code, negative when a signal ended it."""
        return self.process.wait(timeout_s)

    def stop(self) -> int:
        """SIGTERM it, unless it has ended, and return the exit code."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait()


@contextmanager
def host_process(
    plugins: Sections | None = None,
    *,
    postgres_url: str = "embedded",
    redis_url: str = "embedded",
    data_dir: Path,
    sets: tuple[str, ...] = (),
) -> Iterator[HostProcess]:
    """Run `quartet run` as a child for the block: with only these plugins, or with the built-in ones by default.

    Entered once it is ready; at the end it is stopped, if it still runs, and killed when it does not stop.

    Raises:
        RuntimeError: it did not become ready; the text is what it printed.
    """
    config = _write_config(data_dir, plugins, postgres_url, redis_url)
    with started_host(config, sets=sets) as host:
        yield host


@contextmanager
def started_host(config: Path, *, sets: tuple[str, ...] = (), python: str = sys.executable) -> Iterator[HostProcess]:
    """Run `quartet run` with a configuration file of one's own, by any `python`, for the block; see `host_process`.

    Raises:
        RuntimeError: it did not become ready; the text is what it printed.
    """
    command = [python, "-m", "host.cli", "run", "--config", str(config)]
    command += [word for item in (*engine_sets(), *sets) for word in ("--set", item)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("QUARTET_")}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        host = HostProcess(process, config)
        ready = threading.Event()
        reader = threading.Thread(target=_read_output, args=(host, ready), daemon=True)
        reader.start()
        try:
            if not ready.wait(START_TIMEOUT_S) or not host.url:
                raise RuntimeError("the host did not become ready:\n" + "".join(host.output))
            yield host
        finally:
            try:
                host.stop()
            except subprocess.TimeoutExpired:
                process.kill()
            reader.join(STOP_TIMEOUT_S)


@pytest.fixture(scope="module")
def host_url(
    module_postgres_url: str, redis_server_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of a host process with all built-in plugins, shared by the tests of a module."""
    data_dir = tmp_path_factory.mktemp("host")
    with host_process(postgres_url=module_postgres_url, redis_url=redis_server_url, data_dir=data_dir) as host:
        yield host.url


def _read_output(host: HostProcess, ready: threading.Event) -> None:
    """Collect the process's output; set `ready` when it says so, or has ended."""
    assert host.process.stdout is not None
    for line in host.process.stdout:
        host.output.append(line)
        if line.startswith("Ready on "):
            host.url = line.split()[2]
            ready.set()
    ready.set()


def _write_config(data_dir: Path, plugins: Sections | None, postgres_url: str, redis_url: str) -> Path:
    """A configuration file of its own in a fresh folder, so that nothing on the machine gets in."""
    sections: dict[str, Mapping[str, Any]] = {
        "server": {"port": 0},
        "postgres": {"url": postgres_url},
        "redis": {"url": redis_url},
        "data": {"dir": str(data_dir)},
    }
    from host.toml_text import dotted, toml_value

    if plugins is not None:
        from host.plugins import find_candidates

        others = [name for name in find_candidates()[0] if name not in plugins]
        sections |= {f"plugins.{name}": {"enabled": False} for name in others}
        sections |= {f"plugins.{name}": {"enabled": True, **keys} for name, keys in plugins.items()}
    path = Path(tempfile.mkdtemp(prefix="quartet-config-", dir=data_dir)) / "config.toml"
    lines = []
    for name, keys in sections.items():
        lines += [f"[{name}]", *(f"{dotted([key])} = {toml_value(value)}" for key, value in keys.items()), ""]
    path.write_text("\n".join(lines))
    return path
