"""A replay goes on from any step with other faults: deterministically, and as a recording that replays."""

import random
from typing import Any

import pytest
import trio

from plugins.raft.lab.branch import Impossible, branch_of
from plugins.raft.lab.branch_request import BranchRequest
from plugins.raft.lab.recording import Recording, decode_recording, encode_recording
from plugins.raft.lab.replay_scene import replay_document, state_at
from plugins.raft.lab.simulated import STEPS_MAX
from tests.plugins.raft.lab.helpers import recorded

BRANCHES = 60
ALL_UP = 40
"""A step at which all three nodes have started."""


def branch(recording: Recording, step: int, *done: dict[str, Any], ms: int = 1000, seed: int = 0) -> Recording:
    wish = {"step": step, "actions": list(done), "ms": ms, "seed": seed}
    return branch_of(recording, BranchRequest.model_validate(wish))


def end_of(recording: Recording) -> Any:
    return state_at(recording, len(recording.steps))


@pytest.fixture(scope="module")
def file_of_a_life(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return encode_recording(trio.run(recorded, tmp_path_factory.mktemp("life")))


@pytest.fixture
def life(file_of_a_life: bytes) -> Recording:
    return decode_recording(file_of_a_life)


def test_same_branch_is_the_same_bit_for_bit_and_another_is_not(life: Recording) -> None:
    middle = len(life.steps) // 2
    kill = {"after_ms": 100, "action": "kill", "node": "leader"}
    first = branch(life, middle, kill, seed=7)
    again = branch(decode_recording(encode_recording(life)), middle, kill, seed=7)
    assert encode_recording(first) == encode_recording(again)
    others = [branch(life, middle, kill, seed=8), branch(life, middle, seed=7), branch(life, middle - 9, kill, seed=7)]
    assert len({first.hash, *(other.hash for other in others)}) == 4


def test_branch_begins_where_the_replay_stood(life: Recording) -> None:
    middle = len(life.steps) // 2
    found = branch(life, middle, ms=500)
    then, begin = state_at(life, middle), state_at(found, 0)
    for part in ("t", "nodes", "links", "kv"):
        assert begin[part] == then[part]


def test_undisturbed_branch_keeps_its_leader(life: Recording) -> None:
    found = branch(life, len(life.steps), ms=2000)
    begin, end = state_at(found, 0), end_of(found)
    assert end["cluster"]["leader"] == begin["cluster"]["leader"] != 0
    assert end["cluster"]["term"] == begin["cluster"]["term"]


def test_branch_in_which_the_leader_dies_elects_another_and_takes_writes(life: Recording) -> None:
    old = end_of(life)["cluster"]["leader"]
    found = branch(
        life,
        len(life.steps),
        {"after_ms": 10, "action": "kill", "node": "leader"},
        {"after_ms": 1000, "action": "propose", "key": "k", "value": "branched"},
        {"after_ms": 1200, "action": "read", "key": "k"},
        {"after_ms": 1500, "action": "restart", "node": old},
        ms=2500,
    )
    end = end_of(found)
    assert end["cluster"]["leader"] not in (0, old)
    assert end["kv"] == {"k": "branched"}
    assert end["nodes"][str(old)]["applied"] == end["cluster"]["commit"]
    texts = [line["text"] for line in end["events"]]
    assert any(text.startswith("k is branched, read at") for text in texts)


def test_what_happens_in_a_branch_does_not_happen_in_the_recording(life: Recording) -> None:
    before = encode_recording(life)
    branch(life, len(life.steps) // 2, {"action": "kill", "node": "leader"})
    assert encode_recording(life) == before


def random_order(lot: random.Random) -> dict[str, Any]:
    node, other = lot.sample([1, 2, 3], 2)
    order = lot.choice(
        [
            *({"action": name, "node": node} for name in ("kill", "restart", "pause", "resume", "isolate", "campaign")),
            *({"action": name, "node": node} for name in ("snapshot", "transfer")),
            {"action": "partition", "groups": [[node], [other]]},
            {"action": "cut", "from": node, "to": other, "both": lot.random() < 0.5},
            {"action": "mend", "from": node, "to": "leader"},
            {"action": "link", "loss": lot.randint(0, 300), "duplicate": 200, "delay_ms": lot.randint(0, 5)},
            {"action": "skew", "node": node, "permille": lot.randint(800, 1200)},
            {"action": "disk", "node": node, "state": lot.choice(["full", "ok", "slow"]), "slow_ms": 5},
            {"action": "heal"},
            {"action": "propose", "key": "k", "value": str(lot.randrange(100)), "node": lot.choice([node, "leader"])},
            {"action": "read", "key": "k", "node": node},
        ]
    )
    return {**order, "after_ms": lot.randrange(1000)}


def test_random_branches_replay_to_their_hash_and_keep_every_promise(life: Recording) -> None:
    lot = random.Random(1)
    steps = 0
    for number in range(BRANCHES):
        orders = [random_order(lot) for _ in range(lot.randint(0, 12))]
        found = branch(life, lot.randint(ALL_UP, len(life.steps)), *orders, seed=number)
        document = replay_document(decode_recording(encode_recording(found)))
        assert document["verified"]
        assert document["checks"]["verdict"] == "holds", (document["checks"], orders)
        steps += document["steps"]
    assert steps > 20 * BRANCHES


def test_branch_goes_on_from_a_branch(life: Recording) -> None:
    first = branch(life, len(life.steps), {"action": "kill", "node": "leader"}, ms=1500)
    second = branch(first, len(first.steps), {"action": "heal"}, ms=1500)
    states = [node["state"] for node in end_of(second)["nodes"].values()]
    assert states == ["up"] * 3
    assert replay_document(second)["verified"]


def test_branch_has_an_end_however_busy_it_is(life: Recording) -> None:
    hurry = {"action": "link", "delay_ms": 0, "jitter_ms": 0, "duplicate": 1000}
    writes = [{"after_ms": 1 + n, "action": "propose", "key": "k", "value": "v"} for n in range(49)]
    found = branch(life, len(life.steps), hurry, *writes, ms=10_000)
    assert len(found.steps) <= STEPS_MAX + 1000
    assert replay_document(found)["verified"]


@pytest.mark.parametrize(
    ("step", "order", "reason"),
    [
        (100_000_000, {"action": "heal"}, "steps, not"),
        (ALL_UP, {"action": "kill", "node": 7}, "there is no node 7; there are n1, n2, n3"),
        (ALL_UP, {"action": "partition", "groups": [[1], [6]]}, "there is no node 6"),
        (ALL_UP, {"action": "cut", "from": 1, "to": 5}, "there is no node 5"),
    ],
)
def test_impossible_branch_is_refused_with_the_reason(
    life: Recording, step: int, order: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Impossible, match=reason):
        branch(life, step, order)
