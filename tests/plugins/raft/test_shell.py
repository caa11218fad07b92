"""The shell: commands and reads through real nodes in one loop, and what clients are told when things break."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from host.api import OutcomeUnknown
from plugins.raft.clock import Clock
from plugins.raft.core.base import Durable
from plugins.raft.core.configuration import Configuration
from plugins.raft.core.effects import Role
from plugins.raft.core.kv import KeyValue, Operation
from plugins.raft.core.messages import AppendResponse, Message, VoteResponse
from plugins.raft.core.sessions import Sessions
from plugins.raft.core.settings import Settings
from plugins.raft.kv_client import command_of
from plugins.raft.requests import Fate, NotTaken
from plugins.raft.shell import PROPOSALS_MAX, Shell, ShellStopped
from plugins.raft.storage import Files, Storage, StorageFailed

HASTY = Settings(election_timeout_us=40_000, heartbeat_us=10_000, snapshot_trailing_entries=5)
PATIENT = Settings(election_timeout_us=1_000_000, heartbeat_us=50_000)
"""No election because the machine that runs the tests is busy."""
PUT = command_of(Operation("put", b"k", b"v"), None)


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds of nodes that tell nobody of each step."""
    with trio.fail_after(20):
        while not holds():  # noqa: ASYNC110
            await trio.sleep(0.005)


class Wires:
    """Delivers at once; `cut` nodes neither send nor hear. Notes what was sent."""

    def __init__(self) -> None:
        self.shells: dict[int, Shell] = {}
        self.cut: set[int] = set()
        self.sent: list[Message] = []

    def send(self, message: Message) -> None:
        self.sent.append(message)
        if message.sender not in self.cut and message.to not in self.cut and message.to in self.shells:
            self.shells[message.to].receive(message)

    def flush(self) -> None:
        pass


class GatedFiles(Files):
    """A disk whose fsync fails when it is told to, and waits when it is told to."""

    def __init__(self) -> None:
        self.fails = False
        self.gate: trio.Event | None = None

    def sync(self, descriptor: int) -> None:
        if self.gate is not None:
            trio.from_thread.run(self.gate.wait)
        if self.fails:
            raise OSError(5, "Input/output error")


class Group:
    """Shells in a nursery."""

    def __init__(self, folder: Path, size: int, snapshot_every: int, settings: Settings = HASTY) -> None:
        self.wires = Wires()
        self.files = {number: GatedFiles() for number in range(1, size + 1)}
        group = Configuration(tuple(self.files))
        for number, files in self.files.items():
            storage, durable = Storage.open(folder / f"n{number}", number, first=Durable.first(group), files=files)
            self.wires.shells[number] = Shell(
                settings,
                storage,
                durable,
                self.wires,
                Sessions(KeyValue()),
                seed=number,
                clock=Clock(),
                snapshot_every=snapshot_every,
            )

    async def leader(self, *others: int) -> Shell:
        """Wait for a leader that is none of `others` and has committed in its term."""
        with trio.fail_after(20):
            while True:
                for shell in self.wires.shells.values():
                    node = shell.node
                    if shell.id not in others and node.role is Role.LEADER and node.commit == node.log.last_index > 0:
                        return shell
                await trio.sleep(0.005)


@asynccontextmanager
async def group_of(
    folder: Path, size: int = 3, snapshot_every: int = 1000, settings: Settings = HASTY
) -> AsyncIterator[Group]:
    group = Group(folder, size, snapshot_every, settings)
    try:
        async with trio.open_nursery() as nursery:
            for shell in group.wires.shells.values():
                await nursery.start(shell.run)
            yield group
            nursery.cancel_scope.cancel(reason="the test is over")
    finally:
        for shell in group.wires.shells.values():
            shell.storage.close()


async def test_command_is_applied_on_all_and_read_from_any(tmp_path: Path) -> None:
    async with group_of(tmp_path) as group:
        leader = await group.leader()
        applied = await leader.propose(PUT, 5)
        assert applied.result == b"+"
        for shell in group.wires.shells.values():
            read = await shell.read(b"k", 5)
            assert read.result == b"+v"
            assert read.index >= applied.index


async def test_commands_of_many_clients_share_proposals_and_fsyncs(tmp_path: Path) -> None:
    async with group_of(tmp_path, settings=PATIENT) as group:
        leader = await group.leader()
        before = leader.storage.syncs
        fates: list[Fate] = []
        everybody = trio.Event()

        def finish(tag: int, fate: Fate, index: int, value: object, hint: int) -> None:
            fates.append(fate)
            if len(fates) == 2000:
                everybody.set()

        for tag in range(2000):
            leader.submit(PUT, finish, tag)
        with trio.fail_after(20):
            await everybody.wait()
        assert set(fates) == {Fate.APPLIED}
        assert leader.storage.syncs - before < 50


async def test_follower_refuses_and_names_the_leader(tmp_path: Path) -> None:
    async with group_of(tmp_path) as group:
        leader = await group.leader()
        follower = next(shell for shell in group.wires.shells.values() if shell is not leader)
        await until(lambda: follower.node.leader == leader.id)
        with pytest.raises(NotTaken) as caught:
            await follower.propose(PUT, 5)
        assert (caught.value.reason, caught.value.leader) == ("not-leader", leader.id)


async def test_leader_that_is_cut_off_tells_its_clients_that_nobody_knows(tmp_path: Path) -> None:
    async with group_of(tmp_path) as group:
        leader = await group.leader()
        group.wires.cut.add(leader.id)
        with pytest.raises(OutcomeUnknown):
            await leader.propose(PUT, 10)
        assert leader.node.role is not Role.LEADER
        other = await group.leader(leader.id)
        await other.propose(command_of(Operation("put", b"k", b"new"), None), 5)
        group.wires.cut.clear()
        await until(lambda: leader.machine.applied_index >= other.machine.applied_index)
        # What it could not commit was replaced, and is nowhere.
        assert leader.machine.snapshot() == other.machine.snapshot()


async def test_nothing_is_acknowledged_while_the_disk_works(tmp_path: Path) -> None:
    async with group_of(tmp_path) as group:
        leader = await group.leader()
        gates = {}
        for number, files in group.files.items():
            if number != leader.id:
                gates[number] = files.gate = trio.Event()
        group.wires.sent.clear()
        with pytest.raises(OutcomeUnknown):
            await leader.propose(PUT, 0.03)
        index = leader.node.log.last_index
        acknowledged = [m for m in group.wires.sent if type(m) is AppendResponse and m.success and m.index >= index]
        granted = [m for m in group.wires.sent if type(m) is VoteResponse and m.granted and not m.pre]
        assert acknowledged == []
        assert granted == []
        for number, gate in gates.items():
            group.files[number].gate = None
            gate.set()
        again = await group.leader()
        assert (await again.propose(PUT, 5)).result == b"+"


async def test_failed_fsync_stops_the_node_and_nobody_hears_of_the_batch(tmp_path: Path) -> None:
    group = Group(tmp_path, 1, 1000)
    (shell,) = group.wires.shells.values()
    outcomes: list[Fate] = []
    with pytest.RaisesGroup(StorageFailed, flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            await nursery.start(shell.run)
            await group.leader()
            group.files[1].fails = True
            shell.submit(PUT, lambda tag, fate, index, value, hint: outcomes.append(fate), 0)
    assert outcomes == [Fate.UNKNOWN]
    shell.submit(PUT, lambda tag, fate, index, value, hint: outcomes.append(fate), 0)
    assert outcomes[1:] == [Fate.REFUSED]
    with pytest.raises(ShellStopped):
        await shell.read(b"k", 1)
    shell.storage.close()


async def test_snapshots_keep_the_log_short_and_a_late_node_gets_one(tmp_path: Path) -> None:
    async with group_of(tmp_path, snapshot_every=20) as group:
        leader = await group.leader()
        late = next(shell for shell in group.wires.shells.values() if shell is not leader)
        group.wires.cut.add(late.id)
        for _ in range(100):
            await leader.propose(PUT, 5)
        assert leader.node.log.start_index > 0
        assert len(leader.node.log) < 60
        group.wires.cut.clear()
        await until(lambda: late.machine.applied_index >= leader.machine.applied_index)
        assert late.node.snapshot.index > 0


async def test_leadership_is_handed_over(tmp_path: Path) -> None:
    async with group_of(tmp_path) as group:
        leader = await group.leader()
        target = next(number for number in group.files if number != leader.id)
        await leader.transfer(target, 5)
        assert (await group.leader(leader.id)).id == target


async def test_paused_node_does_nothing_until_it_goes_on(tmp_path: Path) -> None:
    async with group_of(tmp_path) as group:
        leader = await group.leader()
        leader.pause()
        other = await group.leader(leader.id)
        term = leader.node.term
        await trio.sleep(0.1)
        assert leader.node.term == term < other.node.term
        leader.resume()
        await until(lambda: leader.node.term >= other.node.term)


async def test_commands_beyond_the_limit_are_refused(tmp_path: Path) -> None:
    async with group_of(tmp_path) as group:
        leader = await group.leader()
        fates: list[tuple[Fate, object]] = []
        for tag in range(PROPOSALS_MAX + 1):
            leader.submit(PUT, lambda tag, fate, index, value, hint: fates.append((fate, value)), tag)
        assert fates == [(Fate.REFUSED, "overloaded")]
