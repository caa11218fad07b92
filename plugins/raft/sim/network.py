"""A network that loses, delays, doubles and overtakes messages, and whose links can be cut in one direction.

Each link draws from its own stream, so that taking a fault out of a plan leaves the luck of the other links as it was.
"""

from plugins.raft.core.prng import Prng
from plugins.raft.sim.plan import Plan


class Network:
    """Links between nodes 1 to `nodes`; `links[a][b]` is the stream of the link from a to b, None while it is cut."""

    __slots__ = ("_streams", "_usual", "duplicate", "late", "links", "loss", "plan")

    def __init__(self, plan: Plan, prng: Prng) -> None:
        self.plan = plan
        size = plan.nodes + 1
        self._streams = [[prng.split() for _ in range(size)] for _ in range(size)]
        self.links: list[list[Prng | None]] = []
        self.heal()
        self.calm(plan.loss)
        self._usual = plan.delay_max_us

    def calm(self, loss: int) -> None:
        """Lose `loss` permille from now on."""
        self.loss = loss * 1024 // 1000
        self.duplicate = self.plan.duplicate * 1024 // 1000
        self.late = self.plan.late * 1024 // 1000

    def perfect(self) -> None:
        """Lose, double and overtake nothing any more."""
        self.loss = self.duplicate = self.late = 0
        self.heal()

    def heal(self) -> None:
        """All links pass."""
        self.links = [list(row) for row in self._streams]

    def cut(self, a: int, b: int) -> None:
        """Nothing gets from `a` to `b`; what is under way still arrives."""
        self.links[a][b] = None

    def mend(self, a: int, b: int) -> None:
        """Messages from `a` to `b` pass again."""
        self.links[a][b] = self._streams[a][b]

    def split(self, mask: int) -> None:
        """Cut all links between the nodes of `mask` and the others, in both directions."""
        for a, row in enumerate(self.links):
            for b in range(len(row)):
                if (mask >> a & 1) != (mask >> b & 1):
                    row[b] = None

    def delays(self, stream: Prng) -> tuple[int, ...]:
        """How long each copy of a message takes, in microseconds; () when it is lost.

        One draw pays for all: 10 bits each for loss, doubling and lateness, 32 for the delay.
        """
        luck = stream.next()
        if luck & 1023 < self.loss:
            return ()
        delay = 50 + ((luck >> 32) * self._usual >> 32)
        if luck >> 10 & 1023 < self.late:
            delay += stream.below(self.plan.late_max_us)
        if luck >> 20 & 1023 < self.duplicate:
            return (delay, delay + stream.below(self.plan.late_max_us))
        return (delay,)
