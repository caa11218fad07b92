"""What lies between the nodes: a link for each direction, each with its own faults; live and in branches of replays."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from plugins.raft.core.prng import Prng


@dataclass(slots=True)
class Link:
    """How messages fare from one node to another. Times in microseconds, chances in permille."""

    is_cut: bool = False
    delay_us: int = 1000
    jitter_us: int = 1000
    loss: int = 0
    duplicate: int = 0

    def loses(self, prng: Prng) -> bool:
        """Whether the next message never arrives."""
        return self.is_cut or (self.loss > 0 and prng.chance(self.loss))

    def takes_us(self, prng: Prng) -> int:
        """How long the next message is under way."""
        return self.delay_us + (prng.below(self.jitter_us) if self.jitter_us else 0)


class Links:
    """All links; `links` holds those that are not as usual."""

    def __init__(self, usual: Link) -> None:
        self.usual = usual
        self.links: dict[tuple[int, int], Link] = {}

    def between(self, a: int, b: int) -> Link:
        """The link from a to b, as one to read."""
        return self.links.get((a, b), self.usual)

    def link(self, a: int, b: int) -> Link:
        """The link from a to b, as one to change."""
        return self.links.setdefault((a, b), replace(self.usual))

    def passes(self, a: int, b: int) -> bool:
        """Whether anything gets from a to b."""
        link = self.between(a, b)
        return not link.is_cut and link.loss < 1000

    def split(self, numbers: Iterable[int], groups: Sequence[Iterable[int]]) -> None:
        """Only nodes of one group hear each other; who is in no group is alone."""
        known = list(numbers)
        side = {number: place for place, group in enumerate(groups) for number in group}
        for a in known:
            for b in known:
                if a != b:
                    self.link(a, b).is_cut = a not in side or b not in side or side[a] != side[b]

    def tidy(self) -> None:
        """Forget links that are as usual again."""
        for key in [key for key, link in self.links.items() if link == self.usual]:
            del self.links[key]

    def heal(self) -> None:
        """All links as usual; what is under way still arrives."""
        self.links.clear()

    def document(self) -> dict[str, dict[str, Any]]:
        """The links that are not as usual, for a page."""
        return {
            f"{a}>{b}": {
                "cut": link.is_cut,
                "delay_ms": link.delay_us // 1000,
                "jitter_ms": link.jitter_us // 1000,
                "loss": link.loss,
                "duplicate": link.duplicate,
            }
            for (a, b), link in sorted(self.links.items())
        }

    def take(self, document: dict[str, dict[str, Any]]) -> None:
        """Make the links what a document says. Raises KeyError, TypeError or ValueError when it says nothing."""
        self.links.clear()
        for name, fields in document.items():
            a, b = name.split(">")
            self.links[int(a), int(b)] = Link(
                bool(fields["cut"]),
                int(fields["delay_ms"]) * 1000,
                int(fields["jitter_ms"]) * 1000,
                int(fields["loss"]),
                int(fields["duplicate"]),
            )
