"""The lab's nodes in simulated time: from any step of a replay on, deterministically, and recorded as the live lab is.

Events are in a heap keyed (time, sequence); all luck comes from one seed. `branch` decides what happens to the nodes.
"""

from collections import deque
from collections.abc import Iterable
from heapq import heappop, heappush
from typing import Any, Final

from pydantic_core import to_json

from plugins.raft.core.base import Durable
from plugins.raft.core.codec import encode
from plugins.raft.core.effects import Answer, Effects
from plugins.raft.core.inputs import Input, Persisted, SnapshotTaken, Tick
from plugins.raft.core.kv import KeyValue
from plugins.raft.core.messages import Message
from plugins.raft.core.node import Node
from plugins.raft.core.prng import Prng
from plugins.raft.core.sessions import Sessions
from plugins.raft.core.settings import NEVER_US, Settings
from plugins.raft.lab import frozen
from plugins.raft.lab.links import Link, Links
from plugins.raft.lab.narrate import Told
from plugins.raft.lab.network import LOST
from plugins.raft.lab.picture import Look
from plugins.raft.lab.recording import BOOT, INPUT, MARK, STOP, Recording, Seat, Segment, Step, chained, encode_boot
from plugins.raft.lab.replay import carry_out
from plugins.raft.lab.replay_scene import ReplayScene
from plugins.raft.sim.disk import Disk
from plugins.raft.sim.machine import Machine

STEPS_MAX: Final = 10_000
"""Steps of a branch; it ends there, however much time is left."""
INBOX_MAX: Final = 8192
"""Inputs that wait for a node that stands still; more are lost, as in the live lab."""
FSYNC_US: Final = 500
SNAPSHOT_EVERY: Final = 200
USUAL: Final = Link()

_TICK: Final = Tick()
_MESSAGE, _TIMER, _SYNCED, _WRITTEN, _ORDER = range(5)


class SimulatedLab:
    """The lab's nodes as a replay left them, going on in simulated time. `run` once."""

    def __init__(self, scene: ReplayScene, under_way: list[tuple[int, Message]], seed: int) -> None:
        replay = scene.replay
        self.now = replay.at_us
        self._hash = replay.hash
        self._prng = Prng(seed)
        self._links = Links(USUAL)
        self._links.take(scene.links())
        self._looks: dict[int, Look] = dict(scene.looks())
        self._stores = {number: replay.machines.get(number, Sessions(KeyValue())) for number in self._looks}
        self._settings = {number: core.settings for number, core in replay.cores.items() if core is not None}
        self._paused: dict[int, deque[Input]] = {}
        self._heap: list[tuple[int, int, int, int, Any]] = []
        self._sequence = 0
        self._steps: list[Step] = []
        seats = {
            number: Seat(frozen.copy(replay.cores.get(number)), frozen.copy(store), replay.is_up.get(number, False))
            for number, store in self._stores.items()
        }
        looks = {str(number): look.fields() for number, look in self._looks.items()}
        self._machines = {number: self._machine(scene, number) for number in self._looks}
        clocks = {str(number): machine.clock(self.now) for number, machine in self._machines.items()}
        begin = {"looks": looks, "links": self._links.document(), "cluster": scene.cluster(), "clocks": clocks}
        self._segment = Segment(self.now, self._hash, seats, begin, self._steps)
        for at_us, message in under_way:
            self._put(at_us, _MESSAGE, message.to, message)

    def _machine(self, scene: ReplayScene, number: int) -> Machine:
        core, look = scene.replay.cores.get(number), self._looks[number]
        machine = Machine(number, Disk(_durable_of(core), self._prng.split()))
        machine.set_us, machine.clock_base_us = scene.clock_of(number)
        machine.clock_permille = look.clock
        machine.disk.is_full = look.disk == "full"
        machine.disk.is_damaged = look.state == "damaged"
        machine.disk.slow_us = look.disk_slow_ms * 1000
        if core is not None and scene.replay.is_up.get(number):
            machine.node = core
            # Incarnations of `Machine` begin at 0.
            self._put(self.now + self._fsync_us(machine), _WRITTEN, number, core.token)
            if look.state == "paused":
                self._paused[number] = deque()
        return machine

    def run(self, duration_us: int, orders: Iterable[tuple[int, Any]]) -> Recording:
        """Go on for so long, or until there are too many steps; `orders` are given to `_act` after so many µs."""
        for after_us, order in orders:
            self._put(self.now + after_us, _ORDER, 0, order)
        for known in self._machines.values():
            self._set_timer(known)
        heap, end = self._heap, self.now + duration_us
        while heap and heap[0][0] <= end and len(self._steps) < STEPS_MAX:
            self.now, _, kind, number, payload = heappop(heap)
            if kind == _ORDER:
                self._act(payload)
            elif (machine := self._machines.get(number)) is not None:
                self._happen(machine, kind, payload)
        if len(self._steps) < STEPS_MAX:
            self.now = end
        return Recording(self._segment, self._hash, self.now)

    def _act(self, order: Any) -> None:
        """Carry out an order."""
        raise NotImplementedError

    def _answered(self, node: Node, answers: tuple[Answer, ...]) -> None:
        """A node answers its clients."""
        raise NotImplementedError

    # --- Events

    def _put(self, at: int, kind: int, number: int, payload: Any) -> None:
        self._sequence += 1
        heappush(self._heap, (at, self._sequence, kind, number, payload))

    def _happen(self, machine: Machine, kind: int, payload: Any) -> None:
        if kind == _SYNCED:
            if payload == machine.incarnation:
                self._feed(machine, Persisted(machine.disk.synced()))
                if machine.disk.queue:
                    self._sync(machine)
        elif kind == _TIMER:
            if payload == machine.incarnation and machine.tick_at == self.now:
                self._timer(machine)
        elif kind == _WRITTEN:
            if machine.incarnation == 0:
                self._feed(machine, Persisted(payload))
        else:
            self._feed(machine, payload)

    def _timer(self, machine: Machine) -> None:
        machine.tick_at = 0
        if machine.node is not None and machine.node.deadline_us <= machine.clock(self.now):
            self._feed(machine, _TICK)
        self._set_timer(machine)

    def _set_timer(self, machine: Machine) -> None:
        """Have the timer run out when the node wants; one that comes too early is set again."""
        node = machine.node
        if node is None or node.deadline_us == NEVER_US or machine.id in self._paused:
            return
        at = max(machine.true_time(node.deadline_us), self.now)
        if not machine.tick_at or at < machine.tick_at:
            machine.tick_at = at
            self._put(at, _TIMER, machine.id, machine.incarnation)

    def _feed(self, machine: Machine, event: Input) -> None:
        """Give a running node an input and carry out what it wants, as `shell` and `network` do."""
        node, number = machine.node, machine.id
        if node is None:
            return
        if (inbox := self._paused.get(number)) is not None:
            if len(inbox) < INBOX_MAX:
                inbox.append(event)
            return
        clock_us = machine.clock(self.now)
        effects = node.handle(clock_us, event)
        takes = tuple(self._send(message) for message in effects.send)
        carry_out(self._stores[number], effects)
        self._record(Step(INPUT, self.now, number, clock_us, encode(event), takes), effects)
        self._answered(node, effects.answers)
        if effects.persist is not None:
            machine.disk.queue.append(effects.persist)
            if machine.disk.is_full:
                self._stop(machine, "No space left on device")
                return
            if not machine.disk.syncing:
                self._sync(machine)
        applied = self._stores[number].applied_index
        if effects.apply and applied - node.snapshot.index >= SNAPSHOT_EVERY:
            self._snapshot(machine)
        self._set_timer(machine)

    def _send(self, message: Message) -> int:
        """Let a message go; how long it takes, LOST for ever."""
        link, prng = self._links.between(message.sender, message.to), self._prng
        if link.loses(prng):
            return LOST
        takes_us = link.takes_us(prng)
        self._put(self.now + takes_us, _MESSAGE, message.to, message)
        if link.duplicate and prng.chance(link.duplicate):
            self._put(self.now + link.takes_us(prng), _MESSAGE, message.to, message)
        return takes_us

    def _sync(self, machine: Machine) -> None:
        machine.disk.syncing = len(machine.disk.queue)
        self._put(self.now + self._fsync_us(machine), _SYNCED, machine.id, machine.incarnation)

    def _fsync_us(self, machine: Machine) -> int:
        return FSYNC_US + machine.disk.slow_us

    def _snapshot(self, machine: Machine) -> None:
        store = self._stores[machine.id]
        if machine.node is not None and store.applied_index > machine.node.snapshot.index:
            self._feed(machine, SnapshotTaken(store.applied_index, store.snapshot()))

    # --- The recording

    def _record(self, step: Step, effects: Effects | None) -> None:
        if step.kind != MARK:
            self._hash = chained(self._hash, step, effects)
        self._steps.append(step)

    def _mark(self, document: dict[str, Any]) -> None:
        self._record(Step(MARK, self.now, 0, 0, to_json(document)), None)

    def _say(self, kind: str, number: int, text: str) -> None:
        machine = self._machines.get(number)
        term = machine.node.term if machine is not None and machine.node is not None else 0
        self._mark({"event": list(Told(kind, number, term, text))})

    def _looked(self, machine: Machine, **changes: Any) -> None:
        look = self._looks[machine.id]
        for name, value in changes.items():
            setattr(look, name, value)
        self._mark({"node": machine.id, "look": look.fields()})

    def _links_changed(self, kind: str, text: str) -> None:
        self._links.tidy()
        self._say(kind, 0, text)
        self._mark({"links": self._links.document()})

    # --- Nodes

    def _stop(self, machine: Machine, reason: str) -> None:
        self._paused.pop(machine.id, None)
        machine.stopped()
        machine.tick_at = 0
        self._record(Step(STOP, self.now, machine.id, 0, b""), None)
        self._looked(machine, state="down", reason=reason)

    def _start(self, machine: Machine) -> None:
        """Start a node from its disk, if that can be read."""
        disk = machine.disk
        if disk.is_damaged or disk.is_full:
            why = "damaged" if disk.is_damaged else "full"
            self._say("disk", machine.id, f"n{machine.id} does not start: its disk is {why}")
            return
        durable, seed, clock_us = disk.recover(), self._prng.next() >> 1, machine.clock(self.now)
        settings = self._settings.get(machine.id) or next(iter(self._settings.values()), Settings())
        machine.started(Node(machine.id, settings, durable, Prng(seed), clock_us))
        self._stores[machine.id] = Sessions(KeyValue())
        self._record(Step(BOOT, self.now, machine.id, clock_us, encode_boot(durable, seed, settings)), None)
        self._looked(machine, state="up", reason="")
        self._feed(machine, _TICK)


def _durable_of(core: Node | None) -> Durable:
    """A disk with all that a node had asked it to keep."""
    if core is None:
        return Durable.empty()
    log = core.log
    return Durable(core.term, core.vote, core.snapshot, log.between(log.start_index + 1, log.last_index))
