"""Bedrock's wire format, as a simulated provider speaks it: Converse, Anthropic's Messages, Titan's embeddings.

Pure. What a stream holds is padded to hide the lengths of tokens, as the real service does.
"""

from base64 import b64encode
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote

from pydantic_core import from_json, to_json

from plugins.gateway.core.eventstream import encode_event
from plugins.gateway.simulated import wire
from plugins.gateway.simulated.answers import (
    DIMENSIONS_MAX,
    Prompt,
    Reply,
    count_in,
    count_tokens,
    embedding_of,
    reply_to,
)

ERRORS: Final = {
    "rate_limit_error": b"ThrottlingException",
    "api_error": b"InternalServerException",
    "overloaded_error": b"ServiceUnavailableException",
    "authentication_error": b"UnrecognizedClientException",
    "invalid_request_error": b"ValidationException",
}
"""What the header x-amzn-errortype calls them."""
_PADDING: Final = "abcdefghijklmnopqrstuvwxyz"

Events = Iterator[tuple[bytes, bool]]


def answer_to(path: str, body: dict[str, Any], answer_id: str) -> tuple[bytes, Events | None]:
    """The whole answer to a request, or else the events of its stream, each with whether it is a token."""
    model, _, operation = path.removeprefix("/model/").partition("/")
    if "anthropic_version" in body:
        asked = wire.prompt_of_anthropic(body | {"model": unquote(model)})
        if operation == "invoke":
            return wire.message_whole(asked, reply_to(asked), answer_id), None
        return b"", _chunks(wire.message_events(asked, reply_to(asked), answer_id))
    if operation == "invoke":
        text = str(body.get("inputText"))
        vector = embedding_of(text, count_in(body, "dimensions", DIMENSIONS_MAX))
        return to_json({"embedding": vector, "inputTextTokenCount": count_tokens(text)}), None
    prompt = _prompt(body, unquote(model))
    reply = reply_to(prompt)
    if operation == "converse-stream":
        return b"", events_of(reply, answer_id)
    return to_json(whole_of(reply, answer_id)), None


def _prompt(body: dict[str, Any], model: str) -> Prompt:
    messages = body.get("messages") or []
    tools = body.get("toolConfig") or {}
    named = ((tools.get("toolChoice") or {}).get("tool") or {}).get("name")
    declared = [tool["toolSpec"] for tool in tools.get("tools") or () if "toolSpec" in tool]
    blocks = messages[-1]["content"] if messages else []
    is_answered = any("toolResult" in block for block in blocks)
    wanted = [spec for spec in declared if named in (None, spec["name"])] if not is_answered else []
    structure = ((body.get("outputConfig") or {}).get("textFormat") or {}).get("structure") or {}
    schema = (structure.get("jsonSchema") or {}).get("schema")
    return Prompt(
        model=model,
        text=_text(blocks),
        prompt_tokens=sum(count_tokens(_text(message["content"])) for message in messages),
        tool=(wanted[0]["name"], wanted[0]["inputSchema"]["json"]) if wanted else None,
        schema=from_json(schema) if schema else None,
        tokens_max=(body.get("inferenceConfig") or {}).get("maxTokens"),
    )


def _text(blocks: list[dict[str, Any]]) -> str:
    results = [inner for block in blocks for inner in (block.get("toolResult") or {}).get("content") or ()]
    return "".join(block.get("text") or "" for block in [*blocks, *results])


def whole_of(reply: Reply, answer_id: str) -> dict[str, Any]:
    """An answer of Converse."""
    block: dict[str, Any] = {"text": reply.text}
    if reply.tool:
        block = {"toolUse": _tool_use(reply, answer_id) | {"input": from_json(reply.text)}}
    return {
        "output": {"message": {"role": "assistant", "content": [block]}},
        "stopReason": _stop_reason(reply),
        "usage": _usage(reply),
        "metrics": {"latencyMs": 1},
    }


def events_of(reply: Reply, answer_id: str) -> Events:
    """The events of ConverseStream, each with whether it is a token."""
    yield _event("messageStart", {"role": "assistant"}), False
    if reply.tool:
        start = {"toolUse": _tool_use(reply, answer_id)}
        yield _event("contentBlockStart", {"start": start, "contentBlockIndex": 0}), False
    for token in reply.tokens:
        delta = {"toolUse": {"input": token}} if reply.tool else {"text": token}
        yield _event("contentBlockDelta", {"delta": delta, "contentBlockIndex": 0}), True
    yield _event("contentBlockStop", {"contentBlockIndex": 0}), False
    yield _event("messageStop", {"stopReason": _stop_reason(reply)}), False
    yield _event("metadata", {"usage": _usage(reply), "metrics": {"latencyMs": 1}}), False


def _chunks(events: Events) -> Events:
    """Events of Messages as those of InvokeModelWithResponseStream, which has no pings."""
    for data, is_token in events:
        payload = data.partition(b"data: ")[2].rstrip()
        if payload != b'{"type":"ping"}':
            yield _event("chunk", {"bytes": b64encode(payload).decode()}), is_token


def _event(kind: str, document: dict[str, Any]) -> bytes:
    return encode_event(kind, document | {"p": _PADDING[: 1 + len(str(document)) % len(_PADDING)]})


def _tool_use(reply: Reply, answer_id: str) -> dict[str, Any]:
    return {"toolUseId": f"tooluse_{answer_id.rpartition('-')[2]}", "name": reply.tool}


def _stop_reason(reply: Reply) -> str:
    return "tool_use" if reply.tool else "max_tokens" if reply.is_cut_short else "end_turn"


def _usage(reply: Reply) -> dict[str, int]:
    total = reply.prompt_tokens + reply.usage_tokens
    return {"inputTokens": reply.prompt_tokens, "outputTokens": reply.usage_tokens, "totalTokens": total}
