"""The faults as a visitor strikes them: real servers of the host's own, real signals, and the promises hold."""

import shutil
import signal
import tempfile
from pathlib import Path

import httpx
import pytest

from host.testing import host_process
from plugins.frontrow.chaos.faults import FAULTS, HOST_KILL, is_ours

pytestmark = pytest.mark.chaos

CHAOS = "/api/frontrow/chaos"


@pytest.fixture(scope="module")
def http():
    """A host with servers of its own, which it may break."""
    folder = Path(tempfile.mkdtemp(prefix="quartet-chaos-"))
    folder.chmod(0o755)
    with (
        host_process({"frontrow": {"samples": False, "breaker_pause": "50ms"}}, data_dir=folder) as host,
        httpx.Client(base_url=host.url, timeout=120) as client,
    ):
        yield client
    shutil.rmtree(folder, ignore_errors=True)


def strike(http, fault, **more):
    return http.post(CHAOS, json={"fault": fault, "buyers": 4000, "seats": 200, **more})


def test_what_can_be_broken_is_listed(http):
    faults = http.get(CHAOS).json()["faults"]
    assert [each["name"] for each in faults] == [*FAULTS, HOST_KILL]
    assert all(each["title"] and each["sentence"] for each in faults)


@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_sells_a_seat_twice_or_leaves_one_unsold(http, fault):
    answer = strike(http, fault)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["verdict"], found["run"]["verdict"], found["audit"]["verdict"]) == ("holds", "holds", "holds")
    run = found["run"]
    assert (run["oversold"], run["undersold"], run["booked"]) == (0, 0, 200)
    assert run["faults"] == [found["struck"]]
    assert found["struck"]["in_time"], "the fault came after the last verdict"
    assert found["struck"]["at_ms"] > 0
    assert found["recovered_ms"] is not None
    kept = http.get(run["api_url"]).json()
    assert (kept["evidence_sha256"], kept["faults"][0]["at_ms"]) == (run["evidence_sha256"], found["struck"]["at_ms"])
    if fault == "clients-leave":
        assert run["unknowns_resolved"] >= 50


def test_a_host_that_is_killed_half_way_has_sold_nothing_twice(http):
    answer = strike(http, HOST_KILL, buyers=20_000, seats=1000)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["struck"]["signal"] == signal.SIGKILL.name
    assert (found["verdict"], found["audit"]["verdict"], found["run"]["state"]) == ("holds", "holds", "unknown")
    assert found["run"]["oversold"] == 0
    assert found["struck"]["sold_when_killed"] <= found["run"]["seats_sold"] < 1000, "it was killed in the middle"


@pytest.mark.parametrize(
    ("body", "status"), [({"fault": "sunspots"}, 404), ({}, 422), ({"fault": "redis-kill", "seats": 0}, 422)]
)
def test_what_is_no_fault_breaks_nothing(http, body, status):
    assert http.post(CHAOS, json=body).status_code == status


async def test_servers_that_somebody_else_started_are_left_alone(front_row):
    transport = httpx.ASGITransport(app=front_row.router)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60) as client:
        uptime = (await front_row.ctx.redis.info("server"))["process_id"]
        for fault in ("redis-kill", "redis-flush", "redis-pause", "redis-empty", "postgres-kill", HOST_KILL):
            answer = await client.post(CHAOS, json={"fault": fault, "buyers": 100, "seats": 10})
            assert (answer.status_code, answer.json()["type"]) == (409, "not-ours"), fault
        assert (await front_row.ctx.redis.info("server"))["process_id"] == uptime


def test_only_what_this_process_started_is_its_own():
    assert not is_ours(1)
    assert not is_ours(2**22 + 1)
