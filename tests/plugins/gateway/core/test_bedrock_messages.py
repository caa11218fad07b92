"""Messages at Bedrock: to Claude as they are, in streams within streams; to other models translated."""

import json
from typing import Any

import pytest
from pydantic_core import from_json

from plugins.gateway.core.dialects.table import codec_of
from plugins.gateway.core.eventstream import EventStreamDecoder, encode_event
from plugins.gateway.core.reading import (
    Codec,
    Malformed,
    Reader,
    Seed,
    UpstreamSaid,
    make_request,
    read_event,
    read_whole,
)
from plugins.gateway.core.sse import EventDecoder
from plugins.gateway.simulated import converse, wire
from plugins.gateway.simulated.answers import Prompt, reply_to

CLAUDE = "eu.anthropic.claude-sonnet-4-6"
NOVA = "us.amazon.nova-2-lite-v1:0"
BODY: dict[str, Any] = {
    "model": "x",
    "stream": True,
    "max_tokens": 2048,
    "thinking": {"type": "adaptive"},
    "system": [{"type": "text", "text": "be", "cache_control": {"type": "ephemeral"}}],
    "messages": [{"role": "user", "content": "hi"}],
}
PROMPT = Prompt("echo", "one two three", 3)


def codec(dialect: str = "bedrock") -> Codec:
    found = codec_of(dialect, "messages")
    assert found is not None
    return found


@pytest.mark.parametrize(("stream", "operation"), [(False, "invoke"), (True, "invoke-with-response-stream")])
def test_claude_gets_the_body_but_for_what_the_path_says(stream: bool, operation: str) -> None:
    outgoing = make_request(codec(), BODY, json.dumps(BODY).encode(), CLAUDE, stream=stream)
    assert outgoing.path == f"/model/{CLAUDE}/{operation}"
    kept = {name: value for name, value in BODY.items() if name not in ("model", "stream")}
    assert from_json(outgoing.content) == {"anthropic_version": "bedrock-2023-05-31", **kept}


def test_others_get_a_translation() -> None:
    outgoing = make_request(codec(), BODY, b"", NOVA, stream=False)
    assert outgoing.path.endswith("/converse")
    assert from_json(outgoing.content)["messages"] == [{"role": "user", "content": [{"text": "hi"}]}]


def test_whole_answers_are_those_of_anthropic() -> None:
    content = wire.message_whole(PROMPT, reply_to(PROMPT), "c-1")
    assert read_whole(codec(), content, Seed("s", 1, CLAUDE)) == read_whole(
        codec("anthropic"), content, Seed("s", 1, "m")
    )


def stream_of(prompt: Prompt) -> tuple[bytes, bytes]:
    """The same stream as Bedrock sends it, and as Anthropic does."""
    path = f"/model/{CLAUDE}/invoke-with-response-stream"
    body = {"anthropic_version": "x", "messages": [{"role": "user", "content": prompt.text}]}
    _, events = converse.answer_to(path, body, "c-1")
    assert events is not None
    told = wire.message_events(wire.prompt_of_anthropic(body | {"model": CLAUDE}), reply_to(prompt), "c-1")
    return b"".join(data for data, _ in events), b"".join(data for data, _ in told if b"ping" not in data)


def read(reader: Reader, decoder: EventStreamDecoder | EventDecoder, stream: bytes) -> list[bytes]:
    frames: list[bytes] = []
    for name, data in decoder.feed(stream):
        frames += read_event(reader, name, data)
    for name, data in decoder.end():
        frames += read_event(reader, name, data)
    return frames + reader.end()


def test_a_stream_is_that_of_anthropic_and_cut_at_any_byte_it_is_not_whole() -> None:
    stream, told = stream_of(PROMPT)
    seed = Seed("s", 1, CLAUDE)
    whole = read(codec().reader(seed), EventStreamDecoder(), stream)
    assert whole == read(codec("anthropic").reader(seed), EventDecoder(100_000), told)
    for at in range(len(stream)):
        with pytest.raises(Malformed):
            read(codec().reader(seed), EventStreamDecoder(), stream[:at])


@pytest.mark.parametrize("document", [{"bytes": "no base64!"}, {"bytes": "AA=="}, {"bytes": 7}, {}, []])
def test_a_chunk_that_is_none_is_the_upstreams_fault(document: Any) -> None:
    with pytest.raises(Malformed):
        read(codec().reader(Seed("s", 1, CLAUDE)), EventStreamDecoder(), encode_event("chunk", document))


def test_exceptions_and_events_of_tomorrow() -> None:
    reader = codec().reader(Seed("s", 1, CLAUDE))
    assert read_event(reader, "somethingElse", b"{}") == []
    failed = encode_event("modelTimeoutException", {"message": "slow"}, message_type="exception")
    with pytest.raises(UpstreamSaid) as raised:
        read(reader, EventStreamDecoder(), failed)
    assert raised.value.status == 408
