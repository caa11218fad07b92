"""One host process with instant simulated providers, for all tests that come as clients; and the client of Node."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from host.testing import host_process
from tests.web.node_packages import installed


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


@pytest.fixture(scope="package")
def client_of_node() -> None:
    """Have the package there. Without npm these tests cannot run, and pytest's summary says so."""
    installed("openai")
