"""What would have come if: a recording goes on from one of its steps, in a simulated network and with other faults.

A branch is a recording itself, which begins at that step and replays like any other. The same recording, step, actions,
seed and length give the same branch, bit for bit. What the recording does not hold is settled like this:

- what a node had asked its disk to write by then is on it;
- messages under way are those that were sent and had not arrived; from there on links that are as usual take 1 to 2 ms;
- clients that waited get no answer, as after a broken connection.
"""

from collections import deque
from typing import Any, Final

from plugins.raft.core.effects import Answer, Effects, ReadReady, Role
from plugins.raft.core.inputs import Campaign, Propose, Read, TransferLeadership
from plugins.raft.core.kv import Operation
from plugins.raft.core.messages import Message
from plugins.raft.core.node import Node
from plugins.raft.kv_client import command_of
from plugins.raft.lab import actions
from plugins.raft.lab.branch_request import BranchRequest
from plugins.raft.lab.recording import Recording, Step
from plugins.raft.lab.replay_scene import ReplayScene, of_any_file
from plugins.raft.lab.simulated import SimulatedLab
from plugins.raft.sim.machine import Machine

LATE_US: Final = 100_000
"""A message that should have arrived so long ago never will."""


class Impossible(Exception):
    """What is asked for cannot be done in a branch; the words say why."""


@of_any_file
def branch_of(recording: Recording, wish: BranchRequest) -> Recording:
    """Go on from step `wish.step`. Takes some 100 µs a step. Raises Impossible, NotFrozen."""
    if wish.step > len(recording.steps):
        raise Impossible(f"the recording has {len(recording.steps)} steps, not {wish.step}")
    scene = ReplayScene(recording)
    under_way = _UnderWay()
    for _ in range(wish.step):
        if (played := scene.step()) is not None and played.effects is not None:
            under_way.note(played.event, played.step, played.effects)
    orders = [(action.after_ms * 1000, action) for action in wish.actions]
    return _Branch(scene, under_way.rest(scene.replay.at_us), wish.seed).run(wish.ms * 1000, orders)


class _UnderWay:
    """Messages that were sent and have not arrived."""

    def __init__(self) -> None:
        self._messages: list[tuple[int, Message]] = []

    def note(self, event: Any, step: Step, effects: Effects) -> None:
        """A step was played: `event` has arrived, and others were sent."""
        for place, (_, message) in enumerate(self._messages):
            if message == event and type(message) is type(event):
                del self._messages[place]
                break
        for message, takes_us in zip(effects.send, step.takes_us, strict=False):
            if takes_us >= 0:
                self._messages.append((step.at_us + takes_us, message))
        self._messages = [one for one in self._messages if one[0] > step.at_us - LATE_US]

    def rest(self, now_us: int) -> list[tuple[int, Message]]:
        """When, and what will still arrive."""
        return [(max(now_us, at_us), message) for at_us, message in self._messages]


class _Branch(SimulatedLab):
    """Carries out actions as `operate` does on the live lab."""

    def __init__(self, scene: ReplayScene, under_way: list[tuple[int, Message]], seed: int) -> None:
        super().__init__(scene, under_way, seed)
        self._reads: dict[int, str] = {}
        self._request_id = 0

    def _answered(self, node: Node, answers: tuple[Answer, ...]) -> None:
        for answer in answers:
            if type(answer) is ReadReady:
                self._serve_reads(node, answer)

    def _serve_reads(self, node: Node, answer: ReadReady) -> None:
        store: Any = self._stores[node.id].machine
        for request in answer.request_ids:
            if (key := self._reads.pop(request, None)) is not None:
                found = store.values.get(key.encode())
                words = "not there" if found is None else found.decode("utf-8", "replace")
                self._say("client", node.id, f"{key} is {words}, read at n{node.id} as of entry {answer.index}")

    def _leader(self) -> Machine | None:
        """Who leads the highest term, if anybody does."""
        leading = [m for m in self._machines.values() if m.node is not None and m.node.role is Role.LEADER]
        return max(leading, key=lambda m: m.node.term if m.node is not None else 0, default=None)

    def _target(self, target: actions.Target | None) -> Machine | None:
        """Who is meant; None when that is the leader, and nobody leads. Raises Impossible."""
        if target is None or target == "leader":
            return self._leader()
        if target not in self._machines:
            known = ", ".join(f"n{number}" for number in sorted(self._machines))
            raise Impossible(f"there is no node {target}; there are {known}")
        assert isinstance(target, int)
        return self._machines[target]

    # --- Actions

    def _act(self, action: Any) -> None:
        if isinstance(action, actions.Partition):
            self._partition(action.groups, action.text())
        elif isinstance(action, actions.Whole):
            self._heal()
        elif isinstance(action, actions.LinkChange | actions.Cut):
            self._change_links(action)
        else:
            machine = self._target(action.node)
            if machine is None:
                self._say("client", 0, f"nobody leads: {action.action} was not done")
            elif isinstance(action, actions.OnNode):
                getattr(self, f"_{action.action}")(machine)
            elif isinstance(action, actions.Skew):
                machine.skew(self.now, action.permille)
                self._say("fault", machine.id, f"the clock of n{machine.id} runs at {action.permille / 10:g} %")
                self._looked(machine, clock=action.permille)
                machine.tick_at = 0
                self._set_timer(machine)
            elif isinstance(action, actions.DiskChange):
                self._change_disk(machine, action)
            else:
                self._ask(machine, action)

    def _ask(self, machine: Machine, action: actions.Propose | actions.Read) -> None:
        self._request_id += 1
        if machine.node is None:
            self._say("client", machine.id, f"n{machine.id} is down and takes nothing")
        elif isinstance(action, actions.Propose):
            command = command_of(Operation("put", action.key.encode(), action.value.encode()), None)
            self._feed(machine, Propose(((self._request_id, command),)))
        else:
            self._reads[self._request_id] = action.key
            self._feed(machine, Read(self._request_id, False))

    def _partition(self, groups: list[list[int]], text: str) -> None:
        for group in groups:
            for number in group:
                self._target(number)
        self._links.split(self._machines, groups)
        self._links_changed("fault", f"the network is split: {text}")

    def _change_links(self, action: "actions.LinkChange | actions.Cut") -> None:
        ends = [self._target(end) for end in (action.from_, action.to)]
        if isinstance(action, actions.Cut):
            a, b = ends
            if a is None or b is None or a is b:
                self._say("fault", 0, "a link goes from one node to another: nothing was cut")
                return
            for x, y in [(a, b), (b, a)] if action.both else [(a, b)]:
                self._links.link(x.id, y.id).is_cut = action.action == "cut"
            kind, done = ("fault", "is cut") if action.action == "cut" else ("heal", "passes again")
            self._links_changed(kind, f"n{a.id} {'↔' if action.both else '→'} n{b.id} {done}")
            return
        everybody = list(self._machines)
        sources, targets = (
            everybody if wanted is None else [end.id] if end is not None else []
            for wanted, end in zip((action.from_, action.to), ends, strict=True)
        )
        for source in sources:
            for target in targets:
                if source != target:
                    action.change(self._links.link(source, target))
        self._links_changed("fault", action.text())

    def _change_disk(self, machine: Machine, action: actions.DiskChange) -> None:
        disk = machine.disk
        disk.is_full = action.state == "full"
        disk.slow_us = action.slow_ms * 1000 if action.state == "slow" else 0
        word = "well" if action.state == "ok" else action.state
        self._say("disk", machine.id, f"the disk of n{machine.id} is {word}")
        self._looked(machine, disk=action.state, disk_slow_ms=disk.slow_us // 1000)

    def _heal(self) -> None:
        self._links.heal()
        self._links_changed("heal", "everything was healed")
        for machine in self._machines.values():
            machine.disk.is_full, machine.disk.slow_us = False, 0
            machine.skew(self.now, 1000)
            self._looked(machine, disk="ok", disk_slow_ms=0, clock=1000)
            self._resume(machine)
            if machine.node is None:
                self._start(machine)
            machine.tick_at = 0
            self._set_timer(machine)

    # --- Actions on one node, by name

    def _kill(self, machine: Machine) -> None:
        if machine.node is None:
            self._say("fault", machine.id, f"n{machine.id} is down already")
            return
        self._say("fault", machine.id, f"n{machine.id} was killed")
        self._stop(machine, "killed")

    def _restart(self, machine: Machine) -> None:
        if machine.node is not None:
            self._stop(machine, "restarted")
        self._start(machine)

    def _pause(self, machine: Machine) -> None:
        if machine.node is not None and machine.id not in self._paused:
            self._paused[machine.id] = deque()
            self._say("fault", machine.id, f"n{machine.id} stands still")
            self._looked(machine, state="paused")

    def _resume(self, machine: Machine) -> None:
        inbox = self._paused.pop(machine.id, None)
        if inbox is None:
            return
        self._say("heal", machine.id, f"n{machine.id} goes on")
        self._looked(machine, state="up")
        for event in inbox:
            self._feed(machine, event)
        machine.tick_at = 0
        self._set_timer(machine)

    def _isolate(self, machine: Machine) -> None:
        others = [number for number in self._machines if number != machine.id]
        self._partition([[machine.id], others], f"n{machine.id} is alone")

    def _campaign(self, machine: Machine) -> None:
        self._feed(machine, Campaign())

    def _transfer(self, machine: Machine) -> None:
        leader = self._leader()
        if leader is None:
            self._say("member", machine.id, "nobody leads, and hands over")
            return
        self._request_id += 1
        self._feed(leader, TransferLeadership(self._request_id, machine.id))
