"""Streams: decoded whatever the cuts, made regular whatever the quirks, and never whole when they are not."""

import json
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from plugins.gateway.core.chat_forms import frames_of_whole, whole_of_frames, with_null_usage
from plugins.gateway.core.dialects.table import codec_of
from plugins.gateway.core.eventstream import EventStreamDecoder, encode_event
from plugins.gateway.core.reading import Malformed, Seed, UpstreamSaid, read_end, read_event, read_whole
from plugins.gateway.core.sse import EventDecoder, EventTooLarge, frame
from plugins.gateway.simulated import converse, wire
from plugins.gateway.simulated.answers import Prompt, reply_to

SEED = Seed("chatcmpl-seed", 1, "seeded")


def decode(chunks: list[bytes]) -> list[tuple[str, bytes]]:
    decoder = EventDecoder(10_000)
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events + decoder.end()


AWKWARD = (
    b"\xef\xbb\xbf: hello\r\n\r\ndata:no space\n\ndata: a\rdata: b\r\rid: 7\nretry: 5\n\n"
    b'event: x\r\ndata: {"t":"\xc3\xa9"}\r\n\r\n: ping\n\ndata: last'
)


def test_decoder_reads_what_the_standard_allows() -> None:
    assert decode([AWKWARD]) == [("", b"no space"), ("", b"a\nb"), ("x", b'{"t":"\xc3\xa9"}'), ("", b"last")]


@given(st.lists(st.integers(0, len(AWKWARD)), max_size=12))
def test_decoder_gives_the_same_events_whatever_the_cuts(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(AWKWARD)]
    assert decode([AWKWARD[a:b] for a, b in pairwise(places)]) == decode([AWKWARD])


def test_decoder_refuses_an_event_beyond_its_bound() -> None:
    with pytest.raises(EventTooLarge):
        EventDecoder(100).feed(b"data: " + b"x" * 200)


def read(dialect: str, surface: str, chunks: list[bytes]) -> tuple[list[bytes], Any]:
    """All frames of an upstream's stream, and its reader."""
    codec = codec_of(dialect, surface)
    assert codec is not None
    reader, frames = codec.reader(SEED), []
    decoder = EventStreamDecoder(100_000) if dialect == "bedrock" else EventDecoder(100_000)
    for chunk in chunks:
        for name, data in decoder.feed(chunk):
            frames += read_event(reader, name, data)
    for name, data in decoder.end():
        frames += read_event(reader, name, data)
    return frames + read_end(reader), reader


def accumulate(frames: list[bytes]) -> Any:
    """What openai-python's own accumulator makes of the frames."""
    state: Any = ChatCompletionStreamState()
    for data in frames:
        state.handle_chunk(ChatCompletionChunk.model_validate_json(data[6:]))
    return state.get_final_completion()


PROMPT = Prompt("echo", "one two three", 3)
TOOL_PROMPT = Prompt("echo", "Oslo", 1, tool=("look", {"type": "object", "properties": {"place": {"type": "string"}}}))


def openai_stream(prompt: Prompt) -> bytes:
    return b"".join(data for data, _ in wire.chat_events(prompt, reply_to(prompt), "c-1", 5, include_usage=True))


def anthropic_stream(prompt: Prompt) -> bytes:
    return b"".join(data for data, _ in wire.message_events(prompt, reply_to(prompt), "c-1"))


def gemini_stream(prompt: Prompt) -> bytes:
    return b"".join(data for data, _ in wire.gemini_events(prompt, reply_to(prompt), "c-1"))


def bedrock_stream(prompt: Prompt) -> bytes:
    return b"".join(data for data, _ in converse.events_of(reply_to(prompt), "c-1"))


STREAMS: list[tuple[str, Callable[[Prompt], bytes]]] = [
    ("openai", openai_stream),
    ("anthropic", anthropic_stream),
    ("gemini", gemini_stream),
    ("bedrock", bedrock_stream),
]


@pytest.mark.parametrize(("dialect", "make"), STREAMS)
@pytest.mark.parametrize("prompt", [PROMPT, TOOL_PROMPT], ids=["text", "tool"])
def test_every_dialect_satisfies_the_accumulator(dialect: str, make: Callable[[Prompt], bytes], prompt: Prompt) -> None:
    frames, reader = read(dialect, "chat", [make(prompt)])
    message = accumulate(frames).choices[0].message
    assert message.role == "assistant"
    if prompt is PROMPT:
        assert message.content == "one two three"
    else:
        assert json.loads(message.tool_calls[0].function.arguments) == {"place": "Oslo"}
    assert reader.usage.input_tokens == prompt.prompt_tokens
    assert reader.is_final


def without_usage(data: bytes) -> bytes:
    return re.sub(rb'"usage":\{[^}]*\}', b"", data)


@pytest.mark.parametrize("surface", ["chat", "messages"])
@pytest.mark.parametrize(("dialect", "make"), STREAMS)
@pytest.mark.parametrize("prompt", [PROMPT, TOOL_PROMPT], ids=["text", "tool"])
def test_a_stream_cut_at_any_byte_is_equal_or_raises(
    dialect: str, make: Callable[[Prompt], bytes], prompt: Prompt, surface: str
) -> None:
    """Byte-equal success, or `Malformed`: never an end that looks like one."""
    stream = make(prompt)
    whole, _ = read(dialect, surface, [stream])
    raised = 0
    for at in range(len(stream)):
        try:
            frames, reader = read(dialect, surface, [stream[:at]])
        except Malformed:
            raised += 1
            continue
        assert reader.is_done
        # The usage may be lost with the very end; nothing that was said is.
        assert [without_usage(data) for data in frames] == [without_usage(data) for data in whole], at
    assert raised > len(stream) * 0.5


@pytest.mark.parametrize(("dialect", "make"), STREAMS)
def test_a_stream_split_at_any_byte_is_the_same(dialect: str, make: Callable[[Prompt], bytes]) -> None:
    stream = make(PROMPT)
    whole, _ = read(dialect, "chat", [stream])
    for at in range(len(stream)):
        assert read(dialect, "chat", [stream[:at], stream[at:]])[0] == whole


def test_a_regular_chunk_goes_out_as_the_bytes_that_came_in() -> None:
    data = (
        b'{"id":"a","object":"chat.completion.chunk","created":1,"model":"m","obfuscation":"xx",'
        b'"choices":[{"index":0,"delta":{"role":"assistant","content":"hi","odd":1},"finish_reason":null}]}'
    )
    codec = codec_of("openai", "chat")
    assert codec is not None
    assert codec.reader(SEED).feed("", data) == [frame(data)]


def chunk(delta: dict[str, Any], finish: Any = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


def call(index: Any, call_id: Any, name: Any, arguments: Any) -> dict[str, Any]:
    return {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}


QUIRKS: dict[str, tuple[list[Any], str | None, list[tuple[str, str]]]] = {
    "role repeated": (
        [chunk({"role": "assistant", "content": "a"}), chunk({"role": "assistant", "content": "b"}, "stop")],
        "ab",
        [],
    ),
    "no role, no head": ([chunk({"content": "a"}), chunk({"content": "b"}, "stop")], "ab", []),
    "index starts at 1": (
        [chunk({"tool_calls": [call(1, "c", "f", "{}")]}), chunk({}, "tool_calls")],
        None,
        [("f", "{}")],
    ),
    "two whole calls, both the first": (
        [chunk({"tool_calls": [call(0, "c1", "f", "{}")]}), chunk({"tool_calls": [call(0, "c2", "g", "[]")]}, "stop")],
        None,
        [("f", "{}"), ("g", "[]")],
    ),
    "id and name in every fragment": (
        [chunk({"tool_calls": [call(0, "c", "f", '{"a"')]}), chunk({"tool_calls": [call(0, "c", "f", ":1}")]}, "stop")],
        None,
        [("f", '{"a":1}')],
    ),
    "no index, no id, arguments an object": (
        [chunk({"tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}), chunk({}, "tool_calls")],
        None,
        [("f", '{"a":1}')],
    ),
    "usage on every chunk": (
        [
            chunk({"content": "a"}, usage={"prompt_tokens": 1, "completion_tokens": 1}),
            chunk({}, "stop", usage={"prompt_tokens": 1, "completion_tokens": 2}),
        ],
        "a",
        [],
    ),
    "no finish_reason but [DONE]": ([chunk({"content": "a"})], "a", []),
    "finished twice": ([chunk({"content": "a"}, "stop"), chunk({"content": "b"}, "stop")], "a", []),
    "a reason of its own": ([chunk({"content": "a"}, "eos_token")], "a", []),
    "filter results first": ([{"choices": [], "prompt_filter_results": []}, chunk({"content": "a"}, "stop")], "a", []),
}


@pytest.mark.parametrize("name", QUIRKS)
def test_quirks_of_upstreams_are_made_regular(name: str) -> None:
    chunks, text, calls = QUIRKS[name]
    stream = b"".join(frame(json.dumps(each).encode()) for each in chunks) + b"data: [DONE]\n\n"
    frames, reader = read("openai", "chat", [stream])
    completion = accumulate(frames)
    message = completion.choices[0].message
    assert message.content == text or (text is None and not message.content)
    assert [(each.function.name, each.function.arguments) for each in message.tool_calls or ()] == calls
    assert completion.choices[0].finish_reason == ("tool_calls" if calls else "stop")
    documents = [json.loads(data[6:]) for data in frames]
    assert sum("role" in each["choices"][0]["delta"] for each in documents) == 1
    assert sum(each["choices"][0]["finish_reason"] is not None for each in documents) == 1
    assert len({(each["id"], each["created"], each["model"]) for each in documents}) == 1
    assert all(not each.get("usage") for each in documents)
    assert reader.is_done


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "delta",
                    "index",
                    "content",
                    "tool_calls",
                    "function",
                    "arguments",
                    "id",
                    "type",
                    "message",
                    "usage",
                    "error",
                    "content_block",
                    "candidates",
                    "parts",
                    "finish_reason",
                    "stop_reason",
                    "response",
                    "contentBlockIndex",
                    "stopReason",
                    "start",
                    "toolUse",
                    "reasoningContent",
                    "text",
                    "output",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
KINDS = st.sampled_from(
    [
        *("message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop"),
        *("messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"),
    ]
)
DIALECTS = st.sampled_from(["openai", "anthropic", "gemini", "bedrock"])


@settings(max_examples=300, deadline=None)
@given(
    DIALECTS,
    st.sampled_from(["chat", "messages"]),
    st.lists(st.tuples(KINDS, JSON), max_size=4),
)
def test_fuzzed_upstreams_end_as_answers_or_as_their_own_fault(
    dialect: str, surface: str, events: list[tuple[str, Any]]
) -> None:
    bodies = [{"type": kind, **body} if isinstance(body, dict) else body for kind, body in events]
    if dialect == "bedrock":
        stream = b"".join(encode_event(kind, body) for (kind, _), body in zip(events, bodies, strict=True))
    else:
        stream = b"".join(frame(json.dumps(body).encode()) for body in bodies)
    try:
        frames, _ = read(dialect, surface, [stream])
    except (Malformed, UpstreamSaid):
        return
    assert all(data.endswith(b"\n\n") for data in frames)


@settings(max_examples=200, deadline=None)
@given(DIALECTS, st.sampled_from(["chat", "messages"]), JSON)
def test_fuzzed_whole_answers_likewise(dialect: str, surface: str, body: Any) -> None:
    codec = codec_of(dialect, surface)
    assert codec is not None
    try:
        json.loads(read_whole(codec, json.dumps(body).encode(), SEED).body)
    except (Malformed, UpstreamSaid):
        return


def test_forms_of_an_answer_can_be_turned_into_each_other() -> None:
    for prompt in (PROMPT, TOOL_PROMPT):
        whole = wire.chat_whole(prompt, reply_to(prompt), "c-1", 5)
        frames, usage_frame = frames_of_whole(whole)
        again = json.loads(whole_of_frames(frames, None, usage_frame))
        expected = json.loads(whole)
        expected["choices"][0]["message"].pop("annotations", None)
        again["choices"][0]["message"].pop("annotations", None)
        assert (
            again["choices"][0]["message"].items()
            >= {name: value for name, value in expected["choices"][0]["message"].items() if value is not None}.items()
        )
        assert again["usage"] == expected["usage"]
        assert again["object"] == "chat.completion"


def test_null_usage_is_added_once() -> None:
    data = b'data: {"choices":[]}\n\n'
    assert with_null_usage(data) == b'data: {"choices":[],"usage":null}\n\n'
    assert with_null_usage(with_null_usage(data)) == with_null_usage(data)
