"""The scripts of the pages, by Node's own test runner."""

import shutil
import subprocess
from pathlib import Path

from playwright._impl._driver import compute_driver_executable

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60
NODE_MAJOR_MIN = 20


def find_node() -> str:
    """The machine's Node when it is recent enough, else the one inside Playwright, which is always there."""
    node = shutil.which("node")
    if node is not None:
        version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True, timeout=TIMEOUT_S)
        if int(version.stdout.lstrip("v").split(".")[0]) >= NODE_MAJOR_MIN:
            return node
    return str(compute_driver_executable()[0])


def test_scripts_of_the_pages_pass_their_own_tests() -> None:
    files = sorted(str(path) for path in (ROOT / "tests" / "web").glob("*.test.js"))
    assert files
    run = subprocess.run(
        [find_node(), "--test", *files], capture_output=True, text=True, timeout=TIMEOUT_S, cwd=ROOT, check=False
    )
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
