"""The live verdict: what cannot be explained is found when the operation returns; what can be is left alone."""

import pytest

from plugins.raft.core.kv import Operation, encode_operation
from plugins.raft.core.messages import COMMAND, Entry
from plugins.raft.core.sessions import session_command
from plugins.raft.lab.history import History

PUT_A = Operation("put", b"k", b"a")
PUT_B = Operation("put", b"k", b"b")
GET = Operation("get", b"k")


def applied(history: History, *operations: Operation) -> None:
    start = history._oracle.applied_index + 1
    for place, operation in enumerate(operations):
        data = session_command(-1, 0, encode_operation(operation))
        history.applied((Entry(start + place, 1, COMMAND, data),))


def test_writes_and_reads_in_order_are_ok() -> None:
    history = History()
    first = history.called()
    applied(history, PUT_A)
    history.returned(PUT_A, first, 2, b"+", 0, 10)
    second = history.called()
    history.returned(GET, second, 3, b"+a", 20, 30)
    assert (history.verdict, history.operations, history.open, history.acknowledged) == ("ok", 2, 0, 1)


def test_stale_read_is_found() -> None:
    history = History()
    for place, operation in enumerate((PUT_A, PUT_B)):
        floor = history.called()
        applied(history, operation)
        history.returned(operation, floor, 2 * place + 2, b"+", 20 * place, 20 * place + 10)
    floor = history.called()
    history.returned(GET, floor, 3, b"+a", 50, 60)
    assert history.verdict == "illegal"
    assert "had returned stands at 2" in (history.found or "")


def test_read_of_a_value_that_was_never_written_is_found() -> None:
    history = History()
    floor = history.called()
    applied(history, PUT_A)
    history.returned(PUT_A, floor, 2, b"+", 0, 10)
    history.returned(GET, history.called(), 3, b"+phantom", 20, 30)
    assert history.verdict == "illegal"


def test_acknowledged_write_that_is_not_in_the_log_is_lost() -> None:
    history = History()
    history.returned(PUT_A, history.called(), 2, b"+", 0, 10)
    assert history.lost == 1


def test_old_read_that_overlaps_the_write_is_ok() -> None:
    history = History()
    floor = history.called()
    applied(history, PUT_A)
    history.returned(PUT_A, floor, 2, b"+", 0, 10)
    read_floor, write_floor = history.called(), history.called()
    applied(history, PUT_B)
    history.returned(PUT_B, write_floor, 4, b"+", 20, 40)
    history.returned(GET, read_floor, 3, b"+a", 20, 50)
    assert history.verdict == "ok"


@pytest.mark.parametrize("count", [10_000])
def test_memory_does_not_grow_with_operations(count: int) -> None:
    history = History()
    for number in range(1, count + 1):
        floor = history.called()
        operation = Operation("put", b"k%d" % (number % 2000), b"v")
        applied(history, operation)
        history.returned(operation, floor, 2 * number, b"+", number, number)
    assert history.verdict == "ok"
    assert len(history._results) <= 4096
    assert len(history._values) <= 1024
    assert len(history._recent) <= 200
