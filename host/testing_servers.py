"""pytest fixtures that lend real servers: `postgres_url` (a fresh database) and `redis_url` (an emptied Redis).

The servers start once per session, when first asked for, as `python -m host.services.embedded`: the test's process
runs no Trio for them, and they end with it, however it ends. Set TEST_POSTGRES_URL or TEST_REDIS_URL to use servers
that run already; the role there needs CREATEDB, and the Redis is emptied by FLUSHDB.
"""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

_STOP_TIMEOUT_S = 30.0
_numbers = itertools.count(1)
# These databases are thrown away, so what a power cut would do to them does not matter, and tests get cheaper.
_UNSAFE_BUT_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off")
_END_OTHER_SESSIONS = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()"""
# Own objects all live in schemas; those of the system are pg_* and information_schema.
_DROP_EVERYTHING = """
    DO $$
    DECLARE name text;
    BEGIN
        FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
            EXECUTE format('DROP SCHEMA %I CASCADE', name);
        END LOOP;
        EXECUTE format('ALTER DATABASE %I RESET ALL', current_database());
        CREATE SCHEMA public;
    END $$"""


@contextmanager
def embedded_servers(*arguments: str) -> Iterator[dict[str, Any]]:
    """Run `python -m host.services.embedded` with `arguments` for the block; yields the JSON that it prints.

    Raises:
        RuntimeError: it did not start; the reason is on stderr.
    """
    command = [sys.executable, "-m", "host.services.embedded", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"the embedded servers did not start (exit code {process.wait(_STOP_TIMEOUT_S)})")
            yield json.loads(line)
        finally:
            process.stdin.close()
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """A new, empty database on that server for the block; yields its URL. Dropped even when still in use."""
    # Imported here: every pytest run in this environment loads this module, few use it.
    import psycopg
    from psycopg import sql

    database = f"test_{os.getpid()}_{next(_numbers)}"
    name = sql.Identifier(database)
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(name))
        try:
            yield urlunsplit(urlsplit(server_url)._replace(path=f"/{database}"))
        finally:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))


@pytest.fixture(scope="session")
def postgres_server_url() -> Iterator[str]:
    """The session's Postgres; what is left in its databases is seen by every test. Prefer `postgres_url`."""
    if url := os.environ.get("TEST_POSTGRES_URL"):
        yield url
        return
    with embedded_servers("--postgres", *(f"--set={setting}" for setting in _UNSAFE_BUT_FAST)) as servers:
        yield servers["postgres_url"]


@pytest.fixture(scope="session")
def reused_postgres_url(postgres_server_url: str) -> Iterator[str]:
    """The database that `postgres_url` empties for each test: several times cheaper than making one."""
    with fresh_database(postgres_server_url) as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server_url: str, reused_postgres_url: str) -> Iterator[str]:
    """An empty database for this test alone; sessions that an earlier test left in it are ended first."""
    import psycopg

    with psycopg.connect(reused_postgres_url, autocommit=True) as connection:
        # Before 15, the schema `public` does not belong to the owner of the database, who cannot drop it then.
        can_be_emptied = connection.info.server_version >= 150000
        if can_be_emptied:
            connection.execute(_END_OTHER_SESSIONS)
            connection.execute(_DROP_EVERYTHING)
    if can_be_emptied:
        yield reused_postgres_url
    else:
        with fresh_database(postgres_server_url) as url:
            yield url


@pytest.fixture(scope="module")
def module_postgres_url(postgres_server_url: str) -> Iterator[str]:
    """A fresh, empty database that the tests of one module share."""
    with fresh_database(postgres_server_url) as url:
        yield url


@pytest.fixture(scope="session")
def redis_server_url() -> Iterator[str]:
    """The session's Redis; what is left in it is seen by every test. Prefer `redis_url`."""
    if url := os.environ.get("TEST_REDIS_URL"):
        yield url
        return
    with embedded_servers("--redis") as servers:
        yield servers["redis_url"]


@pytest.fixture
def redis_url(redis_server_url: str) -> str:
    """The session's Redis, emptied before the test, scripts included."""
    from redis import Redis

    with Redis.from_url(redis_server_url) as client:
        client.flushdb()
        client.script_flush()
    return redis_server_url
