"""Writing TOML: keys, values, and whole documents as dotted keys, a line each."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def dotted(keys: Sequence[str | int]) -> str:
    """`keys` as one would write them: `plugins.gateway."gpt-4o".models[2]`."""
    text = ""
    for key in keys:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            part = key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else quoted(key)
            text += f".{part}" if text else part
    return text


def toml_lines(document: Mapping[str, Any], keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """The keys of a JSON-ready document and their values in TOML; None is an empty text, for TOML has no such value."""
    for key, value in document.items():
        path = (*keys, key)
        if isinstance(value, Mapping) and value and not _is_reference(value):
            yield from toml_lines(value, path)
        else:
            yield path, "" if value is None else toml_value(value)


def toml_value(value: Any) -> str:
    """A JSON-ready value as an inline TOML value; members that are None are left out."""
    if isinstance(value, Mapping):
        members = (f"{dotted([key])} = {toml_value(inner)}" for key, inner in value.items() if inner is not None)
        return "{ " + ", ".join(members) + " }" if value else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(toml_value(inner) for inner in value if inner is not None) + "]"
    return quoted(value) if isinstance(value, str) else json.dumps(value)


def _is_reference(value: Mapping[str, Any]) -> bool:
    return set(value) in ({"env"}, {"file"})


def quoted(text: str) -> str:
    """`text` as a TOML string: JSON's, but for DEL, which TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
