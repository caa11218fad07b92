"""The service killed from the proof drawer comes back with everything that was saved, and is not killed to death."""

from pathlib import Path

import pytest
import trio

from host.testing import RunningHost, running_host
from tests.plugins.liveboard.conftest import Client, stroke

CRASH = "/api/liveboard/faults/crash"
PATIENCE_S = 60


async def until(host: RunningHost, method: str, path: str, status: int) -> None:
    """Ask again and again, while the service is too young to be killed, or not there."""
    with trio.fail_after(PATIENCE_S):
        while True:
            answer = await host.http.request(method, path)
            if answer.status_code == status:
                return
            assert answer.status_code in (429, 503)
            await trio.sleep(0.05)


async def test_killed_service_comes_back_with_what_was_saved(postgres_url: str, redis_url: str, tmp_path: Path) -> None:
    section = {"crash_interval": 0.5}
    servers = {"postgres_url": postgres_url, "redis_url": redis_url}
    async with running_host({"liveboard": section}, data_dir=tmp_path, **servers) as host:
        client = Client()
        async with client.connected(host.url, "killed"):
            await client.draw(stroke())
            await client.until(lambda: len(client.board) == 1)
            await until(host, "POST", CRASH, 202)
            await client.until(client.is_gone)

        await until(host, "GET", "/api/liveboard/figures", 200)
        late = Client("late")
        async with late.connected(host.url, "killed"):
            assert late.board.digest == client.board.digest


@pytest.mark.parametrize(("interval", "status"), [("10m", 429), (0, 403)])
async def test_service_is_not_killed_again_at_once_nor_where_nobody_may(
    postgres_url: str, redis_url: str, tmp_path: Path, interval: object, status: int
) -> None:
    section = {"crash_interval": interval}
    servers = {"postgres_url": postgres_url, "redis_url": redis_url}
    async with running_host({"liveboard": section}, data_dir=tmp_path, **servers) as host:
        answer = await host.http.post(CRASH)
        assert answer.status_code == status
        assert ("retry-after" in answer.headers) == (status == 429)
