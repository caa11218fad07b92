"""A replay as a page sees it: the same documents as of the live lab, for any step."""

import json
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from plugins.raft.core.effects import Role
from plugins.raft.core.sessions import Sessions
from plugins.raft.lab.frozen import NotFrozen
from plugins.raft.lab.narrate import Told, effects_text, input_text, told
from plugins.raft.lab.picture import Look, Picture, deadline_ms
from plugins.raft.lab.recording import BOOT, INPUT, MARK, STOP, Recording
from plugins.raft.lab.replay import NONSENSE, Played, Replay
from plugins.raft.lab.sentences import Before, sentence, started
from plugins.raft.lab.watch import Watch

FRAME_US: Final = 40_000

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Shown = Callable[Concatenate[Recording, Arguments], Result]


def of_any_file(function: "Shown[Arguments, Result]") -> "Shown[Arguments, Result]":
    """A function of a recording that says NotFrozen when the recording makes no sense, wherever that shows."""

    @wraps(function)
    def guarded(recording: Recording, /, *arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        try:
            return function(recording, *arguments, **named)
        except NotFrozen:
            raise
        except NONSENSE as error:
            raise NotFrozen(f"the recording makes no sense: {type(error).__name__} {error}") from None

    return guarded


class ReplayScene:
    """Plays a recording and can be looked at after each step (`picture.Scene`)."""

    def __init__(self, recording: Recording) -> None:
        self.replay = Replay(recording)
        self.watch = Watch()
        self._fields: dict[int, dict[str, Any]] = {}
        self._links: dict[str, dict[str, Any]] = {}
        self._cluster: dict[str, Any] = {}
        self._clocks: dict[int, tuple[int, int]] = {}
        self._before: dict[int, Before] = {}
        self.text = ""
        """What the last step was, in a sentence."""
        self._take_scene(recording.segment.scene)
        for number, core in self.replay.cores.items():
            if core is not None:
                self.watch.started(core)
                self._before[number] = Before(core.role, core.commit)
                clock_us = int(recording.segment.scene.get("clocks", {}).get(str(number), core.now_us))
                self._clocks[number] = (recording.segment.start_us, clock_us)
        self.watch.explainer.join(core for core in self.replay.cores.values() if core is not None)
        self.picture = Picture(self)

    def _take_scene(self, scene: dict[str, Any]) -> None:
        try:
            self._fields = {int(number): dict(look) for number, look in scene["looks"].items()}
            self._links = dict(scene["links"])
            self._cluster = dict(scene["cluster"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise NotFrozen(f"the recording's scene makes no sense: {error}") from None

    def step(self) -> Played | None:
        """Play one step; None at the end. Raises NotFrozen."""
        for played in self.replay.play(1):
            self._look_at(played)
            return played
        return None

    def _look_at(self, played: Played) -> None:
        step = played.step
        number = step.node
        self.watch.explainer.text = None
        if step.kind == MARK:
            self._take_mark(step.data)
        elif step.kind == BOOT:
            core = self.replay.cores[number]
            assert core is not None
            self.watch.started(core)
            self.text = started(core)
            self._before[number] = Before(core.role, core.commit)
            self._clocks[number] = (step.at_us, step.clock_us)
        elif step.kind == STOP:
            self.text = f"n{number} stops"
            self.watch.stopped(number)
        elif step.kind == INPUT:
            self._take_input(played)

    def _take_input(self, played: Played) -> None:
        step, event, effects = played.step, played.event, played.effects
        core = self.replay.cores[step.node]
        assert core is not None
        assert event is not None
        assert effects is not None
        self._clocks[step.node] = (step.at_us, step.clock_us)
        for place, message in enumerate(effects.send):
            takes = step.takes_us[place] if place < len(step.takes_us) else 0
            self.picture.message(message, step.at_us, takes, is_double=False)
        for name, detail in self.watch.check(core, event, effects, self.replay.results):
            self.picture.event(Told("check", core.id, core.term, f"{name} is broken: {detail}"))
        before = self._before.get(step.node, Before())
        lines = told(core, before.role, event, effects)
        for line in lines:
            self.picture.event(line, self.watch.explainer.text)
        self.text = sentence(core, before, event, effects, lines)
        self._before[step.node] = Before(core.role, core.commit)

    def _take_mark(self, data: bytes) -> None:
        try:
            mark = json.loads(data)
            self.text = "the fresh cluster begins"
            if "links" in mark:
                self._links = dict(mark["links"])
                self.text = f"{len(self._links)} links are not as usual" if self._links else "all links are as usual"
            if "fresh" in mark:
                self.watch = Watch()
            if "event" in mark:
                kind, node, term, text = mark["event"]
                self.picture.event(Told(str(kind), int(node), int(term), str(text)))
                self.text = str(text)
            if "node" in mark:
                self.text = f"n{mark['node']} is " + (mark["look"]["state"] if mark["look"] is not None else "gone")
                if mark["look"] is None:
                    self._fields.pop(int(mark["node"]), None)
                    self.watch.removed(int(mark["node"]))
                else:
                    self._fields[int(mark["node"])] = dict(mark["look"])
        except (KeyError, TypeError, ValueError) as error:
            raise NotFrozen(f"a mark of the recording makes no sense: {error}") from None

    def clock_of(self, number: int) -> tuple[int, int]:
        """When a node's clock was read last, in the lab's time, and what it showed."""
        return self._clocks.get(number, (self.replay.at_us, 0))

    # --- picture.Scene

    def now_ms(self) -> int:
        """The lab's time at the step played last."""
        return self.replay.at_us // 1000

    def looks(self) -> Mapping[int, Look]:
        """The nodes."""
        found = {}
        for number, fields in sorted(self._fields.items()):
            core = self.replay.cores.get(number)
            is_up = self.replay.is_up.get(number, False)
            state = str(fields.get("state", "up"))
            state = ("up" if state == "down" else state) if is_up else "damaged" if state == "damaged" else "down"
            clock = int(fields.get("clock", 1000)) or 1000
            end = None
            if core is not None and is_up:
                at_us, clock_us = self._clocks.get(number, (self.replay.at_us, core.now_us))
                end = deadline_ms(core, (at_us + (core.deadline_us - clock_us) * 1000 // clock) // 1000)
            found[number] = Look(
                state,
                core,
                end,
                clock,
                str(fields.get("disk", "ok")),
                int(fields.get("disk_slow_ms", 0)),
                str(fields.get("reason", "")),
            )
        return found

    def cluster(self) -> dict[str, Any]:
        """What is true of all nodes; counters stand as they were at the beginning."""
        leading = [
            core
            for number, core in self.replay.cores.items()
            if core is not None and self.replay.is_up[number] and core.role is Role.LEADER
        ]
        best = max(leading, key=lambda core: core.term, default=None)
        found = dict(self._cluster)
        found["leader"] = best.id if best is not None else 0
        found["led"] = best is not None
        found["term"] = max((core.term for core in self.replay.cores.values() if core is not None), default=0)
        found["commit"] = max((core.commit for core in self.replay.cores.values() if core is not None), default=0)
        if best is not None:
            configuration = best.configuration
            found["voters"], found["outgoing"] = list(configuration.voters), list(configuration.outgoing)
            found["learners"] = list(configuration.learners)
        return found

    def links(self) -> dict[str, dict[str, Any]]:
        """The links that are not as usual."""
        return self._links

    def store(self) -> Sessions | None:
        """The newest store."""
        return max(self.replay.machines.values(), key=lambda machine: machine.applied_index, default=None)

    def checks(self) -> dict[str, Any]:
        """The invariants so far."""
        return {"verdict": "broke" if self.watch.found else "holds", "invariants": self.watch.document()}

    def scenario(self) -> dict[str, Any] | None:
        """None: a replay has no topology of its own."""
        return None


@of_any_file
def replay_document(recording: Recording) -> dict[str, Any]:
    """The whole replay in frames, and whether it came to the same. Takes some 50 µs a step. Raises NotFrozen."""
    scene = ReplayScene(recording)
    begin = scene.picture.state()
    scene.picture.delta()
    frames: list[dict[str, Any]] = []
    frame_end_us = recording.segment.start_us + FRAME_US
    while (played := scene.step()) is not None:
        if played.step.at_us >= frame_end_us:
            _take_frame(scene, frames)
            frame_end_us = played.step.at_us + FRAME_US
    _take_frame(scene, frames)
    return {
        "hash": recording.hash.hex(),
        "replayed_hash": scene.replay.hash.hex(),
        "verified": scene.replay.is_same,
        "steps": len(recording.steps),
        "from_ms": recording.segment.start_us // 1000,
        "to_ms": recording.end_us // 1000,
        "state": begin,
        "frames": frames,
        "checks": scene.checks(),
    }


def _take_frame(scene: ReplayScene, frames: list[dict[str, Any]]) -> None:
    delta = scene.picture.delta()
    if delta is not None:
        frames.append(delta | {"step": scene.replay.done})


@of_any_file
def state_at(recording: Recording, step: int) -> dict[str, Any]:
    """The state document after so many steps. Raises NotFrozen."""
    scene = ReplayScene(recording)
    for _ in range(min(step, len(recording.steps))):
        scene.step()
    return scene.picture.state() | {"step": scene.replay.done}


@of_any_file
def steps_between(recording: Recording, first: int, count: int) -> list[dict[str, Any]]:
    """Single steps in words. Raises NotFrozen."""
    scene = ReplayScene(recording)
    for _ in range(min(first, len(recording.steps))):
        scene.step()
    found = []
    for _ in range(count):
        played = scene.step()
        if played is None:
            break
        found.append(_step_document(scene, played))
    return found


def _step_document(scene: ReplayScene, played: Played) -> dict[str, Any]:
    step, event, effects = played.step, played.event, played.effects
    words = {BOOT: "its start", STOP: "its end", MARK: "a fault or an event"}
    return {
        "step": played.number + 1,
        "t": step.at_us // 1000,
        "node": step.node,
        "input": words[step.kind] if event is None else input_text(event),
        "effects": [] if effects is None else effects_text(effects),
        "action": scene.watch.explainer.text,
        "text": scene.text,
    }
