"""Migrations: once each, in order, whoever comes first; what does not fit is refused before anything runs."""

from pathlib import Path

import pytest
import trio

from host.errors import HostError
from host.services.migrations import AppliedMigration, MigrationFile, migrate, next_migration, read_migrations
from host.services.postgres_pool import Postgres
from tests.host.services.postgres_kit import cancel_while_running


def write(folder: Path, **files: str) -> Path:
    """Put files into the folder: `_0001_seats="CREATE …"` is `0001_seats.sql`."""
    for name, text in files.items():
        (folder / f"{name.removeprefix('_')}.sql").write_text(text)
    return folder


def file(number: int, name: str = "x", sha256: str = "same") -> MigrationFile:
    return MigrationFile(number, f"{number:04d}_{name}.sql", b"", sha256)


def row(number: int, name: str = "x", sha256: str = "same") -> AppliedMigration:
    return AppliedMigration(number, f"{number:04d}_{name}.sql", sha256)


@pytest.mark.parametrize(
    ("files", "applied", "expected"),
    [
        ([], [], None),
        ([file(1)], [], 1),
        ([file(2), file(1)], [], 1),
        ([file(1), file(2)], [row(1)], 2),
        ([file(1), file(5)], [row(1)], 5),
        ([file(1), file(2)], [row(1), row(2)], None),
    ],
)
def test_the_next_migration_is_the_lowest_that_is_not_applied(files, applied, expected) -> None:
    following = next_migration("plug", files, applied)
    assert (following and following.number) == expected


@pytest.mark.parametrize(
    ("files", "applied", "complaint"),
    [
        ([], [row(1)], r"0001_x.sql of plugin 'plug' was applied, but its file is missing"),
        ([file(1, sha256="other")], [row(1)], r"0001_x.sql of plugin 'plug' was changed after it was applied"),
        ([file(1, "renamed")], [row(1)], r"number 0001 is now 0001_renamed.sql"),
        ([file(1), file(2), file(3)], [row(1), row(3)], r"0002_x.sql of plugin 'plug' comes too late: .* above 0003"),
        ([file(2, sha256="other"), file(3)], [row(2)], r"was changed"),
    ],
)
def test_what_does_not_fit_the_applied_migrations_is_refused(files, applied, complaint) -> None:
    with pytest.raises(HostError, match=complaint):
        next_migration("plug", files, applied)


@pytest.mark.parametrize("name", ["seats", "1_seats", "00001_seats", "0001-seats", "0001_Seats", "0001_"])
def test_a_misnamed_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.sql").touch()
    with pytest.raises(HostError, match=f"{name}.sql: a migration is named like 0001_what_it_does.sql"):
        read_migrations(tmp_path)


def test_two_files_with_one_number_are_refused(tmp_path: Path) -> None:
    write(tmp_path, _0001_a="", _0001_b="")
    with pytest.raises(HostError, match=r"0001_b.sql: 0001_a.sql has number 0001 already"):
        read_migrations(tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"cannot be read: No such file"):
        read_migrations(tmp_path / "nowhere")


def test_line_ends_and_other_files_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "README.md").touch()
    (tmp_path / "0001_a.sql").write_bytes(b"SELECT 1;\r\n")
    (tmp_path / "0002_a.sql").write_bytes(b"SELECT 1;\n")
    dos, unix = read_migrations(tmp_path)
    assert dos.sha256 == unix.sha256


@pytest.mark.parametrize("plugin", ["quartet", "Plug", "a-b", "", "1st"])
async def test_a_plugin_that_cannot_have_a_schema_is_refused(tmp_path: Path, plugin: str) -> None:
    async with Postgres("postgresql://127.0.0.1:1/nothing", name="test") as postgres:
        with pytest.raises(HostError, match="cannot have a schema"):
            await migrate(postgres, plugin, tmp_path)


async def test_files_are_applied_once_and_in_order(postgres_url: str, tmp_path: Path) -> None:
    write(
        tmp_path,
        _0002_more="INSERT INTO plug.seats VALUES (1); INSERT INTO plug.seats VALUES (2);",
        _0001_seats="CREATE TABLE plug.seats (id int); -- 100 % of it",
    )
    async with Postgres(postgres_url, name="test") as postgres:
        assert await migrate(postgres, "plug", tmp_path) == ["0001_seats.sql", "0002_more.sql"]
        assert await migrate(postgres, "plug", tmp_path) == []
        write(tmp_path, _0003_last="INSERT INTO plug.seats VALUES (3)")
        assert await migrate(postgres, "plug", tmp_path) == ["0003_last.sql"]
        assert await postgres.fetch_all("SELECT id FROM plug.seats ORDER BY id") == [(1,), (2,), (3,)]
        recorded = await postgres.fetch_all("SELECT plugin, number, name FROM quartet.migrations ORDER BY number")
        assert recorded[0] == ("plug", 1, "0001_seats.sql")
        assert len(recorded) == 3


async def test_plugins_do_not_see_each_others_migrations(postgres_url: str, tmp_path: Path) -> None:
    folders = {}
    for plugin in ("one", "two"):
        (tmp_path / plugin).mkdir()
        folders[plugin] = write(tmp_path / plugin, _0001_t=f"CREATE TABLE {plugin}.t ()")
    async with Postgres(postgres_url, name="test") as postgres:
        for plugin, folder in folders.items():
            assert await migrate(postgres, plugin, folder) == ["0001_t.sql"]


async def test_hosts_that_migrate_at_once_apply_each_file_once(postgres_url: str, tmp_path: Path) -> None:
    hosts = 6
    write(tmp_path, **{f"_{n:04d}_step": f"CREATE TABLE plug.t{n} (); SELECT pg_sleep(0.005)" for n in range(1, 9)})
    applied: list[str] = []

    async def run_host() -> None:
        async with Postgres(postgres_url, name="test", connections_max=1) as postgres:
            for name in await migrate(postgres, "plug", tmp_path):
                applied.append(name)

    async with trio.open_nursery() as nursery:
        for _ in range(hosts):
            nursery.start_soon(run_host)
    assert sorted(applied) == [f"{n:04d}_step.sql" for n in range(1, 9)]


async def test_a_file_that_fails_leaves_nothing_and_is_named_with_its_line(postgres_url: str, tmp_path: Path) -> None:
    write(tmp_path, _0001_good="CREATE TABLE plug.good ()", _0002_bad="CREATE TABLE plug.bad ();\n\nSELEKT 1;")
    async with Postgres(postgres_url, name="test") as postgres:
        with pytest.raises(HostError, match=r"0002_bad.sql of plugin 'plug' failed on line 3: syntax error"):
            await migrate(postgres, "plug", tmp_path)
        assert await postgres.fetch_value("SELECT to_regclass('plug.good') IS NOT NULL")
        assert await postgres.fetch_value("SELECT to_regclass('plug.bad') IS NULL")
        write(tmp_path, _0002_bad="CREATE TABLE plug.bad ()")
        assert await migrate(postgres, "plug", tmp_path) == ["0002_bad.sql"]


async def test_a_deferred_constraint_that_fails_is_told_with_the_file(postgres_url: str, tmp_path: Path) -> None:
    table = "CREATE TABLE plug.t (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)"
    write(tmp_path, _0001_t=f"{table}; INSERT INTO plug.t VALUES (1), (1)")
    async with Postgres(postgres_url, name="test") as postgres:
        with pytest.raises(HostError, match=r"0001_t.sql of plugin 'plug' failed: duplicate key"):
            await migrate(postgres, "plug", tmp_path)


async def test_a_file_that_ends_its_transaction_is_refused(postgres_url: str, tmp_path: Path) -> None:
    write(tmp_path, _0001_t="CREATE TABLE plug.t (); COMMIT")
    async with Postgres(postgres_url, name="test") as postgres:
        with pytest.raises(HostError, match="ends the transaction"):
            await migrate(postgres, "plug", tmp_path)
        assert await postgres.fetch_all("SELECT * FROM quartet.migrations") == []


async def test_a_changed_file_stops_before_anything_runs(postgres_url: str, tmp_path: Path) -> None:
    write(tmp_path, _0001_t="CREATE TABLE plug.t ()")
    async with Postgres(postgres_url, name="test") as postgres:
        await migrate(postgres, "plug", tmp_path)
        write(tmp_path, _0001_t="CREATE TABLE plug.t (n int)", _0002_u="CREATE TABLE plug.u ()")
        with pytest.raises(HostError, match="was changed after it was applied"):
            await migrate(postgres, "plug", tmp_path)
        assert await postgres.fetch_value("SELECT to_regclass('plug.u') IS NULL")


async def test_a_cancelled_migration_leaves_whole_files(postgres_url: str, tmp_path: Path) -> None:
    write(tmp_path, _0001_t="CREATE TABLE plug.t ()", _0002_u="CREATE TABLE plug.u (); SELECT pg_sleep(600)")
    async with Postgres(postgres_url, name="test") as postgres:
        assert await cancel_while_running(postgres_url, "pg_sleep", lambda: migrate(postgres, "plug", tmp_path))
        assert await postgres.fetch_all("SELECT name FROM quartet.migrations") == [("0001_t.sql",)]
        assert await postgres.fetch_value("SELECT to_regclass('plug.u') IS NULL")


async def test_waiting_for_another_host_is_not_cut_by_the_time_out_of_short_statements(
    postgres_url: str, tmp_path: Path
) -> None:
    write(tmp_path, _0001_t="CREATE TABLE plug.t (); SELECT pg_sleep(0.3)")
    async with Postgres(postgres_url, name="test", response_timeout_s=0.1) as postgres:
        assert await migrate(postgres, "plug", tmp_path) == ["0001_t.sql"]
