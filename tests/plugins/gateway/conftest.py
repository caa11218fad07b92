"""One host process with instant simulated providers, for all tests that come as clients; and the client of Node."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from host.testing import host_process
from tests.web.test_node import ROOT

PACKAGE = ROOT / "node_modules" / "openai" / "package.json"
INSTALL_TIMEOUT_S = 110


@pytest.fixture(scope="package")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    sets = (
        'plugins.gateway.simulated={ enabled = "on", first_token = 0, token_interval = 0 }',
        "plugins.gateway.retries.rounds=1",
    )
    section = {"gateway": {"providers_from_environment": False}}
    with host_process(section, data_dir=tmp_path_factory.mktemp("gateway"), sets=sets) as host:
        yield host.url


@pytest.fixture
def fault(url: str) -> Iterator[Any]:
    def set_fault(kind: str, name: str = "simulated", **more: Any) -> None:
        answer = httpx.post(f"{url}/api/gateway/simulated/{name}/fault", json={"kind": kind, **more})
        assert answer.status_code == 200, answer.text

    yield set_fault
    httpx.post(f"{url}/api/gateway/heal", json={})


def _is_installed(version: str) -> bool:
    return PACKAGE.is_file() and json.loads(PACKAGE.read_text())["version"] == version


@pytest.fixture(scope="package")
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
