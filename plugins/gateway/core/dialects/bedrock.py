"""Amazon Bedrock's dialect: Chat Completions turned into Converse, whatever the model behind it.

Shapes: the service's own model, API version 2023-09-30; what they hold as bytes is base64 in JSON, as in data URLs.
Converse's own members (guardrails, cache points, fields of single models) pass as they are when a client gives them.
"""

import re
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote

from pydantic_core import to_json

from plugins.gateway.core.dialects.bedrock_answers import ConverseReader, reasoning_of, whole_of_converse
from plugins.gateway.core.dialects.bedrock_media import MediaBlocks
from plugins.gateway.core.dialects.translating import (
    add_turn,
    arguments_of,
    function_of,
    refuse_parameters,
    unsupported,
)
from plugins.gateway.core.errors import ApiError
from plugins.gateway.core.reading import Outgoing, Reader, Seed, Whole

NAME: Final = "Bedrock"
_MODEL: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._:/-]{0,2047}")
"""Ids of models and inference profiles, and ARNs."""
_NOT_OF_IDS: Final = re.compile(r"[^a-zA-Z0-9_.:-]")
TOOL_ID_LENGTH_MAX: Final = 64
_OWN: Final = ("guardrailConfig", "performanceConfig", "promptVariables", "requestMetadata", "serviceTier")
_SERVICE_TIERS: Final = ("default", "flex", "priority", "reserved")
_EFFORTS: Final = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
_THREE_EFFORTS: Final = {**_EFFORTS, "xhigh": "high", "max": "high"}
_BUDGETS: Final = {"low": 1024, "medium": 4096, "high": 16384}
"""Tokens to think with, for models that are told so many; 1,024 is the least they take."""
_WITH_BUDGET: Final = re.compile(r"claude-(3-7-|(opus|sonnet|haiku)-4-(2025|1-|5-))")
_WITHOUT_THINKING: Final = re.compile(r"claude-(3-[5hos]|instant|v2)")


class ChatOverConverseCodec:
    """Chat Completions to Converse and ConverseStream."""

    streams = True

    def request(self, body: dict[str, Any], raw: bytes, model: str, *, stream: bool) -> Outgoing:
        """See `Codec`."""
        return Outgoing(
            path_of(model, "converse-stream" if stream else "converse"), to_json(request_of_chat(body, model))
        )

    def whole(self, content: bytes, seed: Seed) -> Whole:
        """See `Codec`."""
        return whole_of_converse(content, seed)

    def reader(self, seed: Seed) -> Reader:
        """See `Codec`."""
        return ConverseReader(seed)


def is_claude(model: str) -> bool:
    """Whether the name of a model says that it is one of Anthropic's."""
    return "anthropic.claude" in model


def path_of(model: str, operation: str) -> str:
    """The path of an operation on a model. Raises `ApiError` 404 for what can be no model's id."""
    if _MODEL.fullmatch(model) is None:
        raise ApiError(404, "model_not_found", f"{model[:200]!r} is not the id or ARN of a model", param="model")
    return f"/model/{quote(model, safe='')}/{operation}"


def request_of_chat(body: dict[str, Any], model: str) -> dict[str, Any]:
    """The request of Converse that a request of Chat Completions amounts to.

    Raises:
        ApiError: 400, it asks for something that has no equivalent.
    """
    refuse_parameters(body, NAME)
    system, messages = _split_messages(body.get("messages") or [])
    request: dict[str, Any] = {"messages": messages}
    if system:
        request["system"] = system
    if inference := _inference(body):
        request["inferenceConfig"] = inference
    if tools := _tools(body, messages):
        request["toolConfig"] = tools
    if body.get("service_tier") in _SERVICE_TIERS:
        request["serviceTier"] = {"type": body["service_tier"]}
    request |= {name: body[name] for name in _OWN if body.get(name)}
    output = _text_format(body.get("response_format") or {})
    fields: dict[str, Any] = {}
    if effort := body.get("reasoning_effort"):
        _reason(str(effort), model, inference.get("maxTokens"), fields, output)
    if body.get("thinking"):
        fields["thinking"] = body["thinking"]
    if body.get("anthropic_beta") and is_claude(model):
        fields["anthropic_beta"] = body["anthropic_beta"]
    if body.get("parallel_tool_calls") is False and tools:
        fields["tool_choice"] = _one_call_at_a_time(model, tools.pop("toolChoice", {"auto": {}}))
    if output:
        request["outputConfig"] = output
    if fields := fields | (body.get("additionalModelRequestFields") or {}):
        request["additionalModelRequestFields"] = fields
    return request


def _inference(body: dict[str, Any]) -> dict[str, Any]:
    inference: dict[str, Any] = {}
    if tokens := body.get("max_completion_tokens") or body.get("max_tokens"):
        inference["maxTokens"] = tokens
    for ours, theirs in (("temperature", "temperature"), ("top_p", "topP")):
        if body.get(ours) is not None:
            inference[theirs] = min(1.0, body[ours])
    if stop := body.get("stop"):
        inference["stopSequences"] = [stop] if isinstance(stop, str) else stop
    return inference


def _text_format(response_format: dict[str, Any]) -> dict[str, Any]:
    kind = response_format.get("type", "text")
    if kind == "json_object":
        raise unsupported("response_format", NAME)
    if kind != "json_schema":
        return {}
    given = response_format.get("json_schema") or {}
    # The one schema that travels as text.
    schema = {"schema": to_json(given.get("schema") or {}).decode()}
    schema |= {name: given[name] for name in ("name", "description") if given.get(name)}
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}


def _reason(effort: str, model: str, tokens_max: int | None, fields: dict[str, Any], output: dict[str, Any]) -> None:
    """Say how much to think in the words of the model's family. It is a hint: other families are not told."""
    if effort not in _EFFORTS:
        return
    if is_claude(model) and not _WITHOUT_THINKING.search(model):
        if _WITH_BUDGET.search(model):
            budget = min(_BUDGETS[_THREE_EFFORTS[effort]], (tokens_max or 2**31) - 1)
            if budget >= _BUDGETS["low"]:
                fields["thinking"] = {"type": "enabled", "budget_tokens": budget}
            return
        fields["thinking"] = {"type": "adaptive"}
        output["effort"] = _EFFORTS[effort]
    elif "amazon.nova-2" in model:
        fields["reasoningConfig"] = {"type": "enabled", "maxReasoningEffort": _THREE_EFFORTS[effort]}
    elif "openai.gpt-oss" in model:
        fields["reasoning_effort"] = _THREE_EFFORTS[effort]


def _split_messages(messages: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The system prompt, and the rest as turns: results of tools are the user's, and turns of one role are joined."""
    system: list[dict[str, Any]] = []
    turns: list[dict[str, Any]] = []
    media = MediaBlocks()
    for message in messages:
        role, content = message.get("role"), message.get("content")
        if role in ("system", "developer"):
            system += _blocks(content, media)
            continue
        if role == "tool":
            # A point of the cache stands beside a result, not in it.
            parts = _blocks(content, media)
            inside = [block for block in parts if "cachePoint" not in block]
            result = {"toolUseId": _tool_id(message.get("tool_call_id")), "content": inside}
            role, blocks = "user", [{"toolResult": result}, *(block for block in parts if "cachePoint" in block)]
        elif role == "assistant":
            calls = message.get("tool_calls") or ()
            blocks = [*reasoning_of(calls), *_blocks(content, media), *map(_tool_use, calls)]
        else:
            role, blocks = "user", _blocks(content, media)
        add_turn(turns, role, blocks)
    return system, turns


def _blocks(content: Any, media: MediaBlocks) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"text": content}] if content else []
    blocks: list[dict[str, Any]] = []
    for part in content or ():
        if part.get("type") in ("text", "refusal"):
            # An empty text is an error there.
            text = part.get("text") or part.get("refusal")
            blocks += [{"text": text}] if text else []
        else:
            blocks.append(media.block(part))
        blocks += _cache_point(part)
    return blocks


def _cache_point(holder: dict[str, Any]) -> list[dict[str, Any]]:
    """What `cache_control`, Anthropic's word for it, stands for: the prompt up to here is to be remembered."""
    control = holder.get("cache_control")
    if not isinstance(control, dict):
        return []
    point = {"type": "default"} | ({"ttl": control["ttl"]} if control.get("ttl") else {})
    return [{"cachePoint": point}]


def _tool_id(given: Any) -> str:
    """The id of a call, which may be another provider's, in the letters that are allowed here."""
    return _NOT_OF_IDS.sub("_", str(given))[:TOOL_ID_LENGTH_MAX]


def _tool_use(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function") or {}
    use = {"toolUseId": _tool_id(call.get("id")), "name": function.get("name"), "input": arguments_of(function)}
    return {"toolUse": use}


def _tools(body: dict[str, Any], messages: Iterable[dict[str, Any]]) -> dict[str, Any]:
    choice = body.get("tool_choice")
    if not body.get("tools") or choice == "none":
        if any("toolUse" in block or "toolResult" in block for turn in messages for block in turn["content"]):
            # It takes no calls without the tools that were called, and has no way to forbid further ones.
            raise unsupported("tool_choice" if body.get("tools") else "messages", NAME)
        return {}
    tools: list[dict[str, Any]] = []
    for tool in body["tools"]:
        tools += [_tool_spec(tool), *_cache_point(tool)]
    made: dict[str, Any] = {"tools": tools}
    if isinstance(choice, dict):
        made["toolChoice"] = {"tool": {"name": (choice.get("function") or {}).get("name")}}
    elif choice == "required":
        made["toolChoice"] = {"any": {}}
    return made


def _tool_spec(tool: dict[str, Any]) -> dict[str, Any]:
    function = function_of(tool)
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    made = {"name": function.get("name"), "inputSchema": {"json": schema}}
    if function.get("description"):
        made["description"] = function["description"]
    return {"toolSpec": made}


def _one_call_at_a_time(model: str, choice: dict[str, Any]) -> dict[str, Any]:
    """`parallel_tool_calls` false, which only Claude can be told, together with its tool choice in its own words."""
    if not is_claude(model):
        raise unsupported("parallel_tool_calls", NAME)
    [(kind, named)] = choice.items()
    return {"type": kind, "disable_parallel_tool_use": True, **named}
