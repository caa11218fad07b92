"""The embedded servers alive: started, stopped, killed, killed with their host, and started again."""
# Files of /proc and processes of the test itself answer at once, and a dying process sends no event to wait for.
# ruff: noqa: ASYNC110, ASYNC220, ASYNC240

import contextlib
import json
import os
import re
import select
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest
import redis
import trio

from host.errors import HostError
from host.services.embedded import binaries, child, leftovers, place, postgres, wire
from host.services.embedded import redis as redis_server
from tests.host.services.embedded_kit import (
    PATIENCE_S,
    descendants,
    is_running,
    left_of,
    named,
    public_directory,
    query,
    running,
)

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")


@pytest.fixture(scope="module")
def data_dir():
    """One for the whole module: making a cluster takes longer than all else here."""
    with public_directory() as directory:
        yield directory


@linux_only
async def test_servers_stopped_leave_no_process_and_no_socket(data_dir):
    async with running("postgres", data_dir) as pg, running("redis", data_dir) as rd:
        processes = descendants(pg.pid) | descendants(rd.pid)
        assert len(processes) > 3
        assert query(pg.endpoint.url, "SELECT 1") == 1
        with redis.Redis.from_url(rd.endpoint.url) as client:
            assert client.ping()
    assert await left_of(processes) == []
    assert pg.endpoint.pid() is None
    for directory in (pg.socket_dir, rd.socket_dir):
        assert list(directory.iterdir()) == []


async def test_postgres_is_the_truth_and_private(data_dir):
    async with running("postgres", data_dir) as pg:

        def show(name):
            return query(pg.endpoint.url, f"SHOW {name}")

        assert (show("fsync"), show("synchronous_commit"), show("data_checksums")) == ("on", "on", "on")
        assert (show("server_encoding"), show("listen_addresses")) == ("UTF8", "")
        assert show("server_version").startswith(pg.endpoint.version)
        assert query(pg.endpoint.url, "SELECT current_user || ' ' || current_database()") == "quartet quartet"
        assert query(pg.endpoint.url, "SELECT rolsuper FROM pg_roles WHERE rolname = 'quartet'") is False
        assert stat.S_IMODE(pg.socket_dir.stat().st_mode) == 0o700
        assert pg.endpoint.log.exists()


async def test_redis_keeps_nothing_and_is_private(data_dir):
    async with running("redis", data_dir) as rd:
        with redis.Redis.from_url(rd.endpoint.url) as client:
            config = client.config_get("*")
        assert (config["port"], config["save"], config["appendonly"]) == ("0", "", "no")
        assert config["maxmemory-policy"] == "noeviction"
        assert f"pubsub {32 << 20} {8 << 20} 60" in config["client-output-buffer-limit"]
        assert stat.S_IMODE(rd.socket_dir.stat().st_mode) == 0o700


@pytest.mark.parametrize("service", ["postgres", "redis"])
async def test_server_is_out_of_reach_of_a_ctrl_c_in_the_terminal(data_dir, service):
    async with running(service, data_dir) as server:
        assert os.getpgid(server.pid) != os.getpgid(0)
        assert os.getsid(server.pid) != os.getsid(0)


async def test_server_is_forked_by_the_thread_of_trio_whose_end_it_must_not_outlive(data_dir, monkeypatch):
    # prctl(2): "the 'parent' in this case is considered to be the thread that created this process".
    threads = []

    class Recorded(subprocess.Popen):
        def __init__(self, command, **options):
            if "launch.py" in " ".join(map(str, command)):
                threads.append(threading.get_ident())
            super().__init__(command, **options)

    monkeypatch.setattr(child.subprocess, "Popen", Recorded)
    async with running("redis", data_dir):
        assert threads == [threading.get_ident()]


@pytest.mark.parametrize("service", ["postgres", "redis"])
async def test_server_is_watched_without_pidfd_too(data_dir, monkeypatch, service):
    """macOS has none, and a sandbox may refuse it."""
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    async with running(service, data_dir) as server:
        os.kill(server.pid, signal.SIGKILL)
        assert (await server.restarts.receive()).restarts == 1
        last = server.pid
    assert not is_running(last)


async def test_start_that_takes_long_says_so(data_dir, monkeypatch, caplog):
    monkeypatch.setattr(postgres, "START_NOTICE_S", 0)
    async with running("postgres", data_dir):
        assert [record.message for record in caplog.records if "is still starting" in record.message]


async def test_log_is_for_its_owner_alone(data_dir):
    async with running("redis", data_dir) as rd:
        assert stat.S_IMODE(rd.endpoint.log.stat().st_mode) == 0o600


@root_only
async def test_under_root_the_servers_are_not_root(data_dir):
    async with running("postgres", data_dir) as pg, running("redis", data_dir) as rd:
        for server in (pg, rd):
            status = Path(f"/proc/{server.pid}/status").read_text()
            fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
            assert "0" not in fields["Uid"].split()
            assert fields["Groups"].split() == fields["Gid"].split()[:1]


async def test_postmaster_killed_is_back_with_the_same_url_and_what_was_committed(data_dir):
    async with running("postgres", data_dir) as pg:
        url, first = pg.endpoint.url, pg.pid
        query(url, "DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 42 AS n")
        os.kill(first, signal.SIGKILL)
        event = await pg.restarts.receive()
        assert (event.service, event.reason, event.restarts) == ("postgres", "signal 9", 1)
        assert pg.endpoint.restarts() == 1
        assert pg.pid != first
        assert query(url, "SELECT n FROM kept") == 42


@linux_only
async def test_postmaster_killed_under_a_busy_backend_waits_for_it_to_go(data_dir, caplog):
    """A backend that computes does not notice that the postmaster is gone, and keeps the shared memory in use."""
    async with running("postgres", data_dir) as pg, trio.open_nursery() as nursery:

        async def compute_for_ever() -> None:
            with pytest.raises((trio.BrokenResourceError, wire.Refused)):
                await wire.postgres_session(
                    pg.socket_dir / postgres.SOCKET_NAME,
                    "quartet",
                    "quartet",
                    ("DO $$ BEGIN LOOP END LOOP; END $$",),
                )

        nursery.start_soon(compute_for_ever)
        busy = None
        while busy is None:
            busy = query(
                pg.endpoint.url,
                "SELECT min(pid) FROM pg_stat_activity WHERE query LIKE 'DO %' AND pid <> pg_backend_pid()",
            )
            await trio.sleep(0.005)
        os.kill(pg.pid, signal.SIGKILL)
        await pg.restarts.receive()
        assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []
        assert not is_running(busy)
        assert query(pg.endpoint.url, "SELECT 1") == 1


async def test_backend_killed_is_the_postmasters_matter_and_no_restart(data_dir):
    async with running("postgres", data_dir) as pg:
        first = pg.pid
        with psycopg.connect(pg.endpoint.url, autocommit=True) as connection:
            os.kill(connection.info.backend_pid, signal.SIGKILL)
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        while True:
            try:
                assert query(pg.endpoint.url, "SELECT 1") == 1
                break
            except psycopg.OperationalError:  # "the database system is in recovery mode"
                await trio.sleep(0.01)
        assert (pg.pid, pg.endpoint.restarts()) == (first, 0)


async def test_redis_killed_is_back_with_the_same_url_and_empty(data_dir):
    async with running("redis", data_dir) as rd:
        with redis.Redis.from_url(rd.endpoint.url) as client:
            client.set("key", "value")
        os.kill(rd.pid, signal.SIGKILL)
        event = await rd.restarts.receive()
        assert (event.service, event.reason, rd.endpoint.restarts()) == ("redis", "signal 9", 1)
        with redis.Redis.from_url(rd.endpoint.url) as client:
            assert client.dbsize() == 0


@linux_only
async def test_postmaster_that_heeds_no_signal_is_killed_and_nothing_of_it_is_left(data_dir, monkeypatch):
    monkeypatch.setattr(postgres, "_FAST", (signal.SIGINT, 0.05))
    monkeypatch.setattr(postgres, "_IMMEDIATE", (signal.SIGQUIT, 0.05))
    async with running("postgres", data_dir) as pg:
        processes = descendants(pg.pid)
        os.kill(pg.pid, signal.SIGSTOP)
    assert await left_of(processes) == []


@linux_only
async def test_stop_between_two_lives_of_the_postmaster_leaves_no_backend(data_dir, monkeypatch):
    """Cancelled while it is down: what the dead postmaster left behind is ended all the same."""
    monkeypatch.setattr("host.services.embedded.supervise.BACKOFF_FIRST_S", 60.0)
    monkeypatch.setattr(postgres, "_IMMEDIATE", (signal.SIGQUIT, 0.05))
    async with running("postgres", data_dir) as pg:
        processes = descendants(pg.pid)
        victim = named(processes, b"checkpointer")
        os.kill(victim, signal.SIGSTOP)  # So it does not notice either.
        os.kill(pg.pid, signal.SIGKILL)
        while pg.endpoint.pid() is not None:
            await trio.sleep(0.005)
        assert is_running(victim)
    assert await left_of(processes) == []


async def test_second_host_on_the_same_directory_is_refused_by_name(data_dir):
    async with running("postgres", data_dir), running("redis", data_dir):
        for service in ("postgres", "redis"):
            with pytest.RaisesGroup(pytest.RaisesExc(HostError, match=rf"pid {os.getpid()}\b.*another data\.dir")):
                async with running(service, data_dir):
                    pass


@pytest.mark.parametrize(
    ("name", "service"),
    [("START_TIMEOUT_S", "postgres"), ("INITDB_TIMEOUT_S", "postgres"), ("START_TIMEOUT_S", "redis")],
)
async def test_timeout_names_itself_and_leaves_nothing_running(monkeypatch, name, service):
    monkeypatch.setattr(f"host.services.embedded.{service}.{name}", 0.001)
    spawned = []
    original = child.Child.spawn.__func__
    monkeypatch.setattr(
        child.Child, "spawn", classmethod(lambda cls, *a, **k: spawned.append(original(cls, *a, **k)) or spawned[-1])
    )
    with public_directory() as fresh:
        if name == "START_TIMEOUT_S" and service == "postgres":
            monkeypatch.setattr(postgres.PostgresServer, "_make_cluster", _no_cluster)
        with pytest.RaisesGroup(pytest.RaisesExc(HostError, match=name)):
            async with running(service, fresh):
                pass
        assert spawned
        assert not any(is_running(process.pid) for process in spawned)


async def test_server_that_cannot_start_says_why_by_its_own_last_words(data_dir):
    with pytest.RaisesGroup(pytest.RaisesExc(HostError, match=r"no_such_setting.*postgres\.log")):
        async with running("postgres", data_dir, settings={"no_such_setting": "1"}):
            pass
    with pytest.RaisesGroup(pytest.RaisesExc(HostError, match=r"no-such-setting.*redis\.log")):
        async with running("redis", data_dir, settings={"no-such-setting": "1"}):
            pass


@root_only
async def test_lock_file_whose_pid_is_another_program_now_is_no_obstacle(data_dir):
    """In a container pids start at 1 again: the pid in the lock file of a killed postmaster is soon somebody else's."""
    async with running("postgres", data_dir) as pg:
        home = pg.socket_dir.parent
    owner = home.stat()
    with subprocess.Popen(["sleep", "60"], user=owner.st_uid, group=owner.st_gid, extra_groups=[]) as sleeper:
        try:
            pid_file = home / "pgdata" / "postmaster.pid"
            pid_file.write_text(f"{sleeper.pid}\n{home / 'pgdata'}\n1700000000\n5432\n{pg.socket_dir}\n\n")
            os.chown(pid_file, owner.st_uid, owner.st_gid)
            async with running("postgres", data_dir) as pg:
                assert query(pg.endpoint.url, "SELECT 1") == 1
            assert sleeper.poll() is None
        finally:
            sleeper.kill()


@pytest.mark.parametrize("service", ["postgres", "redis"])
async def test_server_that_outlived_its_host_is_ended_before_the_next_one_starts(data_dir, service):
    """Where the kernel has no PR_SET_PDEATHSIG: a whole server is left, and still answers."""
    with place.settled(data_dir, service, "s", marker="run") as made:
        if service == "postgres":
            program = binaries.find_postgres(made.owner, None)
            server = postgres.PostgresServer(made, program, postgres.SETTINGS)
        else:
            server = redis_server.RedisServer(made, binaries.find_redis(made.owner), redis_server.SETTINGS)
        left = await server.start()
    async with running(service, data_dir) as new:
        assert left.exit_status is not None
        assert is_running(new.pid)


@pytest.mark.skipif(not Path("/bin/ps").exists(), reason="needs ps")
async def test_leftovers_are_found_by_ps_where_there_is_no_proc(data_dir, monkeypatch):
    async with running("postgres", data_dir) as pg:
        name = query(pg.endpoint.url, "SHOW cluster_name")
        pattern = re.compile(rf"{name}: |cluster_name={name}")
        with place.settled(data_dir, "redis", "s", marker="run") as made:
            found = leftovers.Leftovers(made, pattern)
            by_proc = found.find()
            monkeypatch.setattr(leftovers, "_PROC", Path("/nonexistent"))
            assert set(found.find()) == set(by_proc)
            assert pg.pid in by_proc


async def test_dead_socket_files_are_no_obstacle(data_dir):
    async with running("redis", data_dir) as rd:
        path = rd.socket_dir / "redis.sock"
    with socket.socket(socket.AF_UNIX) as abandoned:
        abandoned.bind(str(path))
    assert path.exists()
    async with running("redis", data_dir) as rd:
        assert is_running(rd.pid)


async def test_host_killed_takes_its_servers_along_and_the_next_start_finds_the_data(data_dir):
    with module_running("--data-dir", str(data_dir)) as (host, ready):
        query(ready["postgres_url"], "DROP TABLE IF EXISTS survived; CREATE TABLE survived AS SELECT 7 AS n")
        servers = descendants(ready["postgres_pid"]) | descendants(ready["redis_pid"])
        host.kill()
        host.wait()
    # At once, while they may be dying still.
    async with running("postgres", data_dir) as pg, running("redis", data_dir):
        assert pg.endpoint.url == ready["postgres_url"]
        assert query(pg.endpoint.url, "SELECT n FROM survived") == 7
        assert await left_of(servers) == []


@linux_only
def test_host_killed_takes_its_servers_along_even_when_nobody_starts_again():
    with public_directory() as directory, contextlib.ExitStack() as stack:
        host, ready = stack.enter_context(module_running("--data-dir", str(directory)))
        pidfds = []
        for pid in descendants(ready["postgres_pid"]) | descendants(ready["redis_pid"]):
            with contextlib.suppress(
                ProcessLookupError
            ):  # A short-lived one, such as the backend that was logged in to.
                pidfds.append(os.pidfd_open(pid))
                stack.callback(os.close, pidfds[-1])
        assert len(pidfds) > 3
        host.kill()
        for pidfd in pidfds:
            assert select.select([pidfd], [], [], PATIENCE_S)[0]


def test_module_ends_with_its_standard_input_and_takes_its_temporary_data_along():
    with module_running() as (host, ready):
        data_dir = Path(ready["postgres_log"]).parent
        assert data_dir.exists()
        host.stdin.close()
        assert host.wait(PATIENCE_S) == 0
    assert not data_dir.exists()
    assert not is_running(ready["postgres_pid"])
    assert not is_running(ready["redis_pid"])


def test_module_says_in_one_line_why_it_cannot_start(tmp_path):
    (tmp_path / "file").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "host.services.embedded", "--data-dir", str(tmp_path / "file"), "--redis"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot set up redis in ")
    assert len(done.stderr.splitlines()) == 1


@contextlib.contextmanager
def module_running(*arguments: str):
    """The process of `python -m host.services.embedded` and the JSON it printed."""
    command = [sys.executable, "-m", "host.services.embedded", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


async def _no_cluster(self) -> None:
    """Stands in for initdb where the start is the subject; to refuse, Postgres needs longer than the test allows."""
