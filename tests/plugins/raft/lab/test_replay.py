"""Any stretch of the live cluster replays bit for bit, and nothing else passes for it."""

import random
import re
import zlib
from pathlib import Path
from typing import Any

import pytest
import trio

from plugins.raft.core.node import Node
from plugins.raft.lab import actions, frozen
from plugins.raft.lab.frozen import NotFrozen
from plugins.raft.lab.picture import STEPS_MAX, member_of
from plugins.raft.lab.recording import INPUT, Recorder, Recording, decode_recording, encode_recording
from plugins.raft.lab.replay import Replay
from plugins.raft.lab.replay_scene import replay_document, state_at, steps_between
from plugins.raft.lab.sameness import run_labs
from tests.plugins.raft.lab.helpers import recorded, running_lab

SESSIONS = 20
"""As many as one lab runs; `python -m plugins.raft.lab.sameness` runs 100."""


async def test_replay_of_random_sessions_comes_to_the_live_hash(tmp_path: Path) -> None:
    found = await run_labs(tmp_path, SESSIONS, seed=7)
    assert (found["verdict"], found["sessions"], found["differing"]) == ("holds", SESSIONS, 0), found
    # A session may find all nodes down, or removed; most do not.
    assert found["inputs"] > SESSIONS


async def test_session_whose_record_was_changed_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(self: Recorder, at_us: int, seconds: float) -> Recording:
        recording = honest(self, at_us, seconds)
        place = next((n for n, step in enumerate(recording.steps) if step.kind == INPUT), None)
        if place is not None:
            del recording.steps[place]
        return recording

    honest = Recorder.export
    monkeypatch.setattr(Recorder, "export", forgetful)
    found = await run_labs(tmp_path, 3, seed=7)
    assert found["verdict"] == "broke"
    assert found["differing"] > 0


async def test_replay_ends_with_the_state_that_the_live_cluster_had(tmp_path: Path) -> None:
    async with running_lab(tmp_path) as lab:
        await lab.put(b"colour", b"red")
        recording = lab.cluster.recorder.export(lab.cluster.now_us(), 30)
        live = {number: frozen.encode(seat.core) for number, seat in lab.cluster.seats.items()}
    replay = Replay(decode_recording(encode_recording(recording)))
    assert replay.run()
    assert {number: frozen.encode(core) for number, core in replay.cores.items()} == live


async def test_changed_step_comes_to_another_hash(tmp_path: Path) -> None:
    recording = await recorded(tmp_path)
    place = next(place for place, step in enumerate(recording.steps) if step.kind == INPUT and place > 50)
    recording.steps[place] = recording.steps[place]._replace(clock_us=recording.steps[place].clock_us + 1)
    try:
        assert not Replay(recording).run()
    except NotFrozen:
        return


async def test_replay_is_shown_in_frames_steps_and_states(tmp_path: Path) -> None:
    recording = await recorded(tmp_path)
    document = replay_document(recording)
    assert document["verified"]
    assert document["hash"] == document["replayed_hash"]
    assert document["checks"]["verdict"] == "holds"
    assert document["frames"][-1]["step"] == document["steps"] == len(recording.steps)
    first = state_at(recording, 0)
    last = state_at(recording, len(recording.steps))
    assert first["kv"] == {}
    assert last["kv"] == {"k": "last"}
    assert last["cluster"]["term"] > 1


async def test_each_step_has_a_sentence_and_the_specifications_action(tmp_path: Path) -> None:
    recording = await recorded(tmp_path)
    steps = steps_between(recording, 0, 10_000)
    assert len(steps) == len(recording.steps)
    assert all(step["text"] for step in steps)
    became = next(step for step in steps if "became leader" in step["text"])
    assert f"BecomeLeader({became['node']})" in became["action"]
    # The nodes' first start, and that of the killed leader; all in the recording.
    starts = [step["action"] for step in steps if step["input"] == "its start"]
    assert sorted(starts) == sorted(["Init(1)", "Init(2)", "Init(3)", starts[-1]])
    assert starts[-1].startswith("Restart(")
    named = {name for step in steps for name in re.findall(r"(\w+)\(", step["action"] or "")}
    assert {"Timeout", "RequestVote", "ClientRequest", "AppendEntries", "AdvanceCommitIndex"} <= named
    assert {"HandleRequestVoteRequest", "HandleAppendEntriesResponse", "NoConflictAppendEntriesRequest"} <= named
    (frame,) = [frame for frame in replay_document(recording)["frames"] if _tells_of(frame, became["text"])]
    (line,) = [line for line in frame["e"] if line["text"] in became["text"]]
    assert line["action"] == became["action"]


async def test_node_that_comes_back_with_an_empty_disk_has_broken_no_promise(tmp_path: Path) -> None:
    async with running_lab(tmp_path) as lab:
        await lab.put(b"k", b"v")
        cluster = lab.cluster
        leader = await lab.led()
        voted = next(number for number in cluster.seats if number != leader)
        with trio.fail_after(60):
            while voted in cluster.seats:
                await lab.attempt(actions.OnNode(action="remove", node=voted))
            while voted not in cluster.seats or not _votes(cluster.seats[voted].core):
                await lab.attempt(actions.Add(action="add", node=voted))
        await lab.put(b"k", b"w")
        assert cluster.watch.found == {}
        document = replay_document(cluster.recorder.export(cluster.now_us(), 30))
    assert document["verified"]
    assert document["checks"]["verdict"] == "holds", document["checks"]


def _tells_of(frame: Any, text: str) -> bool:
    return any(line["kind"] == "role" and line["text"] in text for line in frame.get("e", ()))


async def test_live_steps_are_told_to_who_looks_on(tmp_path: Path) -> None:
    async with running_lab(tmp_path) as lab:
        cluster = lab.cluster
        await lab.put(b"k", b"unseen")
        assert "st" not in (cluster.picture.delta() or {})
        cluster.feed.viewers += 1
        with trio.fail_after(60):
            took = None
            while took is None:
                cluster.picture.delta()
                await lab.put(b"k", b"v")
                steps = (cluster.picture.delta() or {})["st"]
                assert len(steps) <= STEPS_MAX
                # On a busy machine a frame may be full before that step.
                took = next((step for step in steps if "took put k=v into its log" in step[3]), None)
    assert f"ClientRequest({took[1]})" in took[2]


async def test_file_that_was_changed_is_refused_or_differs_and_never_crashes(tmp_path: Path) -> None:
    recording = await recorded(tmp_path)
    data = encode_recording(recording)
    plain = zlib.decompress(data[10:])
    lot = random.Random(3)
    for _ in range(60):
        broken = bytearray(plain)
        for _ in range(lot.randint(1, 3)):
            broken[lot.randrange(len(broken))] = lot.randrange(256)
        try:
            replay_document(decode_recording(data[:10] + zlib.compress(bytes(broken), 1)))
        except NotFrozen:
            continue


@pytest.mark.parametrize("data", [b"", b"QRAFTREC1\n", b"QRAFTREC1\nnot zlib", b"something else"])
def test_what_is_no_recording_is_refused(data: bytes) -> None:
    with pytest.raises(NotFrozen):
        decode_recording(data)


def _votes(core: Node | None) -> bool:
    return core is not None and member_of(core) == "voter"
