"""A third party's plugin, as its author has it: made, installed, enabled, edited, crashed, broken, disabled.

Throughout, another plugin (`moon`) must not notice.
"""

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from host.commands.new_plugin import write_plugin
from host.testing import HostProcess
from tests.host.scratch import Scratch, make_scratch

CONFIG = """\
[server]
port = 0
[data]
dir = "{data}"
[plugins.frontrow]
enabled = false
[plugins.moon]
enabled = true
[plugins.tide]
enabled = {tide}
greeting = "{greeting}"
"""

# What an author's mistake looks like: a route that kills the plugin's task. It stands in for any bug.
CRASH = """
    @router.post("/api/tide/crash")
    async def crash(request: Request) -> Response:
        pulse.crash.set()
        return json_response({})
"""


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Scratch:
    """An environment with two new plugins, `tide` and `moon`."""
    scratch = make_scratch(tmp_path_factory.mktemp("third-party"))
    for name in ("tide", "moon"):
        write_plugin(name, scratch.folder / name)
        scratch.install(scratch.folder / name)
    return scratch


def configure(scratch: Scratch, *, tide: bool = True, greeting: str = "Hello") -> None:
    text = CONFIG.format(data=scratch.folder / "data", tide=str(tide).lower(), greeting=greeting)
    scratch.config.write_text(text)


@contextmanager
def edited(path: Path, change: Callable[[str], str]) -> Iterator[None]:
    """The file with a change for the block. Compiled code may be as old as the file to the second, so it goes too."""
    before = path.read_text()
    after = change(before)
    assert after != before
    path.write_text(after)
    os.utime(path, ns=(0, 0))
    try:
        yield
    finally:
        path.write_text(before)
        os.utime(path, ns=(1, 1))


def plugin(client: httpx.Client, name: str) -> dict[str, Any]:
    """What the host says of a plugin."""
    records = client.get("/-/plugins.json").json()["host"]["plugins"]
    return next(record for record in records if record["name"] == name)


def wait_for(client: httpx.Client, name: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Follow the host's events until they tell of a plugin what is waited for."""
    with client.stream("GET", "/-/events", timeout=30) as events:
        for line in events.iter_lines():
            if line.startswith("data:"):
                records = json.loads(line.removeprefix("data:"))["host"]["plugins"]
                record: dict[str, Any] = next(record for record in records if record["name"] == name)
                if holds(record):
                    return record
    raise AssertionError("the events ended")


def moon_beats(client: httpx.Client) -> int:
    answer = client.get("/api/moon")
    assert answer.status_code == 200
    beats: int = answer.json()["beats"]
    return beats


@contextmanager
def talking_to(host: HostProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=host.url, timeout=30) as client:
        yield client


def test_new_plugin_passes_its_own_tests_and_the_hosts_check(scratch: Scratch) -> None:
    configure(scratch)
    tests = scratch.pytest(scratch.folder / "tide")
    assert tests.returncode == 0, tests.stdout + tests.stderr
    assert "5 passed" in tests.stdout
    check = scratch.quartet("plugins", "check", "tide", "--json", "--config", str(scratch.config))
    assert check.returncode == 0, check.stdout + check.stderr
    assert json.loads(check.stdout)["ok"] is True


def test_installed_plugin_runs_once_it_is_enabled_and_not_before(scratch: Scratch) -> None:
    configure(scratch, tide=False)
    listed = json.loads(scratch.quartet("plugins", "list", "--json", "--config", str(scratch.config)).stdout)["plugins"]
    states = {record["name"]: record["state"] for record in listed}
    assert (states["tide"], states["moon"]) == ("disabled", "enabled")
    with scratch.host() as host, talking_to(host) as client:
        assert client.get("/api/tide").status_code == 404
        configure(scratch, greeting="Ahoy")
        host.signal(signal.SIGHUP)
        wait_for(client, "tide", lambda record: record["state"] == "ready")
        assert client.get("/api/tide").json()["greeting"] == "Ahoy"
        assert plugin(client, "tide")["origin"] == "quartet-tide 0.1.0"
        assert "tide_beats_total" in client.get("/metrics").text
        assert "/api/tide" in client.get("/openapi.json").json()["paths"]
        assert host.stop() == 0


def test_edit_of_the_plugin_is_seen_when_the_host_has_started_again(scratch: Scratch) -> None:
    configure(scratch)
    routes = scratch.folder / "tide" / "quartet_tide" / "routes.py"
    with (
        edited(routes, lambda text: text.replace("greeting=config.greeting", 'greeting=f"{config.greeting}, again"')),
        scratch.host() as host,
        talking_to(host) as client,
    ):
        assert client.get("/api/tide").json()["greeting"] == "Hello, again"


def test_crash_of_the_plugin_restarts_it_and_nothing_else_notices(scratch: Scratch) -> None:
    configure(scratch)
    package = scratch.folder / "tide" / "quartet_tide"
    with (
        edited(
            package / "routes.py", lambda text: text.replace("\n    return router\n", f"{CRASH}\n    return router\n")
        ),
        edited(
            package / "pulse.py",
            lambda text: text.replace(
                "        self.beats = 0\n", "        self.beats = 0\n        self.crash = trio.Event()\n"
            ).replace(
                "await trio.sleep_until(next_at_s)",
                "with trio.move_on_at(next_at_s):\n"
                "                await self.crash.wait()\n"
                '                raise ZeroDivisionError("the tide is out")',
            ),
        ),
        scratch.host() as host,
        talking_to(host) as client,
    ):
        before = moon_beats(client)
        assert client.post("/api/tide/crash", json={}).status_code == 200
        record = wait_for(client, "tide", lambda record: record["restarts"] == 1)
        if record["state"] == "backoff":
            assert "the tide is out" in record["reason"]
        wait_for(client, "tide", lambda record: record["restarts"] == 1 and record["state"] == "ready")
        assert client.get("/api/tide").status_code == 200
        assert plugin(client, "moon")["restarts"] == 0
        assert moon_beats(client) >= before
        assert any("the tide is out" in line for line in host.output)
        assert host.stop() == 0


def test_plugin_that_keeps_crashing_is_given_up_and_the_host_serves(scratch: Scratch) -> None:
    configure(scratch)
    pulse = scratch.folder / "tide" / "quartet_tide" / "pulse.py"
    with scratch.config.open("a") as config:
        config.write('on_failure = "stop"\n')
    with (
        edited(pulse, lambda text: text.replace("            self.beats += 1\n", "            self.beats /= 0\n")),
        scratch.host() as host,
        talking_to(host) as client,
    ):
        wait_for(client, "tide", lambda record: record["state"] == "failed")
        answer = client.get("/api/tide")
        assert answer.status_code == 503
        assert "retry-after" in answer.headers
        assert moon_beats(client) >= 1
        ready = client.get("/readyz?verbose").text
        assert re.search(r"\[-\] plugin tide: failed .*division by zero", ready)
        assert host.stop() == 0


def test_plugin_that_cannot_be_imported_is_reported_and_the_host_serves(scratch: Scratch) -> None:
    configure(scratch)
    module = scratch.folder / "tide" / "quartet_tide" / "__init__.py"
    with edited(module, lambda text: text.replace("import Pulse", "import Pusle")):
        with scratch.host() as host, talking_to(host) as client:
            assert client.get("/api/tide").status_code == 404
            assert moon_beats(client) >= 1
            record = plugin(client, "tide")
            assert record["state"] == "failed"
            assert "'tide' (quartet-tide 0.1.0) failed in import: ImportError" in record["reason"]
        listed = scratch.quartet("plugins", "list", "--config", str(scratch.config))
        assert re.search(r"tide +broken .*cannot import name 'Pusle'", listed.stdout)
        check = scratch.quartet("plugins", "check", "tide", "--config", str(scratch.config))
        assert check.returncode == 4


def test_plugin_is_disabled_while_the_host_runs(scratch: Scratch) -> None:
    configure(scratch)
    with scratch.host() as host, talking_to(host) as client:
        before = moon_beats(client)
        assert client.get("/api/tide").status_code == 200
        configure(scratch, tide=False)
        host.signal(signal.SIGHUP)
        wait_for(client, "tide", lambda record: record["enabled"] is False)
        assert client.get("/api/tide").status_code == 404
        assert "tide_beats_total" not in client.get("/metrics").text
        assert plugin(client, "moon")["restarts"] == 0
        assert moon_beats(client) >= before
        assert host.stop() == 0
