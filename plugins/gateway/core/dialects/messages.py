"""Anthropic's Messages served from upstreams that speak Chat Completions, or anything that is turned into it.

A codec of Chat Completions is wrapped: the request becomes one of a chat on its way out, and chunks become the events
of a message on their way back. So Anthropic's clients reach every provider.
"""

from typing import Any, Final

from pydantic_core import from_json, to_json

from plugins.gateway.core.errors import ApiError
from plugins.gateway.core.reading import Codec, Outgoing, Reader, Seed, Whole
from plugins.gateway.core.sse import frame
from plugins.gateway.core.usage import Usage

_STOP: Final = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


class MessagesOverChatCodec:
    """Messages by way of a codec of Chat Completions."""

    streams = True

    def __init__(self, chat: Codec) -> None:
        self._chat = chat

    def request(self, body: dict[str, Any], raw: bytes, model: str, *, stream: bool) -> Outgoing:
        """See `Codec`."""
        return self._chat.request(chat_of_messages(body), b"", model, stream=stream)

    def whole(self, content: bytes, seed: Seed) -> Whole:
        """See `Codec`."""
        whole = self._chat.whole(content, seed)
        completion = from_json(whole.body)
        choice = completion["choices"][0]
        message = choice["message"]
        blocks: list[dict[str, Any]] = []
        if message.get("content"):
            blocks.append({"type": "text", "text": message["content"], "citations": None})
        for call in message.get("tool_calls") or ():
            arguments = from_json(call["function"].get("arguments") or "{}")
            blocks.append({"type": "tool_use", "id": call["id"], "name": call["function"]["name"], "input": arguments})
        made = _message(seed, str(completion.get("model") or seed.model)) | {
            "content": blocks,
            "stop_reason": _STOP.get(choice.get("finish_reason"), "end_turn"),
            "usage": _usage(whole.usage),
        }
        return Whole(to_json(made), whole.usage, whole.is_final)

    def reader(self, seed: Seed) -> Reader:
        """See `Codec`."""
        return MessagesOverChatReader(self._chat.reader(seed), seed)


class MessagesOverChatReader:
    """Reads chunks of a chat as the events of a message."""

    def __init__(self, chat: Reader, seed: Seed) -> None:
        self.usage_frame = b""
        self.trailer = b""
        self._chat = chat
        self._seed = seed
        self._is_begun = False
        self._blocks = -1
        self._open = ""
        self._stop_reason = ""

    @property
    def has_started(self) -> bool:
        return self._chat.has_started

    @property
    def is_done(self) -> bool:
        return self._chat.is_done

    @property
    def is_final(self) -> bool:
        return self._chat.is_final

    @property
    def usage(self) -> Usage | None:
        return self._chat.usage

    @property
    def output_bytes(self) -> int:
        return self._chat.output_bytes

    def feed(self, name: str, data: bytes) -> list[bytes]:
        """See `Reader`."""
        if self._chat.is_done:
            return []
        return self._turn(self._chat.feed(name, data))

    def end(self) -> list[bytes]:
        """See `Reader`."""
        if self._chat.is_done:
            return []
        return self._turn(self._chat.end())

    def _turn(self, frames: list[bytes]) -> list[bytes]:
        events: list[dict[str, Any]] = []
        for data in frames:
            chunk = from_json(data.removeprefix(b"data: "))
            self._begin(events, str(chunk.get("model") or self._seed.model))
            for choice in chunk["choices"]:
                if choice["index"] == 0:
                    self._add(events, choice)
        if self._chat.is_done and self._is_begun:
            self._close_block(events)
            delta = {"stop_reason": self._stop_reason or "end_turn", "stop_sequence": None}
            events += [
                {"type": "message_delta", "delta": delta, "usage": _usage(self._chat.usage)},
                {"type": "message_stop"},
            ]
        return [frame(to_json(event), event["type"].encode()) for event in events]

    def _begin(self, events: list[dict[str, Any]], model: str) -> None:
        if not self._is_begun:
            self._is_begun = True
            events.append({"type": "message_start", "message": _message(self._seed, model)})

    def _add(self, events: list[dict[str, Any]], choice: dict[str, Any]) -> None:
        delta = choice["delta"]
        if delta.get("content"):
            if self._open != "text":
                self._open_block(events, "text", {"type": "text", "text": ""})
            self._say(events, {"type": "text_delta", "text": delta["content"]})
        for call in delta.get("tool_calls") or ():
            function = call.get("function") or {}
            if "id" in call:
                block = {"type": "tool_use", "id": call["id"], "name": function.get("name") or "", "input": {}}
                self._open_block(events, f"tool {call['index']}", block)
            if function.get("arguments"):
                self._say(events, {"type": "input_json_delta", "partial_json": function["arguments"]})
        if choice.get("finish_reason"):
            self._stop_reason = _STOP.get(choice["finish_reason"], "end_turn")

    def _open_block(self, events: list[dict[str, Any]], kind: str, block: dict[str, Any]) -> None:
        self._close_block(events)
        self._blocks += 1
        self._open = kind
        events.append({"type": "content_block_start", "index": self._blocks, "content_block": block})

    def _close_block(self, events: list[dict[str, Any]]) -> None:
        if self._open:
            self._open = ""
            events.append({"type": "content_block_stop", "index": self._blocks})

    def _say(self, events: list[dict[str, Any]], delta: dict[str, Any]) -> None:
        events.append({"type": "content_block_delta", "index": self._blocks, "delta": delta})


def chat_of_messages(body: dict[str, Any]) -> dict[str, Any]:
    """The request of Chat Completions that a request of Messages amounts to.

    Raises:
        ApiError: 400, it holds a block that has no equivalent.
    """
    messages: list[dict[str, Any]] = []
    if system := body.get("system"):
        messages.append({"role": "system", "content": _text(system)})
    for message in body.get("messages") or []:
        messages += _chat_messages(message)
    chat: dict[str, Any] = {"messages": messages, "max_tokens": body.get("max_tokens")}
    for name in ("temperature", "top_p"):
        if body.get(name) is not None:
            chat[name] = body[name]
    if stop := body.get("stop_sequences"):
        chat["stop"] = stop
    if tools := body.get("tools"):
        chat["tools"] = [_tool(tool) for tool in tools]
        choice = body.get("tool_choice") or {}
        kinds: dict[str, Any] = {"auto": "auto", "any": "required", "none": "none"}
        if choice.get("type") == "tool":
            chat["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
        elif choice.get("type") in kinds:
            chat["tool_choice"] = kinds[choice["type"]]
        if choice.get("disable_parallel_tool_use"):
            chat["parallel_tool_calls"] = False
    schema = ((body.get("output_config") or {}).get("format") or {}).get("schema")
    if schema:
        chat["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    return chat


def _chat_messages(message: dict[str, Any]) -> list[dict[str, Any]]:
    role, content = message.get("role"), message.get("content")
    if isinstance(content, str):
        return [{"role": role, "content": content}]
    made: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    for block in content or ():
        kind = block.get("type")
        if kind == "tool_result":
            made.append({"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": _text(block["content"])})
        elif kind == "tool_use":
            arguments = to_json(block.get("input") or {}).decode()
            function = {"name": block.get("name"), "arguments": arguments}
            calls.append({"id": block.get("id"), "type": "function", "function": function})
        elif kind not in ("thinking", "redacted_thinking"):
            parts.append(_part(block))
    if role == "assistant":
        text = "".join(part.get("text", "") for part in parts)
        turn: dict[str, Any] = {"role": "assistant", "content": text or None}
        if calls:
            turn["tool_calls"] = calls
        made.append(turn)
    elif parts:
        made.append({"role": role, "content": parts})
    return made


def _part(block: dict[str, Any]) -> dict[str, Any]:
    kind = block.get("type")
    if kind == "text":
        return {"type": "text", "text": block.get("text") or ""}
    source = block.get("source") or {}
    url = source.get("url") or f"data:{source.get('media_type')};base64,{source.get('data')}"
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": url}}
    if kind == "document":
        return {"type": "file", "file": {"filename": block.get("title") or "document", "file_data": url}}
    raise ApiError(400, None, f"a block of type {kind!r} cannot be sent to this model's provider", param="messages")


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(block.get("text") or "" for block in content or () if isinstance(block, dict))


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    if "input_schema" not in tool:
        raise ApiError(400, None, f"a tool of type {tool.get('type')!r} is not there", param="tools")
    function = {"name": tool.get("name"), "parameters": tool["input_schema"]}
    if tool.get("description"):
        function["description"] = tool["description"]
    return {"type": "function", "function": function}


def _message(seed: Seed, model: str) -> dict[str, Any]:
    return {
        "id": f"msg_{seed.id.removeprefix('chatcmpl-')}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }


def _usage(usage: Usage | None) -> dict[str, Any]:
    usage = usage or Usage()
    told = {"input_tokens": usage.input_tokens - usage.cached_tokens, "output_tokens": usage.output_tokens}
    if usage.cached_tokens:
        told["cache_read_input_tokens"] = usage.cached_tokens
    return told
