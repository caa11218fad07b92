"""The official client of Node, which conftest.py installs when it is not there yet."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.web.test_node import ROOT, find_node

RUN_TIMEOUT_S = 100


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
