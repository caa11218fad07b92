"""The official client of Node. npm installs it, as package.json pins it, when it is not there yet."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.web.test_node import ROOT, find_node

PACKAGE = ROOT / "node_modules" / "openai" / "package.json"
INSTALL_TIMEOUT_S = 110
RUN_TIMEOUT_S = 100


def _is_installed(version: str) -> bool:
    return PACKAGE.is_file() and json.loads(PACKAGE.read_text())["version"] == version


@pytest.fixture(scope="module")
def client_of_node() -> None:
    """Have the package there. Without npm these tests cannot run, and pytest's summary says so."""
    wanted = json.loads((ROOT / "package.json").read_text())["devDependencies"]["openai"]
    if _is_installed(wanted):
        return
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("NOT RUN: openai-node is not tried against the gateway, for there is no npm here")
    command = [npm, "install", "--silent", "--no-audit", "--no-fund"]
    installed = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
    )
    # A client that should be here and is not is a failure, not a reason to leave it out.
    assert _is_installed(wanted), installed.stdout + installed.stderr


@pytest.mark.usefixtures("client_of_node")
def test_the_official_client_of_node_is_satisfied(url: str, fault: Any) -> None:
    """`fault` heals the providers that the script breaks."""
    script = Path(__file__).with_name("openai_node.test.js")
    environment = {**os.environ, "GATEWAY_URL": url}
    run = subprocess.run(
        [find_node(), "--test", str(script)],
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
        env=environment,
        cwd=ROOT,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
