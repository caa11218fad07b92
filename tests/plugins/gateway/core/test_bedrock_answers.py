"""Answers of Bedrock: whole, as streams, and as errors, as Amazon's model of the service describes them."""

import json
from typing import Any

import pytest
from pydantic_core import from_json, to_json

from plugins.gateway.core.dialects.bedrock import request_of_chat
from plugins.gateway.core.dialects.bedrock_errors import error_of_answer, raise_if_exception
from plugins.gateway.core.errors import failure_of_status
from plugins.gateway.core.eventstream import EXCEPTION
from plugins.gateway.core.reading import Malformed, Seed, UpstreamSaid, read_event, read_whole
from tests.plugins.gateway.core.test_bedrock_requests import CLAUDE, HI, LLAMA, LOOK, THOUGHT, USE, accepted, codec
from tests.plugins.gateway.core.test_streams import accumulate

SEED = Seed("chatcmpl-seed", 1, LLAMA)


def answer(*blocks: Any, stop: str = "end_turn", **usage: int) -> bytes:
    usage = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5} | usage
    message = {"role": "assistant", "content": list(blocks)}
    document = {"output": {"message": message}, "stopReason": stop, "usage": usage, "metrics": {"latencyMs": 1}}
    return to_json(document)


def whole(content: bytes) -> dict[str, Any]:
    made: dict[str, Any] = from_json(read_whole(codec(), content, SEED).body)
    return made


def test_an_answer_is_a_completion() -> None:
    made = whole(answer({"text": "Hel"}, {"citationsContent": {"content": [{"text": "lo"}]}}))
    assert made == {
        "id": "chatcmpl-seed",
        "object": "chat.completion",
        "created": 1,
        "model": LLAMA,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }


def test_what_the_prompts_cache_gave_and_took_is_input() -> None:
    usage = whole(answer({"text": "a"}, cacheReadInputTokens=100, cacheWriteInputTokens=10, totalTokens=115))["usage"]
    assert usage == {
        "prompt_tokens": 113,
        "completion_tokens": 2,
        "total_tokens": 115,
        "prompt_tokens_details": {"cached_tokens": 100},
    }


def test_calls_carry_what_was_thought_before_them() -> None:
    blocks = [
        {"reasoningContent": THOUGHT},
        {"reasoningContent": {"redactedContent": "AA=="}},
        {"reasoningContent": {"reasoningText": {"text": "unsigned"}}},
        USE,
        {"toolUse": USE["toolUse"] | {"type": "server_tool_use"}},
    ]
    [choice] = whole(answer(*blocks, stop="tool_use"))["choices"]
    message = choice["message"]
    assert choice["finish_reason"] == "tool_calls"
    assert (message["content"], message["reasoning_content"]) == (None, "hmunsigned")
    [call] = message["tool_calls"]
    assert call["extra_content"] == {"amazon": {"reasoning": [THOUGHT, {"redactedContent": "AA=="}]}}
    # The client returns it as it came, and so it goes back.
    request = request_of_chat({"tools": [LOOK], "messages": [*HI, message]}, CLAUDE)
    assert request["messages"][1]["content"] == [blocks[0], blocks[1], USE]
    accepted(request, CLAUDE)


@pytest.mark.parametrize(
    ("stop", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("a_reason_of_tomorrow", "stop"),
    ],
)
def test_reasons_to_stop(stop: str, finish: str) -> None:
    made = read_whole(codec(), answer({"text": "a"}, stop=stop), SEED)
    assert from_json(made.body)["choices"][0]["finish_reason"] == finish
    assert made.is_final == (finish != "content_filter")


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b"[]",
        b"<html>",
        b'{"output":{"message":{"content":"text"}},"stopReason":"end_turn"}',
        b'{"output":{"message":{"content":[]}}}',
        answer({"text": "a"}, stop="malformed_tool_use"),
        answer({"text": "a"}, stop="malformed_model_output"),
    ],
)
def test_what_is_no_answer_is_none(content: bytes) -> None:
    with pytest.raises(Malformed):
        read_whole(codec(), content, SEED)


def read(*events: tuple[str, Any], surface: str = "chat") -> tuple[list[bytes], Any]:
    reader = codec(surface).reader(SEED)
    frames = [frame for name, document in events for frame in read_event(reader, name, to_json(document))]
    return frames + reader.end(), reader


def delta(block: int, **content: Any) -> tuple[str, Any]:
    return "contentBlockDelta", {"contentBlockIndex": block, "delta": content, "p": "abcdef"}


def start(block: int, name: str, **more: Any) -> tuple[str, Any]:
    use = {"toolUseId": f"tooluse_{block}", "name": name, **more}
    return "contentBlockStart", {"contentBlockIndex": block, "start": {"toolUse": use}}


def stop(block: int) -> tuple[str, Any]:
    return "contentBlockStop", {"contentBlockIndex": block}


BEGIN = ("messageStart", {"role": "assistant"})
USAGE = ("metadata", {"usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}, "metrics": {"latencyMs": 1}})


def end(reason: str) -> tuple[str, Any]:
    return "messageStop", {"stopReason": reason}


def test_a_stream_of_thoughts_text_and_calls_is_what_openais_client_takes_it_for() -> None:
    frames, reader = read(
        BEGIN,
        delta(0, reasoningContent={"text": "h"}),
        delta(0, reasoningContent={"text": "m"}),
        delta(0, reasoningContent={"signature": "sig"}),
        stop(0),
        delta(1, reasoningContent={"redactedContent": "AA=="}),
        delta(1, reasoningContent={"redactedContent": "AQ=="}),
        stop(1),
        delta(2, text="I "),
        delta(2, text="look"),
        stop(2),
        start(3, "look"),
        delta(3, toolUse={"input": '{"at"'}),
        delta(3, toolUse={"input": ':"sky"}'}),
        stop(3),
        start(4, "search", type="server_tool_use"),
        delta(4, toolUse={"input": "{}"}),
        stop(4),
        start(5, "now"),
        delta(5, toolUse={"input": ""}),
        stop(5),
        start(6, "then"),
        stop(6),
        ("anEventOfTomorrow", {}),
        end("tool_use"),
        USAGE,
    )
    [choice] = accumulate(frames).choices
    message = choice.message
    assert (message.content, message.reasoning_content, choice.finish_reason) == ("I look", "hm", "tool_calls")
    look, now, then = message.tool_calls
    assert (look.id, look.function.name, json.loads(look.function.arguments)) == ("tooluse_3", "look", {"at": "sky"})
    assert (now.id, now.function.arguments, then.function.arguments) == ("tooluse_5", "{}", "{}")
    assert look.extra_content == {"amazon": {"reasoning": [THOUGHT, {"redactedContent": "AAE="}]}}
    assert (reader.usage.input_tokens, reader.usage.output_tokens) == (3, 2)
    assert reader.is_done
    assert reader.is_final


def test_a_stream_without_its_usage_is_whole_and_one_without_its_stop_is_not() -> None:
    frames, reader = read(BEGIN, delta(0, text="a"), end("stop_sequence"))
    assert reader.is_done
    assert accumulate(frames).choices[0].finish_reason == "stop"
    for events in ([BEGIN], [BEGIN, delta(0, text="a"), stop(0)], [BEGIN, delta(0, text="a"), USAGE], []):
        with pytest.raises(Malformed):
            read(*events)
    with pytest.raises(Malformed):
        read(BEGIN, delta(0, text="a"), end("malformed_model_output"))


@pytest.mark.parametrize("before", [[], [BEGIN], [BEGIN, delta(0, text="a")], [BEGIN, delta(0, text="a"), stop(0)]])
def test_an_exception_in_a_stream_ends_it(before: list[Any]) -> None:
    with pytest.raises(UpstreamSaid) as raised:
        read(*before, (f"{EXCEPTION}modelStreamErrorException", {"message": "broke"}))
    assert (raised.value.status, raised.value.message) == (502, "broke")


ERRORS: list[tuple[int, str, str, tuple[int, str | None, str, bool, str]]] = [
    # Status, name and message; what clients are told, the verdict, whether it counts, and its cause.
    (429, "ThrottlingException", "Too many requests", (429, "rate_limit_exceeded", "retry", False, "rate_limit")),
    (400, "ServiceQuotaExceededException", "x", (429, "insufficient_quota", "fallback", False, "quota")),
    (408, "ModelTimeoutException", "x", (502, "upstream_error", "retry", True, "server_error")),
    (424, "ModelErrorException", "x", (502, "model_error", "retry", True, "server_error")),
    (424, "ModelStreamErrorException", "x", (502, "model_error", "retry", True, "server_error")),
    (429, "ModelNotReadyException", "x", (503, "server_is_overloaded", "retry", True, "overloaded")),
    (503, "ServiceUnavailableException", "x", (503, "server_is_overloaded", "retry", True, "overloaded")),
    (500, "InternalServerException", "x", (500, "upstream_error", "retry", True, "server_error")),
    (400, "ValidationException", "bad member", (400, None, "final", False, "client_error")),
    (
        400,
        "ValidationException",
        "Input is too long for requested model.",
        (400, "context_length_exceeded", "fallback", False, "context_length"),
    ),
    (
        400,
        "ValidationException",
        "The provided model identifier is invalid.",
        (404, "model_not_found", "fallback", False, "not_found"),
    ),
    (404, "ResourceNotFoundException", "x", (404, "model_not_found", "fallback", False, "not_found")),
    (403, "AccessDeniedException", "secret", (502, "upstream_authentication", "fallback", True, "auth")),
    (400, "IncompleteSignatureException", "secret", (502, "upstream_authentication", "fallback", True, "auth")),
    (403, "ExpiredTokenException", "secret", (502, "upstream_authentication", "fallback", True, "auth")),
    (418, "SomethingNewException", "x", (418, None, "final", False, "client_error")),
    (502, "", "x", (502, "upstream_error", "retry", True, "server_error")),
]


def consequence(said: UpstreamSaid) -> tuple[int, str | None, str, bool, str]:
    told = {"code": said.code, "message": said.message, "kind": said.type, "param": None, "retry_after_s": None}
    failure = failure_of_status("bedrock", said.status, **told)  # type: ignore[arg-type]
    assert "secret" not in failure.error.message
    return failure.error.status, failure.error.code, failure.verdict, failure.counts, failure.cause


@pytest.mark.parametrize(("status", "name", "message", "expected"), ERRORS)
def test_errors_mean_the_same_as_answers_and_in_the_middle_of_a_stream(
    status: int, name: str, message: str, expected: tuple[int, str | None, str, bool, str]
) -> None:
    body = to_json({"message": message})
    assert consequence(error_of_answer(status, name.encode(), body)) == expected
    assert consequence(error_of_answer(status, name.encode() + b":http://internal.amazon.com/x/", body)) == expected
    typed = to_json({"__type": f"com.amazon.coral.service#{name}", "Message": message})
    assert consequence(error_of_answer(status, b"", typed)) == expected
    if name and name != "SomethingNewException":
        with pytest.raises(UpstreamSaid) as raised:
            raise_if_exception(f"{EXCEPTION}{name[0].lower()}{name[1:]}", body)
        assert consequence(raised.value) == expected


def test_an_error_without_words_says_at_least_its_name() -> None:
    assert "424" in error_of_answer(424, b"", b"<html>").message
    assert "ThrottlingException" in error_of_answer(429, b"ThrottlingException", b"").message
