"""OpenAI's dialect, also spoken by Azure, Groq, Mistral, Together, DeepSeek, OpenRouter, vLLM, llama.cpp and Ollama.

Requests and whole answers pass as they are, unknown members included; streams are read so that what is cut off never
looks whole.
"""

import re
from typing import Any, Final

from pydantic_core import to_json

from plugins.gateway.core.chat_stream import ChatReader
from plugins.gateway.core.reading import (
    Malformed,
    Outgoing,
    Reader,
    Seed,
    UpstreamSaid,
    Whole,
    parse_object,
    raise_if_error,
)
from plugins.gateway.core.sse import DONE, frame
from plugins.gateway.core.usage import Usage, usage_of_openai

_MODEL: Final = re.compile(rb'"model"\s*:\s*"(?:[^"\\]|\\.)*"')
_ESCAPED_LETTER_OF_MODEL: Final = b"\\u006"
_WITH_USAGE: Final = b',"stream_options":{"include_usage":true}}'


def with_model(body: dict[str, Any], raw: bytes, model: str) -> bytes:
    """The body for this model: the very bytes that came, but for the name. `raw` b"" is of no more use.

    They are written anew where it cannot be told without parsing which member names the model.
    """
    name = body.get("model")
    if raw and isinstance(name, str):
        if name == model:
            return raw
        if raw.count(b'"model"') == 1 and _ESCAPED_LETTER_OF_MODEL not in raw:
            return _MODEL.sub(lambda found: b'"model":' + to_json(model), raw, count=1)
    return to_json(body | {"model": model})


class ChatCodec:
    """Chat Completions. The usage of a stream is always asked for, and shown to those who asked themselves."""

    streams = True

    def request(self, body: dict[str, Any], raw: bytes, model: str, *, stream: bool) -> Outgoing:
        """See `Codec`."""
        if not stream:
            if body.get("stream"):
                body = {name: value for name, value in body.items() if name not in ("stream", "stream_options")}
                raw = b""
            return Outgoing("/chat/completions", with_model(body, raw, model))
        options = body.get("stream_options")
        options = options if isinstance(options, dict) else {}
        if body.get("stream") is not True or options.get("include_usage") is not True:
            is_appended = body.get("stream") is True and "stream_options" not in body
            raw = raw.rstrip()[:-1] + _WITH_USAGE if raw and is_appended else b""
            body = body | {"stream": True, "stream_options": options | {"include_usage": True}}
        return Outgoing("/chat/completions", with_model(body, raw, model))

    def whole(self, content: bytes, seed: Seed) -> Whole:
        """See `Codec`."""
        document = parse_object(content)
        raise_if_error(document)
        choices = document.get("choices")
        if not isinstance(choices, list) or not choices:
            raise Malformed("there are no choices in it")
        reasons = [choice.get("finish_reason") if isinstance(choice, dict) else None for choice in choices]
        is_final = all(reason and reason != "content_filter" for reason in reasons)
        return Whole(content, usage_of_openai(document.get("usage")), is_final)

    def reader(self, seed: Seed) -> Reader:
        """See `Codec`."""
        return ChatReader(seed)


class CompletionsCodec:
    """The older Completions."""

    streams = True

    def request(self, body: dict[str, Any], raw: bytes, model: str, *, stream: bool) -> Outgoing:
        """See `Codec`."""
        outgoing = ChatCodec().request(body, raw, model, stream=stream)
        return Outgoing("/completions", outgoing.content)

    def whole(self, content: bytes, seed: Seed) -> Whole:
        """See `Codec`."""
        return ChatCodec().whole(content, seed)

    def reader(self, seed: Seed) -> Reader:
        """See `Codec`."""
        return CompletionsReader()


class CompletionsReader:
    """Reads a stream of Completions, whose chunks need no mending beyond the usage."""

    def __init__(self) -> None:
        self.has_started = self.is_done = self.is_final = False
        self.usage: Usage | None = None
        self.output_bytes = 0
        self.usage_frame = b""
        self.trailer = DONE
        self._finished: dict[int, bool] = {}

    def feed(self, name: str, data: bytes) -> list[bytes]:
        """See `Reader`."""
        if self.is_done:
            return []
        if data.startswith(b"[DONE]"):
            if not self._finished:
                raise Malformed("its stream ended before it said anything")
            self.is_done = True
            self.is_final = all(self._finished.values())
            return []
        chunk = parse_object(data)
        raise_if_error(chunk)
        usage = chunk.pop("usage", None)
        if usage is not None:
            self.usage = usage_of_openai(usage) or self.usage
            self.usage_frame = frame(to_json(chunk | {"choices": [], "usage": usage}))
        choices = chunk.get("choices")
        if not choices:
            return []
        for choice in choices:
            if not isinstance(choice, dict):
                raise Malformed("a choice is not an object")
            index = choice.get("index", 0)
            reason = choice.get("finish_reason")
            self._finished[index] = bool(reason) or self._finished.get(index, False)
            text = choice.get("text") or ""
            self.output_bytes += len(text)
            self.has_started = self.has_started or bool(text or reason)
        return [frame(data if usage is None and b"\n" not in data else to_json(chunk))]

    def end(self) -> list[bytes]:
        """See `Reader`."""
        if not self.is_done:
            if not self._finished or not all(self._finished.values()):
                raise Malformed("its stream ended without a finish_reason")
            self.is_done = self.is_final = True
        return []


class EmbeddingsCodec:
    """Embeddings: never a stream."""

    streams = False
    path = "/embeddings"
    member = "data"

    def request(self, body: dict[str, Any], raw: bytes, model: str, *, stream: bool) -> Outgoing:
        """See `Codec`."""
        return Outgoing(self.path, with_model(body, raw, model))

    def whole(self, content: bytes, seed: Seed) -> Whole:
        """See `Codec`."""
        document = parse_object(content)
        raise_if_error(document)
        if not isinstance(document.get(self.member), list):
            raise Malformed(f"there is no {self.member} in it")
        return Whole(content, usage_of_openai(document.get("usage")))

    def reader(self, seed: Seed) -> Reader:
        """See `Codec`."""
        raise AssertionError("there is no stream of these")


class ModerationsCodec(EmbeddingsCodec):
    """Moderations: the same with other names."""

    path = "/moderations"
    member = "results"


_ENDS: Final = ("response.completed", "response.incomplete", "response.failed")


class ResponsesCodec:
    """Responses: a stream of named events, each with its number in the sequence."""

    streams = True

    def request(self, body: dict[str, Any], raw: bytes, model: str, *, stream: bool) -> Outgoing:
        """See `Codec`."""
        if bool(body.get("stream")) != stream:
            body = body | {"stream": stream}
            raw = b""
        return Outgoing("/responses", with_model(body, raw, model))

    def whole(self, content: bytes, seed: Seed) -> Whole:
        """See `Codec`."""
        document = parse_object(content)
        if document.get("status") not in ("failed", "incomplete", "completed"):
            raise_if_error(document)
        if "output" not in document:
            raise Malformed("there is no output in it")
        is_final = document.get("status", "completed") == "completed"
        return Whole(content, usage_of_openai(document.get("usage")), is_final)

    def reader(self, seed: Seed) -> Reader:
        """See `Codec`."""
        return ResponsesReader()


class ResponsesReader:
    """Reads the events of a response up to the one that ends it."""

    def __init__(self) -> None:
        self.has_started = self.is_done = self.is_final = False
        self.usage: Usage | None = None
        self.output_bytes = 0
        self.usage_frame = b""
        self.trailer = b""

    def feed(self, name: str, data: bytes) -> list[bytes]:
        """See `Reader`."""
        if self.is_done or data.startswith(b"[DONE]"):
            return []
        event = parse_object(data)
        kind = event.get("type") or name
        if not isinstance(kind, str):
            raise Malformed("an event has no type")
        if kind == "error":
            raise_if_error({"error": event.get("error") or event})
        if kind == "response.failed" and not self.has_started:
            raise_if_error({"error": (event.get("response") or {}).get("error") or "the response failed"})
        if kind in _ENDS:
            self.is_done = True
            self.is_final = kind == "response.completed"
            response = event.get("response")
            self.usage = usage_of_openai(response.get("usage")) if isinstance(response, dict) else None
        if kind.endswith(".delta") or kind in _ENDS:
            delta = event.get("delta")
            self.output_bytes += len(delta) if isinstance(delta, str) else 0
            self.has_started = True
        return [frame(data if b"\n" not in data else to_json(event), kind.encode())]

    def end(self) -> list[bytes]:
        """See `Reader`."""
        if not self.is_done:
            raise Malformed("its stream ended before response.completed")
        return []


def error_of(content: bytes) -> tuple[str | None, str, str, str | None]:
    """Code, message, type and param of an error body, of OpenAI's shape or of one of the shapes near to it."""
    try:
        document = parse_object(content)
        raise_if_error(document)
    except UpstreamSaid as said:
        error = document["error"] if isinstance(document["error"], dict) else {}
        param = error.get("param")
        return said.code, said.message, said.type, param if isinstance(param, str) else None
    except Malformed:
        return None, "", "", None
    message = document.get("message") or document.get("detail") or ""
    return None, str(message)[:2000], "", None
