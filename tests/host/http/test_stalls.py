"""Peers that have stopped reading, and peers that are only slow. Time is a number here, and both sides hold still."""

import errno
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator

import pytest

import host.http.stalls
from host.http.stalls import StallClock, unacknowledged_bytes

PATIENCE_S = 100.0
Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A server's connection that does not block, and its peer, which has a small buffer."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        peer.connect(listener.getsockname())
        connection, _ = listener.accept()
        with connection:
            connection.setblocking(False)
            # A size that was set does not grow.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 200 * 1024)
            yield connection, peer


def fill(connection: socket.socket) -> int:
    """Write until the kernel takes no more for a while; how much it took."""
    given, poll = 0, select.poll()
    poll.register(connection, select.POLLOUT)
    while poll.poll(200):
        given += connection.send(bytes(64 * 1024))
    return given


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def read_some(connection: socket.socket, peer: socket.socket) -> None:
    """Have the peer read until the kernel hears of it."""
    before = unacknowledged_bytes(connection.fileno())
    peer.settimeout(0.1)

    def is_told() -> bool:
        peer.recv(4096)
        return unacknowledged_bytes(connection.fileno()) != before

    wait_until(is_told)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel does not tell")
def test_a_slow_reader_goes_on_though_the_socket_never_becomes_writable(pair: Pair) -> None:
    connection, peer = pair
    given, clock, now_s = fill(connection), StallClock(connection.fileno(), PATIENCE_S), 0.0
    assert not clock.has_stalled(now_s, given, is_blocked=True)
    for _ in range(3):
        read_some(connection, peer)
        assert not select.select([], [connection], [], 0)[1], "the test reads too much to show anything"
        now_s += 0.9 * PATIENCE_S
        assert not clock.has_stalled(now_s, given, is_blocked=True)
    assert not clock.has_stalled(now_s + 0.9 * PATIENCE_S, given, is_blocked=True)
    assert clock.has_stalled(now_s + 1.1 * PATIENCE_S, given, is_blocked=True)


def test_who_has_taken_everything_may_be_silent_for_ever(pair: Pair) -> None:
    connection, peer = pair
    clock = StallClock(connection.fileno(), PATIENCE_S)
    assert not clock.has_stalled(0, 0, is_blocked=False)
    given = connection.send(b"event")
    assert peer.recv(100) == b"event"
    wait_until(lambda: not unacknowledged_bytes(connection.fileno()))
    assert not clock.has_stalled(1000, given, is_blocked=False)
    assert not clock.has_stalled(10_000, given, is_blocked=False)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel does not tell")
def test_small_sends_that_still_fit_do_not_hide_a_peer_that_takes_nothing(pair: Pair) -> None:
    """An event stream to a peer that has vanished: the kernel goes on taking what it is given."""
    connection, _ = pair
    clock = StallClock(connection.fileno(), PATIENCE_S)
    given, before = connection.send(bytes(100 * 1024)), -1
    while before != (before := unacknowledged_bytes(connection.fileno()) or 0):
        time.sleep(0.2)
    assert before > 0
    assert not clock.has_stalled(0, given, is_blocked=False)
    for now_s in (30.0, 60.0, 90.0):
        given += connection.send(b"event")
        assert not clock.has_stalled(now_s, given, is_blocked=False)
    given += connection.send(b"event")
    assert clock.has_stalled(120, given, is_blocked=False)


def test_where_the_kernel_does_not_tell_what_it_takes_counts(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTTY, "no such thing here")

    monkeypatch.setattr(host.http.stalls, "ioctl", refuse)
    connection, _ = pair
    assert unacknowledged_bytes(connection.fileno()) is None
    clock = StallClock(connection.fileno(), PATIENCE_S)
    for now_s, given in ((0, 1000), (90, 2000), (180, 3000), (270, 3000)):
        assert not clock.has_stalled(now_s, given, is_blocked=True)
    assert clock.has_stalled(290, 3000, is_blocked=True)
    assert not clock.has_stalled(310, 3000, is_blocked=False), "nothing waits any more"
