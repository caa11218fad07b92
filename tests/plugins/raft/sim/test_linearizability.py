"""The checker against one that tries every order, and against histories whose answer is known."""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.raft.core.kv import Operation
from plugins.raft.sim.history import OPEN_US, Seen
from plugins.raft.sim.linearizability import apply, check_history, is_witness, judge, search
from plugins.raft.sim.violation import Violation

PUT_A, PUT_B, GET = Operation("put", b"k", b"a"), Operation("put", b"k", b"b"), Operation("get", b"k")


def seen(operation: Operation, called: int, returned: int, output: bytes, order: int = 0) -> Seen:
    return Seen(0, operation, called, returned, output, order)


def slow(history: list[Seen]) -> bool:
    """Whether any order of any choice of the open operations explains everything."""
    closed = [one for one in history if one.returned_us != OPEN_US]
    unfinished = [one for one in history if one.returned_us == OPEN_US]
    for choice in range(1 << len(unfinished)):
        chosen = closed + [one for n, one in enumerate(unfinished) if choice >> n & 1]
        for order in permutations(chosen):
            value, fits = None, True
            for place, one in enumerate(order):
                value, output = apply(value, one.operation)
                fits &= one.returned_us == OPEN_US or output == one.output
                fits &= all(later.returned_us >= one.called_us for later in order[place + 1 :])
            if fits:
                return True
    return False


operation = st.sampled_from(
    [PUT_A, PUT_B, GET, Operation("swap", b"k", b"c", b"a"), Operation("append", b"k", b"x"), Operation("delete", b"k")]
)
outputs = st.sampled_from([b"+", b"-", b"!", b"+a", b"+b", b"+ax", b"+x"])
histories = st.lists(
    st.tuples(operation, st.integers(0, 9), st.one_of(st.integers(0, 6), st.none()), outputs), max_size=5
).map(
    lambda rows: [
        seen(what, called, OPEN_US if took is None else called + took, output) for what, called, took, output in rows
    ]
)


@settings(max_examples=400, deadline=None)
@given(histories)
def test_search_agrees_with_every_order_tried(history: list[Seen]) -> None:
    assert search(history) == ("ok" if slow(history) else "illegal")


@settings(max_examples=200, deadline=None)
@given(histories, st.permutations(range(1, 6)))
def test_witness_is_never_right_where_the_search_is_not(history: list[Seen], orders: list[int]) -> None:
    placed = [one._replace(order=order) for one, order in zip(history, orders, strict=False)]
    if is_witness(placed):
        assert slow(placed)


def test_stale_read_is_illegal() -> None:
    history = [seen(PUT_A, 0, 1, b"+", 2), seen(PUT_B, 2, 3, b"+", 4), seen(GET, 4, 5, b"+a", 3)]
    assert not is_witness(history)
    assert search(history) == "illegal"
    with pytest.raises(Violation, match="what clients saw of k cannot be explained"):
        check_history(history)


def test_read_beside_a_write_may_see_either() -> None:
    for value in (b"+a", b"+b"):
        assert search([seen(PUT_A, 0, 1, b"+"), seen(PUT_B, 2, 9, b"+"), seen(GET, 3, 4, value)]) == "ok"


def test_open_write_may_have_happened_or_not() -> None:
    for value in (b"+a", b"+b"):
        assert search([seen(PUT_A, 0, 1, b"+"), seen(PUT_B, 2, OPEN_US, b""), seen(GET, 5, 6, value)]) == "ok"


def test_keys_are_judged_on_their_own() -> None:
    other = Operation("get", b"other")
    history = [seen(PUT_A, 0, 1, b"+"), seen(GET, 2, 3, b"-"), seen(other, 2, 3, b"-")]
    assert judge(history) == {b"k": "illegal", b"other": "ok"}


def test_search_gives_up_after_its_steps() -> None:
    history = [seen(Operation("put", b"k", b"%d" % n), 0, 99, b"+") for n in range(9)]
    history.append(seen(GET, 100, 101, b"+none"))
    assert search(history, steps_max=50) == "unknown"
    assert search(history) == "illegal"
