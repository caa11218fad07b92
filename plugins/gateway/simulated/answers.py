"""What a simulated model says: pure, and the same for the same question.

`echo` repeats the last thing that was said to it, `story` tells a long story up to the limit of tokens, anything else
does as `echo`. Given tools it calls the first one (or the one that it must), with arguments that fit the schema; given
a schema for its answer it fills that in.
"""

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic_core import to_json

_TOKEN: Final = re.compile(r"\s*\S{1,6}|\s+")
STORY_TOKENS: Final = 400
DEPTH_MAX: Final = 8
DIMENSIONS: Final = 64
DIMENSIONS_MAX: Final = 4096
CHOICES_MAX: Final = 128
"""Answers to one question, as many as OpenAI gives at most."""
VALUES_MAX: Final = 10_000
"""Values in an answer that follows a schema: a small schema can ask for more than there is time."""
_STORY: Final = (
    "A request left its client one morning and came to a gateway. The gateway looked into its cache, and there was "
    "no answer yet. It asked the first provider, which was asleep, so it asked the second, and the tokens came one by "
    "one. Nobody at the client's end had noticed anything. "
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question, whichever dialect it came in."""

    model: str
    text: str
    prompt_tokens: int
    tool: tuple[str, Mapping[str, Any]] | None = None
    schema: Mapping[str, Any] | None = None
    tokens_max: int | None = None
    choices: int = 1


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: tokens of text, or a call of a tool whose arguments come in these tokens."""

    tokens: tuple[str, ...]
    is_cut_short: bool = False
    tool: str = ""
    prompt_tokens: int = 0
    usage_tokens: int = field(default=0)

    @property
    def text(self) -> str:
        return "".join(self.tokens)


def reply_to(prompt: Prompt) -> Reply:
    """The model's answer."""
    if prompt.tool is not None:
        name, schema = prompt.tool
        tokens = tokens_of(to_json(instance_of(schema, prompt.text)).decode())
        return Reply(tuple(tokens), tool=name, prompt_tokens=prompt.prompt_tokens, usage_tokens=len(tokens))
    if prompt.schema is not None:
        tokens = tokens_of(to_json(instance_of(prompt.schema, prompt.text)).decode())
    elif prompt.model.endswith("story"):
        tokens = _story()
    else:
        tokens = tokens_of(prompt.text) or ["…"]
    limit = prompt.tokens_max
    is_cut_short = limit is not None and len(tokens) > limit
    tokens = tokens[:limit]
    return Reply(tuple(tokens), is_cut_short=is_cut_short, prompt_tokens=prompt.prompt_tokens, usage_tokens=len(tokens))


def tokens_of(text: str) -> list[str]:
    """Pieces of a few characters, as a tokenizer would make."""
    return _TOKEN.findall(text)


def count_tokens(text: str) -> int:
    """How many pieces that are; at least one."""
    return max(1, len(tokens_of(text)))


def instance_of(schema: Any, text: str, depth: int = 0) -> Any:
    """A value that the JSON schema allows, with `text` where it asks for text. Follows what the SDKs generate.

    Raises:
        ValueError: it would be too large.
    """
    return _Filler(schema if isinstance(schema, Mapping) else {}, text).fill(schema, depth)


def count_in(body: Mapping[str, Any], name: str, most: int) -> int | None:
    """A number of things that a request asks for; None when it does not say. Raises ValueError beyond `most`."""
    count = body.get(name)
    if count is not None and not (isinstance(count, int) and 1 <= count <= most):
        raise ValueError(f"{name} is from 1 to {most}")
    return count


class _Filler:
    def __init__(self, root: Mapping[str, Any], text: str) -> None:
        self._root = root
        self._text = text
        self._left = VALUES_MAX

    def fill(self, schema: Any, depth: int) -> Any:
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"the schema asks for more than {VALUES_MAX} values")
        if not isinstance(schema, Mapping) or depth > DEPTH_MAX:
            return None
        if "$ref" in schema:
            return self.fill(self._resolve(str(schema["$ref"])), depth + 1)
        for name in ("const", "default"):
            if name in schema:
                return schema[name]
        if schema.get("enum"):
            return schema["enum"][0]
        for name in ("anyOf", "oneOf", "allOf"):
            if schema.get(name):
                return self.fill(schema[name][0], depth + 1)
        return self._of_type(schema, depth)

    def _of_type(self, schema: Mapping[str, Any], depth: int) -> Any:
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = kind[0]
        if kind == "object":
            properties = schema.get("properties") or {}
            wanted = schema.get("required") or list(properties)
            return {name: self.fill(properties.get(name, {}), depth + 1) for name in wanted}
        if kind == "array":
            items = max(1, min(schema.get("minItems") or 1, VALUES_MAX))
            return [self.fill(schema.get("items") or {}, depth + 1) for _ in range(items)]
        if kind in ("integer", "number"):
            return max(1, math.ceil(schema.get("minimum") or 1))
        if kind == "boolean":
            return True
        return None if kind == "null" else self._text[:80]

    def _resolve(self, reference: str) -> Any:
        found: Any = self._root
        for name in reference.removeprefix("#/").split("/"):
            found = found.get(name) if isinstance(found, Mapping) else None
        return found


def embedding_of(text: str, dimensions: int | None) -> list[float]:
    """A unit vector that is the same for the same text."""
    size = dimensions or DIMENSIONS
    numbers = list(_numbers(text, size))
    norm = math.sqrt(sum(number * number for number in numbers)) or 1.0
    return [round(number / norm, 6) for number in numbers]


def _numbers(text: str, size: int) -> Iterator[float]:
    count = 0
    block = 0
    while True:
        for byte in hashlib.sha256(f"{block}\0{text}".encode()).digest():
            if count == size:
                return
            count += 1
            yield byte / 127.5 - 1
        block += 1


def _story() -> list[str]:
    tokens = tokens_of(_STORY)
    return (tokens * (STORY_TOKENS // len(tokens) + 1))[:STORY_TOKENS]
