"""Anthropic's dialect: Messages as they are, and Chat Completions turned into Messages and back.

Shapes: Messages API, version 2023-06-01. What Chat Completions can ask and Messages cannot do is refused by name, so
that a request never means something else without saying so; hints without an equivalent are left out.
"""

from typing import Any, Final

from pydantic_core import to_json

from plugins.gateway.core.chat_stream import ChatReader
from plugins.gateway.core.dialects.translating import (
    add_turn,
    arguments_of,
    function_of,
    refuse_parameters,
    split_data_url,
    text_of,
    unsupported,
)
from plugins.gateway.core.errors import ApiError
from plugins.gateway.core.reading import Malformed, Outgoing, Reader, Seed, UpstreamSaid, Whole, parse_object
from plugins.gateway.core.sse import frame
from plugins.gateway.core.usage import Usage, usage_of_anthropic

VERSION: Final = (b"anthropic-version", b"2023-06-01")
MAX_TOKENS: Final = 4096
"""Messages must say how long an answer may get; Chat Completions need not."""
STOP_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_ERROR_STATUS: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "overloaded_error": 529,
    "timeout_error": 504,
}


class MessagesCodec:
    """Messages to an upstream that speaks them: untouched."""

    streams = True

    def request(self, body: dict[str, Any], raw: bytes, model: str, *, stream: bool) -> Outgoing:
        """See `Codec`."""
        if bool(body.get("stream")) != stream:
            body = body | {"stream": stream}
            raw = b""
        content = raw if body.get("model") == model and raw else to_json(body | {"model": model})
        return Outgoing("/messages", content, (VERSION,))

    def whole(self, content: bytes, seed: Seed) -> Whole:
        """See `Codec`."""
        document = parse_message(content)
        return Whole(content, usage_of_anthropic(document.get("usage")), bool(document.get("stop_reason")))

    def reader(self, seed: Seed) -> Reader:
        """See `Codec`."""
        return MessagesReader()


class MessagesReader:
    """Reads the events of a message up to message_stop."""

    def __init__(self) -> None:
        self.has_started = self.is_done = self.is_final = False
        self.usage: Usage | None = None
        self.output_bytes = 0
        self.usage_frame = b""
        self.trailer = b""
        self._usage: dict[str, Any] = {}

    def feed(self, name: str, data: bytes) -> list[bytes]:
        """See `Reader`."""
        if self.is_done:
            return []
        event = parse_object(data)
        kind = event.get("type") or name
        if not isinstance(kind, str):
            raise Malformed("an event has no type")
        raise_if_message_error(event)
        if kind in ("message_start", "message_delta"):
            self._usage |= _usage_in(event)
            self.usage = usage_of_anthropic(self._usage)
            if kind == "message_delta":
                delta = event.get("delta")
                self.is_final = isinstance(delta, dict) and delta.get("stop_reason") not in (None, "refusal")
        elif kind == "content_block_delta":
            self.has_started = True
            delta = event.get("delta")
            if isinstance(delta, dict):
                self.output_bytes += len(delta.get("text") or delta.get("partial_json") or delta.get("thinking") or "")
        elif kind == "message_stop":
            self.has_started = self.is_done = True
        return [frame(data if b"\n" not in data else to_json(event), kind.encode())]

    def end(self) -> list[bytes]:
        """See `Reader`."""
        if not self.is_done:
            raise Malformed("its stream ended before message_stop")
        return []


class ChatOverMessagesCodec:
    """Chat Completions to an upstream that speaks Messages."""

    streams = True

    def request(self, body: dict[str, Any], raw: bytes, model: str, *, stream: bool) -> Outgoing:
        """See `Codec`."""
        return Outgoing("/messages", to_json(request_of_chat(body, model, stream=stream)), (VERSION,))

    def whole(self, content: bytes, seed: Seed) -> Whole:
        """See `Codec`."""
        message = parse_message(content)
        usage = usage_of_anthropic(message.get("usage"))
        finish = STOP_REASONS.get(str(message.get("stop_reason")), "stop")
        completion = {
            "id": message.get("id") or seed.id,
            "object": "chat.completion",
            "created": seed.created,
            "model": message.get("model") or seed.model,
            "choices": [
                {"index": 0, "message": _chat_message(message), "logprobs": None, "finish_reason": finish},
            ],
            "usage": (usage or Usage()).as_chat(),
        }
        return Whole(to_json(completion), usage, finish != "content_filter")

    def reader(self, seed: Seed) -> Reader:
        """See `Codec`."""
        return ChatOverMessagesReader(seed)


class ChatOverMessagesReader(ChatReader):
    """Reads the events of a message as chunks of a chat."""

    __slots__ = ("_blocks", "_finish_reason", "_is_stopped", "_usage")

    def __init__(self, seed: Seed) -> None:
        super().__init__(seed)
        self._usage: dict[str, Any] = {}
        # The index of a content block to that of the tool call it is.
        self._blocks: dict[Any, int] = {}
        self._finish_reason: str | None = None
        self._is_stopped = False

    def feed(self, name: str, data: bytes) -> list[bytes]:
        """See `Reader`."""
        if self.is_done:
            return []
        event = parse_object(data)
        raise_if_message_error(event)
        kind = event.get("type") or name
        if kind == "message_start":
            message = event.get("message") or {}
            self._usage |= _usage_in(event)
            self._id = str(message.get("id") or self._seed.id)
            self._created = self._seed.created
            self._model = str(message.get("model") or self._seed.model)
            return self._say({"role": "assistant", "content": ""})
        if kind == "content_block_start":
            return self._begin_block(event)
        if kind == "content_block_delta":
            return self._continue_block(event)
        if kind == "message_delta":
            self._usage |= _usage_in(event)
            reason = (event.get("delta") or {}).get("stop_reason")
            self._finish_reason = STOP_REASONS.get(str(reason), "stop") if reason else None
            return []
        if kind == "message_stop":
            return self._stop()
        return []

    def end(self) -> list[bytes]:
        """See `Reader`."""
        if not self.is_done:
            raise Malformed("its stream ended before message_stop")
        return []

    def _say(self, delta: dict[str, Any], finish_reason: str | None = None) -> list[bytes]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return self.feed_chunk(self._head() | {"choices": [choice]}, None)

    def _begin_block(self, event: dict[str, Any]) -> list[bytes]:
        block = event.get("content_block") or {}
        if block.get("type") == "text" and block.get("text"):
            return self._say({"content": block["text"]})
        if block.get("type") != "tool_use":
            return []
        index = self._blocks[event.get("index")] = len(self._blocks)
        function = {"name": block.get("name") or "", "arguments": ""}
        return self._say(
            {"tool_calls": [{"index": index, "id": block.get("id"), "type": "function", "function": function}]}
        )

    def _continue_block(self, event: dict[str, Any]) -> list[bytes]:
        delta = event.get("delta") or {}
        kind = delta.get("type")
        if kind == "text_delta" and delta.get("text"):
            return self._say({"content": delta["text"]})
        if kind == "thinking_delta" and delta.get("thinking"):
            return self._say({"reasoning_content": delta["thinking"]})
        if kind == "input_json_delta" and event.get("index") in self._blocks:
            index = self._blocks[event.get("index")]
            return self._say(
                {"tool_calls": [{"index": index, "function": {"arguments": delta.get("partial_json") or ""}}]}
            )
        return []

    def _stop(self) -> list[bytes]:
        if self._finish_reason is None:
            raise Malformed("its message stopped without a stop_reason")
        frames = self._say({}, self._finish_reason)
        self.usage = usage_of_anthropic(self._usage)
        if self.usage is not None:
            self._make_usage_frame(self.usage.as_chat())
        return frames + self._finish()


def request_of_chat(body: dict[str, Any], model: str, *, stream: bool) -> dict[str, Any]:
    """The request of Messages that a request of Chat Completions amounts to.

    Raises:
        ApiError: 400, it asks for something that has no equivalent.
    """
    refuse_parameters(body, "Anthropic")
    format_type = (body.get("response_format") or {}).get("type", "text")
    if format_type == "json_object":
        raise unsupported("response_format", "Anthropic")
    system, messages = _split_messages(body.get("messages") or [])
    request: dict[str, Any] = {
        "model": model,
        "max_tokens": body.get("max_completion_tokens") or body.get("max_tokens") or MAX_TOKENS,
        "messages": messages,
    }
    if system:
        request["system"] = system
    for name in ("temperature", "top_p"):
        if body.get(name) is not None:
            request[name] = min(1.0, body[name])
    if stop := body.get("stop"):
        request["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    if body.get("user"):
        request["metadata"] = {"user_id": body["user"]}
    if tools := body.get("tools"):
        request["tools"] = [_tool(tool) for tool in tools]
        if (choice := _tool_choice(body)) is not None:
            request["tool_choice"] = choice
    if format_type == "json_schema":
        request["output_config"] = {
            "format": {"type": "json_schema", "schema": body["response_format"].get("json_schema", {}).get("schema")}
        }
    if stream:
        request["stream"] = True
    return request


def _split_messages(messages: list[dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
    """The system prompt, and the rest as turns: results of tools are the user's, and turns of one role are joined."""
    system: list[str] = []
    turns: list[dict[str, Any]] = []
    for message in messages:
        role = message.get("role")
        if role in ("system", "developer"):
            system.append(text_of(message.get("content")))
            continue
        if role == "tool":
            content = message.get("content")
            result = {"type": "tool_result", "tool_use_id": message.get("tool_call_id"), "content": text_of(content)}
            role, blocks = "user", [result]
        elif role == "assistant":
            blocks = _blocks(message.get("content") or "")
            blocks += [_tool_use(call) for call in message.get("tool_calls") or ()]
        else:
            role, blocks = "user", _blocks(message.get("content") or "")
        add_turn(turns, role, blocks)
    return "\n\n".join(text for text in system if text), turns


def _blocks(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return [_block(part) for part in content]


def _block(part: dict[str, Any]) -> dict[str, Any]:
    kind = part.get("type")
    if kind in ("text", "refusal"):
        return {"type": "text", "text": part.get("text") or part.get("refusal") or ""}
    if kind == "image_url":
        return {"type": "image", "source": _source(part["image_url"]["url"])}
    if kind == "file" and (part.get("file") or {}).get("file_data"):
        return {"type": "document", "source": _source(part["file"]["file_data"])}
    raise ApiError(
        400, "unsupported_content", f"a part of type {kind!r} cannot be sent to Anthropic's API", param="messages"
    )


def _source(url: str) -> dict[str, Any]:
    media_type, data = split_data_url(url)
    if media_type:
        return {"type": "base64", "media_type": media_type, "data": data}
    return {"type": "url", "url": url}


def _tool_use(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function") or {}
    return {"type": "tool_use", "id": call.get("id"), "name": function.get("name"), "input": arguments_of(function)}


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    function = function_of(tool)
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    made = {"name": function.get("name"), "input_schema": schema}
    if function.get("description"):
        made["description"] = function["description"]
    return made


def _tool_choice(body: dict[str, Any]) -> dict[str, Any] | None:
    choice = body.get("tool_choice")
    kinds = {"auto": "auto", "required": "any", "none": "none"}
    made: dict[str, Any] | None = None
    if isinstance(choice, dict):
        made = {"type": "tool", "name": (choice.get("function") or {}).get("name")}
    elif choice is not None:
        made = {"type": kinds.get(choice, "auto")}
    if body.get("parallel_tool_calls") is False and (made or {}).get("type") != "none":
        made = (made or {"type": "auto"}) | {"disable_parallel_tool_use": True}
    return made


def parse_message(content: bytes) -> dict[str, Any]:
    """A message. Raises `Malformed` or `UpstreamSaid`."""
    message = parse_object(content)
    raise_if_message_error(message)
    if not isinstance(message.get("content"), list):
        raise Malformed("there is no content in it")
    return message


def raise_if_message_error(document: dict[str, Any]) -> None:
    """Raise `UpstreamSaid` for an error in Anthropic's shape."""
    if document.get("type") != "error" and not document.get("error"):
        return
    error = document.get("error")
    error = error if isinstance(error, dict) else {"message": str(error)}
    kind = str(error.get("type") or "")
    raise UpstreamSaid(
        str(error.get("message") or "the upstream failed")[:2000], type=kind, status=_ERROR_STATUS.get(kind, 502)
    )


def _chat_message(message: dict[str, Any]) -> dict[str, Any]:
    blocks = [block for block in message["content"] if isinstance(block, dict)]
    text = "".join(block.get("text") or "" for block in blocks if block.get("type") == "text")
    thinking = "".join(block.get("thinking") or "" for block in blocks if block.get("type") == "thinking")
    calls = [
        {
            "id": block.get("id"),
            "type": "function",
            "function": {"name": block.get("name"), "arguments": to_json(block.get("input") or {}).decode()},
        }
        for block in blocks
        if block.get("type") == "tool_use"
    ]
    made: dict[str, Any] = {"role": "assistant", "content": text or (None if calls else ""), "refusal": None}
    if thinking:
        made["reasoning_content"] = thinking
    if calls:
        made["tool_calls"] = calls
    return made


def _usage_in(event: dict[str, Any]) -> dict[str, Any]:
    holder = event.get("message") if event.get("type") == "message_start" else event
    usage = holder.get("usage") if isinstance(holder, dict) else None
    return {name: value for name, value in (usage or {}).items() if isinstance(value, int)}
