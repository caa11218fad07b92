"""The promise of the core: equal operations, equal board, whatever the order, the copies and the path."""

from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from plugins.liveboard.core import operations as o
from plugins.liveboard.core.opset import Added, Entry, OperationSet
from plugins.liveboard.core.picture import Picture, Shown
from plugins.liveboard.core.versions import behind_by, covers, merged, missing_ranges
from plugins.liveboard.simulation.authors import Author, random_board, site_of
from tests.plugins.liveboard.core.oracle import picture_of, root_of

SITES = 4


def as_oracle(shown: Shown) -> dict[str, object]:
    """A mark that shows, in the oracle's words."""
    style = {"color": shown.color, "size": shown.size, "opacity": shown.opacity}
    if shown.fill is not None:
        style["fill"] = shown.fill
    removed = {point for start, length in shown.removed for point in range(start, start + length)}
    return {"id": shown.operation.id, "dx": shown.dx, "dy": shown.dy, **style, "removed": removed}


def folded(entries: list[Entry]) -> Picture:
    picture = Picture()
    for entry in entries:
        picture.add(entry.operation)
    return picture


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 2**32), st.integers(1, 60))
def test_any_permutation_with_copies_gives_the_board_of_the_oracle(board: int, order: int, count: int) -> None:
    entries = random_board(board, count)
    random = Random(order)
    arrivals = entries + random.choices(entries, k=count)
    random.shuffle(arrivals)
    replica = OperationSet(arrivals)
    assert [as_oracle(shown) for shown in folded(arrivals)] == picture_of(entry.operation for entry in entries)
    assert replica.root == root_of([entry.leaf for entry in replica])
    assert [entry.operation.order for entry in replica] == sorted(entry.operation.order for entry in entries)
    assert replica.digest == OperationSet(entries).digest
    assert replica.gaps == 0


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_picture_tells_which_marks_changed(seed: int) -> None:
    random = Random(seed)
    entries = random_board(seed, 40)
    random.shuffle(entries)
    picture = Picture()
    before: dict[o.OpId, Shown] = {}
    for entry in entries:
        told = picture.add(entry.operation)
        after = {shown.operation.id: shown for shown in picture}
        changed = {id for id in {*before, *after} if before.get(id) != after.get(id)}
        assert changed <= told
        before = after


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_merge_is_associative_commutative_and_idempotent(board: int, seed: int) -> None:
    entries = random_board(board, 40)
    random = Random(seed)
    a, b, c = (random.sample(entries, random.randint(0, 40)) for _ in range(3))
    roots = {OperationSet(each).root for each in (a + b + c, c + b + a, b + (a + c) + b, a + a + (c + b))}
    assert len(roots) == 1


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 40))
def test_versions_say_what_is_missing(seed: int, known: int) -> None:
    entries = random_board(seed, 40)
    whole, part = OperationSet(entries), OperationSet(entries[:known])
    missing = whole.missing_in(part.versions)
    assert behind_by(part.versions, whole.versions) == len(missing) == 40 - known
    assert sum(last - first + 1 for _, first, last in missing_ranges(part.versions, whole.versions)) == len(missing)
    assert covers(whole.versions, part.versions)
    assert covers(part.versions, whole.versions) == (not missing)
    assert merged(part.versions, whole.versions) == whole.versions
    for entry in missing:
        assert part.add(entry) is Added.NEW
    assert part.root == whole.root


def test_versions_stop_at_a_gap() -> None:
    entries = random_board(3, 40, sites=1)
    replica = OperationSet(entry for entry in entries if entry.operation.seq != 5)
    assert replica.versions == {site_of(0): 4}
    assert replica.gaps == 35
    assert replica.add(entries[4]) is Added.NEW
    assert replica.versions == {site_of(0): 40}
    assert replica.gaps == 0


class ManySites(RuleBasedStateMachine):
    """Sites that draw, sync in both directions with whom they meet, lose messages, and are compared at the end."""

    sent = Bundle("sent")

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        random = Random(seed)
        self.authors = [Author(site_of(number), random) for number in range(SITES)]
        self.replicas = [OperationSet() for _ in range(SITES)]
        self.pictures = [Picture() for _ in range(SITES)]
        self.all: list[Entry] = []

    def take(self, at: int, entry: Entry) -> None:
        if self.replicas[at].add(entry) is Added.NEW:
            self.pictures[at].add(entry.operation)
            self.authors[at].saw(entry.operation)

    @rule(target=sent, at=st.integers(0, SITES - 1), copies=st.integers(0, 3))
    def draw(self, at: int, copies: int) -> object:
        entry = self.authors[at].draw()
        self.take(at, entry)
        self.all.append(entry)
        return multiple(*[entry] * copies)

    @rule(entry=consumes(sent), at=st.integers(0, SITES - 1))
    def deliver(self, entry: Entry, at: int) -> None:
        self.take(at, entry)

    @rule(one=st.integers(0, SITES - 1), other=st.integers(0, SITES - 1))
    def meet(self, one: int, other: int) -> None:
        """Anti-entropy in both directions: each sends what the other's versions lack."""
        a, b = self.replicas[one], self.replicas[other]
        for_b, for_a = a.missing_in(b.versions), b.missing_in(a.versions)
        for entry in for_b:
            self.take(other, entry)
        for entry in for_a:
            self.take(one, entry)
        assert covers(b.versions, a.versions)
        assert a.root == b.root

    @invariant()
    def equal_digests_are_equal_pictures(self) -> None:
        if not hasattr(self, "replicas"):
            return
        for one, other in zip(self.replicas, self.replicas[1:], strict=False):
            is_equal = set(one._entries) == set(other._entries)
            assert (one.digest == other.digest) == is_equal
            assert (one.root == other.root) == is_equal

    def teardown(self) -> None:
        if not hasattr(self, "replicas"):
            return
        for other in range(1, SITES):
            self.meet(0, other)
        for other in range(1, SITES):
            self.meet(0, other)
        wanted = picture_of(entry.operation for entry in self.all)
        for replica, picture in zip(self.replicas, self.pictures, strict=True):
            assert replica.digest == OperationSet(self.all).digest
            assert [as_oracle(shown) for shown in picture] == wanted
        assert len({picture.digest() for picture in self.pictures}) == 1


ManySites.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestManySites = ManySites.TestCase
