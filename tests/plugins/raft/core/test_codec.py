"""Every record comes back from its bytes as it was, and no other bytes pass."""

import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.raft.core import codec, inputs, messages
from plugins.raft.core.configuration import (
    Configuration,
    ConfigurationError,
    change,
    decode_configuration,
    encode_configuration,
)
from plugins.raft.core.messages import Entry, Snapshot

number = st.integers(-(1 << 63), (1 << 63) - 1)
entry = st.builds(Entry, number, number, st.integers(0, 2), st.binary(max_size=20))
FIELDS = {
    int: number,
    bool: st.booleans(),
    bytes: st.binary(max_size=40),
    tuple[Entry, ...]: st.lists(entry, max_size=4).map(tuple),
    tuple[int, ...]: st.lists(number, max_size=5).map(tuple),
    tuple[tuple[int, bytes], ...]: st.lists(st.tuples(number, st.binary(max_size=9)), max_size=4).map(tuple),
}
KINDS = [*typing.get_args(messages.Message), *typing.get_args(inputs.LocalInput)]


def records(kind: type) -> st.SearchStrategy:
    hints = typing.get_type_hints(kind)
    return st.builds(kind, *[FIELDS[hints[name]] for name in kind._fields])


any_record = st.one_of([records(kind) for kind in KINDS])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_kind_comes_back_as_it_was(kind: type) -> None:
    @given(records(kind))
    def comes_back(record: inputs.Input) -> None:
        again = codec.decode(codec.encode(record))
        assert again == record
        assert type(again) is kind
        assert [type(value) for value in again] == [type(value) for value in record]

    comes_back()


@given(any_record, st.data())
def test_cut_or_longer_bytes_are_refused(record: inputs.Input, data: st.DataObject) -> None:
    good = codec.encode(record)
    with pytest.raises(codec.Malformed):
        codec.decode(good[: data.draw(st.integers(0, len(good) - 1))])
    with pytest.raises(codec.Malformed):
        codec.decode(good + b"x")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_malformed(data: bytes) -> None:
    try:
        record = codec.decode(data)
    except codec.Malformed:
        return
    assert codec.encode(record) == data


def test_a_peer_cannot_send_a_local_input() -> None:
    with pytest.raises(codec.Malformed, match="a peer sends messages"):
        codec.decode_message(codec.encode(inputs.Campaign()))


@given(st.builds(Snapshot, number, number, st.binary(max_size=9), st.binary(max_size=9)))
def test_snapshot_comes_back_as_it_was(snapshot: Snapshot) -> None:
    data = codec.encode_snapshot(snapshot)
    assert codec.decode_snapshot(data) == snapshot
    with pytest.raises(codec.Malformed):
        codec.decode_snapshot(data[:-1])


group = st.lists(st.integers(1, 60), unique=True, max_size=6).map(lambda ids: tuple(sorted(ids)))


@given(st.builds(Configuration, group, group, group, group, st.booleans()))
def test_configuration_comes_back_as_it_was(configuration: Configuration) -> None:
    data = encode_configuration(configuration)
    assert decode_configuration(data) == configuration
    with pytest.raises(ConfigurationError):
        decode_configuration(data + b"\0")


@given(group.filter(bool), group.filter(bool), group, st.sampled_from([0, 1, 2]))
def test_each_step_of_a_change_shares_a_majority_with_the_one_before(
    old: tuple[int, ...], new: tuple[int, ...], learners: tuple[int, ...], transition: int
) -> None:
    learners = tuple(n for n in learners if n not in new)
    step = change(Configuration(old), new, learners, transition)
    if step.is_joint:
        assert (step.outgoing, step.voters) == (old, new)
        assert step.left() == Configuration(new, (), learners)
    else:
        assert len(set(old) ^ set(new)) <= 1
