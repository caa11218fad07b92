"""Gemini's dialect: Chat Completions turned into generateContent and back, and embeddings.

Shapes: Gemini API v1beta. A function call's `thoughtSignature` travels in `extra_content.google.thought_signature` of
the tool call, as in Google's own OpenAI-compatible API, and comes back with the conversation.
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
    texts_to_embed,
)
from plugins.gateway.core.errors import ApiError
from plugins.gateway.core.reading import Malformed, Outgoing, Reader, Seed, Whole, parse_object, raise_if_error
from plugins.gateway.core.usage import Usage, usage_of_gemini

_FINISH: Final = {"STOP": "stop", "MAX_TOKENS": "length", "FINISH_REASON_UNSPECIFIED": "stop"}
_FILTERED: Final = ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "LANGUAGE")
_CONFIG: Final = {
    "temperature": "temperature",
    "top_p": "topP",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}


class ChatOverGeminiCodec:
    """Chat Completions to Gemini."""

    streams = True

    def request(self, body: dict[str, Any], raw: bytes, model: str, *, stream: bool) -> Outgoing:
        """See `Codec`."""
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return Outgoing(f"/models/{model}:{method}", to_json(request_of_chat(body)))

    def whole(self, content: bytes, seed: Seed) -> Whole:
        """See `Codec`."""
        document = parse_object(content)
        raise_if_error(document)
        candidate = _candidate(document)
        if candidate is None:
            raise Malformed("there are no candidates in it")
        text, thoughts, calls = _read_parts(candidate, seed, 0)
        usage = usage_of_gemini(document.get("usageMetadata"))
        finish = _finish(candidate, bool(calls)) or "stop"
        message: dict[str, Any] = {"role": "assistant", "content": text or (None if calls else ""), "refusal": None}
        if thoughts:
            message["reasoning_content"] = thoughts
        if calls:
            message["tool_calls"] = [{name: call[name] for name in call if name != "index"} for call in calls]
        completion = {
            "id": document.get("responseId") or seed.id,
            "object": "chat.completion",
            "created": seed.created,
            "model": document.get("modelVersion") or seed.model,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
            "usage": (usage or Usage()).as_chat(),
        }
        return Whole(to_json(completion), usage, finish != "content_filter")

    def reader(self, seed: Seed) -> Reader:
        """See `Codec`."""
        return ChatOverGeminiReader(seed)


class ChatOverGeminiReader(ChatReader):
    """Reads a stream of generateContent as chunks of a chat. It has no end mark: the last chunk has a finishReason."""

    __slots__ = ("_calls", "_finish_told")

    def __init__(self, seed: Seed) -> None:
        super().__init__(seed)
        self._calls = 0
        self._finish_told = ""

    def feed(self, name: str, data: bytes) -> list[bytes]:
        """See `Reader`."""
        document = parse_object(data)
        raise_if_error(document)
        if not self._id:
            self._id = str(document.get("responseId") or self._seed.id)
            self._created = self._seed.created
            self._model = str(document.get("modelVersion") or self._seed.model)
        if usage := usage_of_gemini(document.get("usageMetadata")):
            self.usage = usage
            self._make_usage_frame(usage.as_chat())
        candidate = _candidate(document)
        if candidate is None:
            return []
        text, thoughts, calls = _read_parts(candidate, self._seed, self._calls)
        self._calls += len(calls)
        delta: dict[str, Any] = {}
        if text:
            delta["content"] = text
        if thoughts:
            delta["reasoning_content"] = thoughts
        if calls:
            delta["tool_calls"] = calls
        self._finish_told = _finish(candidate, bool(self._calls)) or self._finish_told
        if not delta and self._choices:
            return []
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
        return self.feed_chunk(self._head() | {"choices": [choice]}, None)

    def end(self) -> list[bytes]:
        """See `Reader`."""
        if self.is_done:
            return []
        if not self._finish_told:
            raise Malformed("its stream ended without a finishReason")
        choice = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": self._finish_told}
        return self.feed_chunk(self._head() | {"choices": [choice]}, None) + self._finish()


class EmbeddingsOverGeminiCodec:
    """Embeddings to Gemini's batchEmbedContents."""

    streams = False

    def request(self, body: dict[str, Any], raw: bytes, model: str, *, stream: bool) -> Outgoing:
        """See `Codec`."""
        one: dict[str, Any] = {"model": f"models/{model}"}
        if body.get("dimensions"):
            one["outputDimensionality"] = body["dimensions"]
        requests = [one | {"content": {"parts": [{"text": text}]}} for text in texts_to_embed(body, "Gemini")]
        return Outgoing(f"/models/{model}:batchEmbedContents", to_json({"requests": requests}))

    def whole(self, content: bytes, seed: Seed) -> Whole:
        """See `Codec`. Lists of floats always: the SDKs take them also where they asked for base64."""
        document = parse_object(content)
        raise_if_error(document)
        embeddings = document.get("embeddings")
        if not isinstance(embeddings, list):
            raise Malformed("there are no embeddings in it")
        data = [
            {"object": "embedding", "index": index, "embedding": item.get("values")}
            for index, item in enumerate(embeddings)
        ]
        usage = {"prompt_tokens": 0, "total_tokens": 0}
        return Whole(to_json({"object": "list", "data": data, "model": seed.model, "usage": usage}), None)

    def reader(self, seed: Seed) -> Reader:
        """See `Codec`."""
        raise AssertionError("there is no stream of these")


def request_of_chat(body: dict[str, Any]) -> dict[str, Any]:
    """The request of generateContent that a request of Chat Completions amounts to.

    Raises:
        ApiError: 400, it asks for something that has no equivalent.
    """
    refuse_parameters(body, "Gemini")
    system: list[str] = []
    contents: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    for message in body.get("messages") or []:
        role, parts = _turn(message, names, system)
        add_turn(contents, role, parts, "parts")
    request: dict[str, Any] = {"contents": contents}
    if system:
        request["systemInstruction"] = {"parts": [{"text": "\n\n".join(system)}]}
    config = _generation_config(body)
    if config:
        request["generationConfig"] = config
    if tools := body.get("tools"):
        request["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in tools]}]
        if (choice := body.get("tool_choice")) is not None:
            request["toolConfig"] = {"functionCallingConfig": _calling(choice)}
    return request


def _generation_config(body: dict[str, Any]) -> dict[str, Any]:
    config = {theirs: body[ours] for ours, theirs in _CONFIG.items() if body.get(ours) is not None}
    if tokens := body.get("max_completion_tokens") or body.get("max_tokens"):
        config["maxOutputTokens"] = tokens
    if stop := body.get("stop"):
        config["stopSequences"] = [stop] if isinstance(stop, str) else stop
    response_format = body.get("response_format") or {}
    if response_format.get("type") in ("json_object", "json_schema"):
        config["responseMimeType"] = "application/json"
        if schema := (response_format.get("json_schema") or {}).get("schema"):
            config["responseJsonSchema"] = schema
    return config


def _turn(message: dict[str, Any], names: dict[str, str], system: list[str]) -> tuple[str, list[dict[str, Any]]]:
    """The role and parts of a message. `names` collects which function each call id is for."""
    role, content = message.get("role"), message.get("content")
    if role in ("system", "developer"):
        system.append(text_of(content))
        return "user", []
    if role == "tool":
        call_id = str(message.get("tool_call_id"))
        response = {"name": names.get(call_id, call_id), "response": {"result": text_of(content)}}
        return "user", [{"functionResponse": response}]
    parts = [_part(part) for part in content] if isinstance(content, list) else []
    if isinstance(content, str) and content:
        parts = [{"text": content}]
    if role != "assistant":
        return "user", parts
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        names[str(call.get("id"))] = str(function.get("name"))
        part: dict[str, Any] = {"functionCall": {"name": function.get("name"), "args": arguments_of(function)}}
        signature = ((call.get("extra_content") or {}).get("google") or {}).get("thought_signature")
        if signature:
            part["thoughtSignature"] = signature
        parts.append(part)
    return "model", parts


def _part(part: dict[str, Any]) -> dict[str, Any]:
    kind = part.get("type")
    if kind in ("text", "refusal"):
        return {"text": part.get("text") or part.get("refusal") or ""}
    url = ""
    if kind == "image_url":
        url = part["image_url"]["url"]
    elif kind == "file":
        url = (part.get("file") or {}).get("file_data") or ""
    elif kind == "input_audio":
        audio = part["input_audio"]
        return {"inlineData": {"mimeType": f"audio/{audio.get('format', 'wav')}", "data": audio.get("data")}}
    media_type, data = split_data_url(url)
    if media_type:
        return {"inlineData": {"mimeType": media_type, "data": data}}
    if url:
        return {"fileData": {"fileUri": url}}
    raise ApiError(
        400, "unsupported_content", f"a part of type {kind!r} cannot be sent to Gemini's API", param="messages"
    )


def _declaration(tool: dict[str, Any]) -> dict[str, Any]:
    function = function_of(tool)
    made = {"name": function.get("name"), "description": function.get("description") or ""}
    if function.get("parameters"):
        made["parametersJsonSchema"] = function["parameters"]
    return made


def _calling(choice: Any) -> dict[str, Any]:
    if isinstance(choice, dict):
        return {"mode": "ANY", "allowedFunctionNames": [(choice.get("function") or {}).get("name")]}
    return {"mode": {"required": "ANY", "none": "NONE"}.get(choice, "AUTO")}


def _candidate(document: dict[str, Any]) -> dict[str, Any] | None:
    """The candidate, or one that stands for a prompt that was blocked; None when there is neither."""
    candidates = document.get("candidates")
    if isinstance(candidates, list) and candidates and isinstance(candidates[0], dict):
        return candidates[0]
    if (document.get("promptFeedback") or {}).get("blockReason"):
        return {"content": {"parts": []}, "finishReason": "SAFETY"}
    return None


def _read_parts(candidate: dict[str, Any], seed: Seed, calls_before: int) -> tuple[str, str, list[dict[str, Any]]]:
    """Text, thoughts and calls of a candidate. Calls come whole, and mostly without an id."""
    text, thoughts = "", ""
    calls: list[dict[str, Any]] = []
    for part in (candidate.get("content") or {}).get("parts") or ():
        if not isinstance(part, dict):
            raise Malformed("a part is not an object")
        if call := part.get("functionCall"):
            index = calls_before + len(calls)
            made: dict[str, Any] = {
                "index": index,
                "id": call.get("id") or f"call_{seed.id[-16:]}_{index}",
                "type": "function",
                "function": {"name": call.get("name") or "", "arguments": to_json(call.get("args") or {}).decode()},
            }
            if part.get("thoughtSignature"):
                made["extra_content"] = {"google": {"thought_signature": part["thoughtSignature"]}}
            calls.append(made)
        elif part.get("thought"):
            thoughts += part.get("text") or ""
        else:
            text += part.get("text") or ""
    return text, thoughts, calls


def _finish(candidate: dict[str, Any], has_calls: bool) -> str:
    reason = candidate.get("finishReason")
    if not reason:
        return ""
    if reason in _FILTERED:
        return "content_filter"
    told = _FINISH.get(reason, "stop")
    return "tool_calls" if told == "stop" and has_calls else told
