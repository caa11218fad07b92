"""The limits of keys, shared by hosts over a real Redis, and what holds when it is gone."""

from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from host.api import ServiceUnavailable
from host.testing_servers import embedded_servers
from plugins.gateway.limits import SharedLimits
from tests.plugins.gateway.kit import House, open_house
from tests.plugins.gateway.test_lifetimes import until

NOBODY = "unix:///nonexistent.sock?db=0"
ANYTHING = {"authorization": "Bearer a-key", "cache-control": "no-store"}


def key_file(folder: Path) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    (folder / "key").write_text("a-key")
    return {"file": str(folder / "key")}


def shared_host(folder: Path, redis_url: str, *, limits: dict[str, Any] | None = None, **key: Any) -> Any:
    """A host with one key of these limits, which its Redis keeps."""
    keys = {"alice": {"key": key_file(folder), **key}}
    # A loaded machine may take its time; what is tested is who is let in.
    patient = {"redis_timeout": 10.0, **(limits or {})}
    return open_house(folder, redis_url=redis_url, use_redis=True, virtual_keys=keys, limits=patient)


async def ask(house: House) -> httpx.Response:
    body = {"model": "simulated/echo", "messages": [{"role": "user", "content": "so many words for a limit"}]}
    return await house.http.post("/v1/chat/completions", json=body, headers=ANYTHING)


def outcome(answer: httpx.Response) -> str:
    return "answered" if answer.status_code == 200 else answer.json()["error"]["code"]


def shared(house: House) -> SharedLimits:
    assert isinstance(house.gateway.limits, SharedLimits)
    return house.gateway.limits


async def test_two_hosts_on_one_redis_share_one_limit_of_requests(tmp_path: Path, redis_url: str) -> None:
    async with (
        shared_host(tmp_path / "one", redis_url, requests_per_minute=1) as one,
        shared_host(tmp_path / "two", redis_url, requests_per_minute=1) as two,
    ):
        answers: list[httpx.Response] = []

        async def ask_one_of_them(number: int) -> None:
            answers.append(await ask((one, two)[number % 2]))

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(ask_one_of_them, number)
        assert Counter(map(outcome, answers)) == {"answered": 1, "rate_limit_exceeded": 19}
        assert all(0 < int(each.headers["retry-after-ms"]) <= 60_000 for each in answers if each.status_code == 429)
        assert shared(one).unavailable_count == shared(two).unavailable_count == 0


@pytest.mark.parametrize(
    ("limit", "code"),
    [({"tokens_per_minute": 1}, "rate_limit_exceeded"), ({"budget_usd": 1e-9}, "insufficient_quota")],
)
async def test_what_one_host_has_used_is_used_up_at_the_other(
    tmp_path: Path, redis_url: str, limit: dict[str, Any], code: str
) -> None:
    async with (
        shared_host(tmp_path / "one", redis_url, **limit) as one,
        shared_host(tmp_path / "two", redis_url, **limit) as two,
    ):
        assert outcome(await ask(one)) == "answered"
        await until(lambda: shared(one).unwritten == 0)
        with trio.fail_after(30):
            # The bill is on its way: popped, and perhaps not yet there.
            while outcome(answer := await ask(two)) == "answered":
                pass
        assert outcome(answer) == code
        assert outcome(await ask(one)) == code


async def test_bills_that_redis_did_not_take_are_kept_and_the_money_written_later(
    tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugins.gateway.limits.RETRY_S", 0.01)
    async with shared_host(tmp_path, redis_url, budget_usd=1e-9) as house:
        limits, redis = shared(house), house.gateway.ctx.redis
        there, bills = limits._call, 0

        async def call(verb: str, *arguments: Any) -> Any:
            nonlocal bills
            bills += verb == "bill"
            if verb == "bill" and bills < 4:
                raise ServiceUnavailable("away")
            return await there(verb, *arguments)

        monkeypatch.setattr(limits, "_call", call)
        assert outcome(await ask(house)) == "answered"
        await until(lambda: bills == 4 and limits.unwritten == 0)
        with trio.fail_after(30):
            while not (spent := [key async for key in redis.scan_iter(match="*:month:*")]):
                pass
        assert int(await redis.get(spent[0])) > 0


@pytest.mark.parametrize(
    ("without_redis", "outcomes"),
    [("open", ["answered", "rate_limit_exceeded"]), ("closed", ["limits_unavailable", "limits_unavailable"])],
)
async def test_without_redis_the_setting_decides_and_a_metric_counts(
    tmp_path: Path, without_redis: str, outcomes: list[str]
) -> None:
    limits = {"without_redis": without_redis}
    async with shared_host(tmp_path, NOBODY, limits=limits, requests_per_minute=1) as house:
        assert [outcome(await ask(house)) for _ in range(2)] == outcomes
        assert shared(house).unavailable_count == 2
        with trio.fail_after(30):
            while "gateway_limits_unavailable_total 2.0" not in (await house.http.get("/metrics")).text:  # noqa: ASYNC110
                await trio.sleep(0.05)


async def test_a_redis_that_dies_midway_leaves_each_host_its_own_counts(tmp_path: Path) -> None:
    """What was used while Redis was there counts on: an outage is no new minute."""
    with ExitStack() as server:
        url = server.enter_context(embedded_servers("--redis"))["redis_url"]
        async with shared_host(tmp_path, url, requests_per_minute=2) as house:
            assert outcome(await ask(house)) == "answered"
            assert shared(house).unavailable_count == 0
            await trio.to_thread.run_sync(server.close)
            assert [outcome(await ask(house)) for _ in range(2)] == ["answered", "rate_limit_exceeded"]
            assert shared(house).unavailable_count == 2


async def test_a_key_without_limits_asks_nobody(tmp_path: Path) -> None:
    async with shared_host(tmp_path, NOBODY, limits={"without_redis": "closed"}) as house:
        assert outcome(await ask(house)) == "answered"
        assert shared(house).unavailable_count == 0
