"""Connections that are lost, servers that stall, die and come back; what callers are told."""

import signal
import ssl
import time

import pytest
import trio
import trustme

from host.errors import OutcomeUnknown, ServiceUnavailable
from host.services.redis import Redis
from host.services.redis_lane import Lane

from .proxy import Fate, open_proxy
from .redis_kit import own_redis, running, until


@pytest.fixture(scope="module")
def shared_server():
    with own_redis() as server:
        yield server


@pytest.fixture
def server(shared_server):
    shared_server.start()
    yield shared_server
    shared_server.signal(signal.SIGCONT) if shared_server._child else shared_server.start()


class Outcomes(dict):
    """What became of calls, by name: the reply, or the class of the error."""

    async def call(self, name, redis, *command):
        try:
            self[name] = await redis.execute_command(*command)
        except (OutcomeUnknown, ServiceUnavailable) as error:
            self[name] = type(error)


async def test_call_answered_by_a_cut_is_unknown_and_was_carried_out(server):
    async with open_proxy(server.path) as proxy, running(f"redis://127.0.0.1:{proxy.port}") as redis:
        await redis.set("n", 0)
        proxy.on_request = lambda data: Fate.SWALLOW_ANSWER if b"INCR" in data else Fate.PASS
        with pytest.raises(OutcomeUnknown, match="before the reply came"):
            await redis.incr("n")
        assert await redis.get("n") == b"1"
        assert redis.statistics().connections_opened_total == 2


async def test_calls_written_are_unknown_and_calls_waiting_for_room_were_not_sent(server):
    got = Outcomes()
    async with (
        open_proxy(server.path) as proxy,
        running(f"redis://127.0.0.1:{proxy.port}", in_flight_max=2) as redis,
    ):
        proxy.stall()
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(got.call, number, redis, "SET", f"loss:{number}", 1)
            await until(lambda: redis.statistics().queued == 3)
            assert redis.statistics().in_flight == 2
            proxy.cut()
        proxy.resume()
        assert sorted(got.values(), key=str) == [OutcomeUnknown] * 2 + [ServiceUnavailable] * 3
        for number, outcome in got.items():
            if outcome is ServiceUnavailable:
                assert await redis.exists(f"loss:{number}") == 0
        now = redis.statistics()
        assert (now.calls_unknown_total, now.calls_unavailable_total, now.connections_lost_total) == (2, 3, 1)
        assert now.in_flight_peak == 2
        assert now.window_full_total >= 1


async def test_call_cut_in_two_by_a_full_socket_is_unknown_and_the_next_was_not_sent(server):
    got = Outcomes()
    async with open_proxy(server.path) as proxy, running(f"redis://127.0.0.1:{proxy.port}") as redis:
        proxy.stall()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(got.call, "big", redis, "SET", "loss:big", b"x" * 30_000_000)
            await until(lambda: redis.statistics().in_flight == 1)
            nursery.start_soon(got.call, "small", redis, "SET", "loss:small", b"x")
            await until(lambda: redis.statistics().queued == 1)
            proxy.cut()
        proxy.resume()
        assert got == {"big": OutcomeUnknown, "small": ServiceUnavailable}
        assert await redis.exists("loss:big", "loss:small") == 0


async def test_calls_wait_for_room_and_all_are_answered(server):
    got = Outcomes()
    async with running(server.url, in_flight_max=3) as redis:
        async with trio.open_nursery() as nursery:
            for number in range(500):
                nursery.start_soon(got.call, number, redis, "ECHO", number)
        assert got == {number: str(number).encode() for number in range(500)}
        assert redis.statistics().in_flight_peak == 3


async def test_call_that_finds_no_room_in_time_was_not_sent(server):
    """The server is behind, but alive: those whose time is up fail, and nobody else, on a connection that stays."""
    got = Outcomes()
    async with (
        open_proxy(server.path) as proxy,
        running(f"redis://127.0.0.1:{proxy.port}", in_flight_max=1, timeout_s=0.5) as redis,
    ):

        async def answer_slowly():
            while True:
                await trio.sleep(0.3)
                proxy.resume()

        proxy.on_request = lambda data: Fate.STALL if b"slow" in data else Fate.PASS
        async with trio.open_nursery() as nursery, trio.open_nursery() as callers:
            callers.start_soon(got.call, "first", redis, "ECHO", "slow")
            await until(lambda: redis.statistics().in_flight == 1)
            nursery.start_soon(answer_slowly)
            callers.start_soon(got.call, "second", redis, "ECHO", "slow")
            await until(lambda: redis.statistics().queued == 1)
            callers.start_soon(got.call, "third", redis, "SET", "loss:third", 1)
            await until(lambda: len(got) == 3)
            nursery.cancel_scope.cancel()
        proxy.resume()
        assert got == {"first": b"slow", "second": OutcomeUnknown, "third": ServiceUnavailable}
        assert await redis.exists("loss:third") == 0
        now = redis.statistics()
        assert (now.connections_opened_total, now.replies_discarded_total) == (1, 1)
        assert (now.timeouts_total, now.calls_unknown_total, now.calls_unavailable_total) == (2, 1, 1)


async def test_stalled_server_loses_its_connection_and_callers_their_certainty(server):
    got = Outcomes()
    async with running(server.url, timeout_s=0.3, connect_timeout_s=0.3, reconnect_wait_s=0.2) as redis:
        await redis.set("n", 0)
        server.signal(signal.SIGSTOP)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(got.call, number, redis, "INCR", "n")
        assert set(got.values()) == {OutcomeUnknown}
        assert 0.3 <= trio.current_time() - began < 2
        await until(lambda: redis.statistics().connections_lost_total == 1)
        assert redis.statistics().timeouts_total == redis.statistics().calls_unknown_total == 10

        # Its kernel accepts connections, and nobody answers: calls are refused within a bound, and later at once.
        with pytest.raises(ServiceUnavailable):
            await redis.get("n")
        await until(lambda: redis.statistics().state == "down")
        with trio.fail_after(0.1), pytest.raises(ServiceUnavailable, match="no answer within"):
            await redis.get("n")

        server.signal(signal.SIGCONT)
        await until(lambda: redis.statistics().state == "ready")
        assert await redis.get("n") == b"10"


async def test_this_process_being_held_up_is_not_the_servers_fault(server, monkeypatch):
    start = Lane.start

    def start_and_be_held_up(lane, call):
        start(lane, call)
        time.sleep(0.15)

    async with running(server.url, timeout_s=0.1) as redis:
        monkeypatch.setattr(Lane, "start", start_and_be_held_up)
        for turn in range(8):
            assert await redis.echo(str(turn)) == str(turn).encode()
        assert redis.statistics().connections_lost_total == 0


async def test_server_that_dies_is_reconnected_to_when_it_is_back(server):
    async with running(server.url) as redis:
        server.kill()
        await until(lambda: redis.statistics().state == "down")
        with trio.fail_after(0.1), pytest.raises(ServiceUnavailable, match=r"is not there.*redis\.sock"):
            await redis.get("k")
        refused = redis.statistics()
        assert refused.calls_unavailable_total >= 1
        server.start()
        await until(lambda: redis.statistics().state == "ready")
        assert await redis.ping() is True
        assert redis.statistics().connections_opened_total == 2


async def test_run_is_ready_when_the_server_is_down(server):
    server.kill()
    async with running(server.url) as redis:
        assert redis.statistics().state == "down"
        with pytest.raises(ServiceUnavailable):
            await redis.set("k", 1)
        with pytest.raises(ServiceUnavailable):
            async with redis.dedicated():
                pass
        server.start()
        await until(lambda: redis.statistics().state == "ready")


async def test_calls_wait_for_a_connection_that_is_being_replaced(server):
    async with open_proxy(server.path) as proxy, running(f"redis://127.0.0.1:{proxy.port}") as redis:
        for _ in range(3):
            proxy.cut()
            await until(lambda: redis.statistics().state != "ready")
            assert await redis.ping() is True
        assert redis.statistics().connect_failures_total == 0


async def test_idle_connection_that_is_cut_is_noticed_without_a_call(server):
    async with open_proxy(server.path) as proxy, running(f"redis://127.0.0.1:{proxy.port}") as redis:
        proxy.cut()
        await until(lambda: redis.statistics().connections_opened_total == 2)


async def test_cancelled_run_leaves_no_caller_waiting(server):
    redis = Redis(server.url, name="test")
    got = Outcomes()
    async with trio.open_nursery() as callers, trio.open_nursery() as nursery:
        await nursery.start(redis.run)
        server.signal(signal.SIGSTOP)
        callers.start_soon(got.call, "k", redis, "PING")
        await until(lambda: redis.statistics().in_flight == 1)
        nursery.cancel_scope.cancel()
    assert got == {"k": OutcomeUnknown}
    assert redis.statistics().state == "closed"
    with pytest.raises(ServiceUnavailable, match="it was closed"):
        await redis.ping()


async def test_redis_that_is_not_run_is_unavailable(server):
    redis = Redis(server.url, name="test")
    with pytest.raises(ServiceUnavailable, match="not running"):
        await redis.ping()
    with pytest.raises(ServiceUnavailable, match="not running"):
        async with redis.pubsub():
            pass


async def test_calls_fail_by_the_bound_when_the_server_dies_under_load(server):
    """Whatever the moment of the kill, each call ends in its own reply or in one of the two errors."""
    got = Outcomes()
    async with running(server.url, timeout_s=1) as redis:

        async def caller(task):
            for call in range(200):
                name = f"{task}.{call}"
                await got.call(name, redis, "ECHO", name)

        async with trio.open_nursery() as nursery:
            for task in range(30):
                nursery.start_soon(caller, task)
            await until(lambda: len(got) > 1000)
            server.kill()
            await until(lambda: ServiceUnavailable in list(got.values()))
            server.start()
        assert all(
            outcome in (OutcomeUnknown, ServiceUnavailable) or outcome == name.encode() for name, outcome in got.items()
        )
        assert len(got) == 30 * 200


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path_factory.getbasetemp() / "ca.pem")
    return authority, tmp_path_factory.getbasetemp() / "ca.pem"


async def serve_tls(server, authority, *, task_status):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)

    async def carry(tls):
        async with tls, await trio.open_unix_socket(server.path) as plain, trio.open_nursery() as nursery:

            async def pump(source, target):
                try:
                    while data := await source.receive_some(65536):
                        await target.send_all(data)
                except trio.BrokenResourceError:
                    pass
                nursery.cancel_scope.cancel()

            nursery.start_soon(pump, tls, plain)
            nursery.start_soon(pump, plain, tls)

    listeners = await trio.open_ssl_over_tcp_listeners(0, context, host="127.0.0.1")
    task_status.started(listeners[0].transport_listener.socket.getsockname()[1])
    await trio.serve_listeners(carry, listeners)


async def test_tls_carries_commands_and_pipelines_them(server, authority, nursery):
    ca, ca_file = authority
    port = await nursery.start(serve_tls, server, ca)
    async with running(f"rediss://localhost:{port}/0?ssl_ca_certs={ca_file}") as redis:
        got = Outcomes()
        async with trio.open_nursery() as callers:
            for number in range(300):
                callers.start_soon(got.call, number, redis, "ECHO", number)
        assert got == {number: str(number).encode() for number in range(300)}
        assert await redis.echo(b"x" * 1_000_000) == b"x" * 1_000_000
        async with redis.dedicated() as connection:
            assert await connection.ping() is True


async def test_tls_peer_that_nobody_vouches_for_is_refused(server, authority, nursery):
    port = await nursery.start(serve_tls, server, authority[0])
    async with running(f"rediss://localhost:{port}/0") as redis:
        with pytest.raises(ServiceUnavailable, match="certificate verify failed"):
            await redis.ping()
