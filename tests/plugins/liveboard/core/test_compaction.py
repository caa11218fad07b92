"""Compaction: no digest changes, and whoever has compacted shows what one who has not shows, whatever comes later."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.liveboard.core import operations as o
from plugins.liveboard.core.admission import Draft, Rules, admit
from plugins.liveboard.core.codec import encode_operation
from plugins.liveboard.core.compaction import compact, prunable, stable_floor
from plugins.liveboard.core.opset import Entry, OperationSet, entry_of
from plugins.liveboard.core.picture import Picture
from plugins.liveboard.simulation.authors import Author, random_board, site_of

A, B = site_of(1), site_of(2)
MARK = o.Stroke("pen", o.Style(1, 2, 3), (1, 2, 3, 4))


def picture_of(board: OperationSet) -> Picture:
    picture = Picture()
    for entry in board:
        picture.add(entry.operation)
    return picture


@settings(deadline=None)
@given(st.integers(0, 2**32), st.sets(st.integers(0, 3)))
def test_compacted_board_shows_the_same_whatever_comes_later(seed: int, gone: set[int]) -> None:
    entries = random_board(seed, 60)
    retired = {site_of(number) for number in gone}
    whole, small = OperationSet(entries), OperationSet(entries)
    floor = stable_floor(whole, retired)
    compact(small, floor, retired)
    random = Random(seed)
    authors = [Author(site_of(number), random) for number in (0, 1, 2, 3, 77)]
    for author in authors:
        for entry in entries:
            author.saw(entry.operation)
        author.seq = whole.versions.get(author.site, 0)
        author.changes = list(range(1, author.seq + 1))
    for _ in range(30):
        later = random.choice([author for author in authors if author.site not in retired]).draw()
        assert admit(Draft(whole, 0), later, Rules(floor=floor, retired=retired)) is None
        whole.add(later)
        small.add(later)
    assert small.digest == whole.digest
    assert small.root == whole.root
    assert small.versions == whole.versions
    assert picture_of(small).digest() == picture_of(whole).digest()


def entries_of(*operations: o.Operation) -> list[Entry]:
    return [entry_of(encode_operation(operation)) for operation in operations]


HIDDEN = entries_of(o.Operation(A, 1, 1, MARK), o.Operation(A, 2, 2, o.Visibility(False, (1,))))
ERASED = entries_of(o.Operation(A, 1, 1, MARK), o.Operation(B, 1, 2, o.Erase((o.OpId(A, 1),), ((),))))
CLEARED = entries_of(o.Operation(A, 1, 1, MARK), o.Operation(B, 1, 2, o.Clear(((A, 1),))))
PARTLY = entries_of(o.Operation(A, 1, 1, MARK), o.Operation(B, 1, 2, o.Erase((o.OpId(A, 1),), (((0, 1),),))))
TAKEN_BACK = [*ERASED, *entries_of(o.Operation(B, 2, 3, o.Visibility(False, (1,))))]


def pruned_seqs(entries: list[Entry], floor: int, retired: set[bytes]) -> list[o.OpId]:
    return [entry.operation.id for entry in prunable(OperationSet(entries), floor, retired)]


def test_mark_is_pruned_once_whoever_removed_it_is_gone() -> None:
    for entries, remover in ((HIDDEN, A), (ERASED, B), (CLEARED, B)):
        assert pruned_seqs(entries, 9, {remover}) == [o.OpId(A, 1)]
        assert pruned_seqs(entries, 9, {A, B} - {remover}) == [], "undo could still bring it back"
        assert pruned_seqs(entries, 0, {remover}) == [], "it lies above the floor"


def test_mark_that_shows_in_part_or_again_is_kept() -> None:
    assert pruned_seqs(PARTLY, 9, {A, B}) == []
    assert pruned_seqs(TAKEN_BACK, 9, {A, B}) == []


def test_floor_is_the_least_last_clock_of_those_who_may_write() -> None:
    board = OperationSet(entries_of(o.Operation(A, 1, 3, MARK), o.Operation(A, 2, 8, MARK), o.Operation(B, 1, 5, MARK)))
    assert stable_floor(board, set()) == 5
    assert stable_floor(board, {B}) == 8
    assert stable_floor(board, {A, B}) == 8
    assert stable_floor(OperationSet(), set()) == 0


def test_pruned_operation_takes_the_place_of_its_own_only() -> None:
    board, other = OperationSet(HIDDEN), OperationSet(CLEARED[1:])
    (entry,) = compact(board, 9, {A})
    assert not other.replace_pruned(entry)
    assert len(entry.data) < len(HIDDEN[0].data) + 32
