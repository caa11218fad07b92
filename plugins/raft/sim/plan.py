"""A plan: everything that a run depends on. The same plan gives the same trace, on every supported Python.

`plan_of(seed)` draws one: how many nodes, how bad the network and the disks are, what goes wrong and when. A shrunk
plan is the same record with less in it.
"""

from enum import IntEnum
from typing import Final, NamedTuple

from plugins.raft.core.prng import Prng
from plugins.raft.core.settings import Settings

MS: Final = 1000
"""Microseconds in a millisecond."""
NODES_MAX: Final = 9
CLIENTS_MAX: Final = 16
FAULTS_MAX: Final = 200
DURATION_MS_MAX: Final = 60_000


class FaultKind(IntEnum):
    """What can go wrong, or be done by an operator. `a` and `b` of a fault mean what is said here.

    A node of 0 is whoever leads the highest term at that moment (nothing happens if nobody does).
    """

    CRASH = 1
    """Node `a` stops at once; of what it wrote and had not fsynced, a part that is drawn by lot survives."""
    RESTART = 2
    """Node `a` starts from its disk."""
    CUT = 3
    """Nothing gets from node `a` to node `b`."""
    MEND = 4
    """Messages from `a` to `b` pass again."""
    SPLIT = 5
    """The nodes of bit mask `a` (bit n is node n) and the others do not hear each other."""
    HEAL = 6
    """All links pass again."""
    PAUSE = 7
    """Node `a` stands still for `b` ms; what comes in meanwhile waits."""
    SKEW = 8
    """The clock of node `a` runs `b` - 1000 permille too fast (`b` below 1000: too slow)."""
    DISK_FULL = 9
    """The disk of node `a` takes nothing more: its next write fails, and the node stops."""
    DISK_FREE = 10
    """There is room again on the disk of node `a`."""
    BIT_FLIP = 11
    """Something durable on the disk of node `a` is damaged. It is noticed at the next start, which then fails."""
    SNAPSHOT = 12
    """Node `a` takes a snapshot of what it applied."""
    TRANSFER = 13
    """The leader is asked to hand over to node `a`."""
    CHANGE = 14
    """Voters become bit mask `a`, in a single step where possible (else through joint consensus)."""
    CHANGE_JOINT = 15
    """Voters become bit mask `a` through joint consensus."""
    LOSSY = 16
    """From now on `a` of 1,000 messages are lost."""
    PROPOSE = 17
    """Node `a` is asked for a command of nobody's session, whose value is `b`."""
    CAMPAIGN = 18
    """Node `a` stands for election."""
    SLOW_DISK = 19
    """An fsync of node `a` takes `b` ms."""


class Fault(NamedTuple):
    """`kind` happens at `at_us`."""

    at_us: int
    kind: FaultKind
    a: int = 0
    b: int = 0


class Plan(NamedTuple):
    """One run. Times in microseconds unless the name says otherwise; probabilities in permille."""

    seed: int
    nodes: int = 5
    voters: int = 5
    """The first so many nodes are the group at the start; the others are empty until they are added."""
    duration_ms: int = 2000
    """How long things go wrong and clients begin operations; then all heals, and the group must recover."""
    settle_ms: int = 2500
    """How long it has to recover."""
    clients: int = 3
    keys: int = 3
    think_ms: int = 20
    """The longest pause of a client between two operations."""
    loss: int = 0
    duplicate: int = 0
    late: int = 0
    """How many messages are late beyond the usual delay, and so are overtaken."""
    delay_max_us: int = 4000
    late_max_us: int = 150_000
    fsync_max_us: int = 3000
    snapshot_every: int = 0
    """A node takes a snapshot after so many entries; 0 is never."""
    pre_vote: bool = True
    check_quorum: bool = True
    lease_reads: bool = False
    rule: str = ""
    """The rule that is taken out of the nodes, by name in `rules`; "" is none."""
    faults: tuple[Fault, ...] = ()

    def settings(self) -> Settings:
        """The settings of the nodes."""
        return Settings(
            pre_vote=self.pre_vote,
            check_quorum=self.check_quorum,
            lease_reads=self.lease_reads,
            snapshot_chunk_bytes=256,
            snapshot_trailing_entries=4,
            batch_entries_max=16,
            inflight_max=8,
        )

    def problems(self) -> list[str]:
        """What is wrong with this plan, in words; empty when it can be run."""
        limits = {
            "nodes": (1, NODES_MAX),
            "voters": (1, self.nodes),
            "duration_ms": (1, DURATION_MS_MAX),
            "settle_ms": (0, DURATION_MS_MAX),
            "clients": (0, CLIENTS_MAX),
            "keys": (1, 100),
            "think_ms": (1, DURATION_MS_MAX),
            "loss": (0, 1000),
            "duplicate": (0, 1000),
            "late": (0, 1000),
            "delay_max_us": (1, 10_000_000),
            "late_max_us": (1, 10_000_000),
            "fsync_max_us": (1, 10_000_000),
            "snapshot_every": (0, 1_000_000),
        }
        values = self._asdict()
        found = [
            f"{name} must be from {low:,} to {high:,}, not {values[name]:,}"
            for name, (low, high) in limits.items()
            if not low <= values[name] <= high
        ]
        if len(self.faults) > FAULTS_MAX:
            found.append(f"at most {FAULTS_MAX} faults, not {len(self.faults)}")
        return found + [f"fault {n}: {text}" for n, fault in enumerate(self.faults) for text in self._wrong(fault)]

    def _wrong(self, fault: Fault) -> list[str]:
        """What is wrong with one fault."""
        kind, found = fault.kind, []
        if not 0 <= fault.at_us <= DURATION_MS_MAX * MS:
            found.append(f"is at {fault.at_us} µs")
        if kind in (FaultKind.SPLIT, FaultKind.CHANGE, FaultKind.CHANGE_JOINT):
            if not 0 <= fault.a < 1 << (self.nodes + 1) or fault.a & 1:
                found.append(f"there is no such set of nodes: {fault.a}")
        elif kind == FaultKind.LOSSY:
            if not 0 <= fault.a <= 1000:
                found.append(f"{fault.a} of 1,000 messages cannot be lost")
        elif kind != FaultKind.HEAL and not 0 <= fault.a <= self.nodes:
            found.append(f"there is no node {fault.a}")
        if kind in (FaultKind.CUT, FaultKind.MEND) and not 0 <= fault.b <= self.nodes:
            found.append(f"there is no node {fault.b}")
        if kind == FaultKind.SKEW and not 900 <= fault.b <= 1100:
            found.append(f"a clock does not run at {fault.b} permille")
        if not 0 <= fault.b <= DURATION_MS_MAX:
            found.append(f"{fault.b} is out of range")
        return found


def plan_of(seed: int, rule: str = "") -> Plan:
    """The plan that is drawn from a seed. Every seed is another kind of bad day, some are good ones."""
    prng = Prng(seed * 2 + 1)
    nodes = (3, 3, 5, 5, 5, 4)[prng.below(6)]
    is_changing = prng.chance(250)
    spares = 1 + prng.below(2) if is_changing else 0
    duration_ms = 600 + prng.below(1400)
    plan = Plan(
        seed=seed,
        nodes=nodes + spares,
        voters=nodes,
        duration_ms=duration_ms,
        clients=1 + prng.below(4),
        keys=1 + prng.below(4),
        think_ms=5 + prng.below(60),
        loss=(0, 0, 10, 50, 150)[prng.below(5)],
        duplicate=(0, 0, 20, 100)[prng.below(4)],
        late=(0, 0, 20, 100)[prng.below(4)],
        delay_max_us=(500, 4000, 4000, 20_000)[prng.below(4)],
        fsync_max_us=(200, 3000, 3000, 20_000)[prng.below(4)],
        snapshot_every=(0, 0, 8, 25)[prng.below(4)],
        pre_vote=not prng.chance(150),
        check_quorum=not prng.chance(100),
        rule=rule,
    )
    plan = plan._replace(lease_reads=plan.check_quorum and prng.chance(400))
    return plan._replace(faults=_draw_faults(plan, prng, is_changing))


def _draw_faults(plan: Plan, prng: Prng, is_changing: bool) -> tuple[Fault, ...]:
    """Faults in the order of time; at most a minority of the voters has a disk that is damaged for good."""
    faults: list[Fault] = []
    count = prng.below(4) if prng.chance(200) else 3 + prng.below(14)
    may_be_damaged = 0 if is_changing else (plan.voters - 1) // 2
    for _ in range(count):
        at = prng.below(plan.duration_ms) * MS
        for fault in _draw_trouble(plan, prng, at, is_changing):
            if fault.kind == FaultKind.BIT_FLIP:
                if not may_be_damaged:
                    continue
                may_be_damaged -= 1
            faults.append(fault)
    faults.sort()
    return tuple(faults[:FAULTS_MAX])


def _draw_trouble(plan: Plan, prng: Prng, at: int, is_changing: bool) -> list[Fault]:
    """One trouble: what goes wrong, and often what mends it a while later."""
    kind = FaultKind
    node = prng.below(plan.nodes + 1)
    other = 1 + prng.below(plan.nodes)
    later = at + (20 + prng.below(400)) * MS
    mask = prng.below(1 << plan.nodes) << 1
    dice = prng.below(100)
    if dice < 26:
        back = [Fault(at + (5 + prng.below(300)) * MS, kind.RESTART, node or other)]
        return [Fault(at, kind.CRASH, node or other), *back]
    if dice < 30:
        crashes = [Fault(at + prng.below(10) * MS, kind.CRASH, n) for n in range(1, plan.nodes + 1)]
        return crashes + [Fault(later + prng.below(100) * MS, kind.RESTART, n) for n in range(1, plan.nodes + 1)]
    if dice < 50:
        return [Fault(at, kind.SPLIT, mask), Fault(later, kind.HEAL)]
    if dice < 60:
        return [Fault(at, kind.CUT, node, other), Fault(later, kind.HEAL)]
    if dice < 66:
        return [Fault(at, kind.PAUSE, node, 10 + prng.below(500))]
    if dice < 71:
        return [Fault(at, kind.SKEW, node or other, 960 + prng.below(81))]
    if dice < 75:
        return [Fault(at, kind.DISK_FULL, node or other), Fault(later, kind.DISK_FREE, node or other)]
    if dice < 77:
        return [Fault(at, kind.BIT_FLIP, other), Fault(at + MS, kind.CRASH, other)]
    if dice < 81:
        return [Fault(at, kind.SNAPSHOT, other)]
    if dice < 87:
        return [Fault(at, kind.TRANSFER, other)]
    if dice < 90:
        return [Fault(at, kind.CAMPAIGN, other)]
    if dice < 93:
        return [Fault(at, kind.LOSSY, prng.below(400)), Fault(later, kind.LOSSY, plan.loss)]
    if dice < 96:
        return [Fault(at, kind.SLOW_DISK, other, 5 + prng.below(200)), Fault(later, kind.SLOW_DISK, other, 0)]
    if is_changing:
        return [Fault(at + step * 60 * MS, _change(prng), _group(plan, prng)) for step in range(1 + prng.below(4))]
    return [Fault(at, kind.CRASH, 0)]


def _change(prng: Prng) -> FaultKind:
    return FaultKind.CHANGE_JOINT if prng.chance(400) else FaultKind.CHANGE


def _group(plan: Plan, prng: Prng) -> int:
    """A set of at least two nodes."""
    while True:
        mask = prng.below(1 << plan.nodes) << 1
        if mask.bit_count() >= 2:
            return mask
