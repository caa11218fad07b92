"""The counterparts of the 28 Raft tests of MIT 6.5840 (labs 3A to 3D), in simulated time and over several seeds.

Each says what the lab's test asserts; servers, faults and figures are the lab's where they carry over. That no two
leaders share a term, that all apply the same, and that clients see one store is checked in each after every step.
"""

import pytest

from plugins.raft.core.codec import encode
from plugins.raft.core.inputs import Propose
from plugins.raft.core.messages import Message
from plugins.raft.core.sessions import session_command
from plugins.raft.sim.plan import MS, Fault, FaultKind, Plan
from plugins.raft.sim.world import World

K = FaultKind
SEEDS = range(3)
pytestmark = pytest.mark.parametrize("seed", SEEDS)


class Counting(World):
    """Counts the messages that leave, and their bytes."""

    messages = 0
    sent_bytes = 0

    def _send(self, sender: int, messages: tuple[Message, ...]) -> None:
        self.messages += len(messages)
        self.sent_bytes += sum(len(encode(message)) for message in messages)
        super()._send(sender, messages)


def plan(seed: int, servers: int, faults: list[Fault] | None = None, **changes: int) -> Plan:
    base = Plan(seed=seed, nodes=servers, voters=servers, clients=0, faults=tuple(sorted(faults or [])))
    return base._replace(**changes)


def until(world: World, ms: int) -> None:
    while world.now < ms * MS and world.step():
        pass


def leader_of(world: World) -> int:
    return world._leader()


def committed(world: World) -> list[int]:
    return [machine.node.commit if machine.node is not None else -1 for machine in world.machines[1:]]


def sound(world: World) -> World:
    outcome = world.run()
    assert outcome.violation == "", f"{outcome.violation}: {outcome.detail}"
    return world


def proposals(at_ms: int, count: int, step_ms: int = 5, node: int = 0) -> list[Fault]:
    return [Fault((at_ms + n * step_ms) * MS, K.PROPOSE, node, n + 1) for n in range(count)]


def commands(world: World) -> list[bytes]:
    """The commands that were committed, in order."""
    return [entry.data[16:] for entry in world.oracle.entries if entry.kind == 0]


# --- 3A


def test_initial_election(seed: int) -> None:
    """TestInitialElection3A: one leader, everybody in its term of at least 1, and the same after two time-outs."""
    world = World(plan(seed, 3))
    until(world, 600)
    leader, terms = leader_of(world), {m.term for m in world.machines[1:]}
    assert leader
    assert len(terms) == 1
    assert min(terms) >= 1
    until(world, 1200)
    assert (leader_of(world), {m.term for m in world.machines[1:]}) == (leader, terms)


def test_re_election(seed: int) -> None:
    """TestReElection3A: who was cut off is replaced and comes back quietly; without a quorum nobody leads anew."""
    world = World(plan(seed, 3))
    until(world, 600)
    first = leader_of(world)
    world.network.split(1 << first)
    until(world, 1300)
    second = leader_of(world)
    assert second not in (0, first)
    term = world.machines[second].term
    world.network.heal()
    until(world, 1600)
    assert (leader_of(world), world.machines[second].term) == (second, term)
    world.network.split(1 << second)
    other = 6 - first - second
    world.network.cut(first, other)
    world.network.cut(other, first)
    until(world, 1950)
    assert leader_of(world) in (0, second)
    world.network.heal()
    sound(world)


def test_many_elections(seed: int) -> None:
    """TestManyElections3A: of seven servers three are cut off in each of ten rounds; there is a leader again."""
    world = World(plan(seed, 7, duration_ms=9000))
    prng = world._prng.split()
    until(world, 600)
    for round_number in range(10):
        away = sum({1 << (1 + prng.below(7)) for _ in range(3)})
        world.network.split(away)
        until(world, 600 + round_number * 800 + 790)
        assert leader_of(world)
        world.network.heal()
    sound(world)


# --- 3B


def test_basic_agreement(seed: int) -> None:
    """TestBasicAgree3B: three commands at the next three indexes, in order, and nothing before they are proposed."""
    world = World(plan(seed, 3, proposals(600, 3, 100)))
    until(world, 590)
    assert committed(world) == [1, 1, 1]
    until(world, 1000)
    assert committed(world) == [4, 4, 4]
    assert commands(world) == [b"1", b"2", b"3"]


def test_bytes_sent(seed: int) -> None:
    """TestRPCBytes3B: ten commands of 5,000 bytes cost at most 3 times that and 50,000 bytes, for three servers."""
    world = Counting(plan(seed, 3))
    world_payload = b"x" * 5000
    until(world, 590)
    before = world.sent_bytes
    for n in range(10):
        leader = world.machines[leader_of(world)]
        world.feed(leader, Propose(((-1, session_command(-1, 0, world_payload)),)))
        until(world, 610 + n * 20)
    until(world, 850)
    assert world.sent_bytes - before < 3 * 10 * 5000 + 50_000


def test_follower_failure(seed: int) -> None:
    """TestFollowerFailure3B: with one of three gone it goes on, with two nothing is committed."""
    world = World(plan(seed, 3))
    until(world, 600)
    leader = leader_of(world)
    first, second = (n for n in (1, 2, 3) if n != leader)
    world._do(K.CRASH, first, 0)
    world._do(K.PROPOSE, leader, 1)
    until(world, 700)
    assert world.machines[leader].commit == 2
    world._do(K.CRASH, second, 0)
    world._do(K.PROPOSE, leader, 2)
    until(world, 1000)
    assert world.machines[leader].commit == 2
    sound(world)


def test_leader_failure(seed: int) -> None:
    """TestLeaderFailure3B: with the first leader gone it goes on, with the second gone too nothing is committed."""
    world = World(plan(seed, 3))
    until(world, 600)
    world._do(K.CRASH, leader_of(world), 0)
    until(world, 1300)
    second = leader_of(world)
    world._do(K.PROPOSE, second, 1)
    until(world, 1400)
    index = world.machines[second].commit
    assert commands(world) == [b"1"]
    world._do(K.CRASH, second, 0)
    until(world, 1900)
    assert max(committed(world)) <= index
    sound(world)


def test_agreement_after_reconnection(seed: int) -> None:
    """TestFailAgree3B: a follower that was away catches up."""
    world = World(plan(seed, 3, proposals(600, 2) + proposals(800, 4)))
    until(world, 700)
    away = leader_of(world) % 3 + 1
    world.network.split(1 << away)
    until(world, 1100)
    assert world.machines[away].commit < max(committed(world))
    world.network.heal()
    until(world, 1500)
    assert len(set(committed(world))) == 1
    assert commands(world) == [b"1", b"2", b"1", b"2", b"3", b"4"]


def test_no_agreement_without_a_quorum(seed: int) -> None:
    """TestFailNoAgree3B: with three of five away nothing is committed, and afterwards the group goes on."""
    world = World(plan(seed, 5))
    until(world, 600)
    leader = leader_of(world)
    world.network.split(1 << leader | 1 << (leader % 5 + 1))
    world._do(K.PROPOSE, leader, 7)
    until(world, 800)
    assert world.machines[leader].commit == 1
    world.network.heal()
    until(world, 1700)
    world._do(K.PROPOSE, leader_of(world), 8)
    sound(world)
    assert commands(world)[-1] == b"8"


def test_concurrent_starts(seed: int) -> None:
    """TestConcurrentStarts3B: five commands proposed at once in one term are all committed."""
    world = sound(World(plan(seed, 3, proposals(700, 5, 0))))
    assert sorted(commands(world)) == [b"1", b"2", b"3", b"4", b"5"]


def test_rejoin_of_a_cut_off_leader(seed: int) -> None:
    """TestRejoin3B: what a leader took while it was cut off gives way to what the others agreed on."""
    world = World(plan(seed, 3))
    until(world, 600)
    first = leader_of(world)
    world.network.split(1 << first)
    for n in (102, 103, 104):
        world._do(K.PROPOSE, first, n)
    until(world, 1300)
    second = leader_of(world)
    assert second != first
    world._do(K.PROPOSE, second, 200)
    until(world, 1400)
    world.network.heal()
    sound(world)
    assert commands(world) == [b"200"]


def test_backup_over_long_divergent_logs(seed: int) -> None:
    """TestBackup3B: tails of 50 entries that lead nowhere are repaired in a few rounds, not one by one."""
    world = Counting(plan(seed, 5, duration_ms=3000))
    until(world, 600)
    first = leader_of(world)
    world.network.split(1 << first | 1 << (first % 5 + 1))
    for n in range(50):
        world._do(K.PROPOSE, first, n)
    until(world, 1300)
    second = leader_of(world)
    for n in range(100, 150):
        world._do(K.PROPOSE, second, n)
    until(world, 1600)
    before = world.messages
    world.network.heal()
    until(world, 1800)
    assert len(set(committed(world))) == 1
    assert commands(world) == [b"%d" % n for n in range(100, 150)]
    assert world.messages - before < 150


def test_number_of_messages(seed: int) -> None:
    """TestCount3B: at most 30 for the first election, 42 for ten entries at once, 60 in an idle second, for three."""
    world = Counting(plan(seed, 3))
    until(world, 350)
    assert 1 <= world.messages <= 30
    until(world, 600)
    before = world.messages
    items = tuple((-1, session_command(-1, 0, b"%d" % n)) for n in range(10))
    world.feed(world.machines[leader_of(world)], Propose(items))
    until(world, 640)
    assert world.messages - before <= 42
    before = world.messages
    until(world, 1640)
    # Four for each heartbeat; one more at either end.
    assert world.messages - before <= 4 * (1000 // 50 + 2)


# --- 3C


def crash_all(at_ms: int, servers: int, back_ms: int = 50) -> list[Fault]:
    down = [Fault(at_ms * MS, K.CRASH, n) for n in range(1, servers + 1)]
    return down + [Fault((at_ms + back_ms) * MS, K.RESTART, n) for n in range(1, servers + 1)]


def test_persistence_over_restarts(seed: int) -> None:
    """TestPersist13C: all restart, then the leader, then a follower; each time all that was committed is there."""
    faults = proposals(600, 1) + crash_all(700, 3) + proposals(1300, 1)
    faults += [Fault(1400 * MS, K.CRASH, 0), Fault(1450 * MS, K.RESTART, 1), Fault(1450 * MS, K.RESTART, 2)]
    faults += [Fault(1450 * MS, K.RESTART, 3), *proposals(2100, 1)]
    world = sound(World(plan(seed, 3, faults, duration_ms=2400)))
    assert commands(world) == [b"1", b"1", b"1"]


def test_persistence_over_partial_restarts(seed: int) -> None:
    """TestPersist23C: five servers, crashed and restarted in rings."""
    faults = []
    for ring in range(5):
        at = 500 + ring * 700
        faults += proposals(at, 1)
        for step in range(3):
            node = (ring + step) % 5 + 1
            faults += [Fault((at + 50) * MS, K.CRASH, node), Fault((at + 100 + 30 * step) * MS, K.RESTART, node)]
    world = sound(World(plan(seed, 5, faults, duration_ms=4200)))
    assert len(commands(world)) == 5


def test_persistence_of_a_cut_off_leader(seed: int) -> None:
    """TestPersist33C: leader and one follower cut off, another crashes, and nothing that was committed is lost."""
    faults = proposals(600, 1) + [Fault(700 * MS, K.CUT, 0, n) for n in (1, 2, 3)]
    faults += [Fault(720 * MS, K.CRASH, 2), Fault(800 * MS, K.RESTART, 2), Fault(900 * MS, K.HEAL)]
    world = sound(World(plan(seed, 3, faults + proposals(1700, 1))))
    assert commands(world)[0] == b"1"
    assert len(commands(world)) == 2


def figure_8(seed: int, rounds: int, **changes: int) -> World:
    """Leaders crash right after they took a command; of five, three are kept up."""
    faults = []
    for n in range(rounds):
        at = 400 + n * 60
        faults += [Fault(at * MS, K.PROPOSE, 0, n), Fault((at + n * 7 % 20) * MS, K.CRASH, 0)]
        faults += [Fault((at + 40) * MS, K.RESTART, (n * 3) % 5 + 1)]
    return sound(World(plan(seed, 5, faults, duration_ms=400 + rounds * 60 + 100, batch=1, **changes)))


def test_figure_8(seed: int) -> None:
    """TestFigure83C: leaders crash over and over, then all agree."""
    assert figure_8(seed, 60).oracle.entries


def test_agreement_over_a_lossy_network(seed: int) -> None:
    """TestUnreliableAgree3C: 10 % of the messages lost, and all that clients ask for gets done."""
    changes = {"loss": 100, "late": 50, "delay_max_us": 26_000, "clients": 5, "duration_ms": 4000}
    assert sound(World(plan(seed, 5, **changes))).history


def test_figure_8_over_an_unreliable_network(seed: int) -> None:
    """TestFigure8Unreliable3C: as Figure 8, with messages lost, and overtaken by those that come 2 s later."""
    figure_8(seed, 60, loss=100, late=300, late_max_us=2_200_000, settle_ms=4000)


def churn(seed: int, **changes: int) -> World:
    """Three clients while servers are cut off, crash and come back, 20 times."""
    faults = []
    for n in range(20):
        at, node = 400 + n * 120, (n * 2) % 5 + 1
        faults.append(Fault(at * MS, (K.CRASH, K.SPLIT)[n % 2], (node, 1 << node)[n % 2]))
        faults.append(Fault((at + 70) * MS, (K.RESTART, K.HEAL)[n % 2], node))
    return sound(World(plan(seed, 5, faults, duration_ms=3000, clients=3, **changes)))


def test_churn_over_a_reliable_network(seed: int) -> None:
    """TestReliableChurn3C: every value that was acknowledged is in the log at the end."""
    world = churn(seed)
    assert len([one for one in world.history if one.order]) > 50


def test_churn_over_an_unreliable_network(seed: int) -> None:
    """TestUnreliableChurn3C: likewise with losses and delays."""
    assert churn(seed, loss=100, late=100, delay_max_us=26_000).history


# --- 3D


def snapshots(seed: int, faults: list[Fault], **changes: int) -> World:
    world = World(plan(seed, 3, faults, clients=3, snapshot_every=10, trailing=0, duration_ms=3000, **changes))
    sound(world)
    for machine in world.machines[1:]:
        assert machine.node is not None
        assert machine.node.snapshot.index > 0
        assert len(machine.node.log) <= 20
    return world


def away(kind: FaultKind, back: FaultKind) -> list[Fault]:
    """Each in its turn is away while the others go on far enough to forget what it needs."""
    faults = []
    for n in range(5):
        at, node = 500 + n * 450, n % 3 + 1
        faults.append(Fault(at * MS, kind, node if kind == K.CRASH else 1 << node))
        faults.append(Fault((at + 250) * MS, back, node))
    return faults


def test_basic_snapshots(seed: int) -> None:
    """TestSnapshotBasic3D: a snapshot each ten entries, and the log stays short."""
    snapshots(seed, [])


def test_snapshots_installed_after_disconnection(seed: int) -> None:
    """TestSnapshotInstall3D: who was cut off gets a snapshot."""
    snapshots(seed, away(K.SPLIT, K.HEAL))


def test_snapshots_installed_after_disconnection_unreliable(seed: int) -> None:
    """TestSnapshotInstallUnreliable3D: likewise with losses."""
    snapshots(seed, away(K.SPLIT, K.HEAL), loss=100, late=50)


def test_snapshots_installed_after_a_crash(seed: int) -> None:
    """TestSnapshotInstallCrash3D: likewise for who crashed."""
    snapshots(seed, away(K.CRASH, K.RESTART))


def test_snapshots_installed_after_a_crash_unreliable(seed: int) -> None:
    """TestSnapshotInstallUnCrash3D: likewise with losses."""
    snapshots(seed, away(K.CRASH, K.RESTART), loss=100, late=50)


def test_snapshots_when_all_crash(seed: int) -> None:
    """TestSnapshotAllCrash3D: the index never goes back over full restarts."""
    faults = [fault for n in range(4) for fault in crash_all(700 + n * 600, 3)]
    snapshots(seed, faults)


def test_snapshot_survives_what_is_written_after_it(seed: int) -> None:
    """TestSnapshotInit3D: a new term, written after the snapshot, does not replace it on the disk."""
    faults = [fault for n in range(3) for fault in crash_all(900 + n * 300, 3, back_ms=5)]
    world = snapshots(seed, [*faults, *crash_all(2900, 3, back_ms=5)])
    assert all(machine.disk.snapshot is not None and machine.disk.snapshot.index for machine in world.machines[1:])
