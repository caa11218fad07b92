"""Packages of Node that tests use, as `package.json` pins them."""

import json
import shutil
import subprocess
from pathlib import Path

from tests.needs import missing

ROOT = Path(__file__).parents[2]
INSTALL_TIMEOUT_S = 110


def installed(name: str) -> Path:
    """The folder of a package of `package.json`, which npm installs when it is not there yet.

    Where there is no npm the test is skipped aloud; in CI it fails. One that should be there and is not is a failure.
    """
    folder = ROOT / "node_modules" / name
    wanted = json.loads((ROOT / "package.json").read_text())["devDependencies"][name]
    if _version(folder) != wanted:
        npm = shutil.which("npm")
        if npm is None:
            missing(f"there is no npm on this machine, which would install {name} {wanted}: apt-get install npm")
        command = [npm, "install", "--silent", "--no-audit", "--no-fund"]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
        assert _version(folder) == wanted, run.stdout + run.stderr
    return folder


def _version(folder: Path) -> str | None:
    package = folder / "package.json"
    return json.loads(package.read_text())["version"] if package.is_file() else None
