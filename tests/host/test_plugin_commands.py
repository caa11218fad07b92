"""`quartet NAME-OF-PLUGIN command`: found, parsed and run with the plugin's services, while nothing else of it runs."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import trio
from pydantic import BaseModel

from host.api import Command, HostError, Metric, PluginContext, PluginInfo, Task
from host.cli import main
from host.plugins import Candidate
from host.services.embedded import run_embedded_redis
from tests.host.fake_plugins import make_module

Capture = pytest.CaptureFixture[str]


class Config(BaseModel):
    greeting: str = "Hello"


async def greet(ctx: PluginContext, arguments: Namespace) -> int:
    ctx.metrics["greetings"].inc()
    (ctx.data_dir / "greeted").write_text(f"{ctx.config.greeting}, {arguments.who}")
    return int(arguments.code)


async def fail(ctx: PluginContext, arguments: Namespace) -> int:
    raise HostError("the tide is out")


async def ask_postgres(ctx: PluginContext, arguments: Namespace) -> int:
    return int(await ctx.postgres.fetch_value("SELECT 42")) + int(await ctx.redis.incr("asked"))


@pytest.fixture
def quartet(tmp_path: Path) -> Iterator[Any]:
    """Run a command line with one fake plugin, `tide`, beside none."""

    def arguments(parser: ArgumentParser) -> None:
        parser.add_argument("who")
        parser.add_argument("--code", type=int, default=0)

    def quartet_info() -> PluginInfo:
        return PluginInfo("Comes and goes.", config=Config, services=frozenset({"postgres", "redis"}))

    def quartet_metrics() -> Iterable[Metric]:
        return [Metric("counter", "greetings", "Greetings.")]

    def quartet_tasks() -> Iterable[Task]:
        raise AssertionError("a command starts no tasks")

    def quartet_commands() -> Iterable[Command]:
        return [
            Command("greet", "Greet somebody.", greet, arguments),
            Command("fail", "Fail.", fail),
            Command("ask", "Ask.", ask_postgres),
        ]

    hooks = [quartet_info, quartet_metrics, quartet_tasks, quartet_commands]
    candidates = {"tide": Candidate("tide", make_module("tide_of_commands", **{hook.__name__: hook for hook in hooks}))}
    nowhere = [f"data.dir={tmp_path}", "postgres.url=postgresql://127.0.0.1:1/x", "redis.url=redis://127.0.0.1:1"]

    def run(*words: str, sets: Iterable[str] = ()) -> int:
        options = [word for item in (*nowhere, *sets) for word in ("--set", item)]
        empty = tmp_path / "empty.toml"
        empty.touch()
        return main([*words, "--config", str(empty), *options])

    with (
        patch("host.plugins.find_candidates", lambda **_: (candidates, [])),
        patch("host.inventory.find_candidates", lambda **_: (candidates, [])),
        # Logs belong to whoever runs the tests.
        patch("host.commands.of_plugin.configure_logging"),
    ):
        yield run


def test_command_runs_with_the_plugins_config_and_folder_and_its_code_is_the_exit_code(
    quartet: Any, tmp_path: Path
) -> None:
    assert quartet("tide", "greet", "moon", "--code", "7", sets=["plugins.tide.greeting=Ahoy"]) == 7
    assert (tmp_path / "tide" / "greeted").read_text() == "Ahoy, moon"


def test_command_has_the_services_that_the_plugin_declared(quartet: Any, postgres_url: str, redis_url: str) -> None:
    assert quartet("tide", "ask", sets=[f"postgres.url={postgres_url}", f"redis.url={redis_url}"]) == 43


async def test_command_uses_the_embedded_server_of_the_host_that_runs(
    quartet: Any, postgres_url: str, tmp_path: Path
) -> None:
    sets = [f"postgres.url={postgres_url}", "redis.url=embedded"]
    async with trio.open_nursery() as nursery:
        endpoint = await nursery.start(run_embedded_redis, tmp_path)
        for asked in (1, 2):
            assert await trio.to_thread.run_sync(partial(quartet, "tide", "ask", sets=sets)) == 42 + asked
        assert endpoint.restarts() == 0
        nursery.cancel_scope.cancel()
    # Without a host, the command has a server of its own, which is empty.
    assert await trio.to_thread.run_sync(partial(quartet, "tide", "ask", sets=sets)) == 43


def test_error_of_a_command_is_one_line(quartet: Any, capsys: Capture) -> None:
    assert quartet("tide", "fail") == 1
    assert capsys.readouterr().err == "error: the tide is out\n"


def test_service_that_is_away_is_one_line(quartet: Any, capsys: Capture) -> None:
    assert quartet("tide", "ask", sets=["postgres.acquire_timeout=2s"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")


def test_wrong_section_is_told_before_anything_runs(quartet: Any, capsys: Capture, tmp_path: Path) -> None:
    assert quartet("tide", "greet", "moon", sets=["plugins.tide.greting=Ahoy"]) == 3
    assert 'unknown key — did you mean "greeting"?' in capsys.readouterr().err
    assert not (tmp_path / "tide").exists()


def test_help_of_a_plugin_lists_its_commands(quartet: Any, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["tide", "--help"])
    assert stop.value.code == 0
    output = capsys.readouterr().out
    assert "Comes and goes." in output
    assert "Greet somebody." in output
