"""Reads by lease in the lab: only when the nodes run with them, only at the leader, only while the clocks agree."""

from pathlib import Path
from typing import Any

import httpx
import trio

from host.testing import RunningHost
from tests.plugins.raft.lab.test_routes import act, done, lab, led, state


async def by_lease(host: RunningHost, **more: Any) -> httpx.Response:
    return await act(host, action="read", key="colour", mode="lease", **more)


async def lease(host: RunningHost) -> httpx.Response:
    """A read by lease that works: the clocks of restarted nodes have run for no time yet, and leaders may change."""
    with trio.fail_after(60):
        while (answer := await by_lease(host)).status_code != 200:
            assert answer.status_code in (409, 503)
            await trio.sleep(0.05)
    return answer


async def refusal(host: RunningHost, *, of_follower: bool = False) -> httpx.Response:
    """A read by lease that is refused for its own sake, not because the leader just changed."""
    with trio.fail_after(60):
        while True:
            leader = await led(host)
            answer = await by_lease(host, node=leader % 5 + 1 if of_follower else leader)
            if answer.status_code == 409 and await led(host) == leader:
                return answer
            await trio.sleep(0.05)


async def test_a_leader_reads_by_lease_when_the_nodes_run_with_it(tmp_path: Path) -> None:
    async with lab(tmp_path) as host:
        written = (await done(host, action="propose", key="colour", value="red")).json()
        refused = await refusal(host)
        await done(host, action="rules", pre_vote=True, check_quorum=True, lease_reads=True)
        found = (await lease(host)).json()
        assert (await state(host))["cluster"]["lease_reads"] is True
        follower = await refusal(host, of_follower=True)
        checks = (await state(host))["checks"]

    assert refused.status_code == 409
    assert "without reads by lease" in refused.json()["detail"]
    assert found["value"] == "red"
    assert found["index"] >= written["index"]
    assert follower.status_code == 409
    assert checks["verdict"] == "holds"


async def test_a_lease_says_nothing_while_clocks_differ(tmp_path: Path) -> None:
    async with lab(tmp_path) as host:
        await done(host, action="rules", pre_vote=True, check_quorum=True, lease_reads=True)
        await done(host, action="propose", key="colour", value="red")
        await lease(host)
        await done(host, action="skew", node=2, permille=2000)
        skewed = await refusal(host)
        await done(host, action="skew", node=2, permille=1000)
        assert (await lease(host)).json()["value"] == "red"

    assert skewed.status_code == 409
    assert "clocks differ" in skewed.json()["detail"]


async def test_leases_without_check_quorum_are_refused(tmp_path: Path) -> None:
    async with lab(tmp_path) as host:
        answer = await act(host, action="rules", pre_vote=True, check_quorum=False, lease_reads=True)
        cluster = (await state(host))["cluster"]

    assert answer.status_code == 422
    assert "lease_reads need check_quorum" in answer.json()["detail"]
    assert (cluster["check_quorum"], cluster["lease_reads"]) == (True, False)
