"""One machine of a run: a node while it is up, its clock, and what the run notes about it."""

from plugins.raft.core.node import Node
from plugins.raft.sim.disk import Disk


class Machine:
    """`node` is None while it is down. What the invariants compare with starts anew with the node."""

    __slots__ = (
        "applied",
        "clock_base_us",
        "clock_permille",
        "commit",
        "disk",
        "id",
        "incarnation",
        "last",
        "led_term",
        "node",
        "paused_until",
        "set_us",
        "term",
        "tick_at",
        "waiting",
    )

    def __init__(self, number: int, disk: Disk) -> None:
        self.id = number
        self.disk = disk
        self.node: Node | None = None
        self.incarnation = 0
        self.paused_until = 0
        self.tick_at = 0
        """When the timer that counts is due; others in the heap are stale."""
        self.waiting: dict[int, tuple[int, int, int]] = {}
        """By index of an accepted command: its term, client, attempt."""
        self.term = self.commit = self.last = self.led_term = self.applied = 0
        self.clock_permille = 1000
        self.clock_base_us = 0
        self.set_us = 0

    def clock(self, now: int) -> int:
        """What this machine's clock shows at the true time `now`."""
        return self.clock_base_us + (now - self.set_us) * self.clock_permille // 1000

    def true_time(self, clock_us: int) -> int:
        """The first true time at which the clock shows at least so much."""
        return self.set_us + -((self.clock_base_us - clock_us) * 1000 // self.clock_permille)

    def skew(self, now: int, permille: int) -> None:
        """Run at another speed from now on; what the clock shows does not jump."""
        self.clock_base_us, self.set_us = self.clock(now), now
        self.clock_permille = permille

    def started(self, node: Node) -> None:
        """A new node begins from the disk."""
        self.node = node
        self.waiting = {}
        self.term, self.commit = node.term, node.commit
        self.applied = node.delivered
        self.last, self.led_term = node.log.last_index, 0

    def stopped(self) -> None:
        """The node is gone, with all that was not on the disk."""
        self.node = None
        self.incarnation += 1
        self.led_term = 0
        self.waiting = {}
        self.disk.crash()
