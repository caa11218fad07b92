"""Sockets, limits and the choice of an engine."""

import contextlib
import dataclasses
import socket
from pathlib import Path

import pytest

from host.errors import HostError
from host.http.engine import TLS, UNSENT_BYTES_MAX, bind, engine_named, is_loopback, socket_files, urls
from host.http.limits import KIB, MIB, ConnectionGate, Limits


def test_bind_port_zero_takes_the_same_free_port_for_every_address() -> None:
    sockets = bind("localhost", 0)
    try:
        assert len({sock.getsockname()[1] for sock in sockets}) == 1
        assert all(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) for sock in sockets)
        assert is_loopback(sockets)
    finally:
        for sock in sockets:
            sock.close()


def test_bind_a_port_that_is_taken_says_so() -> None:
    [taken] = bind("127.0.0.1", 0)
    with taken, pytest.raises(HostError, match=r"another program has it.*server\.port"):
        bind("127.0.0.1", taken.getsockname()[1])


def test_bind_an_unknown_name_says_so() -> None:
    with pytest.raises(HostError, match=r"check server\.host"):
        bind("no-such-host.invalid", 0)


def test_bind_a_foreign_address_says_so() -> None:
    with pytest.raises(HostError, match=r"server\.host"):
        bind("192.0.2.1", 0)


def test_bind_unix_replaces_a_stale_socket_but_no_file(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    for _ in range(2):
        [sock] = bind(f"unix:{path}", 0)
        assert is_loopback([sock])
        assert urls([sock]) == [f"unix:{path}"]
        sock.close()
    path.unlink()
    path.write_text("precious")
    with pytest.raises(HostError, match="in use"):
        bind(f"unix:{path}", 0)
    assert path.read_text() == "precious"


def test_bind_unix_leaves_the_socket_of_a_host_that_runs(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    [first] = bind(f"unix:{path}", 0)
    with first:
        assert socket_files([first]) == [path]
        with pytest.raises(HostError, match="another program listens on it"):
            bind(f"unix:{path}", 0)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_urls_are_for_a_browser() -> None:
    [sock] = bind("0.0.0.0", 0)
    with sock:
        port = sock.getsockname()[1]
        assert urls([sock], tls=True) == [f"https://localhost:{port}"]
        assert not is_loopback([sock])


@pytest.mark.skipif(not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="the kernel has no such limit")
def test_the_kernel_holds_little_for_a_slow_reader() -> None:
    [listener] = bind("127.0.0.1", 0)
    with listener, socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * KIB)
        peer.connect(listener.getsockname())
        listener.setblocking(True)
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == UNSENT_BYTES_MAX
            connection.setblocking(False)
            given = 0
            with contextlib.suppress(BlockingIOError):
                while True:
                    given += connection.send(bytes(64 * KIB))
            assert given < 2 * MIB


def test_engine_named_unknown_lists_what_there_is() -> None:
    with pytest.raises(HostError, match=r"'apache'.*hypercorn"):
        engine_named("apache")


async def test_engine_with_an_unusable_certificate_says_so(tmp_path: Path) -> None:
    import trio

    engine = engine_named("hypercorn", tls=TLS(tmp_path / "none.pem", tmp_path / "none-key.pem"))
    [sock] = bind("127.0.0.1", 0)
    with sock, pytest.raises(HostError, match="certificate"):
        await engine.serve(lambda s, r, w: None, [sock], Limits(), drain=trio.Event())  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Limits)])
def test_limits_of_zero_are_a_programmers_mistake(name: str) -> None:
    with pytest.raises(AssertionError, match=name):
        Limits(**{name: 0})


def test_connection_gate_counts_in_all_and_by_peer() -> None:
    gate = ConnectionGate(Limits(connections_max=3, connections_per_peer_max=2))
    assert [gate.enter("a"), gate.enter("a"), gate.enter("a")] == [True, True, False]
    assert [gate.enter("b"), gate.enter("b")] == [True, False]
    gate.leave("a")
    assert gate.enter("b")
    assert (gate.open_connections, gate.refused_connections) == (3, 2)
