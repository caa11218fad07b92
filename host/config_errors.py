"""From pydantic's errors to lines for people: path, place, what was expected, what was found, what was perhaps meant.

`server.port (config.toml:7): expected a whole number, found "80a"`. A line never shows the value of a secret, nor of
an unknown key (it may be a misspelt secret).
"""

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from host.config_sources import Keys, RawConfig
from host.toml_text import dotted

FOUND_CHARS_MAX: Final = 60
_SOUNDS_SECRET: Final = re.compile(r"token|secret|passw|credential|api_?key|private_?key", re.IGNORECASE)

# By pydantic's error type; the others keep pydantic's own words.
_EXPECTED: Final[Mapping[str, str]] = {
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "string_too_short": "text of at least {min_length} characters",
    "string_too_long": "text of at most {max_length} characters",
    "string_pattern_mismatch": "text that matches {pattern}",
    "too_short": "at least {min_length} items",
    "too_long": "at most {max_length} items",
    "list_type": "an array",
    "tuple_type": "an array",
    "set_type": "an array",
    "frozen_set_type": "an array",
    "dict_type": "a table",
    "mapping_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "none_required": "nothing",
    "quartet_expected": "{expected}",
}


def problems_of(
    error: ValidationError, model: type[BaseModel], raw: RawConfig, prefix: Keys, *, also_known: Iterable[str] = ()
) -> list[str]:
    """One line for each thing wrong in the section at `prefix`, in pydantic's order.

    `also_known` are keys that may stand beside those of `model`; they count for the suggestions.
    """
    section = _value_at(raw.data, prefix)
    expected: dict[tuple[Keys, str], list[str]] = {}
    lines: dict[tuple[Keys, str], str] = {}
    for details in error.errors(include_url=False):
        keys = _real_keys(details["loc"], section, details["type"])
        path = (*prefix, *keys)
        at = place(path, raw)
        if details["type"] == "extra_forbidden":
            beside = also_known if len(keys) == 1 else ()
            known = [*known_keys(model, keys[:-1]), *beside]
            lines[path, "unknown"] = f"{at}: unknown key{hint(str(keys[-1]), known)}"
        elif details["type"] == "missing":
            lines[path, "missing"] = f"{at}: expected {_expectation_at(model, keys)}, found no such key"
        elif details["type"] in ("value_error", "assertion_error"):
            message = re.sub(r"^(Value error|Assertion failed), ", "", details["msg"])
            lines[path, message] = f"{at}: {message}{_found(path, details, ', found ')}"
        else:
            # The members of a union each say what they expected; together they make one line.
            expected.setdefault((path, _found(path, details, "")), []).append(phrase(details))
            lines[path, "expected"] = at
    merged: dict[Keys, tuple[list[str], str]] = {}
    for (path, found), phrases in expected.items():
        merged.setdefault(path, ([], found))[0].extend(phrases)
    return [
        f"{line}: expected {' or '.join(dict.fromkeys(merged[path][0]))}"
        + (f", found {merged[path][1]}" if merged[path][1] else "")
        if kind == "expected"
        else line
        for (path, kind), line in lines.items()
    ]


def place(keys: Sequence[str | int], raw: RawConfig) -> str:
    """The path of a value and, in parentheses, where it was given, when it was."""
    source = raw.source(keys)
    return f"{dotted(keys)} ({source})" if source else dotted(keys)


def hint(name: str, known: Iterable[str]) -> str:
    """` — did you mean "x"?`, or the whole list when nothing is near."""
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f' — did you mean "{near[0]}"?'
    return f" — there are {', '.join(names)}" if names else " — there are none here"


def phrase(details: ErrorDetails) -> str:
    """What was expected instead, in words."""
    template = _EXPECTED.get(details["type"])
    if template is None:
        return re.sub(r"^(Input|Value) should be ", "", details["msg"])
    context = {
        key: value.replace("'", '"') if key == "expected" and details["type"] != "quartet_expected" else value
        for key, value in details.get("ctx", {}).items()
    }
    return template.format(**context)


def show(value: object) -> str:
    """A value as TOML would have it, cut short; what is not a scalar by its kind alone."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, (list, tuple)):
        return "an array"
    if value is None or isinstance(value, (str, bool, int, float)):
        text = json.dumps(value, ensure_ascii=False)
        return text if len(text) <= FOUND_CHARS_MAX else f"{text[: FOUND_CHARS_MAX - 1]}…"
    return type(value).__name__


def known_keys(model: type[BaseModel], keys: Sequence[str | int]) -> list[str]:
    """The keys that the table at `keys` may have, by the model of the section."""
    return [
        info.alias or name
        for kind in types_at(model, keys)
        if isinstance(kind, type) and issubclass(kind, BaseModel)
        for name, info in kind.model_fields.items()
    ]


def types_at(model: type[BaseModel], keys: Sequence[str | int]) -> list[Any]:
    """The types that the value at `keys` may have: several in a union, none where there is no such field."""
    current: list[Any] = [model]
    for key in keys:
        following: list[Any] = []
        for kind in current:
            arguments = get_args(kind)
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                fields = [info for name, info in kind.model_fields.items() if key in (name, info.alias)]
                following += [inner for info in fields for inner in _members(info.annotation)]
            elif arguments:
                following += _members(arguments[-1] if isinstance(key, str) else arguments[0])
        current = following
    return current


def _members(annotation: Any) -> Iterator[Any]:
    """The alternatives of an annotation, without `Annotated` and `None`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _members(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for member in get_args(annotation):
            yield from _members(member)
    elif annotation is not type(None):
        yield annotation


def _expectation_at(model: type[BaseModel], keys: Keys) -> str:
    """What a missing field expects: its own complaint about a value that fits nothing."""
    owners = [kind for kind in types_at(model, keys[:-1]) if isinstance(kind, type) and issubclass(kind, BaseModel)]
    for owner in owners:
        for name, info in owner.model_fields.items():
            if keys[-1] not in (name, info.alias):
                continue
            try:
                TypeAdapter(info.rebuild_annotation()).validate_python(object())
            except ValidationError as error:
                return " or ".join(dict.fromkeys(phrase(details) for details in error.errors(include_url=False)))
            except Exception:
                # A plugin's own validator may stumble over a value of no type; the line is still worth having.
                return "a value"
    return "a value"


def _real_keys(loc: Sequence[str | int], section: object, kind: str) -> tuple[Any, ...]:
    """`loc` without the names of union members and validators that pydantic puts between the keys."""
    keys: list[str | int] = []
    node = section
    for number, part in enumerate(loc):
        is_last = number == len(loc) - 1
        if isinstance(node, Mapping) and part in node:
            node = node[str(part)]
        elif isinstance(node, (list, tuple)) and isinstance(part, int) and part < len(node):
            node = node[part]
        elif not (is_last and kind in ("missing", "extra_forbidden")):
            continue
        keys.append(part)
    return tuple(keys)


def _found(path: Sequence[str | int], details: ErrorDetails, lead: str) -> str:
    own = details.get("ctx", {}).get("found", "")
    if own:
        return f"{lead}{own}"
    value = details["input"]
    if isinstance(value, str) and _EXPECTED.get(details["type"]) in ("a table", "an array"):
        # A table may have been meant to hold a secret, and this text to be it.
        return f"{lead}text"
    if isinstance(value, (Mapping, BaseModel)) and details["type"] in ("value_error", "assertion_error"):
        return ""
    if isinstance(value, str) and any(_SOUNDS_SECRET.search(str(key)) for key in path):
        return f"{lead}text, not shown"
    return f"{lead}{show(value)}"


def _value_at(data: object, keys: Keys) -> object:
    for key in keys:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data
