"""The log against a list that does the same slowly, and the durable prefix against a disk that is a list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.raft.core.log import Log
from plugins.raft.core.messages import Entry


def entries_of(first: int, terms: list[int]) -> tuple[Entry, ...]:
    return tuple(Entry(first + n, term, 0, b"") for n, term in enumerate(terms))


def terms_of(log: Log) -> list[int]:
    return [log.term_at(n) for n in range(log.start_index + 1, log.last_index + 1)]


logs = st.lists(st.integers(0, 2), max_size=8).map(lambda steps: [1 + sum(steps[: n + 1]) for n in range(len(steps))])


@given(logs, logs, st.data())
def test_merge_removes_only_what_conflicts(mine: list[int], leaders: list[int], data: st.DataObject) -> None:
    common = next((n for n, pair in enumerate(zip(mine, leaders, strict=False)) if pair[0] != pair[1]), None)
    if common is None:
        common = min(len(mine), len(leaders))
    prev = data.draw(st.integers(0, common))
    end = data.draw(st.integers(prev, len(leaders)))
    log = Log(0, 0, entries_of(1, mine))
    log.merge(entries_of(prev + 1, leaders[prev:end]))
    keeps_all = mine[:end] == leaders[:end]
    assert terms_of(log) == (mine if keeps_all else leaders[:end])
    assert log.last_term == (terms_of(log) or [0])[-1]


@given(logs, st.integers(0, 10), st.integers(0, 20))
def test_find_conflict_is_the_last_place_of_no_later_term(terms: list[int], index: int, term: int) -> None:
    log = Log(0, 0, entries_of(1, terms))
    found, found_term = log.find_conflict(index, term)
    candidates = [n for n in range(min(index, len(terms)) + 1) if n == 0 or terms[n - 1] <= term]
    assert found == max(candidates)
    assert found_term == log.term_at(found)


steps = st.lists(
    st.one_of(st.tuples(st.just("put"), st.integers(1, 6)), st.tuples(st.just("sync"), st.just(0))), max_size=30
)


@given(steps)
def test_durable_never_says_more_than_the_disk_holds(script: list[tuple[str, int]]) -> None:
    """A leader of a new term each time writes at some index; units reach the disk in order, one at a time."""
    log, disk, queue = Log(0, 0, ()), [], []
    token = 0
    for term, (verb, index) in enumerate(script, start=1):
        if verb == "put":
            first = min(index, log.last_index + 1)
            log.merge(entries_of(first, [term]))
            token += 1
            queue.append((token, first, log.between(first, log.last_index)))
            log.unwritten_from = 0
            log.handed_out(token)
        elif queue:
            done, first, written = queue.pop(0)
            disk[first - 1 :] = [entry.term for entry in written]
            log.persisted(done)
        durable = terms_of(log)[: log.durable]
        assert disk[: log.durable] == durable
        if not queue:
            assert log.durable == log.last_index


def test_compacted_log_keeps_the_term_before_its_first_entry() -> None:
    log = Log(0, 0, entries_of(1, [1, 1, 2, 3]))
    log.compact(3)
    assert (log.start_index, log.start_term, log.term_at(3), log.term_at(2), log.term_at(4)) == (3, 2, 2, -1, 3)
    with pytest.raises(IndexError, match="entry 2 was compacted"):
        log.entry(2)


def test_batch_holds_at_least_one_entry_and_at_most_the_limits() -> None:
    log = Log(0, 0, tuple(Entry(n, 1, 0, b"x" * 10) for n in range(1, 6)))
    assert [e.index for e in log.batch(2, 10, 25)] == [2, 3]
    assert [e.index for e in log.batch(2, 3, 1000)] == [2, 3, 4]
    assert [e.index for e in log.batch(2, 10, 1)] == [2]
    assert log.batch(6, 10, 10) == ()


def test_log_with_a_gap_is_refused() -> None:
    with pytest.raises(ValueError, match="entry 3 where 2 belongs"):
        Log(0, 0, (Entry(1, 1, 0, b""), Entry(3, 1, 0, b"")))
