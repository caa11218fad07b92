"""The loop of a run: the heap of events, who gets them, and what follows from the effects.

Order is by (time, sequence): two events at one time happen in the order in which they were put into the heap.
"""

import hashlib
import struct
from heapq import heappop, heappush
from typing import Any, Final, NamedTuple

from plugins.raft.core.base import Durable
from plugins.raft.core.codec import encode
from plugins.raft.core.configuration import Configuration
from plugins.raft.core.effects import Answer, Changed, Persist, Role
from plugins.raft.core.inputs import (
    AUTO,
    JOINT,
    Campaign,
    ChangeMembership,
    Input,
    Persisted,
    Propose,
    SnapshotTaken,
    Tick,
    TransferLeadership,
)
from plugins.raft.core.messages import Entry, Message, Snapshot
from plugins.raft.core.prng import Prng
from plugins.raft.core.sessions import session_command
from plugins.raft.core.settings import NEVER_US
from plugins.raft.sim import rules
from plugins.raft.sim.clients import Client
from plugins.raft.sim.disk import Disk
from plugins.raft.sim.history import Seen
from plugins.raft.sim.invariants import Invariants
from plugins.raft.sim.linearizability import check_history
from plugins.raft.sim.machine import Machine
from plugins.raft.sim.network import Network
from plugins.raft.sim.oracle import Oracle
from plugins.raft.sim.plan import MS, Fault, FaultKind, Plan
from plugins.raft.sim.spec import Spec
from plugins.raft.sim.violation import Violation

LEADER: Final = Role.LEADER
MESSAGE, TICK, SYNCED, CLIENT, FAULT, END = range(6)
"""Kinds of events in the heap."""

_STAMP: Final = struct.Struct("<qB")
_TICK: Final = Tick()
_TRACE_PARTS_MAX: Final = 2048
"""Parts of the trace that wait to be hashed together."""


class Outcome(NamedTuple):
    """What came of a run. `trace_hash` is SHA-256 over every input of every node, with its time."""

    violation: str
    detail: str
    at_us: int
    events: int
    elections: int
    committed: int
    operations: int
    trace_hash: str


class World:
    """One run of a plan. `run` goes to the end; `step` goes one event."""

    def __init__(self, plan: Plan, *, spec: bool = True) -> None:
        """`spec` validates each step by the TLA+ specification. Raises ValueError for a plan that has problems."""
        if problems := plan.problems():
            raise ValueError("; ".join(problems))
        self.plan = plan
        self.settings = plan.settings()
        self.node_class = rules.node_class(plan.rule)
        self.now = 0
        self.events = 0
        self.elections = 0
        self.heal_us = plan.duration_ms * MS
        self.end_us = self.heal_us + plan.settle_ms * MS
        self.answered_index = 0
        self.history: list[Seen] = []
        self.spec = Spec() if spec else None
        self.spec_steps = 0
        """Steps that the specification explained."""
        self.oracle = Oracle()
        self.oracle.deduplicates = plan.rule != "sessions"
        self._heap: list[tuple[int, int, int, int, Any]] = []
        self._sequence = 0
        self._trace: list[bytes] = []
        self._hash = hashlib.sha256()
        self._prng = Prng(plan.seed)
        self.network = Network(plan, self._prng.split())
        group = Configuration(tuple(range(1, plan.voters + 1)))
        disks = [Disk(Durable.empty(), self._prng.split())]
        disks += [
            Disk(Durable.first(group) if n <= plan.voters else Durable.empty(), self._prng.split())
            for n in range(1, plan.nodes + 1)
        ]
        self.machines = [Machine(n, disk) for n, disk in enumerate(disks)]
        self.invariants = Invariants(disks, self.machines)
        self.clients = [Client(n, self, self._prng.split()) for n in range(plan.clients)]
        self._dispatch = (self._on_message, self._on_tick, self._on_synced, self._on_client, self._on_fault)
        for n in range(1, plan.nodes + 1):
            self._start(self.machines[n])
        for client in self.clients:
            self.wake_client(client.number, client.prng.below(plan.think_ms * MS), client.attempt)
        for fault in plan.faults:
            self._put(fault.at_us, FAULT, 0, fault)
        self._put(self.heal_us, FAULT, 0, None)

    # --- The heap

    def _put(self, at: int, kind: int, target: int, payload: Any) -> None:
        self._sequence += 1
        heappush(self._heap, (at, self._sequence, kind, target, payload))

    def run(self) -> Outcome:
        """Go to the end, or to the first violation."""
        heap, dispatch, end = self._heap, self._dispatch, self.end_us
        try:
            while heap and heap[0][0] <= end:
                at, _, kind, target, payload = heappop(heap)
                self.now = at
                self.events += 1
                dispatch[kind](target, payload)
            self.now = end
            self.check_end()
        except Violation as violation:
            return self.outcome(violation.name, violation.detail)
        except AssertionError as error:
            return self.outcome("Assertion", str(error))
        return self.outcome("", "")

    def step(self) -> bool:
        """Take the next event; False when the run is at its end. Raises Violation."""
        if not self._heap or self._heap[0][0] > self.end_us:
            return False
        self.now, _, kind, target, payload = heappop(self._heap)
        self.events += 1
        self._dispatch[kind](target, payload)
        return True

    def outcome(self, name: str, detail: str) -> Outcome:
        """What came of the run so far; `name` and `detail` are what it broke, "" for nothing."""
        self._flush()
        committed = len(self.oracle.entries)
        return Outcome(
            name, detail, self.now, self.events, self.elections, committed, len(self.history), self._hash.hexdigest()
        )

    def _flush(self) -> None:
        self._hash.update(b"".join(self._trace))
        self._trace.clear()

    # --- Nodes

    def feed(self, machine: Machine, event: Input) -> None:
        """Give a node an input, check what it did, and do what it wants done."""
        node = machine.node
        if node is None:
            return
        trace = self._trace
        trace.append(_STAMP.pack(self.now, machine.id))
        trace.append(encode(event))
        if len(trace) > _TRACE_PARTS_MAX:
            self._flush()
        effects = node.handle(machine.clock(self.now), event)
        persist, sends, restore, applied, answers, status = effects
        if restore is not None:
            self._restored(machine, restore)
        self.invariants.check(machine, node, effects)
        if self.spec is not None:
            self.spec_steps += 1
            self.spec.step(machine.id, event, node)
            if sends:
                self.spec.sent(machine.id, sends)
        if persist is not None:
            self._write(machine, persist)
            if machine.node is None:
                return
        if sends:
            self._send(machine.id, sends)
        if applied:
            self._applied(machine, applied)
        if answers:
            self._answered(machine, answers)
        if status is not None and node.role is LEADER:
            self.elections += 1
        if status is not None or node.role is LEADER or event is _TICK:
            self._set_timer(machine)

    def _set_timer(self, machine: Machine) -> None:
        node = machine.node
        if node is None:
            return
        deadline = node.deadline_us
        if deadline == NEVER_US:
            machine.tick_at = 0
            return
        at = machine.true_time(deadline)
        if at != machine.tick_at and (machine.tick_at <= self.now or at < machine.tick_at):
            machine.tick_at = at = max(at, self.now)
            self._put(at, TICK, machine.id, machine.incarnation)

    def _start(self, machine: Machine) -> None:
        node = self.node_class(
            machine.id, self.settings, machine.disk.recover(), self._prng.split(), machine.clock(self.now)
        )
        machine.started(node)
        machine.tick_at = 0
        if self.spec is not None:
            self.spec.started(machine.id, node, machine.disk.entries)
        self.feed(machine, _TICK)

    def _stop(self, machine: Machine) -> None:
        machine.stopped()
        self.invariants.check_disk(machine.id, machine.disk)

    def _restored(self, machine: Machine, snapshot: Snapshot) -> None:
        self.oracle.check_snapshot(snapshot.index, snapshot.data, machine.id)
        machine.applied = snapshot.index
        machine.waiting = {index: known for index, known in machine.waiting.items() if index > snapshot.index}

    def _applied(self, machine: Machine, entries: tuple[Entry, ...]) -> None:
        oracle, number, waiting = self.oracle, machine.id, machine.waiting
        for entry in entries:
            oracle.apply(entry, number)
            if waiting:
                known = waiting.pop(entry.index, None)
                if known is not None:
                    term, client_number, attempt = known
                    client = self.clients[client_number]
                    if client.attempt == attempt:
                        if term == entry.term:
                            client.applied(entry.index, oracle.results[entry.index], entry.data)
                        else:
                            client.lost()
        every = self.plan.snapshot_every
        if every and machine.node is not None and machine.applied - machine.node.snapshot.index >= every:
            self._snapshot(machine)

    def _snapshot(self, machine: Machine) -> None:
        index = machine.applied
        if machine.node is not None and index:
            self.feed(machine, SnapshotTaken(index, self.oracle.snapshot(index)))

    def _answered(self, machine: Machine, answers: tuple[Answer, ...]) -> None:
        for answer in answers:
            if isinstance(answer, Changed):
                continue
            for request in answer.request_ids:
                if request < 0:
                    continue
                client = self.clients[request >> 32]
                if client.attempt == request & 0xFFFFFFFF:
                    client.answered(machine.id, answer)

    # --- Network

    def _send(self, sender: int, messages: tuple[Message, ...]) -> None:
        row = self.network.links[sender]
        delays = self.network.delays
        for message in messages:
            stream = row[message[2]]
            if stream is not None:
                for delay in delays(stream):
                    self._sequence += 1
                    heappush(self._heap, (self.now + delay, self._sequence, MESSAGE, message[2], message))

    def _on_message(self, target: int, message: Message) -> None:
        machine = self.machines[target]
        if self.now < machine.paused_until:
            self._put(machine.paused_until, MESSAGE, target, message)
        else:
            self.feed(machine, message)

    # --- Disk and clock

    def _write(self, machine: Machine, persist: Persist) -> None:
        disk = machine.disk
        if disk.is_full:
            # The write fails, so the node stops: it must not go on from what it could not keep.
            self._stop(machine)
            return
        disk.queue.append(persist)
        if not disk.syncing:
            self._sync(machine)

    def _sync(self, machine: Machine) -> None:
        disk = machine.disk
        disk.syncing = len(disk.queue)
        delay = disk.slow_us or 20 + disk.prng.below(self.plan.fsync_max_us)
        self._put(self.now + delay, SYNCED, machine.id, machine.incarnation)

    def _on_synced(self, target: int, incarnation: int) -> None:
        machine = self.machines[target]
        if incarnation != machine.incarnation:
            return
        if self.now < machine.paused_until:
            self._put(machine.paused_until, SYNCED, target, incarnation)
            return
        disk = machine.disk
        token = disk.synced()
        self.invariants.check_disk(target, disk)
        if disk.queue:
            self._sync(machine)
        self.feed(machine, Persisted(token))

    def _on_tick(self, target: int, incarnation: int) -> None:
        machine = self.machines[target]
        if incarnation != machine.incarnation or machine.tick_at != self.now:
            return
        if self.now < machine.paused_until:
            machine.tick_at = machine.paused_until
            self._put(machine.paused_until, TICK, target, incarnation)
            return
        node = machine.node
        if node is None:
            return
        machine.tick_at = 0
        if node.deadline_us > machine.clock(self.now):
            self._set_timer(machine)  # the deadline moved on meanwhile, as it does with every heartbeat
        else:
            self.feed(machine, _TICK)

    # --- Clients

    def wake_client(self, number: int, at: int, attempt: int) -> None:
        """Wake a client at `at`, unless it is at another attempt by then."""
        self._put(at, CLIENT, number, attempt)

    def _on_client(self, number: int, attempt: int) -> None:
        client = self.clients[number]
        if client.attempt == attempt:
            if client.is_asking:
                client.timed_out()
            else:
                client.wake()

    # --- Faults

    def _leader(self) -> int:
        """Who leads the highest term; 0 when nobody does."""
        return max((m.led_term, m.id) for m in self.machines)[1] if any(m.led_term for m in self.machines) else 0

    def _on_fault(self, _: int, fault: Fault | None) -> None:
        if fault is None:
            self._heal()
            return
        if self.now >= self.heal_us:
            return
        a = fault.a
        if not a and fault.kind in _ON_A_NODE:
            a = self._leader()
            if not a:
                return
        self._do(fault.kind, a, fault.b)

    def _do(self, kind: FaultKind, a: int, b: int) -> None:
        network = self.network
        if kind in _ON_A_NODE:
            self._do_to_machine(self.machines[a], kind, b)
        elif kind == FaultKind.CUT:
            network.cut(a or self._leader(), b or self._leader())
        elif kind == FaultKind.MEND:
            network.mend(a or self._leader(), b or self._leader())
        elif kind == FaultKind.SPLIT:
            network.split(a)
        elif kind == FaultKind.HEAL:
            network.heal()
        elif kind == FaultKind.LOSSY:
            network.calm(a)
        else:
            leader = self.machines[self._leader()]
            if kind == FaultKind.TRANSFER:
                self.feed(leader, TransferLeadership(-1, a))
            else:
                self._change(leader, kind, a)

    def _change(self, leader: Machine, kind: FaultKind, a: int) -> None:
        """Ask the leader for other members."""
        if leader.node is None:
            return
        now = leader.node.configuration
        if kind == FaultKind.ADD:
            voters = tuple(sorted({*now.voters, a}))
        elif kind == FaultKind.REMOVE:
            voters = tuple(n for n in now.voters if n != a)
        else:
            voters = tuple(n for n in range(1, self.plan.nodes + 1) if a >> n & 1)
        learners = tuple(n for n in now.learners if n not in voters)
        transition = JOINT if kind == FaultKind.CHANGE_JOINT else AUTO
        self.feed(leader, ChangeMembership(-1, transition, voters, learners))

    def _do_to_machine(self, machine: Machine, kind: FaultKind, b: int) -> None:
        disk = machine.disk
        if kind == FaultKind.CRASH or (kind == FaultKind.CRASH_FOLLOWER and machine.id != self._leader()):
            self._stop(machine)
        elif kind == FaultKind.RESTART:
            if machine.node is None and not disk.is_damaged:
                self._start(machine)
        elif kind == FaultKind.PAUSE:
            machine.paused_until = self.now + b * MS
        elif kind == FaultKind.SKEW:
            machine.skew(self.now, b)
            self._set_timer(machine)
        elif kind == FaultKind.DISK_FULL:
            disk.is_full = True
        elif kind == FaultKind.DISK_FREE:
            disk.is_full = False
            if machine.node is None and not disk.is_damaged:
                self._start(machine)
        elif kind == FaultKind.BIT_FLIP:
            disk.is_damaged = True
        elif kind == FaultKind.SNAPSHOT:
            self._snapshot(machine)
        elif kind == FaultKind.SLOW_DISK:
            disk.slow_us = b * MS
        elif kind == FaultKind.CAMPAIGN:
            self.feed(machine, Campaign())
        elif kind == FaultKind.PROPOSE:
            self.feed(machine, Propose(((-1, session_command(-1, 0, b"%d" % b)),)))

    # --- The end

    def _heal(self) -> None:
        """Everything is well again: links, disks with room, and all nodes whose disk is not damaged."""
        self.network.perfect()
        for machine in self.machines[1:]:
            machine.disk.is_full = False
            machine.disk.slow_us = 0
            machine.paused_until = min(machine.paused_until, self.now)
            if machine.node is None and not machine.disk.is_damaged:
                self._start(machine)

    def check_end(self) -> None:
        """The group must have recovered: one leader whom all members follow, all logs equal, all operations done."""
        plan = self.plan
        # Without pre-vote and check-quorum, members that were removed may keep the others from electing anybody for
        # long (thesis §4.2.3); and a node that lacks a rule is judged by its safety.
        if plan.settle_ms >= 2000 and plan.pre_vote and plan.check_quorum and not plan.rule:
            self._check_recovery()
        for client in self.clients:
            client.give_up()
        check_history(self.history)

    def _check_recovery(self) -> None:
        leader = self.machines[self._leader()].node
        if leader is None:
            raise Violation("Recovery", "nobody leads although all is well again")
        last = leader.log.last_index
        if leader.commit != last:
            raise Violation("Recovery", f"leader {leader.id} has {last} entries and committed only {leader.commit}")
        for member in leader.configuration.members:
            node = self.machines[member].node
            if node is not None and (node.leader, node.commit) != (leader.id, last):
                raise Violation(
                    "Recovery", f"node {member} follows {node.leader} up to {node.commit}, not {leader.id} up to {last}"
                )
        if not all(client.is_done for client in self.clients):
            raise Violation("Recovery", "a client still has no answer although all is well again")


_ON_A_NODE: Final = frozenset(
    {
        FaultKind.CRASH,
        FaultKind.CRASH_FOLLOWER,
        FaultKind.RESTART,
        FaultKind.PAUSE,
        FaultKind.SKEW,
        FaultKind.DISK_FULL,
        FaultKind.DISK_FREE,
        FaultKind.BIT_FLIP,
        FaultKind.SNAPSHOT,
        FaultKind.SLOW_DISK,
        FaultKind.CAMPAIGN,
        FaultKind.PROPOSE,
    }
)
