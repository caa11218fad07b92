"""The fixtures that lend real servers: each test gets them empty."""

import psycopg
import pytest
from redis import Redis


@pytest.mark.parametrize("turn", [1, 2])
def test_postgres_url_is_an_empty_database_each_time(postgres_url, turn):
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA frontrow")
        connection.execute("CREATE TABLE frontrow.seats (id int)")
        connection.execute("CREATE TABLE visible_without_schema (id int)")
        connection.execute("CREATE TYPE public.colour AS ENUM ('red')")
        database = connection.info.dbname
        connection.execute(f"ALTER DATABASE {database} SET search_path = frontrow")
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SHOW search_path").fetchone() == ("frontrow",)


_left_open = []


@pytest.mark.parametrize("turn", [1, 2])
def test_postgres_url_ends_the_sessions_that_an_earlier_test_left(postgres_url, turn):
    """Left in a transaction that locks its table, the first would make the second wait for ever."""
    for connection in _left_open:
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        connection.close()
    if turn == 1:
        connection = psycopg.connect(postgres_url)
        connection.execute("CREATE TABLE locked (id int)")
        _left_open.append(connection)


def test_module_postgres_url_is_a_database_of_its_own(postgres_url, module_postgres_url):
    assert postgres_url != module_postgres_url
    with psycopg.connect(module_postgres_url) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


@pytest.mark.parametrize("turn", [1, 2])
def test_redis_url_is_empty_each_time(redis_url, turn):
    with Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        sha = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"  # of "return 1"
        assert client.script_exists(sha) == [False]
        client.script_load("return 1")
        client.set("key", "value")
