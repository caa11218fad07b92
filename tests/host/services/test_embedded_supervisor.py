"""The loop that keeps a server up, driven with a server that ends and fails on command, on a clock that jumps."""

import pytest
import trio

from host.errors import HostError
from host.services.embedded import supervise
from host.services.embedded.supervise import Restart, Supervisor, trim_log


class FakeChild:
    def __init__(self, pid):
        self.pid = pid
        self.ended = trio.Event()

    async def wait(self):
        await self.ended.wait()
        return 3


class FakeServer:
    """Starts with pids 1, 2, …; `failures` are the numbers of the starts that fail. `started` receives (pid, when)."""

    class place:
        service = "fake"

    def __init__(self, tmp_path, failures=()):
        self.place.log = tmp_path / "fake.log"
        self.place.log.touch()
        self.failures = set(failures)
        self.starts = []
        self.stopped = []
        self.sender, self.started = trio.open_memory_channel(100)

    async def start(self):
        self.starts.append(trio.current_time())
        if len(self.starts) in self.failures:
            raise HostError("no room")
        child = FakeChild(len(self.starts))
        await self.sender.send(child)
        return child

    async def stop(self, child):
        self.stopped.append(child)


@pytest.fixture
def quiet_log_check(monkeypatch):
    """The clock jumps from time-out to time-out; the log's own interval would only add steps."""
    monkeypatch.setattr(supervise, "_LOG_CHECK_S", 1e6)


async def test_server_that_ends_is_started_again_and_reported(tmp_path, autojump_clock, quiet_log_check):
    server, events = FakeServer(tmp_path), []
    supervisor = Supervisor(server, events.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.run, lambda: None)
        first = await server.started.receive()
        await trio.testing.wait_all_tasks_blocked()
        assert supervisor.pid == 1
        first.ended.set()
        await server.started.receive()
        await trio.testing.wait_all_tasks_blocked()
        assert supervisor.pid == 2
        assert events == [Restart("fake", "exit code 3", 1, pytest.approx(supervise.BACKOFF_FIRST_S))]
        nursery.cancel_scope.cancel()
    assert [child.pid for child in server.stopped] == [2]
    assert supervisor.pid is None


async def test_back_off_doubles_up_to_its_bound_over_ends_and_failed_starts(tmp_path, autojump_clock, quiet_log_check):
    server = FakeServer(tmp_path, failures=range(3, 12))
    supervisor = Supervisor(server)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.run, lambda: None)
        for _ in range(2):
            (await server.started.receive()).ended.set()
        await server.started.receive()
        nursery.cancel_scope.cancel()
    waits = [after - before for before, after in zip(server.starts, server.starts[1:], strict=False)]
    assert waits == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5, 5])
    assert supervisor.restarts == 2


async def test_back_off_is_short_again_after_a_long_life(tmp_path, autojump_clock, quiet_log_check):
    server = FakeServer(tmp_path)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Supervisor(server).run, lambda: None)
        for _ in range(5):
            (await server.started.receive()).ended.set()
        child = await server.started.receive()
        await trio.sleep(supervise.STABLE_S + 1)
        child.ended.set()
        ended_at = trio.current_time()
        await server.started.receive()
        assert server.starts[-1] - ended_at == pytest.approx(supervise.BACKOFF_FIRST_S)
        nursery.cancel_scope.cancel()


async def test_first_start_that_fails_is_the_callers_matter(tmp_path, autojump_clock):
    announced = []
    with pytest.raises(HostError, match="no room"):
        await Supervisor(FakeServer(tmp_path, failures=[1])).run(lambda: announced.append(1))
    assert announced == []


async def test_cancelled_while_down_still_clears_what_the_dead_server_left(tmp_path, autojump_clock, quiet_log_check):
    server = FakeServer(tmp_path, failures=range(2, 1000))
    with trio.move_on_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Supervisor(server).run, lambda: None)
            (await server.started.receive()).ended.set()
    assert server.stopped == [None]


def test_log_above_its_size_is_emptied_and_its_end_kept(tmp_path):
    path = tmp_path / "server.log"
    path.write_bytes(b"old" * 100 + b"new" * 10)
    trim_log(path, bytes_max=1000, bytes_kept=30)
    assert path.stat().st_size == 330
    with path.open("ab") as server:
        trim_log(path, bytes_max=300, bytes_kept=30)
        server.write(b"more")
    assert path.read_bytes() == b"more"
    assert (tmp_path / "server.log.1").read_bytes() == b"new" * 10


async def test_log_is_bounded_while_the_server_runs(tmp_path, autojump_clock, monkeypatch):
    monkeypatch.setattr(supervise, "LOG_BYTES_MAX", 10)
    trimmed = []
    monkeypatch.setattr(supervise, "trim_log", trimmed.append)
    server = FakeServer(tmp_path)
    with trio.move_on_after(12):
        await Supervisor(server).run(lambda: None)
    assert trimmed == [server.place.log] * 2
