"""Where requests go, as their clients and the upstreams see it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from plugins.gateway.simulated.faults import Fault
from tests.plugins.gateway.kit import House, open_house
from tests.plugins.gateway.test_lifetimes import until

PAIR: Any = ["simulated/pair", "simulated-b/pair"]
GROUPS: dict[str, Any] = {
    "plain": {"targets": PAIR},
    "swift": {"targets": PAIR, "strategy": "least_latency"},
    "idle": {"targets": ["simulated/idle", "simulated-b/idle"], "strategy": "least_busy"},
    "cheap": {"targets": ["simulated/dear", "simulated-b/cheap"], "strategy": "cheapest"},
    "drawn": {"targets": [{"model": PAIR[0], "weight": 0}, {"model": PAIR[1], "weight": 1}], "strategy": "weighted"},
    "canary": {"targets": PAIR, "strategy": "canary"},
    "watched": {"targets": ["simulated/watched"], "shadow": "simulated-b/shadow"},
    "windows": {"targets": [{"model": PAIR[0], "context": 50}, {"model": PAIR[1], "context": 100_000}]},
    "blind": {"targets": [{"model": PAIR[0], "lacks": ["images", "tools"]}, PAIR[1]]},
    "all_blind": {"targets": [{"model": PAIR[0], "lacks": ["images"]}]},
}
PRICES: Any = {"simulated/dear": {"input": 10, "output": 30}, "simulated-b/cheap": {"input": 1, "output": 2}}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, models=GROUPS, prices=PRICES) as opened:
        yield opened


async def provider_of(house: House, model: str, text: str = "hello", **more: Any) -> str:
    answer = await house.chat(text, model, **more)
    assert answer.status_code == 200, answer.text
    return str(answer.headers["x-quartet-provider"])


async def test_the_one_that_was_slow_is_left_alone_for_the_one_that_was_not(house: House) -> None:
    targets = house.gateway.current.targets
    targets.target(PAIR[0]).latency.value_ms = 800.0
    targets.target(PAIR[1]).latency.value_ms = 90.0
    assert await provider_of(house, "swift") == "simulated-b"


async def test_the_least_busy_is_asked(house: House) -> None:
    house.primary.break_with(Fault(kind="hang", duration=600))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(house.chat, "long", "idle")
        await until(lambda: house.primary.tally.open_requests == 1)
        assert await provider_of(house, "idle") == "simulated-b"
        nursery.cancel_scope.cancel()
    await house.settled()


@pytest.mark.parametrize(
    ("group", "provider"), [("cheap", "simulated-b"), ("drawn", "simulated-b"), ("plain", "simulated")]
)
async def test_price_and_weight_decide(house: House, group: str, provider: str) -> None:
    assert await provider_of(house, group) == provider


async def test_a_canary_stays_with_its_callers(house: House) -> None:
    seen = {user: {await provider_of(house, "canary", user=user) for _ in range(3)} for user in map(str, range(12))}
    assert all(len(providers) == 1 for providers in seen.values())
    assert {provider for providers in seen.values() for provider in providers} == {"simulated", "simulated-b"}


async def test_a_shadow_gets_a_copy_that_nobody_waits_for(house: House) -> None:
    house.backup.break_with(Fault(kind="hang", duration=600))
    assert await provider_of(house, "watched") == "simulated"
    await until(lambda: house.backup.tally.open_requests == 1)
    assert house.gateway.telemetry.in_flight == 0
    house.backup.break_with(Fault(kind="refuse"))
    await until(lambda: house.gateway.telemetry.upstream_failures.total() > 0)
    house.backup.heal()


async def test_a_prompt_too_long_for_one_window_goes_to_the_larger(house: House) -> None:
    assert await provider_of(house, "windows", "short") == "simulated"
    assert await provider_of(house, "windows", "long " * 200) == "simulated-b"


async def test_what_a_target_lacks_it_is_not_asked_for(house: House) -> None:
    image = [
        {"type": "text", "text": "what is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
    ]
    assert await provider_of(house, "blind") == "simulated"
    assert await provider_of(house, "blind", messages=[{"role": "user", "content": image}]) == "simulated-b"
    refused = await house.chat("x", "all_blind", messages=[{"role": "user", "content": image}])
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "unsupported_capability")
    assert "images" in refused.json()["error"]["message"]


async def test_a_header_overrides_the_name_and_the_cache_knows(house: House) -> None:
    body = {"model": "plain", "messages": [{"role": "user", "content": "hello"}]}
    plain = await house.http.post("/v1/chat/completions", json=body)
    led = await house.http.post("/v1/chat/completions", json=body, headers={"x-quartet-route": "simulated-b/other"})
    assert plain.headers["x-quartet-provider"] == "simulated"
    assert (led.headers["x-quartet-provider"], led.headers["x-quartet-cache"]) == ("simulated-b", "miss")
    assert led.headers["x-quartet-model"] == "other"
    again = await house.http.post("/v1/chat/completions", json=body)
    assert (again.headers["x-quartet-provider"], again.headers["x-quartet-cache"]) == ("simulated", "hit")
