"""The cache and requests that share one call: hits in both forms, tenants apart, late joiners, leavers."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from plugins.gateway.core.cache_key import cache_key
from plugins.gateway.core.lru import LruCache
from plugins.gateway.entries import Entry
from plugins.gateway.simulated.faults import Fault
from tests.plugins.gateway.kit import House, events_of, open_house, text_of
from tests.plugins.gateway.test_lifetimes import leave_after, until


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        yield opened


def cache_of(answer: Any) -> str:
    return str(answer.headers["x-quartet-cache"])


async def test_equal_requests_hit_whatever_the_order_of_members_and_white_space(house: House) -> None:
    first = await house.chat("again", store=True, temperature=1, seed=7)
    body = {"seed": 7, "temperature": 1, "messages": [{"content": "again", "role": "user"}], "model": "simulated/echo"}
    text = json.dumps(body, indent=3)
    headers = {"content-type": "application/json"}
    second = await house.http.post("/v1/chat/completions", content=text, headers=headers)
    third = await house.http.post("/v1/chat/completions", content=text, headers=headers)
    assert [cache_of(answer) for answer in (first, second, third)] == ["miss", "hit", "hit"]
    assert first.content == second.content == third.content
    assert house.primary.tally.requests == 1
    assert third.headers["age"] == "0"


@pytest.mark.parametrize("first_streams", [True, False])
@pytest.mark.parametrize("model", ["simulated/echo", "simulated-b/echo"])
async def test_one_entry_serves_both_forms_with_the_usage_kept(house: House, model: str, first_streams: bool) -> None:
    for stream in (first_streams, not first_streams, True):
        answer = await house.chat("both forms", model, store=True, stream=stream)
        if stream:
            assert text_of(events_of(answer.text)) == "both forms"
            assert events_of(answer.text)[-1] == "[DONE]"
        else:
            assert answer.json()["choices"][0]["message"]["content"] == "both forms"
            assert answer.json()["usage"]["completion_tokens"] == 2
    assert cache_of(answer) == "hit"
    options = {"stream_options": {"include_usage": True}}
    answer = await house.chat("both forms", model, store=True, stream=True, **options)
    *chunks, usage, done = events_of(answer.text)
    assert done == "[DONE]"
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == 2
    assert all(chunk["usage"] is None for chunk in chunks)


async def test_a_stream_is_replayed_with_its_original_chunks(house: House) -> None:
    first = await house.chat("a b c d", store=True, stream=True)
    second = await house.chat("a b c d", store=True, stream=True)
    assert cache_of(second) == "hit"
    assert first.text == second.text


async def test_cache_control_of_the_request_is_obeyed(house: House) -> None:
    async def ask(control: str) -> Any:
        body = {"model": "simulated/echo", "messages": [{"role": "user", "content": "x"}]}
        return await house.http.post("/v1/chat/completions", json=body, headers={"cache-control": control})

    assert (await ask("only-if-cached")).json()["error"]["code"] == "not_cached"
    assert cache_of(await ask("no-store")) == "bypass"
    assert cache_of(await ask("max-age=60")) == "miss"
    assert cache_of(await ask("max-age=60, only-if-cached")) == "hit"
    assert cache_of(await ask("no-cache")) == "miss"
    assert house.primary.tally.requests == 3


async def test_errors_cut_streams_and_hot_requests_are_not_kept(tmp_path: Path) -> None:
    async with open_house(tmp_path, retries={"rounds": 1}, cache={"temperature_max": 0.5}) as house:
        house.primary.break_with(Fault(kind="error"))
        assert (await house.chat("x", store=True)).status_code == 500
        house.primary.break_with(Fault(kind="cut", after_tokens=1))
        with pytest.raises(Exception, match="incomplete"):
            await house.chat("one two", store=True, stream=True)
        house.primary.heal()
        assert len(house.gateway.store.memory) == 0
        assert cache_of(await house.chat("x", store=True, temperature=0.6)) == "bypass"
        assert cache_of(await house.chat("x", store=True, temperature=0.5)) == "miss"


async def test_tenants_never_see_each_others_answers(tmp_path: Path) -> None:
    for name in ("alice", "bob"):
        (tmp_path / name).write_text(f"key-of-{name}")
    keys = {name: {"key": {"file": str(tmp_path / name)}} for name in ("alice", "bob")}
    async with open_house(tmp_path, virtual_keys=keys) as house:
        body = {"model": "simulated/echo", "messages": [{"role": "user", "content": "mine"}]}
        seen = []
        for name in ("alice", "bob", "alice"):
            headers = {"authorization": f"Bearer key-of-{name}"}
            seen.append(cache_of(await house.http.post("/v1/chat/completions", json=body, headers=headers)))
        assert seen == ["miss", "miss", "hit"]


async def test_a_hundred_identical_streams_make_one_call_and_the_leader_may_leave(house: House) -> None:
    primary = house.primary
    primary.token_interval_s = 0.02
    body = {"model": "simulated/echo", "stream": True, "messages": [{"role": "user", "content": "t " * 20}]}
    answers: list[Any] = []

    async def follow() -> None:
        answers.append(await house.http.post("/v1/chat/completions", json=body, timeout=20))

    async def in_the_middle() -> None:
        await until(
            lambda: any(flight._written_bytes > 500 for flight in house.gateway.current.api.delivery.flights.values())
        )
        for _ in range(99):
            followers.start_soon(follow)
        await until(lambda: house.gateway.telemetry.in_flight >= 50)

    async with trio.open_nursery() as followers:
        await leave_after(house, "/v1/chat/completions", body, in_the_middle)
    assert len(answers) == 99
    assert len({answer.text for answer in answers}) == 1
    assert text_of(events_of(answers[0].text)).split() == ["t"] * 20
    assert primary.tally.requests == 1
    assert primary.tally.left == 0
    await house.settled()


async def test_the_last_reader_to_leave_ends_the_call(house: House) -> None:
    primary = house.primary
    primary.break_with(Fault(kind="stall", after_tokens=2))
    body = {"model": "simulated/echo", "stream": True, "messages": [{"role": "user", "content": "a b c d"}]}
    leave = trio.Event()

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(leave_after, house, "/v1/chat/completions", body, leave.wait)
        await until(lambda: house.gateway.telemetry.in_flight == 3)
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert (primary.tally.requests, primary.tally.left) == (1, 0)
        leave.set()
    await house.settled()
    assert (primary.tally.requests, primary.tally.left) == (1, 1)


async def test_hosts_share_answers_over_redis(tmp_path: Path, redis_url: str) -> None:
    async def ask(house: House, stream: bool) -> Any:
        return await house.chat("shared by redis", store=True, stream=stream)

    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    async with open_house(folders[0], redis_url=redis_url, use_redis=True) as one:
        assert cache_of(await ask(one, True)) == "miss"
        await until(lambda: one.gateway.store._writes.statistics().current_buffer_used == 0)
        async with open_house(folders[1], redis_url=redis_url, use_redis=True) as two:
            with trio.fail_after(30):
                while cache_of(answer := await ask(two, True)) != "hit":
                    two.gateway.store.memory.clear()
            assert text_of(events_of(answer.text)) == "shared by redis"
            assert (await ask(two, False)).json()["choices"][0]["message"]["content"] == "shared by redis"


async def test_without_redis_the_cache_in_memory_goes_on(tmp_path: Path) -> None:
    async with open_house(tmp_path, redis_url="unix:///nonexistent.sock?db=0", use_redis=True) as house:
        assert cache_of(await house.chat("alone", store=True)) == "miss"
        assert cache_of(await house.chat("alone", store=True)) == "hit"
        await until(lambda: house.gateway.store.redis_failures > 0)


def test_keys_differ_in_all_that_changes_the_answer_and_in_nothing_else() -> None:
    base: dict[str, Any] = {"model": "alias", "messages": [{"role": "user", "content": "x"}], "temperature": 0}

    def key(tenant: str = "t", surface: str = "chat", route: str = "r", **more: Any) -> bytes:
        return cache_key(tenant=tenant, surface=surface, route=route, body=base | more)

    same = key()
    assert key(stream=True, stream_options={"include_usage": True}, user="somebody") == same
    assert key(model="another name of the same route") == same
    others = [key(tenant="u"), key(surface="completions"), key(route="s"), key(temperature=1), key(n=2)]
    others.append(cache_key(tenant="t", surface="chat", route="r", body=base, headers={"openai-beta": "x"}))
    assert len({same, *others}) == len(others) + 1


def test_lru_is_bounded_in_bytes_and_forgets_the_least_recently_used() -> None:
    cache: LruCache[str] = LruCache(80)
    for name in (b"a", b"b", b"c"):
        assert cache.put(name, name.decode(), 10, 0, 1000)
    assert cache.get(b"a", 1) == ("a", 1)
    for number in range(6):
        cache.put(bytes([number]), "x", 10, 0, 1000)
    assert cache.get(b"b", 1) is None
    assert cache.get(b"a", 1) == ("a", 1)
    assert cache.bytes_used <= 80
    assert not cache.put(b"huge", "x", 11, 0, 1000)
    assert cache.get(b"a", 1000) is None
    assert (cache.evicted_count, cache.expired_count) == (1, 1)
    cache.grow(b"c", 100)
    assert cache.bytes_used <= 80


def test_an_entry_survives_being_packed() -> None:
    from plugins.gateway.core.usage import Usage

    entry = Entry("chat", "p", "m", Usage(1, 2, 1), 7, [b"data: 1\n\n", b"data: 2\n\n"], None, b"u", b"t")
    again = Entry.unpack(entry.pack())
    assert (again.frames, again.usage_frame, again.trailer, again.usage) == (entry.frames, b"u", b"t", entry.usage)
    for broken in (b"", b"{}\n", b"[1]\nx", b"\xff"):
        with pytest.raises(ValueError, match=r".+"):
            Entry.unpack(broken)
