"""What surrounds a node of `core`: the task that owns it, its timer, its disk, its state machine and its clients.

One task feeds the core, one input after the other, so that there is no other order of events than that in which they
were fed (hashicorp/raft #695 is what comes of two). It has one deadline, the core's own, asked anew at each pass.
A second task writes to the disk: all that waits becomes one batch with one fsync, in a thread, and what arrives
meanwhile becomes the next. The core goes on while the disk works.
"""

from collections import deque
from typing import Final, Protocol

import trio

from host.api import HostError
from plugins.raft.clock import Clock
from plugins.raft.core.base import Durable
from plugins.raft.core.effects import Accepted, Answer, Changed, Effects, Persist, ReadReady, Reason, Refused, Role
from plugins.raft.core.inputs import (
    AUTO,
    Campaign,
    ChangeMembership,
    Input,
    Persisted,
    Propose,
    Read,
    SnapshotTaken,
    Tick,
    TransferLeadership,
    Unreachable,
)
from plugins.raft.core.messages import Entry, Message
from plugins.raft.core.node import Node
from plugins.raft.core.prng import Prng
from plugins.raft.core.sessions import Sessions
from plugins.raft.core.settings import Settings
from plugins.raft.requests import Applied, Call, Fate, Sink
from plugins.raft.storage import Storage

INBOX_MAX: Final = 8192
"""Messages that wait for the core; more are lost, as a network may."""
PROPOSALS_MAX: Final = 32_768
"""Commands that wait for the core; more are refused as "overloaded"."""
PASS_INPUTS: Final = 128
"""Inputs between two looks at the rest of the program."""
PROPOSE_ITEMS: Final = 512
"""Commands in one `Propose`."""

_TICK: Final = Tick()


class Transport(Protocol):
    """Where messages go. Nothing here waits: a message that cannot go now may be lost."""

    def send(self, message: Message) -> None: ...

    def flush(self) -> None: ...


class Observer(Protocol):
    """Sees every input after its effects were carried out."""

    def fed(self, node: Node, now_us: int, event: Input, effects: Effects) -> None: ...


class ShellStopped(HostError):
    """The node is not running."""


class Shell:
    """One running node. All methods but `run` may be called by any task of the loop; none but the async ones waits."""

    def __init__(
        self,
        settings: Settings,
        storage: Storage,
        durable: Durable,
        transport: Transport,
        machine: Sessions,
        *,
        seed: int,
        clock: Clock,
        snapshot_every: int = 10_000,
        observer: Observer | None = None,
        threads: trio.CapacityLimiter | None = None,
    ) -> None:
        """A node that starts from `durable`, which is what `storage` holds. `snapshot_every` is in entries."""
        self.clock = clock
        self.node = Node(storage.node, settings, durable, Prng(seed), clock.read())
        self.machine = machine
        self.storage = storage
        self.started = False
        self.results: list[bytes] = []
        """What the machine answered to the entries of the last input, for an observer."""
        self._transport = transport
        self._observer = observer
        self._threads = threads
        self._snapshot_every = snapshot_every
        self._inbox: deque[Input] = deque()
        self._proposals: deque[tuple[bytes, Sink, int]] = deque()
        self._persists: list[Persist] = []
        self._requests: dict[int, tuple[Sink, int]] = {}
        self._waiting: dict[int, tuple[int, Sink, int]] = {}
        self._request_id = 0
        self._wake = trio.Event()
        self._disk_wake = trio.Event()
        self._resumed: trio.Event | None = None
        self._was_leader = False
        self._snapshot_asked = 0
        self.machine.restore(b"")

    @property
    def id(self) -> int:
        """The node's number."""
        return self.node.id

    # --- Running

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the node until cancelled. Whoever waits then learns that the outcome is unknown.

        Raises:
            StorageFailed: the disk took nothing more. What it holds is what the node had promised; start it anew.
        """
        self.started = True
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._run_disk)
                task_status.started()
                await self._run_core()
        finally:
            self.started = False
            self._abandon()

    async def _run_core(self) -> None:
        node, inbox = self.node, self._inbox
        # What was committed before the start is in the snapshot: a new node restores it with its first input.
        self._feed(_TICK)
        while True:
            if inbox or self._proposals:
                await trio.lowlevel.checkpoint()
            else:
                self._wake = trio.Event()
                with trio.move_on_after(self.clock.seconds_until(node.deadline_us)):
                    await self._wake.wait()
            while self._resumed is not None:
                await self._resumed.wait()
            for _ in range(min(len(inbox), PASS_INPUTS)):
                self._feed(inbox.popleft())
            if self._proposals:
                self._feed_proposals()
            if self.clock.read() >= node.deadline_us:
                self._feed(_TICK)
            self._transport.flush()

    async def _run_disk(self) -> None:
        while True:
            while not self._persists:
                self._disk_wake = trio.Event()
                await self._disk_wake.wait()
            batch = self.storage.prepare(self._persists)
            self._persists = []
            # Not abandoned on a cancellation: the store is whole when the thread is done, and only then.
            await trio.to_thread.run_sync(self.storage.write, batch, limiter=self._threads)
            self._post(Persisted(batch.token))

    def _abandon(self) -> None:
        for sink, tag in self._requests.values():
            sink(tag, Fate.UNKNOWN, 0, b"", 0)
        self._requests.clear()
        self._abandon_waiting()
        for _, sink, tag in self._proposals:
            sink(tag, Fate.REFUSED, 0, "no-leader", 0)
        self._proposals.clear()

    def _abandon_waiting(self) -> None:
        """Tell those whose commands are in the log that nobody knows what becomes of them."""
        waiting, self._waiting = self._waiting, {}
        for index, (_, sink, tag) in waiting.items():
            sink(tag, Fate.UNKNOWN, index, b"", self.node.leader)

    # --- Inputs

    def receive(self, message: Message) -> None:
        """Take a message of a peer; lost when too many wait."""
        if len(self._inbox) < INBOX_MAX:
            self._post(message)

    def unreachable(self, peer: int) -> None:
        """The transport lost messages to a peer."""
        self._post(Unreachable(peer))

    def campaign(self) -> None:
        """Stand for election now."""
        self._post(Campaign())

    def take_snapshot(self) -> None:
        """Take a snapshot of what is applied, if anything was since the last."""
        if self.machine.applied_index > max(self.node.snapshot.index, self._snapshot_asked):
            self._snapshot_asked = self.machine.applied_index
            self._post(SnapshotTaken(self.machine.applied_index, self.machine.snapshot()))

    def pause(self) -> None:
        """Stand still, as a process that is stopped or in a long collection of garbage: what comes in waits."""
        if self._resumed is None:
            self._resumed = trio.Event()

    def resume(self) -> None:
        """Go on after `pause`."""
        if self._resumed is not None:
            self._resumed.set()
            self._resumed = None

    @property
    def is_paused(self) -> bool:
        """Whether it stands still."""
        return self._resumed is not None

    def submit(self, command: bytes, sink: Sink, tag: int) -> None:
        """Have a command applied; `sink` hears of it once. Commands that wait at the same time go together."""
        if not self.started:
            sink(tag, Fate.REFUSED, 0, "no-leader", 0)
        elif len(self._proposals) >= PROPOSALS_MAX:
            sink(tag, Fate.REFUSED, 0, "overloaded", self.node.leader)
        else:
            self._proposals.append((command, sink, tag))
            self._wake.set()

    async def propose(self, command: bytes, timeout_s: float) -> Applied:
        """Have a command applied and wait for its result. Raises NotTaken, OutcomeUnknown."""
        call = Call()
        self.submit(command, call.finish, 0)
        return await call.wait(timeout_s)

    async def read(self, query: bytes, timeout_s: float, *, lease: bool = False) -> Applied:
        """Serve a linearizable read of a key from here. Raises NotTaken; OutcomeUnknown means only: no answer."""
        machine = self.machine
        call = Call(lambda: machine.machine.get(query))  # type: ignore[attr-defined]
        self._ask(Read(self._next_request(call), lease))
        return await call.wait(timeout_s)

    def read_into(self, query: bytes, sink: Sink, tag: int) -> None:
        """As `read`, for whoever waits for many at once: `sink` gets the result. Raises ShellStopped."""
        machine = self.machine

        def served(tag: int, fate: Fate, index: int, value: bytes | Reason, leader: int) -> None:
            sink(tag, fate, index, machine.machine.get(query) if fate is Fate.READY else value, leader)  # type: ignore[attr-defined]

        if not self.started:
            raise ShellStopped(f"node {self.id} is not running")
        self._request_id += 1
        self._requests[self._request_id] = (served, tag)
        self._post(Read(self._request_id, False))

    async def change_members(
        self, voters: tuple[int, ...], learners: tuple[int, ...], timeout_s: float, transition: int = AUTO
    ) -> None:
        """Make these the members. Raises NotTaken, OutcomeUnknown."""
        call = Call()
        self._ask(ChangeMembership(self._next_request(call), transition, voters, learners))
        await call.wait(timeout_s)

    async def transfer(self, target: int, timeout_s: float) -> None:
        """Hand the leadership over. Raises NotTaken, OutcomeUnknown."""
        call = Call()
        self._ask(TransferLeadership(self._next_request(call), target))
        await call.wait(timeout_s)

    def _ask(self, event: Input) -> None:
        if not self.started:
            raise ShellStopped(f"node {self.id} is not running")
        self._post(event)

    def _next_request(self, call: Call) -> int:
        self._request_id += 1
        self._requests[self._request_id] = (call.finish, 0)
        return self._request_id

    def _post(self, event: Input) -> None:
        self._inbox.append(event)
        self._wake.set()

    # --- The core

    def _feed(self, event: Input) -> None:
        now = self.clock.read()
        effects = self.node.handle(now, event)
        self._execute(effects)
        if self._observer is not None:
            self._observer.fed(self.node, now, event, effects)

    def _feed_proposals(self) -> None:
        """Put all that waits into one `Propose`, within its limit."""
        proposals, requests = self._proposals, self._requests
        items: list[tuple[int, bytes]] = []
        request = self._request_id
        size = 0
        while proposals and len(items) < PROPOSE_ITEMS and size < 1 << 20:
            command, sink, tag = proposals.popleft()
            request += 1
            requests[request] = (sink, tag)
            items.append((request, command))
            size += len(command)
        self._request_id = request
        self._feed(Propose(tuple(items)))

    def _execute(self, effects: Effects) -> None:
        persist, send, restore, apply, answers, status = effects
        self.results = []
        if persist is not None:
            self._persists.append(persist)
            self._disk_wake.set()
        for message in send:
            self._transport.send(message)
        if restore is not None:
            self.machine.restore(restore.data)
            if not restore.data:
                # The empty machine of a new group does not say at which index it stands.
                self.machine.applied_index = restore.index
        if apply:
            self._apply(apply)
        for answer in answers:
            self._answer(answer)
        if status is not None:
            is_leader = status.role is Role.LEADER
            if self._was_leader and not is_leader:
                self._abandon_waiting()
            self._was_leader = is_leader

    def _apply(self, entries: tuple[Entry, ...]) -> None:
        machine, waiting, results = self.machine, self._waiting, self.results
        for entry in entries:
            result = machine.apply(entry)
            results.append(result)
            if waiting:
                found = waiting.pop(entry.index, None)
                if found is not None:
                    term, sink, tag = found
                    if term == entry.term:
                        sink(tag, Fate.APPLIED, entry.index, result, 0)
                    else:
                        # Another entry stands there: this command has not happened and never will.
                        sink(tag, Fate.REFUSED, 0, "stepped-down", self.node.leader)
        if machine.applied_index - max(self.node.snapshot.index, self._snapshot_asked) >= self._snapshot_every:
            self.take_snapshot()

    def _answer(self, answer: Answer) -> None:
        requests = self._requests
        if type(answer) is Accepted:
            index, term, ids = answer
            waiting = self._waiting
            for request in ids:
                sink, tag = requests.pop(request)
                waiting[index] = (term, sink, tag)
                index += 1
        elif type(answer) is Refused:
            for request in answer.request_ids:
                sink, tag = requests.pop(request)
                self._tell_refused(sink, tag, answer)
        elif type(answer) is ReadReady:
            for request in answer.request_ids:
                sink, tag = requests.pop(request)
                sink(tag, Fate.READY, self.machine.applied_index, b"", 0)
        elif type(answer) is Changed:
            sink, tag = requests.pop(answer.request_id)
            sink(tag, Fate.CHANGED, 0, b"", 0)

    @staticmethod
    def _tell_refused(sink: Sink, tag: int, answer: Refused) -> None:
        """ "stepped-down" alone leaves open what became of a request."""
        reason: Reason = answer.reason
        fate = Fate.UNKNOWN if reason == "stepped-down" else Fate.REFUSED
        sink(tag, fate, 0, reason, answer.leader)
