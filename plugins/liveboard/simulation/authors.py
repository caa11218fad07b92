"""Boards made up at random, for properties, vectors and the simulation: valid operations, some naming what is not
there.

Whatever draws is a function of a `random.Random`, so a seed names a board.
"""

from random import Random

from plugins.liveboard.core import operations as o
from plugins.liveboard.core.codec import encode_operation
from plugins.liveboard.core.opset import Entry, entry_of

TEXTS = ("", "Grüße", "日本語 🖋️", "\ufeffmark first", "a\nb", "e\u0301")


def site_of(number: int) -> bytes:
    """A site's name, spread over the byte values so that order by bytes is not order by number."""
    return ((number + 1) * 0x9E3779B97F4A7C15 % 2**64).to_bytes(8, "big")


class Author:
    """A site that draws: it knows what it has seen, and numbers its operations without a gap."""

    def __init__(self, site: bytes, random: Random) -> None:
        self.site = site
        self.random = random
        self.seq = 0
        self.lamport = 0
        self.seen: dict[bytes, int] = {}
        self.marks: list[o.OpId] = []
        self.changes: list[int] = []

    def saw(self, operation: o.Operation) -> None:
        """Take note of an operation that arrived."""
        self.lamport = max(self.lamport, operation.lamport)
        self.seen[operation.site] = max(self.seen.get(operation.site, 0), operation.seq)
        if isinstance(operation.body, o.MARKS):
            self.marks.append(operation.id)

    def draw(self) -> Entry:
        """The next operation of this site."""
        body = self._body()
        self.seq += 1
        operation = o.Operation(self.site, self.seq, self.lamport + 1, body)
        self.saw(operation)
        if not isinstance(body, o.Visibility):
            self.changes.append(self.seq)
        return entry_of(encode_operation(operation))

    def _body(self) -> o.Body:
        random = self.random
        kind = random.randrange(20)
        if kind < 7:
            return self._stroke()
        if kind == 7:
            form = random.choice(tuple(o.SHAPE_FORMS))
            fill = random.randrange(o.FILL_MAX + 1)
            return o.Shape(form, self._style(), fill, *(self._coordinate() for _ in range(4)))
        if kind == 8:
            form = random.choice(tuple(o.TEXT_FORMS))
            text = random.choice(TEXTS)
            return o.Text(form, self._style(), 0, self._coordinate(), self._coordinate(), random.randrange(900), text)
        if kind == 9:
            place = (self._coordinate(), self._coordinate())
            return o.Image("image/png", random.randbytes(32), 1 + random.randrange(9999), *place, 640, 480)
        if kind in (10, 11, 12) and self.changes:
            count = random.randint(1, min(3, len(self.changes)))
            return o.Visibility(random.random() < 0.5, tuple(sorted(set(random.sample(self.changes, count)))))
        if kind == 13:
            seen = {site: seq for site, seq in self.seen.items() if random.random() < 0.7}
            return o.Clear(tuple(sorted(seen.items())))
        targets = self._targets()
        if kind in (14, 15):
            return o.Erase(targets, tuple(self._ranges() for _ in targets))
        if kind in (16, 17):
            return o.Move(targets, random.randint(-99, 99), random.randint(-9999, 9999))
        choice = random.randrange(1, 16)
        color, size = random.randrange(o.COLOR_MAX + 1), random.randint(1, o.SIZE_MAX)
        opacity, fill = random.randint(1, 100), random.randrange(o.FILL_MAX + 1)
        values = [value if choice >> bit & 1 else None for bit, value in enumerate((color, size, opacity, fill))]
        return o.Restyle(targets, *values)

    def _stroke(self) -> o.Stroke:
        random = self.random
        count = random.choice((1, 2, 3, 5, 30))
        step = random.choice((3, 40, 2000, o.COORDINATE_MAX))
        points, x, y = [], self._coordinate(), self._coordinate()
        for _ in range(count):
            points += [x, y]
            x, y = self._near(x, step), self._near(y, step)
        pressures = tuple(random.randrange(256) for _ in range(count)) if random.random() < 0.5 else None
        return o.Stroke(random.choice(tuple(o.STROKE_TOOLS)), self._style(), tuple(points), pressures)

    def _style(self) -> o.Style:
        random = self.random
        return o.Style(random.randrange(o.COLOR_MAX + 1), random.randint(1, 400), random.randint(1, 100))

    def _coordinate(self) -> int:
        return self.random.randint(-20_000, 20_000)

    def _near(self, value: int, step: int) -> int:
        return max(-o.COORDINATE_MAX, min(o.COORDINATE_MAX, value + self.random.randint(-step, step)))

    def _targets(self) -> tuple[o.OpId, ...]:
        """Some marks; now and then one that never was."""
        random = self.random
        pool = list(dict.fromkeys((*self.marks[-30:], o.OpId(site_of(random.randrange(99)), random.randint(1, 40)))))
        return tuple(sorted(random.sample(pool, random.randint(1, min(3, len(pool))))))

    def _ranges(self) -> tuple[tuple[int, int], ...]:
        random = self.random
        ranges: list[tuple[int, int]] = []
        end = 0
        for _ in range(random.choice((0, 1, 1, 2))):
            start, length = end + random.randint(1 if ranges else 0, 6), random.randint(1, 8)
            ranges.append((start, length))
            end = start + length
        return tuple(ranges)


def random_board(seed: int, operations: int, sites: int = 4, hear: float = 0.5) -> list[Entry]:
    """Operations of several sites that hear of one another with probability `hear`, in the order they were made."""
    random = Random(seed)
    authors = [Author(site_of(number), random) for number in range(sites)]
    entries: list[Entry] = []
    for _ in range(operations):
        author = random.choice(authors)
        entry = author.draw()
        entries.append(entry)
        for other in authors:
            if other is not author and random.random() < hear:
                other.saw(entry.operation)
    return entries
