"""Migrations: each plugin's numbered SQL files, applied once, in order, by whichever host comes first.

A file is `NNNN_name.sql`. It runs in a transaction that also records it in `quartet.migrations`, so it is applied and
recorded, or neither. Every such transaction holds an advisory lock of the plugin's, so hosts that start at once take
turns, and the late ones find the work done. A file that was applied never changes afterwards: what the database records
is compared with the folder before anything runs.

The SQL names its tables in full (`frontrow.seats`); the schema with the plugin's name exists when the first file runs.
What cannot run inside a transaction (CREATE INDEX CONCURRENTLY) cannot be a migration.
"""

import hashlib
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import trio
from psycopg import pq, sql

from host.errors import HostError
from host.services.postgres import TrioConnection
from host.services.postgres_pool import Postgres

MIGRATION_TIMEOUT_S = 600.0
"""How long one file may run, and how long a host waits while another one migrates."""

# Lock space of the house ("QRTT"), with the CRC of the plugin's name as second key; 0 is for its own table.
_LOCK_SPACE = 0x51525454
_FILE_NAME = re.compile(r"(?P<number>\d{4})_(?P<name>[a-z0-9][a-z0-9_]*)\.sql")
_PLUGIN_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_OWN_TABLE = """
    CREATE SCHEMA IF NOT EXISTS quartet;
    CREATE TABLE IF NOT EXISTS quartet.migrations (
        plugin text NOT NULL,
        number integer NOT NULL,
        name text NOT NULL,
        sha256 text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (plugin, number)
    )
"""


@dataclass(frozen=True, slots=True)
class MigrationFile:
    """One file of the folder. `sql` has its line ends as "\\n", whatever the checkout made of them."""

    number: int
    name: str
    sql: bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class AppliedMigration:
    """One row of `quartet.migrations`."""

    number: int
    name: str
    sha256: str


async def migrate(postgres: Postgres, plugin: str, folder: Path) -> list[str]:
    """Apply the files of `folder` that are not applied yet; returns their names, in order.

    Any number of hosts may do so at once. Cancelled, it leaves whole files applied and the one it was in undone.

    Raises:
        HostError: a file is misnamed, has another's number, fails, ends the transaction, or does not fit what was
            applied before (changed, missing, or numbered below it).
        ServiceUnavailable, OutcomeUnknown: the connection failed; calling again goes on where it stopped.
    """
    if not _PLUGIN_NAME.fullmatch(plugin) or plugin == "quartet":
        raise HostError(f"plugin {plugin!r} cannot have a schema: a name is [a-z][a-z0-9_]* and not 'quartet'")
    files = await trio.to_thread.run_sync(read_migrations, folder)
    async with postgres.transaction() as connection:
        await _lock(connection, 0)
        await connection.execute(_OWN_TABLE, prepare=False)
    done: list[str] = []
    while (name := await _apply_next(postgres, plugin, files)) is not None:
        done.append(name)
    return done


def read_migrations(folder: Path) -> list[MigrationFile]:
    """The files of a folder, by number.

    Raises:
        HostError: there is no such folder, a `.sql` file in it is misnamed, or two have the same number.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".sql")
    except OSError as error:
        raise HostError(f"the migrations in {folder} cannot be read: {error.strerror}") from error
    files: dict[int, MigrationFile] = {}
    for path in paths:
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            raise HostError(f"{path}: a migration is named like 0001_what_it_does.sql")
        text = path.read_bytes().replace(b"\r\n", b"\n")
        number = int(match["number"])
        if number in files:
            raise HostError(f"{path}: {files[number].name} has number {number:04d} already; renumber one of the two")
        files[number] = MigrationFile(number, path.name, text, hashlib.sha256(text).hexdigest())
    return list(files.values())


def next_migration(
    plugin: str, files: Sequence[MigrationFile], applied: Sequence[AppliedMigration]
) -> MigrationFile | None:
    """The first file that is not applied yet, None when all are.

    Raises:
        HostError: an applied file was changed, renamed or removed, or a new one is numbered below an applied one.
    """
    by_number = {file.number: file for file in files}
    for row in applied:
        what = f"migration {row.name} of plugin {plugin!r}"
        file = by_number.pop(row.number, None)
        if file is None:
            raise HostError(f"{what} was applied, but its file is missing: restore it, or run a newer version")
        if file.name != row.name:
            raise HostError(f"{what} was applied, but number {row.number:04d} is now {file.name}: restore its name")
        if file.sha256 != row.sha256:
            raise HostError(f"{what} was changed after it was applied: restore it and write a new migration instead")
    if not by_number:
        return None
    first = by_number[min(by_number)]
    if applied and first.number < (last := max(row.number for row in applied)):
        raise HostError(
            f"migration {first.name} of plugin {plugin!r} comes too late: number {last:04d} is applied; "
            f"give it a number above {last:04d}"
        )
    return first


async def _apply_next(postgres: Postgres, plugin: str, files: Sequence[MigrationFile]) -> str | None:
    """Apply one file, or nothing when all are applied."""
    async with postgres.transaction() as connection:
        await _lock(connection, zlib.crc32(plugin.encode()) or 1)
        cursor = await connection.execute(
            "SELECT number, name, sha256 FROM quartet.migrations WHERE plugin = %s ORDER BY number", (plugin,)
        )
        file = next_migration(plugin, files, [AppliedMigration(*row) for row in await cursor.fetchall()])
        if file is None:
            return None
        # Under the plugin's lock: IF NOT EXISTS alone does not survive two at once.
        await connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(plugin)))
        await _run_file(connection, plugin, file)
        await connection.execute(
            "INSERT INTO quartet.migrations (plugin, number, name, sha256) VALUES (%s, %s, %s, %s)",
            (plugin, file.number, file.name, file.sha256),
        )
    return file.name


async def _run_file(connection: TrioConnection[Any], plugin: str, file: MigrationFile) -> None:
    what = f"migration {file.name} of plugin {plugin!r}"
    try:
        await connection.execute(file.sql, prepare=False)
        # Deferred constraints speak up here, where the file can be named, and not at COMMIT.
        if connection.pgconn.transaction_status == pq.TransactionStatus.INTRANS:
            await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    except psycopg.Error as error:
        if connection.closed:
            raise
        raise HostError(f"{what} failed{_line_of(error, file.sql)}: {error.diag.message_primary or error}") from error
    if connection.pgconn.transaction_status != pq.TransactionStatus.INTRANS:
        raise HostError(f"{what} ends the transaction that it runs in: take COMMIT and ROLLBACK out of it")


async def _lock(connection: TrioConnection[Any], key: int) -> None:
    """Wait for the lock, which the end of the transaction releases. From here on the connection may take its time."""
    connection.response_timeout_s = MIGRATION_TIMEOUT_S
    # The second key is a signed integer for Postgres.
    await connection.execute("SELECT pg_advisory_xact_lock(%s::int, %s::int)", (_LOCK_SPACE, key - (key >> 31 << 32)))


def _line_of(error: psycopg.Error, text: bytes) -> str:
    """Where in the file, when the server said so; it counts characters, from 1."""
    position = error.diag.statement_position
    if position is None:
        return ""
    line = text.decode(errors="replace")[: int(position) - 1].count("\n") + 1
    return f" on line {line}"
