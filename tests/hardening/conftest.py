"""One host process with all built-in plugins, for every test here; at the end it must have come through unharmed."""

from collections.abc import Iterator

import httpx
import pytest

from host.testing import HostProcess, host_process
from host.testing_servers import fresh_database

PLUGINS = {
    "frontrow": {"samples": True},
    "gateway": {"providers_from_environment": False},
    # Nobody may kill it, and the lab takes whatever comes: here it is not a visitor's pace that is tested.
    "liveboard": {"crash_interval": "0s"},
    "raft": {"actions_per_s": 1000, "actions_burst": 1000},
}

FAILURES = ("a request crashed", "plugin failed", "Traceback")


@pytest.fixture(scope="package")
def host(
    postgres_server_url: str, redis_server_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HostProcess]:
    with (
        fresh_database(postgres_server_url) as database,
        host_process(
            PLUGINS,
            postgres_url=database,
            redis_url=redis_server_url,
            data_dir=tmp_path_factory.mktemp("host"),
            sets=("plugins.gateway.simulated={first_token=0, token_interval=0}",),
        ) as host,
    ):
        yield host


@pytest.fixture
def unharmed(host: HostProcess) -> Iterator[HostProcess]:
    """The host; after the test, it and its plugins have neither crashed nor failed nor been restarted."""
    before, lines_before = _plugins(host), len(host.output)
    yield host
    assert _plugins(host) == before
    failed = [line for line in host.output[lines_before:] if any(mark in line for mark in FAILURES)]
    assert failed == []


def _plugins(host: HostProcess) -> dict[str, tuple[str, int]]:
    """The state of each plugin, and how often it was restarted."""
    plugins = httpx.get(f"{host.url}/-/plugins.json", timeout=60).json()["host"]["plugins"]
    return {plugin["name"]: (plugin["state"], plugin["restarts"]) for plugin in plugins}


@pytest.fixture
def http(unharmed: HostProcess) -> Iterator[httpx.Client]:
    """A client of the host that must come through."""
    with httpx.Client(base_url=unharmed.url, timeout=60) as client:
        yield client
