"""All that one may do to the lab, by its command line against a running host: each order does what it says."""

import json
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from host.api import HttpProblem
from host.testing import RunningHost, running_host
from plugins.raft.lab import actions, topologies
from plugins.raft.lab_commands import LAB, ON_NODE
from tests.plugins.raft.lab.helpers import running_lab

API = "/api/raft"
AWAY = {"postgres_url": "postgresql://x@127.0.0.1:1/x", "redis_url": "redis://127.0.0.1:1/0"}
PATIENT = {"actions_per_s": 1000.0, "actions_burst": 1000, "election_timeout": 0.4}
"""A busy machine must not unseat the leaders that a test counts on."""


class Line:
    """The command line, and the state of the lab that it talks to."""

    def __init__(self, host: RunningHost, capsys: pytest.CaptureFixture[str]) -> None:
        self._host = host
        self._capsys = capsys

    async def run(self, *words: Any, url: str = "") -> tuple[int, str]:
        """`quartet raft lab WORDS`: exit code, and what it printed."""
        parser = ArgumentParser()
        assert LAB.arguments is not None
        LAB.arguments(parser)
        given = parser.parse_args(["--url", url or self._host.url, *map(str, words)])
        code = await LAB.run(None, given)  # type: ignore[arg-type]
        captured = self._capsys.readouterr()
        return code, captured.out if code == 0 else captured.err

    async def done(self, *words: Any) -> Any:
        """The same, which must work: the answer. A leader that changes meanwhile refuses; then it is tried again."""
        with trio.fail_after(60):
            while True:
                code, text = await self.run(*words)
                if code == 0:
                    return json.loads(text)
                await trio.sleep(0.05)

    async def brought(self, holds: Callable[[Any], bool], *words: Any) -> Any:
        """Run it until the state is as it should be: a refusal may come after half of it was done."""
        with trio.fail_after(60):
            while not holds(found := await self.state()):
                await self.run(*words)
        return found

    async def state(self) -> Any:
        return (await self._host.http.get(f"{API}/state")).json()

    async def until(self, holds: Callable[[Any], bool]) -> Any:
        with trio.fail_after(60):
            while not holds(found := await self.state()):  # noqa: ASYNC110 - what a page would see
                await trio.sleep(0.02)
        return found

    async def led(self) -> int:
        return int((await self.until(lambda found: found["cluster"]["leader"]))["cluster"]["leader"])


@pytest.fixture
async def line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Line]:
    async with running_host({"raft": PATIENT}, data_dir=tmp_path, **AWAY) as host:
        yield Line(host, capsys)


async def test_nodes_are_killed_paused_started_and_lead(line: Line) -> None:
    leader = await line.led()
    first, second, third = [number for number in range(1, 6) if number != leader][:3]
    await line.done("kill", first)
    await line.done("pause", second)
    found = await line.state()
    assert [found["nodes"][str(number)]["state"] for number in (first, second, third)] == ["down", "paused", "up"]
    assert (await line.run("kill", first))[0] == 1
    await line.done("restart", first)
    await line.done("resume", second)
    found = await line.state()
    assert [found["nodes"][str(number)]["state"] for number in (first, second)] == ["up", "up"]
    await line.brought(lambda found: found["cluster"]["leader"] == third, "transfer", third)
    await line.done("propose", "k", "v")
    await line.done("snapshot", third)
    await line.until(lambda found: found["nodes"][str(third)]["snapshot"] > 0)
    assert "asked to stand" in (await line.done("campaign", first))["text"]


async def test_members_come_and_go(line: Line) -> None:
    await line.led()
    await line.brought(lambda found: found["cluster"]["learners"] == [6], "add", "--learner", 6)
    await line.until(lambda found: found["nodes"]["6"]["member"] == "learner")
    await line.brought(lambda found: 6 in found["cluster"]["voters"], "add", 6)
    await line.brought(lambda found: "6" not in found["nodes"], "remove", 6)
    await line.done("reset")
    assert (await line.state())["cluster"]["voters"] == [1, 2, 3, 4, 5]


async def test_links_are_cut_slowed_and_healed(line: Line) -> None:
    await line.led()
    await line.done("cut", 1, 2)
    assert {name: link["cut"] for name, link in (await line.state())["links"].items()} == {"1>2": True}
    await line.done("mend", 1, 2)
    await line.done("cut", 1, 2, "--both")
    assert set((await line.state())["links"]) == {"1>2", "2>1"}
    await line.done("heal")
    await line.done("link", "--from", 1, "--to", 2, "--delay-ms", 80, "--jitter-ms", 20, "--loss", 300)
    (link,) = (await line.state())["links"].values()
    assert link == {"cut": False, "delay_ms": 80, "jitter_ms": 20, "loss": 300, "duplicate": 0}
    await line.done("link", "--duplicate", 500)
    assert len((await line.state())["links"]) == 20
    await line.done("heal")
    await line.done("partition", "1,2", "3,4")
    cut = {name for name, link in (await line.state())["links"].items() if link["cut"]}
    assert len(cut) == 16
    assert not {"1>2", "2>1", "3>4", "4>3"} & cut
    await line.done("heal")
    await line.done("isolate", 4)
    assert {name for name in (await line.state())["links"] if "4" in name} == {f"{a}>4" for a in (1, 2, 3, 5)} | {
        f"4>{a}" for a in (1, 2, 3, 5)
    }


async def test_clocks_disks_and_rules_are_changed_and_put_right(line: Line) -> None:
    await line.led()
    await line.done("skew", 3, 1200)
    await line.done("disk", 4, "slow", "--slow-ms", 30)
    await line.done("disk", 5, "full")
    nodes = (await line.state())["nodes"]
    assert (nodes["3"]["clock"], nodes["4"]["disk_slow_ms"], nodes["5"]["disk"]) == (1200, 30, "full")
    await line.done("rules", "--no-pre-vote", "--no-check-quorum")
    cluster = (await line.state())["cluster"]
    assert (cluster["pre_vote"], cluster["check_quorum"]) == (False, False)
    await line.done("heal")
    nodes = (await line.state())["nodes"]
    assert [(node["clock"], node["disk"]) for node in nodes.values()] == [(1000, "ok")] * 5


async def test_store_is_written_read_and_its_leader_killed(line: Line) -> None:
    written = await line.done("propose", "colour", "red")
    read = await line.done("read", "colour", "--node", 2)
    assert (read["value"], read["index"] >= written["index"]) == ("red", True)
    assert (await line.done("failover"))["verdict"] in ("holds", "unknown")


async def test_recordings_are_made_told_and_branched(line: Line) -> None:
    await line.led()
    made = await line.done("record", "--seconds", 5)
    assert made["id"] in [one["id"] for one in await line.done("recordings")]
    steps = await line.done("steps", made["id"], "--from", 3, "--limit", 2)
    assert [step["step"] for step in steps] == [4, 5]
    kill = '{"after_ms": 10, "action": "kill", "node": "leader"}'
    branches = [await line.done("branch", made["id"], made["steps"], "--do", kill) for _ in range(2)]
    assert branches[0] == branches[1]
    assert branches[0]["verified"]


@pytest.mark.parametrize("name", [topology.name for topology in topologies.TOPOLOGIES])
async def test_topology_is_played_to_its_end_and_measured(
    line: Line, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topologies, "WATCHED_S", 0.5)
    assert name in [topology["name"] for topology in await line.done("topologies")]
    scenario = await line.done("topology", name, "--wait")
    assert scenario["name"] == name
    assert scenario["done"]
    assert scenario["leaderless_ms"] >= 0
    assert (await line.state())["checks"]["verdict"] == "holds"


async def test_leader_that_dies_while_it_is_asked_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_lab(tmp_path) as lab:
        leader = await lab.led()
        shell = lab.cluster.leader_shell()
        await lab.cluster.stop(leader, "its disk failed")
        monkeypatch.setattr(lab.cluster, "leader_shell", lambda: shell)
        with pytest.raises(HttpProblem) as raised:
            await lab.operator.do(actions.OnNode(action="transfer", node=leader % 3 + 1))
    assert raised.value.status == 409


async def test_what_is_wrong_is_said(line: Line) -> None:
    code, text = await line.run("kill", 7)
    assert (code, "there is no node 7" in text) == (1, True)
    code, text = await line.run("state", url="http://127.0.0.1:1")
    assert (code, "--url" in text) == (1, True)
    for words in (["kill", "x"], ["partition", "a,b"], ["branch", "id", "1", "--do", "{"], ["fly"]):
        with pytest.raises(SystemExit):
            await line.run(*words)


def test_every_order_on_a_node_is_tested() -> None:
    source = Path(__file__).read_text()
    assert [name for name in ON_NODE if f'"{name}"' not in source] == []
