"""What `new-plugin` writes: complete, clean, and never over anything. That it works is in test_third_party."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from host.cli import main
from host.commands.new_plugin import problem_with_name, write_plugin
from host.settings import PLUGIN_NAME, RESERVED_KEYS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("new") / "weather_feed"
    write_plugin("weather_feed", folder)
    return folder


def run(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, capture_output=True, text=True, check=False, timeout=100
    )


@pytest.mark.parametrize("words", ["ruff format --check .", "ruff check .", "mypy --strict"])
def test_new_plugin_is_clean_by_its_own_tools(folder: Path, words: str, pytestconfig: pytest.Config) -> None:
    tool = words.split()
    if tool[0] == "mypy":
        assert pytestconfig.cache is not None
        # Between runs it keeps what it found out about the libraries, which is nearly all of its time.
        tool += ["--cache-dir", str(pytestconfig.cache.mkdir("mypy"))]
    result = run(folder, *tool)
    assert result.returncode == 0, result.stdout + result.stderr


def test_new_plugin_is_a_complete_distribution(folder: Path) -> None:
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and "cache" not in str(path)}
    assert files == {
        ".gitignore",
        "README.md",
        "pyproject.toml",
        *(f"quartet_weather_feed/{name}.py" for name in ("__init__", "config", "pulse", "routes")),
        *(f"tests/{name}.py" for name in ("test_plugin", "test_pulse")),
    }
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == "quartet-weather-feed"
    assert project["entry-points"]["quartet.plugins"] == {"weather_feed": "quartet_weather_feed"}
    for path in files:
        assert "@" not in (folder / path).read_text().replace("@hookimpl", "").replace("@router.get(", "")


def test_new_plugin_imports_nothing_of_the_host_but_its_api(folder: Path) -> None:
    for path in (folder / "quartet_weather_feed").glob("*.py"):
        imports = [line for line in path.read_text().splitlines() if line.startswith(("from host", "import host"))]
        assert all(line.startswith("from host.api import ") for line in imports), path


@pytest.mark.parametrize("name", ["weather", "weather_feed", "a", "x2", "a" * 40])
def test_good_name_is_taken(name: str) -> None:
    assert problem_with_name(name) == ""
    assert PLUGIN_NAME.fullmatch(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Weather",
        "weather-feed",
        "2x",
        "_x",
        "x_",
        "a__b",
        "wetter_ü",
        "a" * 41,
        "../x",
        "a/b",
        "x.y",
        "x\n",
        "class",
        "host",
        "quartet",
        "plugins",
        "run",
        "new_plugin",
        "frontrow",
        *sorted(RESERVED_KEYS),
    ],
)
def test_bad_name_is_refused_and_nothing_is_written(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new-plugin", "--into", str(tmp_path), "--", name]) == 2
    assert "expected" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "empty folder", "link to nowhere"])
def test_what_is_there_is_never_overwritten(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "weather"
    if kind == "file":
        path.write_text("mine")
    elif kind == "empty folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "nowhere")
    assert main(["new-plugin", "weather", "--into", str(tmp_path)]) == 1
    assert "nothing was overwritten" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [path]
    assert not path.is_dir() or list(path.iterdir()) == []


def test_new_plugin_says_what_to_do_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new-plugin", "weather", "--into", str(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert f"pip install -e {tmp_path / 'weather'}" in output
    assert "[plugins.weather]\n  enabled = true" in output
