"""A new configuration while requests are under way: they end as they began, new ones go by the new."""

from pathlib import Path
from typing import Any

import trio

from plugins.gateway.settings import Settings
from tests.plugins.gateway.kit import House, events_of, open_house, text_of
from tests.plugins.gateway.test_lifetimes import until


def changed(house: House, **more: Any) -> Settings:
    """The configuration with these parts changed."""
    new = Settings.model_validate(more)
    return house.gateway.settings.model_copy(update={name: getattr(new, name) for name in more})


async def test_streams_under_way_end_whole_and_new_requests_go_by_the_new_configuration(tmp_path: Path) -> None:
    words = " ".join(f"word{number}" for number in range(40))
    models = {"fast": {"targets": ["simulated/echo"]}}
    async with open_house(tmp_path, models=models) as house:
        gateway, primary = house.gateway, house.primary
        primary.first_token_s, primary.token_interval_s = 0.0, 60.0
        answers: list[Any] = []

        async def ask(number: int) -> None:
            store = number % 2 == 0
            answers.append(await house.chat(f"{words} {number}", "fast", stream=True, store=store))

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(ask, number)
            await until(lambda: primary.tally.open_requests == 20)
            old = gateway.current
            assert gateway.reconfigure(changed(house, models={"fast": {"targets": ["simulated-b/echo"]}}))
            assert gateway.current is not old
            fresh = await house.chat("and now?", "fast")
            assert fresh.headers["x-quartet-provider"] == "simulated-b"
            assert primary.tally.open_requests == 20
            primary.token_interval_s = 0.0
            primary.hasten()
        assert len(answers) == 20
        for answer in answers:
            assert answer.headers["x-quartet-provider"] == "simulated"
            assert answer.text.endswith("data: [DONE]\n\n")
            assert text_of(events_of(answer.text)).startswith(words)
        await house.settled()


async def test_what_is_the_same_keeps_its_health_and_what_was_used_stays_used(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a-key")
    alice = {"key": {"file": str(tmp_path / "key")}, "requests_per_minute": 10}
    async with open_house(tmp_path, virtual_keys={"alice": alice}) as house:
        gateway = house.gateway
        house.http.headers["authorization"] = "Bearer a-key"
        assert (await house.chat("once", store=True)).status_code == 200
        made = (await house.http.post("/api/gateway/keys", json={"name": "made"})).json()["key"]
        before = gateway.current.targets.target("simulated/echo")
        requests = gateway.admission.by_name["alice"].requests
        assert requests is not None
        level = requests.level
        assert gateway.reconfigure(changed(house, retries={"rounds": 1}))
        assert gateway.current.targets.target("simulated/echo") is before
        again = gateway.admission.by_name["alice"].requests
        assert again is not None
        assert again is not requests
        assert again.level == level
        assert (await house.chat("once", store=True)).headers["x-quartet-cache"] == "hit"
        house.http.headers["authorization"] = f"Bearer {made}"
        assert (await house.chat("still known")).status_code == 200
        assert gateway.reconfigure(changed(house, breaker={"failures": 9}, virtual_keys={}))
        assert gateway.current.targets.target("simulated/echo") is not before
        house.http.headers["authorization"] = "Bearer a-key"
        assert (await house.chat("withdrawn")).status_code == 401


async def test_a_name_that_means_something_else_now_is_not_answered_from_what_it_meant(tmp_path: Path) -> None:
    async with open_house(tmp_path, models={"fast": {"targets": ["simulated/echo"]}}) as house:
        assert (await house.chat("x", "fast", store=True)).headers["x-quartet-provider"] == "simulated"
        assert house.gateway.reconfigure(changed(house, models={"fast": {"targets": ["simulated-b/echo"]}}))
        answer = await house.chat("x", "fast", store=True)
        assert (answer.headers["x-quartet-cache"], answer.headers["x-quartet-provider"]) == ("miss", "simulated-b")


async def test_what_a_run_is_built_on_needs_another_run(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        old = house.gateway.current
        for more in ({"use_redis": True}, {"upstream_connections_max": 7}, {"simulated": {"enabled": "off"}}):
            assert not house.gateway.reconfigure(changed(house, **more))
        assert house.gateway.current is old
