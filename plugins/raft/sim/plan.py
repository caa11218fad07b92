"""A plan: everything that a run depends on. The same plan gives the same trace, on every supported Python.

`days.plan_of(seed)` draws one: how many nodes, how bad the network and the disks are, what goes wrong and when.
A shrunk plan is the same record with less in it.
"""

from enum import IntEnum
from typing import Final, NamedTuple

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
    CRASH_FOLLOWER = 20
    """As CRASH, unless node `a` leads the highest term."""
    ADD = 21
    """Node `a` becomes a voter, in a single step."""
    REMOVE = 22
    """Node `a` is a voter no longer, in a single step."""


class Fault(NamedTuple):
    """`kind` happens at `at_us`, if that is before all heals."""

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
    batch: int = 16
    """Entries in one message, at most."""
    window: int = 8
    """Messages with entries on their way to one node, at most."""
    trailing: int = 4
    """Entries kept below a snapshot."""
    stubborn: int = 0
    """So many clients read at one node only, each at its own, whoever leads."""
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
            snapshot_trailing_entries=self.trailing,
            batch_entries_max=self.batch,
            inflight_max=self.window,
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
            "batch": (1, 1024),
            "window": (1, 1024),
            "trailing": (0, 1_000_000),
            "stubborn": (0, CLIENTS_MAX),
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
