"""pytest fixtures that lend real servers: `postgres_url` (a fresh database) and `redis_url` (an emptied Redis).

The servers start once per session, lazily, as `python -m host.services.embedded`: the test's process runs no Trio for them,
and they end with it, however it ends. Set TEST_POSTGRES_URL or TEST_REDIS_URL to use servers that run already; the role
there needs CREATEDB, and the Redis is emptied by FLUSHDB.
"""

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

_STOP_TIMEOUT_S = 30.0
_numbers = itertools.count(1)
# A test's database is thrown away, so what a power cut would do to it does not matter; a database per test gets cheap.
_UNSAFE_BUT_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off")


@contextmanager
def embedded_servers(data_dir: Path, *arguments: str) -> Iterator[dict[str, Any]]:
    """Run `python -m host.services.embedded` on `data_dir` for the block; yields the JSON that it prints.

    Raises:
        RuntimeError: it did not start; the reason is on stderr.
    """
    command = [sys.executable, "-m", "host.services.embedded", "--data-dir", str(data_dir), *arguments]
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


@pytest.fixture(scope="session")
def servers_dir() -> Iterator[Path]:
    """A directory that also an unprivileged server user can reach, which pytest's own (mode 0700) is not for root's."""
    directory = Path(tempfile.mkdtemp(prefix="quartet-test-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server_url(servers_dir: Path) -> Iterator[str]:
    """The session's Postgres; what is left in its databases is seen by every test. Prefer `postgres_url`."""
    if url := os.environ.get("TEST_POSTGRES_URL"):
        yield url
        return
    settings = [f"--set={setting}" for setting in _UNSAFE_BUT_FAST]
    with embedded_servers(servers_dir, "--postgres", *settings) as servers:
        yield servers["postgres_url"]


@contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """A new, empty database on that server for the block; yields its URL. Dropped even when still in use."""
    # Imported here: every pytest run in this environment loads this module, few use it.
    import psycopg
    from psycopg import sql

    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        try:
            yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
        finally:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def postgres_url(postgres_server_url: str) -> Iterator[str]:
    """A fresh, empty database of the session's Postgres, for this test alone."""
    with fresh_database(postgres_server_url) as url:
        yield url


@pytest.fixture(scope="module")
def module_postgres_url(postgres_server_url: str) -> Iterator[str]:
    """A fresh, empty database that the tests of one module share."""
    with fresh_database(postgres_server_url) as url:
        yield url


@pytest.fixture(scope="session")
def redis_server_url(servers_dir: Path) -> Iterator[str]:
    """The session's Redis; what is left in it is seen by every test. Prefer `redis_url`."""
    if url := os.environ.get("TEST_REDIS_URL"):
        yield url
        return
    with embedded_servers(servers_dir, "--redis") as servers:
        yield servers["redis_url"]


@pytest.fixture
def redis_url(redis_server_url: str) -> Iterator[str]:
    """The session's Redis, emptied before the test, scripts included."""
    from redis import Redis

    with Redis.from_url(redis_server_url) as client:
        client.flushdb()
        client.script_flush()
    yield redis_server_url
