"""The wire formats of the simulated providers: questions read, answers written, whole and as a stream of events.

Pure. Shapes as the real services send them; `system_fingerprint` and the like say that it is a simulation.
"""

import base64
import struct
from collections.abc import Iterator
from typing import Any, Final

from pydantic_core import from_json, to_json

from plugins.gateway.core.sse import DONE, frame
from plugins.gateway.simulated.answers import (
    CHOICES_MAX,
    DIMENSIONS_MAX,
    Prompt,
    Reply,
    count_in,
    count_tokens,
    embedding_of,
)

FINGERPRINT: Final = "fp_simulated"


def prompt_of_openai(body: dict[str, Any], surface: str) -> Prompt:
    """A question to Chat Completions, Completions or Responses."""
    messages = body.get("messages")
    if surface == "completions":
        prompt = body.get("prompt")
        messages = [{"role": "user", "content": prompt if isinstance(prompt, str) else "".join(map(str, prompt or ()))}]
    elif surface == "responses":
        given = body.get("input")
        messages = [{"role": "user", "content": given}] if isinstance(given, str) else list(given or ())
    text = _last_text(messages or [])
    functions = [tool.get("function") or tool for tool in body.get("tools") or () if isinstance(tool, dict)]
    schema = (((body.get("response_format") or {}).get("json_schema")) or {}).get("schema")
    schema = schema or ((body.get("text") or {}).get("format") or {}).get("schema")
    return Prompt(
        model=str(body.get("model")),
        text=text,
        prompt_tokens=sum(count_tokens(_text_of(message.get("content"))) for message in messages or ()),
        tool=_tool(
            [(function.get("name"), function.get("parameters") or {}) for function in functions],
            body.get("tool_choice"),
            has_result=_has_result(messages or []),
        ),
        schema=schema,
        tokens_max=body.get("max_completion_tokens") or body.get("max_tokens") or body.get("max_output_tokens"),
        choices=count_in(body, "n", CHOICES_MAX) or 1,
    )


def prompt_of_anthropic(body: dict[str, Any]) -> Prompt:
    """A question to Messages."""
    messages = body.get("messages") or []
    tools = [(tool.get("name"), tool.get("input_schema") or {}) for tool in body.get("tools") or ()]
    choice = body.get("tool_choice") or {}
    named = {"function": {"name": choice.get("name")}} if choice.get("type") == "tool" else choice.get("type")
    return Prompt(
        model=str(body.get("model")),
        text=_last_text(messages),
        prompt_tokens=sum(count_tokens(_text_of(message.get("content"))) for message in messages),
        tool=_tool(tools, named, has_result=_has_result(messages)),
        schema=((body.get("output_config") or {}).get("format") or {}).get("schema"),
        tokens_max=body.get("max_tokens"),
    )


def prompt_of_gemini(body: dict[str, Any], model: str) -> Prompt:
    """A question to generateContent."""
    contents = [
        {"role": "user" if turn.get("role") != "model" else "assistant", "content": turn.get("parts")}
        for turn in body.get("contents") or ()
    ]
    declared = [item for tool in body.get("tools") or () for item in tool.get("functionDeclarations") or ()]
    config = body.get("generationConfig") or {}
    calling = ((body.get("toolConfig") or {}).get("functionCallingConfig") or {}).get("mode", "AUTO")
    last = contents[-1]["content"] if contents else []
    return Prompt(
        model=model,
        text=_last_text(contents),
        prompt_tokens=sum(count_tokens(_text_of(turn["content"])) for turn in contents),
        tool=_tool(
            [(item.get("name"), item.get("parametersJsonSchema") or item.get("parameters") or {}) for item in declared],
            "none" if calling == "NONE" else "auto",
            has_result=any("functionResponse" in part for part in last or ()),
        ),
        schema=config.get("responseJsonSchema") or config.get("responseSchema"),
        tokens_max=config.get("maxOutputTokens"),
    )


def chat_whole(prompt: Prompt, reply: Reply, answer_id: str, created: int) -> bytes:
    """A chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": None, "annotations": []}
    if reply.tool:
        function = {"name": reply.tool, "arguments": reply.text}
        message |= {"content": None, "tool_calls": [{"id": _call_id(answer_id), "type": "function"}]}
        message["tool_calls"][0]["function"] = function
    choices = [
        {"index": index, "message": message, "logprobs": None, "finish_reason": _finish(reply)}
        for index in range(prompt.choices)
    ]
    return to_json(_chat_head(prompt, answer_id, created) | {"choices": choices, "usage": _usage(reply)})


def chat_events(
    prompt: Prompt, reply: Reply, answer_id: str, created: int, *, include_usage: bool
) -> Iterator[tuple[bytes, bool]]:
    """The events of a chat completion, each with whether it is a token (and takes its time)."""
    head = _chat_head(prompt, answer_id, created) | {"object": "chat.completion.chunk"}
    nothing = {"usage": None} if include_usage else {}

    def event(delta: dict[str, Any], finish_reason: str | None = None, index: int = 0) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return frame(to_json(head | {"choices": [choice]} | nothing))

    for index in range(prompt.choices):
        yield event({"role": "assistant", "content": None if reply.tool else "", "refusal": None}, index=index), False
    if reply.tool:
        function = {"name": reply.tool, "arguments": ""}
        call: dict[str, Any] = {"index": 0, "id": _call_id(answer_id), "type": "function", "function": function}
        yield event({"tool_calls": [call]}), True
    for token in reply.tokens:
        for index in range(prompt.choices):
            text = {"tool_calls": [{"index": 0, "function": {"arguments": token}}]}
            yield event(text if reply.tool else {"content": token}, index=index), index == 0
    for index in range(prompt.choices):
        yield event({}, _finish(reply), index), False
    if include_usage:
        yield frame(to_json(head | {"choices": [], "usage": _usage(reply)})), False
    yield DONE, False


def completion_whole(prompt: Prompt, reply: Reply, answer_id: str, created: int) -> bytes:
    """A completion of the older kind."""
    choice = {"index": 0, "text": reply.text, "logprobs": None, "finish_reason": _finish(reply)}
    head = _chat_head(prompt, answer_id, created) | {"object": "text_completion"}
    return to_json(head | {"choices": [choice], "usage": _usage(reply)})


def completion_events(
    prompt: Prompt, reply: Reply, answer_id: str, created: int, *, include_usage: bool
) -> Iterator[tuple[bytes, bool]]:
    """The events of a completion of the older kind."""
    head = _chat_head(prompt, answer_id, created) | {"object": "text_completion"}
    for token in reply.tokens:
        choice = {"index": 0, "text": token, "logprobs": None, "finish_reason": None}
        yield frame(to_json(head | {"choices": [choice]})), True
    last = {"index": 0, "text": "", "logprobs": None, "finish_reason": _finish(reply)}
    yield frame(to_json(head | {"choices": [last]})), False
    if include_usage:
        yield frame(to_json(head | {"choices": [], "usage": _usage(reply)})), False
    yield DONE, False


def embeddings_whole(body: dict[str, Any], *, model: str) -> bytes:
    """Embeddings, as base64 when that is asked for: openai-python does."""
    given = body.get("input")
    texts = given if isinstance(given, list) and not all(isinstance(item, int) for item in given) else [given]
    dimensions = count_in(body, "dimensions", DIMENSIONS_MAX)
    vectors = [embedding_of(str(text), dimensions) for text in texts]
    is_packed = body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if is_packed else vector}
        for index, vector in enumerate(vectors)
    ]
    tokens = sum(count_tokens(str(text)) for text in texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return to_json({"object": "list", "data": data, "model": model, "usage": usage})


def moderations_whole(body: dict[str, Any], answer_id: str) -> bytes:
    """Moderations: nothing is ever flagged."""
    given = body.get("input")
    count = len(given) if isinstance(given, list) else 1
    result = {"flagged": False, "categories": {"violence": False}, "category_scores": {"violence": 0.0}}
    return to_json({"id": answer_id, "model": str(body.get("model")), "results": [result] * count})


def message_whole(prompt: Prompt, reply: Reply, answer_id: str) -> bytes:
    """A message."""
    block: dict[str, Any] = {"type": "text", "text": reply.text}
    if reply.tool:
        block = {"type": "tool_use", "id": _call_id(answer_id), "name": reply.tool, "input": from_json(reply.text)}
    usage = {"input_tokens": reply.prompt_tokens, "output_tokens": reply.usage_tokens}
    message = _message_head(prompt, answer_id) | {"content": [block], "usage": usage}
    return to_json(message | {"stop_reason": _stop_reason(reply)})


def message_events(prompt: Prompt, reply: Reply, answer_id: str) -> Iterator[tuple[bytes, bool]]:
    """The events of a message, with the ping that the real service sends."""
    start = _message_head(prompt, answer_id) | {"usage": {"input_tokens": reply.prompt_tokens, "output_tokens": 1}}
    block: dict[str, Any] = {"type": "text", "text": ""}
    if reply.tool:
        block = {"type": "tool_use", "id": _call_id(answer_id), "name": reply.tool, "input": {}}
    yield _event({"type": "message_start", "message": start}), False
    yield _event({"type": "content_block_start", "index": 0, "content_block": block}), False
    yield _event({"type": "ping"}), False
    for token in reply.tokens:
        delta = (
            {"type": "input_json_delta", "partial_json": token} if reply.tool else {"type": "text_delta", "text": token}
        )
        yield _event({"type": "content_block_delta", "index": 0, "delta": delta}), True
    yield _event({"type": "content_block_stop", "index": 0}), False
    ending = {"stop_reason": _stop_reason(reply), "stop_sequence": None}
    yield _event({"type": "message_delta", "delta": ending, "usage": {"output_tokens": reply.usage_tokens}}), False
    yield _event({"type": "message_stop"}), False


def gemini_whole(prompt: Prompt, reply: Reply, answer_id: str) -> bytes:
    """An answer of generateContent."""
    return to_json(_gemini(prompt, reply, answer_id, _gemini_parts(reply), is_last=True))


def gemini_events(prompt: Prompt, reply: Reply, answer_id: str) -> Iterator[tuple[bytes, bool]]:
    """The events of streamGenerateContent: calls come whole, and there is no end mark."""
    if reply.tool:
        yield frame(to_json(_gemini(prompt, reply, answer_id, _gemini_parts(reply), is_last=True))), True
        return
    for token in reply.tokens:
        yield frame(to_json(_gemini(prompt, reply, answer_id, [{"text": token}], is_last=False))), True
    yield frame(to_json(_gemini(prompt, reply, answer_id, [{"text": ""}], is_last=True))), False


def gemini_embeddings(body: dict[str, Any]) -> bytes:
    """An answer of batchEmbedContents."""
    made = []
    for request in body.get("requests") or ():
        text = _text_of((request.get("content") or {}).get("parts"))
        made.append({"values": embedding_of(text, count_in(request, "outputDimensionality", DIMENSIONS_MAX))})
    return to_json({"embeddings": made})


def response_whole(prompt: Prompt, reply: Reply, answer_id: str, created: int) -> bytes:
    """A response."""
    return to_json(_response(prompt, reply, answer_id, created, is_done=True))


def response_events(prompt: Prompt, reply: Reply, answer_id: str, created: int) -> Iterator[tuple[bytes, bool]]:
    """The events of a response, numbered."""
    number = 0

    def event(kind: str, **members: Any) -> bytes:
        nonlocal number
        number += 1
        return frame(to_json({"type": kind, "sequence_number": number - 1, **members}), kind.encode())

    begun = _response(prompt, reply, answer_id, created, is_done=False)
    done = _response(prompt, reply, answer_id, created, is_done=True)
    item = done["output"][0]
    yield event("response.created", response=begun), False
    yield event("response.in_progress", response=begun), False
    if reply.tool:
        opened = item | {"arguments": "", "status": "in_progress"}
        yield event("response.output_item.added", output_index=0, item=opened), False
        place = {"item_id": item["id"], "output_index": 0}
        for token in reply.tokens:
            yield event("response.function_call_arguments.delta", **place, delta=token), True
        yield event("response.function_call_arguments.done", **place, name=reply.tool, arguments=reply.text), False
    else:
        opened = item | {"content": [], "status": "in_progress"}
        yield event("response.output_item.added", output_index=0, item=opened), False
        place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
        part = item["content"][0]
        yield event("response.content_part.added", **place, part=part | {"text": ""}), False
        for token in reply.tokens:
            yield event("response.output_text.delta", **place, delta=token, logprobs=[]), True
        yield event("response.output_text.done", **place, text=reply.text, logprobs=[]), False
        yield event("response.content_part.done", **place, part=part), False
    yield event("response.output_item.done", output_index=0, item=item), False
    yield event("response.completed", response=done), False


def _response(prompt: Prompt, reply: Reply, answer_id: str, created: int, *, is_done: bool) -> dict[str, Any]:
    suffix = answer_id.rpartition("-")[2]
    text = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
    item: dict[str, Any] = {"id": f"msg_{suffix}", "type": "message", "role": "assistant", "status": "completed"}
    item["content"] = [text]
    if reply.tool:
        item = {"id": f"fc_{suffix}", "type": "function_call", "status": "completed", "call_id": f"call_{suffix}"}
        item |= {"name": reply.tool, "arguments": reply.text}
    usage = {
        "input_tokens": reply.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": reply.usage_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": reply.prompt_tokens + reply.usage_tokens,
    }
    return {
        "id": f"resp_{suffix}",
        "object": "response",
        "created_at": created,
        "status": "completed" if is_done else "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {"simulated": "true"},
        "model": prompt.model,
        "output": [item] if is_done else [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": usage if is_done else None,
    }


def _chat_head(prompt: Prompt, answer_id: str, created: int) -> dict[str, Any]:
    return {
        "id": answer_id,
        "object": "chat.completion",
        "created": created,
        "model": prompt.model,
        "system_fingerprint": FINGERPRINT,
    }


def _message_head(prompt: Prompt, answer_id: str) -> dict[str, Any]:
    head = {"id": f"msg_{answer_id.rpartition('-')[2]}", "type": "message", "role": "assistant", "content": []}
    return head | {"model": prompt.model, "stop_reason": None, "stop_sequence": None}


def _gemini(
    prompt: Prompt, reply: Reply, answer_id: str, parts: list[dict[str, Any]], *, is_last: bool
) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if is_last:
        candidate["finishReason"] = "MAX_TOKENS" if reply.is_cut_short else "STOP"
    usage = {"promptTokenCount": reply.prompt_tokens, "candidatesTokenCount": reply.usage_tokens}
    usage["totalTokenCount"] = reply.prompt_tokens + reply.usage_tokens
    head = {"candidates": [candidate], "modelVersion": prompt.model, "responseId": answer_id}
    return head | ({"usageMetadata": usage} if is_last else {})


def _gemini_parts(reply: Reply) -> list[dict[str, Any]]:
    if not reply.tool:
        return [{"text": reply.text}]
    from pydantic_core import from_json

    return [{"functionCall": {"name": reply.tool, "args": from_json(reply.text)}}]


def _event(event: dict[str, Any]) -> bytes:
    return frame(to_json(event), event["type"].encode())


def _usage(reply: Reply) -> dict[str, Any]:
    return {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.usage_tokens,
        "total_tokens": reply.prompt_tokens + reply.usage_tokens,
    }


def _finish(reply: Reply) -> str:
    if reply.tool:
        return "tool_calls"
    return "length" if reply.is_cut_short else "stop"


def _stop_reason(reply: Reply) -> str:
    if reply.tool:
        return "tool_use"
    return "max_tokens" if reply.is_cut_short else "end_turn"


def _call_id(answer_id: str) -> str:
    return f"call_{answer_id.rpartition('-')[2]}"


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = [part for part in content or () if isinstance(part, dict)]
    return "".join(str(part.get("text") or _text_of(part.get("content"))) for part in parts)


def _last_text(messages: list[dict[str, Any]]) -> str:
    for message in reversed(messages):
        if isinstance(message, dict) and (text := _text_of(message.get("content")) or str(message.get("output") or "")):
            return text
    return ""


def _has_result(messages: list[dict[str, Any]]) -> bool:
    last = messages[-1] if messages else {}
    content = last.get("content")
    is_block = isinstance(content, list) and any(
        isinstance(part, dict) and part.get("type") == "tool_result" for part in content
    )
    return last.get("role") == "tool" or last.get("type") == "function_call_output" or is_block


def _tool(tools: list[tuple[Any, Any]], choice: Any, *, has_result: bool) -> tuple[str, Any] | None:
    """The tool to call: the one that must be, else the first; none once its result is there."""
    if not tools or choice == "none" or has_result:
        return None
    if isinstance(choice, dict):
        name = (choice.get("function") or choice).get("name")
        return next(((str(name), schema) for name_, schema in tools if name_ == name), None)
    return str(tools[0][0]), tools[0][1]
