"""The whole plugin inside real hosts that share a database."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trio
from host.testing import RunningHost, running_host

API = "/api/scheduler"
NOTIFY = {"cron": "0 0 1 1 *", "action": {"kind": "notify", "channel": "bell"}}
# Times in the past, of jobs of every minute: what an outage of some minutes leaves.
OVERDUE = "UPDATE scheduler.jobs SET next_due = date_trunc('minute', now()) - interval '5 minutes' WHERE name = %s"


@pytest.fixture
def hosts(postgres_url: str, tmp_path: Path) -> Any:
    """Starts a host with the plugin; all of a test's hosts share a database."""

    @asynccontextmanager
    async def start(**config: Any) -> AsyncIterator[RunningHost]:
        section = {"scheduler": {"look_interval": "50ms"} | config}
        async with running_host(section, postgres_url=postgres_url, data_dir=tmp_path) as host:
            yield host

    return start


@pytest.fixture
def sql(postgres_url: str) -> Callable[..., Awaitable[list[Any]]]:
    """Runs a statement beside the hosts."""

    def run(query: str, *values: Any) -> list[Any]:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            cursor = connection.execute(query, values)
            return cursor.fetchall() if cursor.description else []

    async def execute(query: str, *values: Any) -> list[Any]:
        return await trio.to_thread.run_sync(run, query, *values)

    return execute


async def until(check: Callable[[], Awaitable[Any]]) -> Any:
    """Ask until the answer is true: what is waited for happens in a database, which sets no event here."""
    with trio.fail_after(60):
        while not (answer := await check()):  # noqa: ASYNC110
            await trio.sleep(0.02)
    return answer


async def runs(host: RunningHost, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await host.http.get(f"{API}/jobs/{name}/runs")).json()["runs"]
    return found


async def test_each_due_time_runs_once_on_several_hosts(hosts: Any, sql: Any) -> None:
    config = {"catch_up_max": 1000, "grace": "1s"}
    async with hosts(**config) as one, hosts(**config) as two, hosts(**config) as three:
        every_minute = NOTIFY | {"cron": "* * * * *", "missed": "all"}
        for name in ("a", "b", "c"):
            put = await one.http.put(f"{API}/jobs/{name}", json=every_minute)
            assert put.status_code == 200, put.text
            await sql(OVERDUE.replace("5 minutes", "1 hour"), name)

        async def caught_up() -> bool:
            (waiting,) = await sql("SELECT count(*) FROM scheduler.jobs WHERE next_due <= now()")
            (running,) = await sql("SELECT count(*) FROM scheduler.runs WHERE state = 'running'")
            return waiting[0] == running[0] == 0

        await until(caught_up)
        counts = Counter()
        for host in (one, two, three):
            metrics = (await host.http.get("/metrics")).text.splitlines()
            done = [line for line in metrics if line.startswith('scheduler_runs_total{state="done"}')]
            counts[host.url] = int(float(done[0].split()[1])) if done else 0
        (rows,) = await sql("SELECT count(*), count(DISTINCT (job, due)) FROM scheduler.runs WHERE state = 'done'")
    # Every action that any host counted has a row of its own.
    assert sum(counts.values()) == rows[0] == rows[1]
    assert rows[0] >= 3 * 61


async def test_due_time_that_was_run_is_not_run_again_even_if_its_job_is_set_back(hosts: Any, sql: Any) -> None:
    async with hosts(grace="1s") as host:
        await host.http.put(f"{API}/jobs/a", json=NOTIFY | {"cron": "* * * * *", "missed": "all"})
        for _ in range(2):
            await sql(OVERDUE, "a")

            async def caught_up() -> bool:
                (waiting,) = await sql("SELECT count(*) FROM scheduler.jobs WHERE next_due <= now()")
                (running,) = await sql("SELECT count(*) FROM scheduler.runs WHERE state = 'running'")
                return waiting[0] == running[0] == 0

            await until(caught_up)
        done = await runs(host, "a")
        metrics = (await host.http.get("/metrics")).text
    assert len(done) >= 6
    assert f'scheduler_runs_total{{state="done"}} {len(done)}.0' in metrics


@asynccontextmanager
async def slow_target() -> AsyncIterator[tuple[str, trio.Event, dict[str, int]]]:
    """A server that answers 204 once the event is set; its URL, the event, and how many calls it has at once."""
    release, calls = trio.Event(), {"now": 0, "peak": 0}

    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            calls["now"] += 1
            calls["peak"] = max(calls["peak"], calls["now"])
            await release.wait()
            calls["now"] -= 1
            await stream.send_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, answer, [listener])
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}", release, calls
        nursery.cancel_scope.cancel()


async def test_run_that_outlived_its_lease_stays_unknown_and_no_more_run_at_once_than_may(hosts: Any, sql: Any) -> None:
    async with slow_target() as (url, release, calls), hosts(http_targets=[url], running_max=1) as host:
        job = NOTIFY | {"action": {"kind": "http", "url": url}}
        for name in ("a", "b"):
            assert (await host.http.put(f"{API}/jobs/{name}", json=job)).status_code == 200
        await sql("UPDATE scheduler.jobs SET next_due = now()")

        async def held() -> bool:
            return calls["now"] == 1

        await until(held)
        await sql("UPDATE scheduler.runs SET state = 'unknown' WHERE state = 'running'")
        release.set()

        async def both_ended() -> list[str] | None:
            states = [run["state"] for name in ("a", "b") for run in await runs(host, name)]
            return states if len(states) == 2 and "running" not in states else None

        assert sorted(await until(both_ended)) == ["done", "unknown"]
        assert calls["peak"] == 1


async def test_http_call_is_made_with_its_idempotency_key_and_a_bad_answer_is_a_failure(hosts: Any) -> None:
    async with hosts() as target, hosts(http_targets=[target.url]) as host:
        for name, path in (("good", "/livez"), ("bad", "/nowhere")):
            action = {"kind": "http", "url": target.url + path, "method": "GET"}
            assert (await host.http.put(f"{API}/jobs/{name}", json=NOTIFY | {"action": action})).status_code == 200
        assert (await host.http.post(f"{API}/jobs/good/run")).json()["state"] == "done"
        assert (await host.http.post(f"{API}/jobs/bad/run")).json()["state"] == "failed"
        (run,) = await runs(host, "bad")
        assert (run["state"], run["detail"]) == ("failed", "status 404")
        refused = await host.http.put(
            f"{API}/jobs/x", json=NOTIFY | {"action": {"kind": "http", "url": host.url + "/livez"}}
        )
        assert refused.status_code == 422
        assert "http_targets" in refused.text


async def test_run_of_a_dead_host_turns_unknown_and_is_not_repeated(hosts: Any, sql: Any) -> None:
    async with hosts(lease_margin="50ms") as host:
        await host.http.put(f"{API}/jobs/a", json=NOTIFY)
        await sql(
            "INSERT INTO scheduler.runs (job, due, host, state, leased_until)"
            " VALUES ('a', now() - interval '1 minute', 'dead', 'running', now() - interval '1 second')"
        )

        async def given_up() -> bool:
            return [run["state"] for run in await runs(host, "a")] == ["unknown"]

        await until(given_up)


async def test_notify_arrives_with_the_run(hosts: Any, postgres_url: str) -> None:
    async with hosts() as host:
        await host.http.put(f"{API}/jobs/a", json=NOTIFY)
        with psycopg.connect(postgres_url, autocommit=True) as listener:
            listener.execute("LISTEN bell")
            answer = (await host.http.post(f"{API}/jobs/a/run")).json()
            (heard,) = await trio.to_thread.run_sync(lambda: list(listener.notifies(timeout=30, stop_after=1)))
    assert answer["state"] == "done"
    assert heard.payload.startswith("a 20")


async def test_jobs_are_bounded_checked_and_for_administrators(hosts: Any) -> None:
    stranger = {"x-forwarded-for": "203.0.113.7"}
    async with hosts(jobs_max=1) as host:
        assert (await host.http.put(f"{API}/jobs/a", json=NOTIFY)).status_code == 200
        assert (await host.http.put(f"{API}/jobs/a", json=NOTIFY | {"paused": True})).status_code == 200
        assert (await host.http.put(f"{API}/jobs/b", json=NOTIFY)).status_code == 507
        assert (await host.http.put(f"{API}/jobs/A", json=NOTIFY)).status_code == 422
        for wrong in ({"cron": "x"}, {"cron": "0 0 30 2 *"}, {"zone": "Mars/Base"}, {"missed": "maybe"}):
            assert (await host.http.put(f"{API}/jobs/a", json=NOTIFY | wrong)).status_code == 422
        assert (await host.http.get(f"{API}/jobs", headers=stranger)).status_code == 403
        assert (await host.http.put(f"{API}/jobs/a", json=NOTIFY, headers=stranger)).status_code == 403
        (job,) = (await host.http.get(f"{API}/jobs")).json()["jobs"]
        assert (job["name"], job["next_due"], job["latest"]) == ("a", None, None)
        assert (await host.http.post(f"{API}/jobs/none/run")).status_code == 404
        assert (await host.http.delete(f"{API}/jobs/a")).status_code == 204
        page = await host.http.get("/scheduler", headers={"accept": "text/html"})
        assert "<h1>Scheduler</h1>" in page.text
        assert json.loads((await host.http.get("/openapi.json")).text)["paths"][f"{API}/jobs/{{name}}"]["put"]
