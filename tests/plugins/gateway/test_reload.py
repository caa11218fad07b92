"""A new configuration while requests are under way: they end as they began, new ones go by the new."""

import signal
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import trio

from host.testing import host_process
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


async def test_a_real_host_reloads_and_every_stream_ends_whole(tmp_path: Path) -> None:
    """SIGHUP, with the configuration file changed, while streams are in their middle and new requests keep coming."""
    words = " ".join(f"word{number}" for number in range(60))
    section = {"gateway": {"providers_from_environment": False}}

    def models(provider: str) -> str:
        return f'\n[plugins.gateway.models]\nfast = ["{provider}/echo"]\n'

    simulated = 'plugins.gateway.simulated={ enabled = "on", first_token = "10ms", token_interval = "20ms" }'
    with host_process(section, data_dir=tmp_path, sets=(simulated,)) as host:
        text = host.config.read_text()
        host.config.write_text(text + models("simulated"))
        host.signal(signal.SIGHUP)
        ended: list[httpx.Response] = []
        statuses: Counter[int] = Counter()

        async def stream(client: httpx.AsyncClient, number: int) -> None:
            body = {"model": "fast", "stream": True, "messages": [{"role": "user", "content": f"{words} {number}"}]}
            ended.append(await client.post("/v1/chat/completions", json=body))

        async with httpx.AsyncClient(base_url=host.url, timeout=100) as client:

            async def provider() -> str:
                body = {"model": "fast", "messages": [{"role": "user", "content": "who are you?"}]}
                answer = await client.post("/v1/chat/completions", json=body, headers={"cache-control": "no-store"})
                statuses[answer.status_code] += answer.status_code not in (200, 404)
                return answer.headers.get("x-quartet-provider", "")

            with trio.fail_after(60):
                while await provider() != "simulated":  # noqa: ASYNC110
                    await trio.sleep(0.02)
                async with trio.open_nursery() as nursery:
                    for number in range(30):
                        nursery.start_soon(stream, client, number)
                    await trio.sleep(0.2)
                    host.config.write_text(text + models("simulated-b"))
                    host.signal(signal.SIGHUP)
                    while await provider() != "simulated-b":  # noqa: ASYNC110
                        await trio.sleep(0.02)
        assert statuses.total() == 0, statuses
        assert len(ended) == 30
        for answer in ended:
            assert answer.text.endswith("data: [DONE]\n\n")
            assert text_of(events_of(answer.text)).startswith(words)
