"""Requests to Bedrock: what they are translated into is what Amazon's own model of the service accepts."""

import functools
import json
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from plugins.gateway.core.dialects.bedrock import request_of_chat
from plugins.gateway.core.dialects.table import codec_of
from plugins.gateway.core.errors import ApiError
from plugins.gateway.core.reading import Codec, make_request

CLAUDE = "eu.anthropic.claude-sonnet-4-6"
OLDER = "anthropic.claude-sonnet-4-5-20250929-v1:0"
OLDEST = "anthropic.claude-3-5-sonnet-20240620-v1:0"
NOVA = "us.amazon.nova-2-lite-v1:0"
LLAMA = "meta.llama3-1-8b-instruct-v1:0"
PIXEL = "iVBORw0KGgo="
HI: Any = [{"role": "user", "content": "hi"}]
LOOK: Any = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}, "strict": True}}
SPEC: Any = {"toolSpec": {"name": "look", "inputSchema": {"json": {"type": "object"}}}}
CALL: Any = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": "sky"}'}}
USE: Any = {"toolUse": {"toolUseId": "call_1", "name": "look", "input": {"at": "sky"}}}
TOLD: Any = {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}


@functools.cache
def service() -> Any:
    return botocore.session.get_session().get_service_model("bedrock-runtime")


def accepted(request: dict[str, Any], model: str) -> None:
    """Whether Amazon's own client would send it: no member that it does not know, none missing, one of each union."""
    for operation in ("Converse", "ConverseStream"):
        shape = service().operation_model(operation).input_shape
        report = ParamValidator().validate({"modelId": model, **request}, shape)
        assert not report.has_errors(), report.generate_report()


def chat(**body: Any) -> dict[str, Any]:
    return {"messages": HI, **body}


def user(*parts: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


def file(name: str, url: str) -> dict[str, Any]:
    return {"type": "file", "file": {"filename": name, "file_data": url}}


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


THOUGHT = {"reasoningText": {"text": "hm", "signature": "sig"}}
REQUESTS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "plain": (LLAMA, chat(model="x", stream=True, user="u", seed=1, store=True), TOLD),
    "system and developer": (
        LLAMA,
        {"messages": [{"role": "system", "content": "be"}, {"role": "developer", "content": "brief"}, *HI]},
        TOLD | {"system": [{"text": "be"}, {"text": "brief"}]},
    ),
    "inference": (
        LLAMA,
        chat(temperature=1.7, top_p=0.5, max_tokens=9, max_completion_tokens=7, stop="end"),
        TOLD | {"inferenceConfig": {"maxTokens": 7, "temperature": 1.0, "topP": 0.5, "stopSequences": ["end"]}},
    ),
    "turns of one role are joined": (
        LLAMA,
        {"messages": [*HI, *HI, {"role": "assistant", "content": ""}, {"role": "assistant", "content": "yes"}]},
        {
            "messages": [
                {"role": "user", "content": [{"text": "hi"}, {"text": "hi"}]},
                {"role": "assistant", "content": [{"text": "yes"}]},
            ]
        },
    ),
    "image": (
        CLAUDE,
        user({"type": "text", "text": "see"}, image(f"data:image/jpg;base64,{PIXEL}"), image("s3://bucket/a.WEBP")),
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"text": "see"},
                        {"image": {"format": "jpeg", "source": {"bytes": PIXEL}}},
                        {"image": {"format": "webp", "source": {"s3Location": {"uri": "s3://bucket/a.WEBP"}}}},
                    ],
                }
            ]
        },
    ),
    "documents": (
        CLAUDE,
        user(
            file("A report_(1).pdf", "data:application/pdf;base64,AA=="),
            file("A report_(1).pdf", "data:application/octet-stream;base64,AA=="),
            file("notes.py", "data:text/x-python;base64,AA=="),
            file("…", "s3://bucket/b.docx"),
        ),
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"document": {"format": "pdf", "name": "A report (1)", "source": {"bytes": "AA=="}}},
                        {"document": {"format": "pdf", "name": "A report (1) 2", "source": {"bytes": "AA=="}}},
                        {"document": {"format": "txt", "name": "notes", "source": {"bytes": "AA=="}}},
                        {
                            "document": {
                                "format": "docx",
                                "name": "document",
                                "source": {"s3Location": {"uri": "s3://bucket/b.docx"}},
                            }
                        },
                    ],
                }
            ]
        },
    ),
    "sound": (
        NOVA,
        user({"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}}),
        {
            "messages": [
                {"role": "user", "content": [{"audio": {"format": "mp3", "source": {"bytes": "AA=="}}}]},
            ]
        },
    ),
    "tools": (LLAMA, chat(tools=[LOOK], tool_choice="auto"), TOLD | {"toolConfig": {"tools": [SPEC]}}),
    "a tool without parameters": (
        LLAMA,
        chat(tools=[{"type": "function", "function": {"name": "f", "description": "does"}}], tool_choice="required"),
        TOLD
        | {
            "toolConfig": {
                "tools": [
                    {
                        "toolSpec": {
                            "name": "f",
                            "description": "does",
                            "inputSchema": {"json": {"type": "object", "properties": {}}},
                        }
                    }
                ],
                "toolChoice": {"any": {}},
            }
        },
    ),
    "a tool that must be": (
        LLAMA,
        chat(tools=[LOOK], tool_choice={"type": "function", "function": {"name": "look"}}),
        TOLD | {"toolConfig": {"tools": [SPEC], "toolChoice": {"tool": {"name": "look"}}}},
    ),
    "no tool": (LLAMA, chat(tools=[LOOK], tool_choice="none"), TOLD),
    "one call at a time": (
        CLAUDE,
        chat(tools=[LOOK], parallel_tool_calls=False, tool_choice="required"),
        TOLD
        | {
            "toolConfig": {"tools": [SPEC]},
            "additionalModelRequestFields": {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
        },
    ),
    "calls and results, with what was thought before": (
        CLAUDE,
        {
            "tools": [LOOK],
            "messages": [
                *HI,
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        CALL | {"extra_content": {"amazon": {"reasoning": [THOUGHT, {"redactedContent": "AA=="}]}}},
                        CALL | {"id": "functions.look:0/é" + "x" * 80},
                    ],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": "blue"},
                {
                    "role": "tool",
                    "tool_call_id": "functions.look:0/é" + "x" * 80,
                    "content": [{"type": "text", "text": "bird"}, image(f"data:image/png;base64,{PIXEL}")],
                },
                {"role": "user", "content": "and?"},
            ],
        },
        {
            "toolConfig": {"tools": [SPEC]},
            "messages": [
                TOLD["messages"][0],
                {
                    "role": "assistant",
                    "content": [
                        {"reasoningContent": THOUGHT},
                        {"reasoningContent": {"redactedContent": "AA=="}},
                        USE,
                        {"toolUse": USE["toolUse"] | {"toolUseId": "functions.look:0__" + "x" * 46}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"toolResult": {"toolUseId": "call_1", "content": [{"text": "blue"}]}},
                        {
                            "toolResult": {
                                "toolUseId": "functions.look:0__" + "x" * 46,
                                "content": [
                                    {"text": "bird"},
                                    {"image": {"format": "png", "source": {"bytes": PIXEL}}},
                                ],
                            }
                        },
                        {"text": "and?"},
                    ],
                },
            ],
        },
    ),
    "points of the cache": (
        CLAUDE,
        {
            "tools": [LOOK | {"cache_control": {"type": "ephemeral"}}],
            "messages": [
                {
                    "role": "system",
                    "content": [{"type": "text", "text": "long", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
                },
                *HI,
                {"role": "assistant", "tool_calls": [CALL]},
                {
                    "role": "tool",
                    "tool_call_id": "call_1",
                    "content": [{"type": "text", "text": "blue", "cache_control": {"type": "ephemeral"}}],
                },
            ],
        },
        {
            "system": [{"text": "long"}, {"cachePoint": {"type": "default", "ttl": "1h"}}],
            "toolConfig": {"tools": [SPEC, {"cachePoint": {"type": "default"}}]},
            "messages": [
                TOLD["messages"][0],
                {"role": "assistant", "content": [USE]},
                {
                    "role": "user",
                    "content": [
                        {"toolResult": {"toolUseId": "call_1", "content": [{"text": "blue"}]}},
                        {"cachePoint": {"type": "default"}},
                    ],
                },
            ],
        },
    ),
    "structured output": (
        CLAUDE,
        chat(response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}),
        TOLD
        | {
            "outputConfig": {
                "textFormat": {
                    "type": "json_schema",
                    "structure": {"jsonSchema": {"schema": '{"type":"object"}', "name": "n"}},
                }
            }
        },
    ),
    "effort": (
        CLAUDE,
        chat(reasoning_effort="minimal"),
        TOLD
        | {
            "outputConfig": {"effort": "low"},
            "additionalModelRequestFields": {"thinking": {"type": "adaptive"}},
        },
    ),
    "effort as a budget": (
        OLDER,
        chat(reasoning_effort="high", max_tokens=9000),
        TOLD
        | {
            "inferenceConfig": {"maxTokens": 9000},
            "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 8999}},
        },
    ),
    "effort without room for it": (
        OLDER,
        chat(reasoning_effort="high", max_tokens=100),
        TOLD | {"inferenceConfig": {"maxTokens": 100}},
    ),
    "effort of who does not think": (OLDEST, chat(reasoning_effort="high"), TOLD),
    "effort of Nova": (
        NOVA,
        chat(reasoning_effort="xhigh"),
        TOLD | {"additionalModelRequestFields": {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}},
    ),
    "effort of gpt-oss": (
        "openai.gpt-oss-120b-1:0",
        chat(reasoning_effort="low"),
        TOLD | {"additionalModelRequestFields": {"reasoning_effort": "low"}},
    ),
    "effort of others, or none": (LLAMA, chat(reasoning_effort="high"), TOLD),
    "its own members": (
        CLAUDE,
        chat(
            thinking={"type": "adaptive"},
            additionalModelRequestFields={"top_k": 5},
            guardrailConfig={"guardrailIdentifier": "g", "guardrailVersion": "1"},
            requestMetadata={"team": "a"},
            performanceConfig={"latency": "optimized"},
            service_tier="flex",
        ),
        TOLD
        | {
            "additionalModelRequestFields": {"thinking": {"type": "adaptive"}, "top_k": 5},
            "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
            "requestMetadata": {"team": "a"},
            "performanceConfig": {"latency": "optimized"},
            "serviceTier": {"type": "flex"},
        },
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_requests_are_translated_into_what_amazons_client_accepts(name: str) -> None:
    model, body, expected = REQUESTS[name]
    request = request_of_chat(json.loads(json.dumps(body)), model)
    assert request == expected
    accepted(request, model)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "n": (chat(n=2), "n"),
    "logprobs": (chat(logprobs=True), "logprobs"),
    "json without a schema": (chat(response_format={"type": "json_object"}), "response_format"),
    "one call at a time of others": (chat(tools=[LOOK], parallel_tool_calls=False), "parallel_tool_calls"),
    "a URL": (user(image("https://example.com/a.png")), "messages"),
    "an image of another kind": (user(image("data:image/tiff;base64,AA==")), "messages"),
    "a file by its id": (user({"type": "file", "file": {"file_id": "f"}}), "messages"),
    "a file of another kind": (user(file("a.zip", "data:application/zip;base64,AA==")), "messages"),
    "a video": (user({"type": "video_url", "video_url": {"url": "x"}}), "messages"),
    "arguments that are none": (
        {"tools": [LOOK], "messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": "]"}}]}]},
        "messages",
    ),
    "a tool of another kind": (chat(tools=[{"type": "web_search"}]), "tools"),
    "no tool after one was called": (
        {"tools": [LOOK], "tool_choice": "none", "messages": [{"role": "assistant", "tool_calls": [CALL]}]},
        "tool_choice",
    ),
    "calls of tools that are gone": ({"messages": [{"role": "assistant", "tool_calls": [CALL]}]}, "messages"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_equivalent_is_refused_by_name(name: str) -> None:
    body, param = REFUSED[name]
    with pytest.raises(ApiError) as raised:
        request_of_chat(body, LLAMA)
    assert (raised.value.status, raised.value.param) == (400, param)


def codec(surface: str = "chat") -> Codec:
    found = codec_of("bedrock", surface)
    assert found is not None
    return found


ARN = "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.anthropic.claude-v1:0"


@pytest.mark.parametrize(
    ("model", "stream", "path"),
    [
        (LLAMA, False, "/model/meta.llama3-1-8b-instruct-v1%3A0/converse"),
        (
            ARN,
            True,
            "/model/arn%3Aaws%3Abedrock%3Aeu-central-1%3A123456789012%3Ainference-profile%2Feu.anthropic.claude-v1%3A0"
            "/converse-stream",
        ),
    ],
)
def test_models_are_named_in_the_path(model: str, stream: bool, path: str) -> None:
    assert make_request(codec(), chat(), b"", model, stream=stream).path == path


@pytest.mark.parametrize("model", ["..", ".", "", "../x", "a b", "a?b", "a\r\nb", "a#", "x" * 2049])
def test_what_is_no_id_goes_nowhere(model: str) -> None:
    with pytest.raises(ApiError) as raised:
        make_request(codec(), chat(), b"", model, stream=False)
    assert raised.value.status == 404
