"""Clients: each opens a session, then does one operation after the other, and asks again until it knows the outcome."""

import struct
from typing import TYPE_CHECKING, Final

from plugins.raft.core.effects import Accepted, Answer, ReadReady, Refused
from plugins.raft.core.inputs import Propose, Read
from plugins.raft.core.kv import Operation, encode_operation
from plugins.raft.core.prng import Prng
from plugins.raft.core.sessions import EXPIRED, REGISTERED, register_command, session_command
from plugins.raft.sim.history import OPEN_US, Seen
from plugins.raft.sim.plan import MS
from plugins.raft.sim.violation import Violation

if TYPE_CHECKING:
    from plugins.raft.sim.world import World

PATIENCE_US: Final = 300 * MS
"""A request that has no answer by then is made again, somewhere else."""


class Client:
    """One client. `attempt` numbers its requests: an answer to an earlier one is not waited for any more."""

    __slots__ = (
        "attempt",
        "called_us",
        "floor",
        "home",
        "is_asking",
        "number",
        "operation",
        "prng",
        "reads_from_log",
        "sequence",
        "session",
        "target",
        "world",
    )

    def __init__(self, number: int, world: "World", prng: Prng) -> None:
        self.number = number
        self.world = world
        self.prng = prng
        self.attempt = 0
        self.session = 0
        self.sequence = 0
        self.target = 1 + prng.below(world.plan.nodes)
        self.home = 1 + number % world.plan.voters if number < world.plan.stubborn else 0
        """Where a stubborn client reads, and does nothing else, until all is well again; 0 is anywhere."""
        self.operation: Operation | None = None
        self.called_us = 0
        self.floor = 0
        """The highest index that anybody was answered from when the operation was called: a read must see as much."""
        self.reads_from_log = False
        self.is_asking = False
        """A request is under way, and has not been answered yet."""

    @property
    def is_done(self) -> bool:
        """Nothing is left open."""
        return self.operation is None and self.session != 0

    def wake(self) -> None:
        """Go on: begin an operation, or make the request that is due again."""
        world = self.world
        if self.session and self.operation is None:
            if world.now >= world.heal_us:
                return
            self._begin()
        self._request()

    def _begin(self) -> None:
        prng = self.prng
        key = b"k%d" % prng.below(self.world.plan.keys)
        dice = prng.below(10)
        self.sequence += 1
        value = b"%d.%d" % (self.number, self.sequence)
        if self.home:
            self.operation, self.reads_from_log = Operation("get", key), False
        elif dice < 5:
            self.operation = Operation("get", key)
            self.reads_from_log = dice == 0
        elif dice < 8:
            self.operation = Operation("put", key, value)
        elif dice == 8:
            self.operation = Operation("append", key, b"," + value)
        else:
            last = self.world.oracle.read(key, len(self.world.oracle.entries))
            self.operation = Operation("swap", key, value, last[1:])
        if prng.chance(300):
            self.target = 1 + prng.below(self.world.plan.nodes)
        self.called_us = self.world.now
        self.floor = self.world.answered_index

    def _request(self) -> None:
        """Ask the target; ask another after a while if there is no answer."""
        world = self.world
        self.attempt += 1
        world.wake_client(self.number, world.now + PATIENCE_US, self.attempt)
        if world.now >= world.heal_us:
            self.home = 0
        self.is_asking = True
        is_read = self.operation is not None and self.operation.kind == "get" and not self.reads_from_log
        machine = world.machines[self.home if is_read and self.home else self.target]
        if machine.node is None:
            return
        if world.now < machine.paused_until:
            self.is_asking = False
            world.wake_client(self.number, machine.paused_until, self.attempt)
            return
        request = (self.number << 32) | self.attempt
        operation = self.operation
        if operation is None:
            world.feed(machine, Propose(((request, register_command()),)))
        elif is_read:
            world.feed(machine, Read(request, bool(self.home) or self.prng.chance(500)))
        else:
            command = session_command(self.session, self.sequence, encode_operation(operation))
            world.feed(machine, Propose(((request, command),)))

    def timed_out(self) -> None:
        """There was no answer: try another node."""
        self.target = 1 + self.prng.below(self.world.plan.nodes)
        self.wake()

    def answered(self, node: int, answer: Answer) -> None:
        """A node answers the present request."""
        world = self.world
        if isinstance(answer, Accepted):
            world.machines[node].waiting[answer.index] = (answer.term, self.number, self.attempt)
        elif isinstance(answer, ReadReady):
            operation = self.operation
            assert operation is not None
            index = world.machines[node].applied
            if index < self.floor:
                raise Violation(
                    "StaleRead",
                    f"node {node} served client {self.number} from index {index}, after somebody had seen {self.floor}",
                )
            self._done(world.oracle.read(operation.key, index), 2 * index + 1)
        elif isinstance(answer, Refused):
            self._again(answer.leader)

    def applied(self, index: int, result: bytes, command: bytes) -> None:
        """The command of the present request was applied at `index`."""
        if self.operation is None:
            if result[:1] == REGISTERED:
                (self.session,) = struct.unpack("<q", result[1:])
                self._rest()
            return
        if result[:1] == EXPIRED:
            self.session = 0  # never in a run: there are fewer clients than sessions
        self._done(result, 2 * self.world.oracle.first_index.get(command, index))

    def lost(self) -> None:
        """The entry of the present request was replaced by another: it never happens."""
        self._again(0)

    def _done(self, output: bytes, order: int) -> None:
        world = self.world
        assert self.operation is not None
        world.history.append(Seen(self.number, self.operation, self.called_us, world.now, output, order))
        world.answered_index = max(world.answered_index, order >> 1)
        self.operation = None
        self._rest()

    def _again(self, leader: int) -> None:
        self.is_asking = False
        self.target = leader or 1 + self.prng.below(self.world.plan.nodes)
        self.attempt += 1
        self.world.wake_client(self.number, self.world.now + (1 + self.prng.below(20)) * MS, self.attempt)

    def _rest(self) -> None:
        self.is_asking = False
        self.attempt += 1
        pause = 1 + self.prng.below(self.world.plan.think_ms * MS)
        self.world.wake_client(self.number, self.world.now + pause, self.attempt)

    def give_up(self) -> None:
        """The run ends: what is under way stays open."""
        if self.operation is not None and self.operation.kind != "get":
            command = session_command(self.session, self.sequence, encode_operation(self.operation))
            order = 2 * self.world.oracle.first_index.get(command, 0)
            self.world.history.append(Seen(self.number, self.operation, self.called_us, OPEN_US, b"", order))
