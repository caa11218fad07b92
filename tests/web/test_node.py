"""The scripts of the pages, by Node's own test runner; without Node these checks are not run, and say so."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NODE = shutil.which("node")
TIMEOUT_S = 60


def node_is_recent() -> bool:
    if NODE is None:
        return False
    version = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True, timeout=TIMEOUT_S).stdout
    return int(version.lstrip("v").split(".")[0]) >= 20


def test_scripts_of_the_pages_pass_their_own_tests() -> None:
    if not node_is_recent():
        reason = "the tests of the pages' scripts were not run: they need Node 20 or later (apt-get install nodejs)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    files = sorted(str(path) for path in (ROOT / "tests" / "web").glob("*.test.js"))
    assert files
    run = subprocess.run(
        [str(NODE), "--test", *files], capture_output=True, text=True, timeout=TIMEOUT_S, cwd=ROOT, check=False
    )
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
