"""What a request needs beyond text, so that targets which lack it can be left out."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

Need = Literal["tools", "images", "audio", "files", "structured_output"]

_OF_PARTS: Final[Mapping[str, Need]] = {
    "image_url": "images",
    "input_image": "images",
    "image": "images",
    "input_audio": "audio",
    "file": "files",
    "input_file": "files",
    "document": "files",
}
"""By the type of a part of a message: Chat Completions', Responses' and Anthropic's names."""


def needs_of(body: Mapping[str, Any]) -> frozenset[Need]:
    """What the body of a request needs, whichever endpoint it is for. A shape that no endpoint knows needs nothing."""
    needs: set[Need] = set()
    if body.get("tools") or body.get("functions"):
        needs.add("tools")
    if any(_is_schema(form) for form in (body.get("response_format"), _member(body.get("text"), "format"))):
        needs.add("structured_output")
    for part in _parts(body):
        need = _OF_PARTS.get(str(part.get("type")))
        if need is not None:
            needs.add(need)
    return frozenset(needs)


def _is_schema(form: Any) -> bool:
    return bool(_member(form, "type") == "json_schema")


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _parts(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for messages in (body.get("messages"), body.get("input")):
        for message in messages if isinstance(messages, list) else ():
            content = _member(message, "content")
            for part in content if isinstance(content, list) else ():
                if isinstance(part, dict):
                    yield part
