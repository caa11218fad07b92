"""A host whose configuration is read again while it runs, inside the test."""

import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

import host.application
from host.application import Application, Options
from host.config import load_settings
from host.errors import HostError
from host.plugins import find_candidates
from host.settings import Settings
from host.supervisor import PluginState
from host.testing import engine_sets
from tests.host.fake_plugins import install

PLUGIN = """
from pydantic import BaseModel
from host.api import PluginInfo, hookimpl

class Config(BaseModel):
    greeting: str = "hello"

@hookimpl
def quartet_info():
    return PluginInfo(summary="A plugin for tests.", config=Config)
"""

KEEPER = """
from host.api import PluginInfo, Task, hookimpl

@hookimpl
def quartet_info():
    return PluginInfo(summary="Keeps something in Redis.", services=frozenset({"redis"}))

@hookimpl
def quartet_tasks(ctx):
    async def keep(*, task_status):
        await ctx.redis.set("kept", "yes")
        task_status.started()
        await ctx.draining.wait()
    return [Task("keep", keep)]
"""

SLOW = """
import trio
from host.api import PluginInfo, Task, hookimpl

@hookimpl
def quartet_info():
    return PluginInfo(summary="Never gets ready.")

@hookimpl
def quartet_tasks():
    async def run(*, task_status):
        await trio.sleep_forever()
    return [Task("slow", run)]
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A configuration file; the plugins `greeter` and `keeper` can be found, and neither is enabled."""
    install(tmp_path, "greeter", PLUGIN)
    install(tmp_path, "keeper", KEEPER)
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "config.toml"
    path.write_text("")
    yield path
    for name in ("greeter_module", "keeper_module", "slow_module", "both_module", "taker_module"):
        sys.modules.pop(name, None)


@asynccontextmanager
async def running(
    config: Path, before: Callable[[Application], None] = lambda application: None, **options: Any
) -> AsyncIterator[Application]:
    """A host for the block that reads `config` anew at each reload; `before` is called before it starts."""
    sets = [*engine_sets(), "server.port=0", f"data.dir={config.parent / 'data'}"]
    sets += [f"plugins.{name}.enabled=false" for name in find_candidates(safe_mode=True)[0]]

    def read() -> Settings:
        return load_settings(config, {}, sets)

    application = Application(read(), Options(reload=read, **{"owns_process": False, **options}))
    before(application)
    async with trio.open_nursery() as nursery:
        await nursery.start(application.run)
        try:
            yield application
        finally:
            application.stop()


def write(config: Path, text: str) -> None:
    config.write_text(text)


async def until(application: Application, holds: Callable[[], bool]) -> None:
    with trio.fail_after(20):
        await application.supervisor.wait_for(holds)


def is_ready(application: Application, name: str) -> bool:
    unit = application.supervisor.units.get(name)
    return unit is not None and unit.state is PluginState.READY


async def test_a_reload_asked_for_before_the_start_is_over_comes_after_it(config: Path) -> None:
    def before(application: Application) -> None:
        write(config, '[plugins.greeter]\nenabled = true\ngreeting = "later"\n')
        application.reload()

    async with running(config, before) as application:
        await until(application, lambda: is_ready(application, "greeter"))
        assert application.supervisor.units["greeter"].configured.config.greeting == "later"


async def test_a_reload_that_enables_what_cannot_be_imported_says_so_in_the_log(config: Path, tmp_path: Path) -> None:
    install(tmp_path, "broken", "raise RuntimeError('no luck')")
    async with running(config) as application:
        with capture_logs() as logs:
            write(config, "[plugins.broken]\nenabled = true\n[plugins.greeter]\nenabled = true\n")
            application.reload()
            await until(application, lambda: is_ready(application, "greeter"))
    (said,) = [line for line in logs if line["event"] == "plugin not loaded"]
    assert said["plugin"] == "broken"
    assert "no luck" in said["reason"]


async def test_a_reload_starts_the_embedded_server_that_the_first_plugin_to_need_it_is_given(config: Path) -> None:
    async with running(config) as application:
        assert application.endpoints == {}
        write(config, "[plugins.keeper]\nenabled = true\n")
        application.reload()
        await until(application, lambda: is_ready(application, "keeper"))
        assert list(application.endpoints) == ["redis"]


async def test_a_reload_whose_embedded_server_does_not_start_changes_nothing(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = trio.Event()

    async def run_embedded_redis(data_dir: Path, *, task_status: Any) -> None:
        tries.set()
        raise HostError("there is no Redis here")

    monkeypatch.setattr(host.application, "run_embedded_redis", run_embedded_redis)
    async with running(config) as application:
        before = application.settings
        write(config, "[plugins.keeper]\nenabled = true\n[plugins.greeter]\nenabled = true\n")
        application.reload()
        await tries.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert application.settings is before
        assert application.supervisor.units == {}
        write(config, "[plugins.greeter]\nenabled = true\n")
        application.reload()
        await until(application, lambda: is_ready(application, "greeter"))


async def test_the_process_is_given_longer_than_connections_to_end(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    class Timer(threading.Timer):
        def __init__(self, interval: float, function: Callable[..., object], args: Any = None) -> None:
            waits.append(interval)
            super().__init__(interval, function, args)

        def start(self) -> None:
            """Not in a test: it would end the process."""

    monkeypatch.setattr(threading, "Timer", Timer)
    write(config, '[server.limits]\ngrace_s = "2m"\n')
    async with running(config, owns_process=True):
        pass
    assert [wait > 120 for wait in waits] == [True]


async def test_a_unix_socket_goes_with_its_host(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    write(config, f'[server]\nhost = "unix:{path}"\n')
    async with running(config) as application:
        assert application.urls == [f"unix:{path}"]
        assert path.is_socket()
    assert not path.exists()


async def test_a_stop_while_a_plugin_starts_does_not_wait_for_it(config: Path) -> None:
    install(config.parent, "slow", SLOW)
    write(config, "[plugins.slow]\nenabled = true\n")
    sets = [*engine_sets(), f"data.dir={config.parent / 'data'}", "server.port=0"]
    sets += [f"plugins.{name}.enabled=false" for name in find_candidates(safe_mode=True)[0]]
    application = Application(load_settings(config, {}, sets), Options(owns_process=False))
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(application.run)
            while not hasattr(application, "supervisor"):  # noqa: ASYNC110  It is made in the middle of the start.
                await trio.sleep(0.01)
            await application.supervisor.wait_for(lambda: "slow" in application.supervisor.units)
            application.stop()
    assert application.site.is_ready() == (False, ["[-] the host is draining", "[-] plugin slow: stopped"])


@pytest.mark.parametrize(
    ("host_name", "more", "warnings"),
    [
        ("127.0.0.1", "", []),
        ("0.0.0.0", "", ["admin.token", "server.allowed_hosts"]),
        ("0.0.0.0", 'allowed_hosts = ["quartet.example"]', ["admin.token"]),
    ],
)
async def test_a_host_that_others_can_reach_says_what_is_not_set(
    config: Path, host_name: str, more: str, warnings: list[str]
) -> None:
    write(config, f'[server]\nhost = "{host_name}"\n{more}\n')
    with capture_logs() as logs:
        async with running(config):
            pass
    assert [line["event"].rpartition("set ")[2] for line in logs if "others can reach" in line["event"]] == warnings


async def test_servers_that_do_not_start_are_all_named(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(data_dir: Path, *, task_status: Any) -> None:
        raise HostError("no server here")

    monkeypatch.setattr(host.application, "run_embedded_redis", fail)
    monkeypatch.setattr(host.application, "run_embedded_postgres", fail)
    install(config.parent, "both", KEEPER.replace('{"redis"}', '{"redis", "postgres"}'))
    write(config, "[plugins.both]\nenabled = true\n")
    with pytest.RaisesGroup(pytest.RaisesExc(HostError, match="^no server here; no server here$")):
        async with running(config):
            raise AssertionError("it started")


TAKER = """
from pydantic import BaseModel
from host.api import PluginInfo, hookimpl

class Config(BaseModel):
    answer: str = "yes"

@hookimpl
def quartet_info():
    return PluginInfo(summary="Takes some configurations over.", config=Config)

@hookimpl
def quartet_setup(ctx):
    return ctx

@hookimpl
def quartet_reconfigure(ctx, state, config):
    assert state is ctx
    assert config.answer != "error", "cannot"
    return config.answer == "yes"
"""


@pytest.mark.parametrize(("answer", "same_run"), [("yes", True), ("no", False), ("error", False)])
async def test_a_plugin_that_takes_its_new_configuration_over_is_not_restarted(
    config: Path, answer: str, same_run: bool
) -> None:
    install(config.parent, "taker", TAKER)
    write(config, '[plugins.taker]\nenabled = true\nanswer = "first"\n')
    async with running(config) as application:
        before = application.supervisor.units["taker"]
        run = before.run
        write(config, f'[plugins.taker]\nenabled = true\nanswer = "{answer}"\n')
        application.reload()

        def is_applied() -> bool:
            unit = application.supervisor.units["taker"]
            return is_ready(application, "taker") and unit.configured.config.answer == answer

        # Nothing changes its state when it is taken over, so there is no change to wait for.
        with trio.fail_after(30):
            while not is_applied():  # noqa: ASYNC110
                await trio.sleep(0.005)
        assert (application.supervisor.units["taker"].run is run) is same_run
