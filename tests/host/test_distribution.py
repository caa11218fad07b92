"""What is published: the wheel and the sdist are whole, and run where there is no checkout."""

import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import httpx
import pytest

from tests.host.scratch import Scratch, make_scratch

CHECKOUT = Path(__file__).parents[2]
STOP_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Built:
    """The sdist, unpacked into `source`, and the wheel that was built from it."""

    source: Path
    wheel: Path


def build(kind: str, source: Path, into: Path) -> Path:
    """Build a "wheel" or an "sdist" of `source`, as pip's front end would, without the network."""
    code = f"import hatchling.build, sys; print(hatchling.build.build_{kind}(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(into)], cwd=source, capture_output=True, text=True, timeout=100, check=True
    )
    return into / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("dist")
    with tarfile.open(build("sdist", CHECKOUT, folder)) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (source,) = (folder / "unpacked").iterdir()
    return Built(source, build("wheel", source, folder))


@pytest.fixture(scope="module")
def scratch(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Scratch:
    """An environment with the wheel, and with this one's packages, of which the checkout is none."""
    scratch = make_scratch(tmp_path_factory.mktemp("installed"))
    (ours,) = scratch.folder.rglob("ours.pth")
    # A bare path is not searched for .pth files, which editable installs consist of.
    ours.write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(scratch.python), "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-index", "--no-compile", "--force-reinstall", "--root-user-action=ignore"]
    subprocess.run([*pip, "install", *options, str(built.wheel)], check=True, timeout=100)
    return scratch


@contextmanager
def running_in(folder: Path, scratch: Scratch) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """`quartet run` in `folder`, on a free port, for the block; and its URL."""
    command = [str(scratch.python.parent / "quartet"), "run", "--set", "server.port=0"]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={"PATH": "/usr/bin:/bin"}
    ) as process:
        try:
            assert process.stdout is not None
            said = []
            for line in process.stdout:
                said.append(line)
                if line.startswith("Ready on "):
                    yield process, line.split()[2]
                    return
            raise AssertionError("the host did not become ready:\n" + "".join(said))
        finally:
            process.terminate()
            try:
                process.communicate(timeout=STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()


def test_wheel_runs_without_the_checkout(scratch: Scratch) -> None:
    where = scratch.run("-c", "import host, plugins.raft; print(host.__file__, plugins.raft.__file__)")
    assert all(Path(path).is_relative_to(scratch.folder) for path in where.stdout.split()), where
    assert scratch.quartet("version").stdout.split()[:2] == ["quartet", metadata.version("quartet-host")]
    check = scratch.quartet("check-config")
    assert check.returncode == 0, check.stdout + check.stderr


def test_run_in_an_empty_folder_serves_pages_and_assets(scratch: Scratch, tmp_path: Path) -> None:
    browser = {"accept": "text/html"}
    with running_in(tmp_path, scratch) as (process, url), httpx.Client(base_url=url, timeout=60) as client:
        assert client.get("/readyz?verbose").status_code == 200
        for page in ("/", "/frontrow", "/raft-lab", "/liveboard", "/gateway", "/-/plugins", "/-/docs"):
            answer = client.get(page, headers=browser)
            assert answer.status_code == 200, f"{page}: {answer.text[:500]}"
            assert "<!doctype html>" in answer.text.lower(), page
        for asset in ("/assets/tokens.css", "/assets/theme-boot.js", "/gateway/gateway.js"):
            assert client.get(asset).status_code == 200, asset
        process.terminate()
        process.communicate(timeout=STOP_TIMEOUT_S)
        assert process.returncode == 0


def test_sdist_and_wheel_are_whole_and_hold_nothing_that_was_left_lying_about(built: Built) -> None:
    tops = {path.name for path in built.source.iterdir()}
    assert {"LICENSE", "README.md", "config.toml", "examples", "tests"} <= tops
    assert tops.isdisjoint({"data", "node_modules", ".venv", ".cache", ".grimp_cache"})
    with zipfile.ZipFile(built.wheel) as archive:
        packed = set(archive.namelist())
    files = [path for top in ("host", "plugins", "web") for path in (built.source / top).rglob("*") if path.is_file()]
    assert {str(path.relative_to(built.source)) for path in files} | {"host/config.toml"} <= packed
    assert {"host/py.typed", "web/layout.html", "web/assets/tokens.css"} <= packed
    assert [name for name in packed if "__pycache__" in name] == []
