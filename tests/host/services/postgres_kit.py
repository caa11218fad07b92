"""Helpers for tests against a real Postgres."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from host.services.postgres import TrioConnection
from tests.host.services.proxy import Proxy, open_proxy

IDLE = pq.TransactionStatus.IDLE
FOREVER = "SELECT pg_sleep(600)"


@asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[TrioConnection[Any]]:
    """A connection in autocommit mode that is closed at the end, whatever happened to it."""
    connection = await TrioConnection.connect(url, **({"autocommit": True} | options))
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy before the server, and the URL of the database through it."""
    parameters = conninfo_to_dict(url)
    port = parameters.get("port") or 5432
    host = str(parameters["host"])
    target = f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, int(port))
    async with open_proxy(target) as proxy:
        yield proxy, make_conninfo(url, host="127.0.0.1", port=proxy.port)


async def value(connection: TrioConnection[Any], query: str, *params: Any) -> Any:
    """The first column of the first row."""
    row = await (await connection.execute(query, params)).fetchone()
    return row[0]


async def in_transaction(connection: TrioConnection[Any], *statements: str) -> None:
    """Run the statements in one transaction block."""
    async with connection.transaction():
        for statement in statements:
            await connection.execute(statement)


async def until_running(url: str, query: str) -> None:
    """Return once the server runs a statement that contains `query`."""
    with trio.fail_after(30):
        async with connected(url) as watcher:
            while not await value(  # noqa: ASYNC110 - the server sends no event for it
                watcher,
                "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() "
                "AND datname = current_database() AND strpos(query, %s) > 0",
                query,
            ):
                await trio.sleep(0.001)


async def cancel_while_running(url: str, query: str, act: Callable[[], Any]) -> bool:
    """Run `act` and cancel it once the server runs `query`; returns whether it ended by the cancellation."""
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def _() -> None:
                await until_running(url, query)
                scope.cancel()

            await act()
            nursery.cancel_scope.cancel()
    return scope.cancelled_caught
