"""A fault of the program, or of a provider, at one request: it alone ends, and everybody else is served on."""

import contextlib
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest

from plugins.gateway.flights import Flight
from plugins.gateway.pipeline import Pipeline
from tests.plugins.gateway.kit import House, events_of, open_house, text_of


def state_of(house: House) -> tuple[str, int]:
    unit = house.application.supervisor.units["gateway"]
    return str(unit.state), unit.restarts


async def test_a_crash_ends_its_own_request_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def crash(*arguments: Any) -> None:
        raise RuntimeError("a defect")

    async with open_house(tmp_path) as house:
        for number, (is_shared, is_stream) in enumerate(product((True, False), repeat=2)):
            asked = f"question {number}"
            with monkeypatch.context() as patched:
                patched.setattr(Pipeline, "execute", crash)
                assert (await house.chat(asked, store=is_shared, stream=is_stream)).status_code == 500
            whole = await house.chat(asked, store=is_shared, stream=is_stream)
            assert whole.status_code == 200
            text = text_of(events_of(whole.text)) if is_stream else whole.json()["choices"][0]["message"]["content"]
            assert text == asked
            await house.settled()
        assert state_of(house) == ("ready", 0)


async def test_a_stream_that_crashes_in_its_middle_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def crash(*arguments: Any) -> None:
        raise RuntimeError("a defect")

    async with open_house(tmp_path) as house:
        monkeypatch.setattr(Flight, "end", crash)
        body = {"model": "simulated/echo", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
        told = b""
        with contextlib.suppress(httpx.RemoteProtocolError):
            async with house.http.stream("POST", "/v1/chat/completions", json=body) as answer:
                async for part in answer.aiter_bytes():
                    told += part
            pytest.fail("the answer was ended as if it were whole")
        assert b'"error"' in told
        assert b"[DONE]" not in told
        assert state_of(house) == ("ready", 0)


NO_MESSAGES = (-1, 0.5, "x", {"a": 1}, [-1], [[]], [{"role": 1, "content": -1}], [{"content": {}}])


async def test_no_request_ends_a_simulated_provider(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        for provider, messages in product(("simulated", "simulated-b", "simulated-c"), NO_MESSAGES):
            body = {"model": f"{provider}/echo", "messages": messages}
            answer = await house.http.post("/v1/chat/completions", json=body)
            assert answer.status_code in (200, 400), f"{messages}: {answer.text}"
            assert (await house.chat("hello", f"{provider}/echo")).status_code == 200
        assert state_of(house) == ("ready", 0)


def nested(depth: int) -> dict[str, Any]:
    """A schema of a few hundred bytes that asks for 64 items in each of 64, and so on."""
    items: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        items = {"type": "array", "minItems": 64, "items": items}
    return items


SCHEMA = {"type": "json_schema", "json_schema": {"name": "deep", "schema": nested(7)}}
TOO_MUCH = (
    ("chat/completions", {"messages": [{"role": "user", "content": "hello"}], "n": 2**62}),
    ("chat/completions", {"messages": [{"role": "user", "content": "hello"}], "n": 2**62, "stream": True}),
    ("chat/completions", {"messages": [{"role": "user", "content": "hello"}], "n": -1}),
    ("chat/completions", {"messages": [{"role": "user", "content": "hello"}], "response_format": SCHEMA}),
    ("embeddings", {"input": "hello", "dimensions": 2**62}),
)


async def test_no_request_keeps_a_simulated_provider_for_ever(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        for path, body in TOO_MUCH:
            answer = await house.http.post(f"/v1/{path}", json={"model": "simulated/echo", **body})
            assert answer.status_code == 400, f"{path} {body}: {answer.status_code} {answer.text[:200]}"
        assert state_of(house) == ("ready", 0)
