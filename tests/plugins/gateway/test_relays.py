"""Images and sound come as they are made, and what is cut off does not look whole."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import trio
import trio.testing

from plugins.gateway.core.dialects.relayed import RelayedBytes, RelayedEvents, stream_of
from plugins.gateway.core.reading import Malformed, UpstreamSaid
from plugins.gateway.simulated.faults import Fault
from tests.plugins.gateway.kit import House, events_of, open_house
from tests.plugins.gateway.test_lifetimes import leave_after, until

SPEAK: tuple[str, Any] = (
    "/v1/audio/speech",
    {"json": {"model": "simulated/mouth", "voice": "alloy", "input": "hello"}},
)
PAINT: tuple[str, Any] = (
    "/v1/images/generations",
    {"json": {"model": "simulated/paint", "prompt": "a pixel", "stream": True}},
)
HEAR: tuple[str, Any] = (
    "/v1/audio/transcriptions",
    {"data": {"model": "simulated/ears", "stream": "true"}, "files": {"file": ("a.wav", b"\0" * 1000)}},
)
RELAYS = {"speech": SPEAK, "image": PAINT, "transcript": HEAR}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, retries={"rounds": 1}) as opened:
        yield opened


@pytest.mark.parametrize("what", RELAYS)
async def test_each_part_is_there_before_the_next_is_made(house: House, what: str) -> None:
    """The upstream makes one part at a time, and the next only when the last has been read here."""
    path, request = RELAYS[what]
    house.primary.token_interval_s = 600.0
    parts: list[bytes] = []
    async with house.http.stream("POST", path, **request) as answer:
        assert answer.status_code == 200
        with trio.fail_after(30):
            async for part in answer.aiter_bytes():
                parts.append(part)
                await trio.testing.wait_all_tasks_blocked()
                house.primary.hasten()
    assert len(parts) >= 2
    await house.settled()
    if what == "speech":
        assert answer.headers["content-type"] == "audio/wav"
        assert b"".join(parts).startswith(b"RIFF")
        assert len(b"".join(parts)) == 44 + 4 * 800
    else:
        assert answer.headers["content-type"] == "text/event-stream"
        kinds = [event["type"] for event in events_of(b"".join(parts).decode())]
        assert kinds[0].endswith((".partial_image", ".delta"))
        assert kinds[-1].endswith((".completed", ".done"))


@pytest.mark.parametrize("what", RELAYS)
async def test_what_is_cut_upstream_does_not_look_whole(house: House, what: str) -> None:
    path, request = RELAYS[what]
    house.primary.break_with(Fault(kind="cut", after_tokens=1))
    parts: list[bytes] = []

    async def read() -> None:
        async with house.http.stream("POST", path, **request) as answer:
            async for part in answer.aiter_bytes():
                parts.append(part)

    with pytest.raises(httpx.RemoteProtocolError):
        await read()
    # Nothing is put into a recording that is not of it.
    assert (b"upstream_disconnected" in b"".join(parts)) is (what != "speech")
    await house.settled()
    assert house.gateway.telemetry.latest[-1].error == "upstream_disconnected"


@pytest.mark.parametrize("what", RELAYS)
async def test_a_failure_before_the_first_part_goes_elsewhere(tmp_path: Path, what: str) -> None:
    path, request = RELAYS[what]
    models = {f"simulated-{what}": {"targets": ["simulated/a", "proof-primary/b"]}}
    async with open_house(tmp_path, models=models) as house:
        house.primary.break_with(Fault(kind="cut", after_tokens=0))
        headers = {"x-quartet-route": f"simulated-{what}"}
        answer = await house.http.post(path, headers=headers, **request)
        assert answer.status_code == 200
        assert answer.headers["x-quartet-provider"] == "proof-primary"
        assert answer.headers["x-quartet-attempts"] == "2"


async def test_a_listener_who_leaves_ends_the_speech(house: House) -> None:
    path, request = SPEAK
    house.primary.token_interval_s = 600.0

    async def begun() -> None:
        await until(lambda: house.primary.tally.open_requests == 1)

    await leave_after(house, path, request["json"], begun)
    await until(lambda: house.primary.tally.left == 1)
    await house.settled()


def test_the_official_client_reads_them(url: str) -> None:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        kinds = [event.type for event in client.images.generate(model="simulated/paint", prompt="x", stream=True)]
        assert kinds == ["image_generation.partial_image", "image_generation.completed"]
        recording = ("a.wav", b"\0" * 1000)
        heard: list[Any] = list(
            client.audio.transcriptions.create(model="simulated/gpt-4o-transcribe", file=recording, stream=True)
        )
        assert "".join(event.delta for event in heard[:-1]).strip() == heard[-1].text
        speech = client.audio.speech.with_streaming_response
        with speech.create(model="simulated/mouth", voice="alloy", input="hello") as spoken:
            assert b"".join(spoken.iter_bytes()).startswith(b"RIFF")


def test_what_is_a_stream_is_seen_from_its_type() -> None:
    assert isinstance(stream_of(b"text/event-stream; charset=utf-8"), RelayedEvents)
    assert isinstance(stream_of(b"audio/mpeg"), RelayedBytes)
    assert isinstance(stream_of(b"application/octet-stream"), RelayedBytes)
    assert stream_of(b"application/json") is None
    assert stream_of(b"text/plain") is None


def test_events_that_end_without_a_completed_one_are_not_whole() -> None:
    reader = RelayedEvents()
    reader.feed("", b'{"type": "image_generation.partial_image"}')
    with pytest.raises(Malformed):
        reader.end()
    with pytest.raises(UpstreamSaid, match="no picture"):
        RelayedEvents().feed("error", b'{"type": "error", "error": {"message": "no picture"}}')
    reader.feed("", b'{"type": "image_generation.completed", "usage": {"input_tokens": 3, "output_tokens": 5}}')
    assert reader.end() == []
    assert reader.is_done
    assert reader.usage is not None
    assert reader.usage.total_tokens == 8
