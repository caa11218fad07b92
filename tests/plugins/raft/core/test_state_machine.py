"""The store and its sessions: each command once, the same on every node, and back from a snapshot as it was."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.raft.core.kv import BAD, KINDS, KeyValue, Operation, decode_operation, encode_operation
from plugins.raft.core.messages import COMMAND, NOOP, Entry
from plugins.raft.core.sessions import EXPIRED, REGISTERED, STALE, Sessions, register_command, session_command
from plugins.raft.sim.linearizability import apply

short = st.binary(max_size=3)
operations = st.builds(Operation, st.sampled_from(KINDS), short, short, short)


def with_two_clients(sessions_max: int = 8) -> tuple[Sessions, int, int]:
    sessions = Sessions(KeyValue(), sessions_max)
    for index in (1, 2):
        result = sessions.apply(Entry(index, 1, COMMAND, register_command()))
        assert result == REGISTERED + struct.pack("<q", index)
    return sessions, 1, 2


def append(sessions: Sessions, client: int, sequence: int, value: bytes) -> bytes:
    command = session_command(client, sequence, encode_operation(Operation("append", b"k", value)))
    return sessions.apply(Entry(sessions.applied_index + 1, 1, COMMAND, command))


@given(st.lists(operations, max_size=30))
def test_store_does_what_the_obvious_model_does(script: list[Operation]) -> None:
    store, model = KeyValue(), {}
    for operation in script:
        assert decode_operation(encode_operation(operation)) == operation
        model[operation.key], wanted = apply(model.get(operation.key), operation)
        assert store.apply(encode_operation(operation)) == wanted
    again = KeyValue()
    again.restore(store.snapshot())
    assert again.values == {key: value for key, value in model.items() if value is not None}


def test_command_that_arrives_twice_is_applied_once() -> None:
    sessions, one, other = with_two_clients()
    assert append(sessions, one, 1, b"a") == b"+a"
    assert append(sessions, other, 1, b"b") == b"+ab"
    assert append(sessions, one, 1, b"a") == b"+a"
    assert append(sessions, one, 2, b"c") == b"+abc"
    assert append(sessions, one, 1, b"a") == STALE


def test_nobodys_command_is_applied_as_often_as_it_comes() -> None:
    sessions, _, _ = with_two_clients()
    assert [append(sessions, -1, 0, b"a") for _ in range(2)] == [b"+a", b"+aa"]


def test_least_recently_used_session_expires_by_the_log_alone() -> None:
    sessions, one, other = with_two_clients(sessions_max=2)
    append(sessions, one, 1, b"a")
    sessions.apply(Entry(4, 1, COMMAND, register_command()))
    assert append(sessions, other, 1, b"b") == EXPIRED
    assert append(sessions, one, 1, b"a") == b"+a"


def test_snapshot_holds_the_sessions() -> None:
    sessions, one, _ = with_two_clients()
    append(sessions, one, 1, b"a")
    again = Sessions(KeyValue(), 8)
    again.restore(sessions.snapshot())
    assert append(again, one, 1, b"a") == b"+a"
    assert list(again.clients) == list(sessions.clients)
    again.restore(b"")
    assert (again.applied_index, again.clients) == (0, {})


def test_entry_out_of_turn_is_refused() -> None:
    with pytest.raises(ValueError, match="entry 2 after entry 0"):
        Sessions(KeyValue()).apply(Entry(2, 1, NOOP, b""))


def test_what_is_no_command_changes_nothing() -> None:
    store = KeyValue()
    assert store.apply(b"") == BAD
    assert store.apply(b"\xff" * 20) == BAD
    assert Sessions(store).apply(Entry(1, 1, COMMAND, b"short")) == EXPIRED
    with pytest.raises(ValueError, match="cut short"):
        store.restore(b"\0\0")
