"""The command line: exit codes, what goes where, help, colour."""

import io
import json
import os
import re
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest

from host.cli import INTERRUPTED, main
from host.commands import HELP, NAMES, Exit, command, command_line
from host.commands.command_line import build_parser
from host.commands.terminal import Terminal

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration in an empty folder, without plugins, and no other from the environment."""
    for name in [name for name in os.environ if name.startswith("QUARTET")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "config.toml"
    path.write_text("[server]\nport = 0\n[plugins.frontrow]\nenabled = false\n")
    return path


def outcome(capsys: Capture, *words: str) -> tuple[int, str, str]:
    try:
        code = main(words)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["version"], Exit.OK),
        (["--version"], Exit.OK),
        (["check-config"], Exit.OK),
        (["plugins", "list"], Exit.OK),
        (["schema"], Exit.OK),
        (["routes"], Exit.OK),
        ([], Exit.USAGE),
        (["rnu"], Exit.USAGE),
        (["run", "--nonsense"], Exit.USAGE),
        (["run", "-v", "-q"], Exit.USAGE),
        (["plugins"], Exit.USAGE),
        (["plugins", "check"], Exit.USAGE),
        (["plugins", "check", "nobody"], Exit.PLUGIN),
        (["check-config", "--set", "server.port=x"], Exit.CONFIG),
        (["check-config", "--config", "nowhere.toml"], Exit.CONFIG),
        (["run", "--set", "server.port=x"], Exit.CONFIG),
        (["routes", "--set", "server.port=x"], Exit.CONFIG),
        (["run", "--config", "nowhere.toml"], Exit.CONFIG),
        (["frontrow", "nonsense"], Exit.USAGE),
    ],
)
def test_exit_code_says_what_kind_of_failure_it_was(
    config: Path, capsys: Capture, words: list[str], code: Exit
) -> None:
    assert outcome(capsys, *words)[0] == code


@pytest.mark.parametrize("words", [(), *((name,) for name in NAMES), ("plugins", "list"), ("plugins", "check")])
def test_help_shows_an_example(capsys: Capture, words: tuple[str, ...]) -> None:
    code, out, err = outcome(capsys, *words, "--help")
    assert (code, err) == (0, "")
    assert "example" in out
    assert "quartet " in out.partition("example")[2]


def test_help_lists_every_command_and_exit_code(capsys: Capture) -> None:
    _, out, _ = outcome(capsys, "--help")
    for name in NAMES:
        assert re.search(rf"^    {name}\s", out, re.MULTILINE)
    for code in Exit:
        assert f"\n  {int(code)} " in out


@pytest.mark.parametrize("name", NAMES)
def test_examples_of_a_command_are_command_lines_that_parse(name: str) -> None:
    for line in command(name).EXAMPLE.splitlines():
        words = line.partition(" > ")[0].split()
        assert words[0] == "quartet"
        arguments = build_parser(name).parse_args(words[1:])
        assert arguments.command == name


def test_unknown_command_is_told_with_what_was_meant(capsys: Capture) -> None:
    _, out, err = outcome(capsys, "chekc-config")
    assert out == ""
    assert 'there is no command "chekc-config" — did you mean "check-config"?' in err


def test_problems_go_to_standard_error_a_line_each(config: Path, capsys: Capture) -> None:
    code, out, err = outcome(capsys, "check-config", "--set", "server.port=x", "--set", "log.level=y")
    assert (code, out) == (Exit.CONFIG, "")
    assert err.splitlines() == [
        'error: server.port (--set): expected a whole number, found "x"',
        'error: log.level (--set): expected "debug", "info", "warning" or "error", found "y"',
        "2 errors",
    ]


def test_problems_as_json_go_to_standard_output(config: Path, capsys: Capture) -> None:
    code, out, err = outcome(capsys, "check-config", "--json", "--set", "server.port=x")
    assert (code, err) == (Exit.CONFIG, "")
    document = json.loads(out)
    assert document["ok"] is False
    assert document["problems"] == ['server.port (--set): expected a whole number, found "x"']


def test_effective_configuration_tells_where_each_value_is_from_and_no_secret(
    config: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUARTET__ADMIN__TOKEN", "hunter2")
    monkeypatch.setenv("QUARTET__POSTGRES__URL", "postgresql://u:hunter2@h/d")
    code, out, _ = outcome(capsys, "check-config", "--show-effective", "--set", "log.level=debug")
    lines = out.splitlines()
    assert code == 0
    assert "hunter2" not in out
    assert "server.port = 0  # config.toml:2" in lines
    assert 'log.level = "debug"  # --set' in lines
    assert 'log.format = "auto"  # default' in lines
    assert 'admin.token = { env = "QUARTET__ADMIN__TOKEN" }  # environment QUARTET__ADMIN__TOKEN' in lines
    assert 'postgres.url = "postgresql://u:***@h/d"  # environment QUARTET__POSTGRES__URL' in lines
    assert "# server.certfile is not set" in lines


@pytest.mark.parametrize(
    "words", [["version"], ["plugins", "list"], ["check-config"], ["check-config", "--show-effective"], ["routes"]]
)
def test_json_is_one_document_on_standard_output(config: Path, capsys: Capture, words: list[str]) -> None:
    code, out, err = outcome(capsys, *words, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)


def test_routes_are_those_of_the_host_and_of_enabled_plugins(config: Path, capsys: Capture) -> None:
    paths = {row["path"] for row in json.loads(outcome(capsys, "routes", "--json")[1])}
    assert {"/", "/livez", "/metrics"} <= paths
    assert not any(path.startswith("/frontrow") for path in paths)
    enabled = ["--set", "plugins.frontrow.enabled=true"]
    rows = json.loads(outcome(capsys, "routes", "--json", *enabled)[1])
    assert {"method": "POST", "path": "/api/frontrow/stampede", "plugin": "frontrow"}.items() <= next(
        row for row in rows if row["path"] == "/api/frontrow/stampede"
    ).items()


def test_check_of_a_built_in_plugin_calls_its_hooks(config: Path, capsys: Capture) -> None:
    code, out, _ = outcome(capsys, "plugins", "check", "frontrow", "--json")
    document = json.loads(out)
    assert (code, document["ok"]) == (0, True)
    assert [check["check"] for check in document["checks"]] == [
        *("found", "loads", "configuration", "requires"),
        *("metrics", "routes", "tasks", "health checks", "commands", "card"),
    ]


def test_check_of_a_plugin_tells_what_is_wrong_in_its_section(config: Path, capsys: Capture) -> None:
    code, out, _ = outcome(capsys, "plugins", "check", "frontrow", "--set", "plugins.frontrow.enabeld=true")
    assert code == Exit.PLUGIN
    assert 'plugins.frontrow.enabeld (--set): unknown key — did you mean "enabled"?' in out


class _Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("variables", "on_screen", "coloured"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"TERM": "dumb"}, True, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
    ],
)
def test_colour_is_for_terminals_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], on_screen: bool, coloured: bool
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    stream = _Screen() if on_screen else io.StringIO()
    terminal = Terminal(stream, stream)
    terminal.problems(["x"])
    terminal.table(["A", "B"], [("a", "b")], ["green"])
    assert ("\x1b[" in stream.getvalue()) is coloured


def test_interrupt_is_exit_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(words: Any, terminal: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(command_line, "_dispatch", interrupted)
    assert main(["version"]) == 130
    assert INTERRUPTED == Exit.INTERRUPTED


def test_interrupt_while_the_commands_are_imported_gets_no_traceback() -> None:
    script = """
import sys
class Interrupt:
    def find_spec(self, name, path, target=None):
        if name.startswith("host.commands"):
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
from host.cli import main
sys.exit(main(["version"]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (Exit.INTERRUPTED, "")


def test_reader_that_leaves_early_gets_no_traceback(config: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "host.cli", "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(30) == Exit.FAILURE


def test_every_command_module_declares_what_the_parser_needs() -> None:
    for name in NAMES:
        assert HELP[name][0].islower()
        assert not HELP[name].endswith(".")
        command(name).add_arguments(ArgumentParser())


def test_the_entry_imports_nothing_so_that_ctrl_c_meets_its_guard() -> None:
    script = "import sys; before = set(sys.modules); import host.cli; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "host host.cli\n"


def test_the_command_line_starts_light() -> None:
    heavy = "{'structlog', 'trio', 'pydantic', 'jinja2', 'importlib.metadata'}"
    script = f"import host.commands.command_line, sys; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_a_mistake_is_told_once(config: Path, capsys: Capture) -> None:
    code, _, err = outcome(capsys, "check-config", "--set", 'plugins.frontrow={enabled="yes"}')
    assert (code, err.count("plugins.frontrow.enabled")) == (Exit.CONFIG, 1)
