"""Chunks that are known by their bytes come out as if every one had been parsed."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.gateway.core.chat_stream import ChatReader
from plugins.gateway.core.chunk_shape import LESSONS_MAX, ChunkShape
from plugins.gateway.core.reading import Malformed, Seed, UpstreamSaid, read_event

SEED = Seed("chatcmpl-seed", 1, "seeded")
HEAD = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}


class NoShape(ChunkShape):
    """Knows nothing: every chunk is parsed."""

    def text_of(self, chunk: bytes) -> str | None:
        return None


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    return HEAD | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} | more


def outcome(shape: ChunkShape, events: list[bytes]) -> tuple[Any, ...]:
    """All that a stream comes to."""
    reader = ChatReader(SEED)
    reader._shape = shape
    frames: list[bytes] = []
    try:
        for data in events:
            frames += read_event(reader, "", data)
    except (Malformed, UpstreamSaid) as error:
        return frames, type(error)
    return frames, reader.output_bytes, reader.has_started, reader.is_done, reader.is_final, reader.usage


SAID = [chunk({"content": text}) for text in ("a", "Hé", 'say "no"', "new\nline", "back\\slash", "", "\u2028", "a")]
OTHERS = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "b", "role": "assistant"}),
    chunk({"reasoning_content": "c"}),
    chunk({"content": "d"}, "stop"),
    chunk({}, "stop"),
    chunk({"content": "e"}, id="other"),
    chunk({"content": "f"}, usage={"prompt_tokens": 1, "completion_tokens": 2}),
    chunk({"content": "g"}, choices=[]),
    chunk({"content": "h"}, error={"message": "broken"}),
    chunk({"tool_calls": [{"index": 0, "id": "t", "function": {"name": "f", "arguments": '"content":"a"'}}]}),
    chunk({"content": "a"}, copy={"content": "a"}),
    *(chunk({"content": text}, obfuscation=padding) for text in ("a", "be") for padding in ("", "Xk9", 'q"')),
    chunk({"content": "a"}, "stop", obfuscation="Xk9"),
    chunk({"content": '","obfuscation":"'}, obfuscation="Xk9"),
    {**chunk({}), "choices": [{"index": 1, "delta": {"content": "i"}, "finish_reason": None}]},
]
EVENTS = [
    json.dumps(each, separators=separators, ensure_ascii=ascii).encode()
    for each in (*SAID, *OTHERS)
    for separators in ((",", ":"), (", ", ": "))
    for ascii in (True, False)
]
BROKEN = [b"[DONE]", EVENTS[0][:-9], EVENTS[0].replace(b'"a"', b'"\xff"'), EVENTS[0].replace(b'"a"', b'"\x01"')]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from([*EVENTS, *BROKEN]), max_size=12))
def test_a_stream_comes_to_the_same_whether_its_chunks_are_known_or_parsed(events: list[bytes]) -> None:
    # Half of what is drawn would hardly ever follow on its own kind.
    doubled = [event for event in events for _ in range(2)]
    assert outcome(ChunkShape(), doubled) == outcome(NoShape(), doubled)


def test_chunks_that_differ_in_their_text_alone_are_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = ChatReader(SEED)
    for event in (chunk({"role": "assistant", "content": ""}), chunk({"content": "one"})):
        reader.feed("", json.dumps(event).encode())
    monkeypatch.setattr("plugins.gateway.core.chat_stream.parse_object", None)
    data = json.dumps(chunk({"content": " zwei"})).encode()
    assert reader.feed("", data) == [b"data: " + data + b"\n\n"]
    assert reader.output_bytes == len("one zwei")


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_padding_that_differs_from_chunk_to_chunk_is_no_other_shape(
    monkeypatch: pytest.MonkeyPatch, separators: tuple[str, str]
) -> None:
    def data(text: str, padding: str) -> bytes:
        return json.dumps(chunk({"content": text}, usage=None, obfuscation=padding), separators=separators).encode()

    reader = ChatReader(SEED)
    for each in (chunk({"role": "assistant", "content": ""}), chunk({"content": "one"}, usage=None, obfuscation="a")):
        reader.feed("", json.dumps(each, separators=separators).encode())
    monkeypatch.setattr("plugins.gateway.core.chat_stream.parse_object", None)
    for padding in ("3fA9", "", "x" * 40):
        assert reader.feed("", data(" two", padding)) == [b"data: " + data(" two", padding) + b"\n\n"]
    assert reader.output_bytes == len("one") + 3 * len(" two")


def test_a_shape_that_never_fits_is_left_alone() -> None:
    shape = ChunkShape()
    for number in range(LESSONS_MAX):
        shape.learn(b'{"content":"a","pad":"%d"}' % number, "a")
        assert shape.text_of(b'{"content":"a","pad":"x"}') is None
    shape.learn(b'{"content":"a"}', "a")
    assert shape.text_of(b'{"content":"b"}') is None
