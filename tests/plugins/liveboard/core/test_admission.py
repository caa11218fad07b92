"""What a board refuses: one test for each thing that a malicious client may try, none of which harms the others."""

import pytest

from plugins.liveboard.core import operations as o
from plugins.liveboard.core.admission import LAMPORT_JUMP_MAX, Draft, Refused, Rules, admit
from plugins.liveboard.core.codec import encode_operation
from plugins.liveboard.core.errors import Refusal
from plugins.liveboard.core.opset import Added, Entry, OperationSet, entry_of
from plugins.liveboard.simulation.authors import random_board, site_of

A, B = site_of(1), site_of(2)
RULES = Rules()
BODY = o.Stroke("pen", o.Style(1, 2, 3), (1, 2))


def entry(site: bytes = A, seq: int = 1, lamport: int = 1, body: o.Body = BODY) -> Entry:
    return entry_of(encode_operation(o.Operation(site, seq, lamport, body)))


@pytest.fixture
def board() -> OperationSet:
    return OperationSet([entry(A, 1, 1), entry(A, 2, 5)])


def test_next_operation_is_taken(board) -> None:
    assert admit(Draft(board, 0), entry(A, 3, 6), RULES) is None
    assert admit(Draft(board, 0), entry(B, 1, 1), RULES) is None, "an offline client's low clock is legal"


def test_known_operation_is_taken_again_whatever_the_rules_are_now(board) -> None:
    strict = Rules(operations_max=0, bytes_max=0, floor=99, retired=frozenset({A}))
    assert admit(Draft(board, 0), entry(A, 2, 5), strict) is None


@pytest.mark.parametrize(
    ("offered", "rules", "refused"),
    [
        pytest.param(entry(A, 4, 6), RULES, Refused(Refusal.GAP, 3), id="a gap"),
        pytest.param(entry(B, 2, 6), RULES, Refused(Refusal.GAP, 1), id="a gap at the start"),
        pytest.param(entry(A, 2, 6), RULES, Refused(Refusal.EQUIVOCATION), id="another operation under the same id"),
        pytest.param(
            entry(B, 1, 5 + LAMPORT_JUMP_MAX + 1),
            RULES,
            Refused(Refusal.CLOCK, 5 + LAMPORT_JUMP_MAX),
            id="a clock that runs away",
        ),
        pytest.param(entry(B, 1, o.INTEGER_MAX), RULES, Refused(Refusal.CLOCK, 5 + LAMPORT_JUMP_MAX), id="the last"),
        pytest.param(entry(B, 1, 4), Rules(floor=4), Refused(Refusal.FLOOR, 4), id="below the floor"),
        pytest.param(entry(A, 3, 9), Rules(retired=frozenset({A})), Refused(Refusal.RETIRED), id="a retired site"),
        pytest.param(entry(B, 1, 6), Rules(sites_max=1), Refused(Refusal.LIMIT, 1), id="a site too many"),
        pytest.param(entry(A, 3, 6), Rules(operations_max=2), Refused(Refusal.BOARD_FULL, 2), id="one too many"),
        pytest.param(entry(A, 3, 6), Rules(bytes_max=1001), Refused(Refusal.BOARD_FULL, 1001), id="too much"),
        pytest.param(entry(B, 1, 6, o.Pruned(bytes(32))), RULES, Refused(Refusal.MALFORMED), id="a pruned one"),
    ],
)
def test_operation_is_refused_with_its_reason(board, offered, rules, refused) -> None:
    assert admit(Draft(board, 1000), offered, rules) == refused


def test_clock_at_its_limit_is_taken(board) -> None:
    assert admit(Draft(board, 0), entry(B, 1, 5 + LAMPORT_JUMP_MAX), RULES) is None


def test_clock_cannot_be_driven_beyond_the_last_number() -> None:
    board = OperationSet([entry(A, 1, o.INTEGER_MAX - 1)])
    assert admit(Draft(board, 0), entry(A, 2, o.INTEGER_MAX), RULES) is None


def test_change_of_others_marks_is_refused_where_the_room_says_so(board) -> None:
    move = entry(B, 1, 6, o.Move((o.OpId(A, 1),), 1, 1))
    assert admit(Draft(board, 0), move, RULES, lambda operation: False) == Refused(Refusal.FORBIDDEN)
    assert admit(Draft(board, 0), move, RULES, lambda operation: True) is None


def test_equivocation_leaves_the_set_as_it_was_and_is_kept_as_evidence() -> None:
    entries = random_board(7, 30)
    board = OperationSet(entries)
    root = board.root
    first = entries[0]
    liar = entry(first.operation.site, first.operation.seq, first.operation.lamport, o.Clear(()))
    assert board.add(liar) is Added.EQUIVOCATION
    assert board.root == root
    assert [(each.kept, each.refused) for each in board.evidence] == [(first.data, liar.data)]


def test_evidence_is_bounded() -> None:
    board = OperationSet([entry()])
    for color in range(100):
        board.add(entry(body=o.Stroke("pen", o.Style(color + 2, 1, 1), (1, 2))))
    assert board.equivocations == 100
    assert len(board.evidence) == 64


def test_operations_offered_together_are_judged_one_after_another(board) -> None:
    draft = Draft(board, 0)
    for offered in (entry(A, 3, 6), entry(A, 4, 7), entry(B, 1, 7 + LAMPORT_JUMP_MAX)):
        assert admit(draft, offered, Rules(operations_max=5)) is None
        draft.add(offered)
    assert (len(draft), draft.sites, draft.versions[A]) == (5, 2, 4)
    assert admit(draft, entry(A, 4, 8), RULES) == Refused(Refusal.EQUIVOCATION)
    assert admit(draft, entry(A, 6, 8), RULES) == Refused(Refusal.GAP, 5)
    assert admit(draft, entry(A, 5, 8), Rules(operations_max=5)) == Refused(Refusal.BOARD_FULL, 5)
    assert len(board) == 2
