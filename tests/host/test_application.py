"""The host as a whole: inside the test, and as a process that is signalled."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import trio

from host.errors import ConfigError, HostError
from host.supervisor import PluginState
from host.testing import HostProcess, host_process, running_host
from tests.host.fake_plugins import install

# Serves /api/NAME, streams on /api/NAME/stream, crashes and stalls on demand, and notes its configuration.
PLUGIN = """
import trio
from pydantic import BaseModel
from host.api import (EventStream, Metric, Mount, Page, PluginInfo, Request, Router, Task, hookimpl, json_response)

class Config(BaseModel):
    greeting: str = "hello"

@hookimpl
def quartet_info():
    return PluginInfo(summary="A plugin for tests.", config=Config)

@hookimpl
def quartet_metrics():
    return [Metric("counter", "greetings_total", "Greetings.")]

@hookimpl
def quartet_setup(ctx):
    return trio.Event()

@hookimpl
def quartet_routes(ctx, state):
    router = Router()

    @router.get(f"/api/{ctx.name}")
    async def greet(request: Request):
        ctx.metrics["greetings_total"].inc()
        return json_response({"greeting": ctx.config.greeting, "restarts": ctx.restart_count})

    @router.get(f"/api/{ctx.name}/stream")
    async def stream(request: Request):
        async with EventStream(request.scope, request.receive, request.send, ctx.draining) as events:
            await events.send("first")
            await trio.sleep_forever()

    @router.get(f"/api/{ctx.name}/raise")
    async def raises(request: Request):
        raise RuntimeError("out of the handler")

    @router.get(f"/api/{ctx.name}/half")
    async def half(request: Request):
        await request.send({"type": "http.response.start", "status": 200, "headers": []})
        await request.send({"type": "http.response.body", "body": b"half", "more_body": True})
        await trio.sleep_forever()

    @router.post(f"/api/{ctx.name}/crash")
    async def crash(request: Request):
        state.set()
        return json_response({})

    return [Mount(f"/api/{ctx.name}", router)]

@hookimpl
def quartet_tasks(ctx, state):
    async def run():
        await state.wait()
        raise RuntimeError("told to crash")
    return [Task("fragile", run)]
"""

STUBBORN = """
import trio
from host.api import PluginInfo, Task, hookimpl

@hookimpl
def quartet_info():
    return PluginInfo(summary="Does not let go.")

@hookimpl
def quartet_tasks():
    async def run():
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(60)
    return [Task("stubborn", run)]
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose plugins this process and its children find: `alpha` and `beta` are there."""
    folder = tmp_path / "site"
    folder.mkdir()
    for name in ("alpha", "beta"):
        install(folder, name, PLUGIN)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    yield folder
    for name in [name for name in sys.modules if name.endswith("_module")]:
        del sys.modules[name]


async def test_a_host_serves_its_plugins_and_what_it_says_of_them(installed: Path, tmp_path: Path) -> None:
    async with running_host({"alpha": {"greeting": "hi"}}, data_dir=tmp_path) as host:
        assert (await host.http.get("/api/alpha")).json() == {"greeting": "hi", "restarts": 0}
        assert (await host.http.get("/livez")).text == "ok\n"
        assert "plugin alpha: ready" in (await host.http.get("/readyz?verbose")).text
        metrics = (await host.http.get("/metrics")).text
        assert "alpha_greetings_total 1.0" in metrics
        assert 'quartet_plugin_state{plugin="alpha",state="ready"} 1.0' in metrics
        plugins = {p["name"]: p for p in (await host.http.get("/-/plugins.json")).json()["host"]["plugins"]}
        assert plugins["alpha"]["version"] == "1.2.3"
        assert plugins["alpha"]["tasks"] == ["fragile"]
        assert plugins["beta"]["state"] == "discovered"
        assert (await host.http.get("/openapi.json")).json()["openapi"] == "3.1.0"
        assert (await host.http.get("/api/beta")).status_code == 404


@pytest.mark.parametrize(("accepts", "coding"), [("gzip, br", "gzip"), ("gzip;q=0", None), ("identity", None)])
async def test_the_api_document_is_compressed_for_who_accepts_it(
    installed: Path, tmp_path: Path, accepts: str, coding: str | None
) -> None:
    async with running_host({"alpha": {}}, data_dir=tmp_path) as host:
        answer = await host.http.get("/openapi.json", headers={"accept-encoding": accepts})
        assert answer.headers.get("content-encoding") == coding
        assert answer.headers["vary"] == "accept-encoding"
        assert "/livez" in answer.json()["paths"]


async def test_a_crash_is_503_on_its_own_routes_until_the_restart_and_nothing_else_notices(
    installed: Path, tmp_path: Path
) -> None:
    async with running_host({"alpha": {}, "beta": {}}, data_dir=tmp_path) as host:
        await host.http.post("/api/alpha/crash", json={})
        await host.application.supervisor.wait_for(lambda: host.application.supervisor.units["alpha"].restarts == 1)
        answer = await host.http.get("/api/alpha")
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.headers["content-type"] == "application/problem+json"
        assert (await host.http.get("/api/beta")).json()["restarts"] == 0
        await host.application.supervisor.wait_for(
            lambda: host.application.supervisor.units["alpha"].state is PluginState.READY
        )
        assert (await host.http.get("/api/alpha")).json()["restarts"] == 1


async def test_a_crash_ends_the_requests_of_the_plugin_that_are_under_way(installed: Path, tmp_path: Path) -> None:
    async with (
        running_host({"alpha": {}}, data_dir=tmp_path) as host,
        trio.open_nursery() as nursery,
        host.http.stream("GET", "/api/alpha/half") as answer,
    ):
        chunks = answer.aiter_raw()
        assert await anext(chunks) == b"half"
        nursery.start_soon(lambda: host.http.post("/api/alpha/crash", json={}))
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
            await anext(chunks)


async def test_an_exception_in_a_handler_is_a_500_and_costs_the_plugin_nothing(installed: Path, tmp_path: Path) -> None:
    async with running_host({"alpha": {}}, data_dir=tmp_path) as host:
        answer = await host.http.get("/api/alpha/raise")
        assert answer.status_code == 500
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
        assert "out of the handler" not in answer.text
        assert (await host.http.get("/api/alpha")).json()["restarts"] == 0


async def test_a_plugin_that_cannot_be_imported_leaves_the_others_running(installed: Path, tmp_path: Path) -> None:
    install(installed, "broken", "import no_such_module")
    async with running_host({"alpha": {}, "broken": {}}, data_dir=tmp_path) as host:
        assert (await host.http.get("/api/alpha")).status_code == 200
        plugins = {p["name"]: p for p in (await host.http.get("/-/plugins.json")).json()["host"]["plugins"]}
        assert plugins["broken"]["state"] == "failed"
        assert "no_such_module" in plugins["broken"]["reason"]


async def test_a_mistake_in_a_plugins_section_is_found_before_anything_starts(installed: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="greetin"):
        async with running_host({"alpha": {"greetin": "hi"}}, data_dir=tmp_path):
            raise AssertionError("it started")


async def test_a_taken_port_is_a_clear_error(installed: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(HostError, match=f"cannot listen on 127.0.0.1 port {port}"):
            async with running_host({"alpha": {}}, data_dir=tmp_path, sets=(f"server.port={port}",)):
                raise AssertionError("it started")


def test_sigterm_drains_with_an_open_stream_and_leaves_nothing_running(installed: Path, tmp_path: Path) -> None:
    with host_process({"alpha": {}}, data_dir=tmp_path) as host:
        with httpx.stream("GET", f"{host.url}/api/alpha/stream", timeout=20) as stream:
            lines = stream.iter_lines()
            assert "data: first" in (next(lines), next(lines), next(lines))
            host.signal(signal.SIGTERM)
            assert "event: bye" in list(lines)
        assert host.wait() == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{host.url}/livez")


def test_a_second_signal_cancels_and_a_third_exits(installed: Path, tmp_path: Path) -> None:
    install(installed, "stubborn", STUBBORN)
    with host_process({"stubborn": {}}, data_dir=tmp_path) as host:
        host.signal(signal.SIGINT)
        _until(lambda: any("draining" in line for line in host.output))
        host.signal(signal.SIGINT)
        _until(lambda: any("cancelling everything" in line for line in host.output))
        assert host.process.poll() is None
        host.signal(signal.SIGINT)
        assert host.wait() == 130


def test_sighup_restarts_only_what_changed_and_a_bad_file_changes_nothing(installed: Path, tmp_path: Path) -> None:
    with host_process({"alpha": {}, "beta": {}}, data_dir=tmp_path) as host:
        config = host.config
        good = config.read_text()
        since = _plugins(host)["beta"]["since_s"]
        config.write_text(good.replace("[plugins.alpha]", '[plugins.alpha]\ngreeting = "changed"'))
        host.signal(signal.SIGHUP)
        _until(lambda: _greeting(host, "alpha") == "changed")
        assert _plugins(host)["beta"]["since_s"] >= since
        config.write_text(config.read_text().replace("greeting", "greetin"))
        host.signal(signal.SIGHUP)
        _until(lambda: any("is not used" in line for line in host.output))
        assert _greeting(host, "alpha") == "changed"
        config.write_text(good.replace("[plugins.alpha]\nenabled = true", "[plugins.alpha]\nenabled = false"))
        host.signal(signal.SIGHUP)
        _until(lambda: httpx.get(f"{host.url}/api/alpha").status_code == 404)
        assert _greeting(host, "beta") == "hello"
        assert host.stop() == 0


def test_signals_are_heard_while_a_reload_waits_for_a_plugin_that_does_not_stop(
    installed: Path, tmp_path: Path
) -> None:
    install(installed, "stubborn", STUBBORN)
    with host_process({"stubborn": {}}, data_dir=tmp_path) as host:
        text = host.config.read_text()
        host.config.write_text(
            text.replace("[plugins.stubborn]\nenabled = true", "[plugins.stubborn]\nenabled = false")
        )
        host.signal(signal.SIGHUP)
        _until(lambda: _plugins(host)["stubborn"]["state"] == "stopping")
        host.signal(signal.SIGINT)
        _until(lambda: any("draining" in line for line in host.output))
        host.signal(signal.SIGINT)
        _until(lambda: any("cancelling everything" in line for line in host.output))
        host.signal(signal.SIGINT)
        assert host.wait() == 130


async def test_a_data_folder_that_cannot_be_made_is_a_clear_error(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(HostError, match=r"data cannot be made: a file is in its place — set data\.dir"):
        async with running_host({"alpha": {}}, data_dir=tmp_path, sets=(f"data.dir={tmp_path / 'data'}",)):
            raise AssertionError("it started")


def test_strict_plugins_ends_the_host_when_one_does_not_load(installed: Path, tmp_path: Path) -> None:
    install(installed, "broken", "import no_such_module")
    command = [sys.executable, "-m", "host.cli", "run", "--strict-plugins", "--set", "server.port=0"]
    command += ["--set", f"data.dir={tmp_path}", "--set", "plugins.broken.enabled=true"]
    command += ["--set", "plugins.frontrow.enabled=false", "--config", os.devnull]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1
    assert "no_such_module" in result.stderr


def test_on_failure_exit_ends_the_host(installed: Path, tmp_path: Path) -> None:
    with host_process({"alpha": {"on_failure": "exit"}, "beta": {}}, data_dir=tmp_path) as host:
        httpx.post(f"{host.url}/api/alpha/crash", json={})
        assert host.wait() == 1
        assert any("told to crash" in line for line in host.output)


def test_safe_mode_leaves_third_party_plugins_out(installed: Path, tmp_path: Path) -> None:
    install(installed, "explosive", "raise SystemExit('imported')")
    command = [sys.executable, "-m", "host.cli", "plugins", "list", "--json", "--safe-mode"]
    command += ["--set", "plugins.explosive.enabled=true"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "explosive" not in result.stdout
    assert "frontrow" in result.stdout
    assert json.loads(result.stdout)


def _plugins(host: HostProcess) -> dict[str, dict[str, float]]:
    found = httpx.get(f"{host.url}/-/plugins.json").json()["host"]["plugins"]
    return {plugin["name"]: plugin for plugin in found}


def _greeting(host: HostProcess, plugin: str) -> str | None:
    answer = httpx.get(f"{host.url}/api/{plugin}")
    return str(answer.json()["greeting"]) if answer.status_code == 200 else None


def _until(holds: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Ask again until it holds: what happens in another process cannot be awaited."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come to be in time"
        time.sleep(0.02)
