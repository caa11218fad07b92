"""A scratch environment: a Python that sees this one's packages, and that a test may install into."""

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from host.testing import HostProcess, started_host


@dataclass(frozen=True, slots=True)
class Scratch:
    """The environment in `folder`, with a configuration of its own in `config.toml` beside it."""

    folder: Path
    python: Path

    @property
    def config(self) -> Path:
        return self.folder / "config.toml"

    def run(self, *words: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
        """Run `python *words` in the environment and return what came of it."""
        ours = ("QUARTET__", "QUARTET_CONFIG", "PYTEST_")
        environment = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        return subprocess.run(
            [str(self.python), *words],
            cwd=cwd or self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def quartet(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run `quartet *words` in the environment."""
        return self.run("-m", "host.cli", *words)

    def pytest(self, cwd: Path) -> "subprocess.CompletedProcess[str]":
        """Run a distribution's own tests; without LangChain's plugin, which takes longer to import than they take."""
        return self.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:langsmith_plugin", cwd=cwd)

    def install(self, distribution: Path) -> None:
        """`pip install -e`, without the network: what it needs is there already."""
        pip = [sys.executable, "-m", "pip", "--python", str(self.python), "--quiet", "--disable-pip-version-check"]
        options = ["--no-deps", "--no-build-isolation", "--root-user-action=ignore"]
        subprocess.run([*pip, "install", *options, "-e", str(distribution)], check=True, timeout=100)

    @contextmanager
    def host(self) -> Iterator[HostProcess]:
        """Run `quartet run` in the environment for the block."""
        with started_host(self.config, python=str(self.python)) as host:
            yield host


def make_scratch(folder: Path) -> Scratch:
    """Make a scratch environment in `folder`, in a few hundredths of a second."""
    environment = folder / "environment"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    paths = {"base": str(environment), "platbase": str(environment)}
    site_packages = Path(sysconfig.get_path("purelib", "venv", vars=paths))
    # addsitedir, unlike a bare path, also follows the .pth files that editable installs consist of.
    ours = sysconfig.get_path("purelib")
    (site_packages / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    return Scratch(folder, python)
