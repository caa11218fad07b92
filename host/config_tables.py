"""Every key of the configuration as tables in Markdown: type, default, bounds, and what it is for.

Types, defaults and bounds are read off the models. The words are those of the shipped config.toml, which describes each
key of the host and of the built-in plugins; of other keys they are the descriptions in the models.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from host.config import Models, shipped_config
from host.config_sources import Keys
from host.settings import SECTIONS, PluginSettings
from host.toml_text import toml_value
from host.units import format_duration, format_size

HEAD: Final = """# Every key of the configuration

Written by `quartet schema --markdown --safe-mode > docs/configuration-keys.md` from the models that check the
configuration; [configuration.md](configuration.md) says how it is read. A duration carries its unit (`"250ms"`, `"5s"`,
`"1h30m"`; a bare number is seconds), and so does a size (`"64KiB"`, `"10MB"`; a bare number is bytes). A secret is a
reference: `{ env = "NAME" }` or `{ file = "PATH" }`. Names in capitals are yours to choose.
"""
_COLUMNS: Final = "| key | type | default | bounds | what it is |\n| --- | --- | --- | --- | --- |"
_TABLE: Final = re.compile(r"\[([\w.]+)\]")
_KEY: Final = re.compile(r"(?:# )?(\w+) = (?:.*?\S)(?:  +(.*))?")
_UNITS: Final = {"_per_s": "a second", "_per_minute": "a minute", "_usd": "US dollars"}
_SPELLED: Final = {"bool": "`true` or `false`", "int": "whole number", "float": "number", "str": "text", "Path": "path"}
_MARKS: Final = {
    "'1h30m'": "duration",
    "'16MiB'": "size",
    "'embedded'": '`"embedded"`, a URL or a secret',
    "'env'": "secret",
}
"""What tells the house's own types in a JSON Schema."""
_WRITTEN: Final = {"duration": format_duration, "size": format_size}
_BOUNDS: Final = {"ge": "≥ {}", "gt": "> {}", "le": "≤ {}", "lt": "< {}"}
_LENGTHS: Final = {"min_length": "at least {} long", "max_length": "at most {} long"}


def markdown(models: Models) -> str:
    """The tables of the host's sections and of these plugins' ones."""
    words = _words_of(shipped_config().read_text(encoding="utf-8").splitlines())
    lines = [HEAD]
    for name, section in SECTIONS.items():
        lines += _section((name,), section, words)
    lines.append("## Every `[plugins.NAME]`\n\nWhat the host itself knows of each plugin.\n")
    lines += [_COLUMNS, *_rows(("plugins",), PluginSettings, words), ""]
    for name, model in models.items():
        if model is not None:
            lines += _section(("plugins", name), model, words)
    return "\n".join(lines)


def _words_of(lines: list[str]) -> dict[Keys, str]:
    """What the comments of the shipped config.toml say of each key."""
    found: dict[Keys, str] = {}
    table: Keys = ()
    comment: list[str] = []
    for line in lines:
        if (header := _TABLE.fullmatch(line)) is not None:
            table, comment = tuple(header[1].split(".")), []
        elif (key := _KEY.fullmatch(line)) is not None and (line[0] != "#" or comment or key[2]):
            # Comments behind a key are those of the table of the keys that every plugin has.
            is_shared = line[0] == "#" and key[2] is not None
            found[("plugins", key[1]) if is_shared else (*table, key[1])] = key[2] or " ".join(comment)
            comment = []
        elif line.startswith("# "):
            comment.append(line[2:])
        else:
            comment = []
    return found


def _section(keys: Keys, model: type[BaseModel], words: Mapping[Keys, str]) -> Iterator[str]:
    """A heading, the table of a model's own keys, and the sections of the models inside."""
    about = " ".join((model.__doc__ or "").split("\n\n")[0].split())
    about = re.sub(r"^`[^`]*`: ", "", about)
    yield f"## `[{'.'.join(keys)}]`\n\n{about[:1].upper()}{about[1:]}\n"
    yield _COLUMNS
    yield from _rows(keys, model, words)
    yield ""
    for name, inner in _inner_models(model):
        yield from _section((*keys, *name), inner, words)


def _rows(keys: Keys, model: type[BaseModel], words: Mapping[Keys, str]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if _is_model(field.annotation):
            continue
        unit = next((f", {unit}" for end, unit in _UNITS.items() if name.endswith(end)), "")
        columns = (
            f"`{name}`",
            _type_of(_annotated(field)) + unit,
            _default_of(field),
            ", ".join(_bounds_of(field)),
            words.get((*keys, name)) or field.description or "",
        )
        yield f"| {' | '.join(columns)} |"


def _inner_models(model: type[BaseModel]) -> Iterator[tuple[Keys, type[BaseModel]]]:
    """The models inside, by the keys that lead there; NAME stands for one that a person chooses."""
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if _is_model(annotation):
            yield (name,), annotation
        for inner in _plain(annotation):
            item = _bare(get_args(inner)[-1 if get_origin(inner) is dict else 0]) if get_args(inner) else None
            if get_origin(inner) in (dict, tuple) and _is_model(item):
                yield (name, "NAME") if get_origin(inner) is dict else (name,), item
            elif inner is not annotation and _is_model(inner):
                yield (name,), inner


def _plain(annotation: Any) -> list[Any]:
    """The members of a union but for None, without what annotates them."""
    annotation = _bare(annotation)
    if get_origin(annotation) in (Union, UnionType):
        return [plain for each in get_args(annotation) for plain in _plain(each) if plain is not NoneType]
    return [annotation]


def _bare(annotation: Any) -> Any:
    return _bare(get_args(annotation)[0]) if get_origin(annotation) is Annotated else annotation


def _is_model(annotation: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _annotated(field: FieldInfo) -> Any:
    """The type of a field with all that annotates it, as its model was given it."""
    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


def _type_of(annotation: Any) -> str:
    """A type in the words of the page."""
    schema = TypeAdapter(annotation).json_schema()
    if "enum" in schema:
        return ", ".join(f'`"{value}"`' for value in schema["enum"])
    for mark, words in _MARKS.items():
        if mark in str(schema) and not {"items", "additionalProperties", "$defs"} & set(schema):
            return words
    return " or ".join(dict.fromkeys(_kind_of(each) for each in _plain(annotation)))


def _kind_of(plain: Any) -> str:
    origin, arguments = get_origin(plain), get_args(plain)
    if origin is Literal:
        return ", ".join(f'`"{value}"`' for value in arguments)
    if origin is dict:
        return "table by NAME" if _is_model(_bare(arguments[1])) else f"table of {_type_of(arguments[1])}"
    if origin in (tuple, frozenset, list):
        return "list of tables" if _is_model(_bare(arguments[0])) else f"list of {_type_of(arguments[0])}"
    return "table" if _is_model(plain) else _SPELLED[plain.__name__]


def _default_of(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "must be set"
    shown = TypeAdapter(_annotated(field)).dump_python(value, mode="json")
    return "not set" if shown is None else f"`{toml_value(shown)}`"


def _bounds_of(field: FieldInfo) -> Iterator[str]:
    """The bounds of the value, or of its length."""
    write: Callable[[Any], str] = _WRITTEN.get(_type_of(_annotated(field)), lambda value: f"{value:,}")
    for metadata in _metadata_of(field):
        for attribute, words in _BOUNDS.items():
            if (bound := getattr(metadata, attribute, None)) is not None:
                yield words.format(write(bound))
        for attribute, words in _LENGTHS.items():
            if (bound := getattr(metadata, attribute, None)) is not None:
                yield words.format(bound)


def _metadata_of(field: FieldInfo) -> Iterator[Any]:
    """What annotates a field, and what stands first in its union."""
    yield from field.metadata
    annotation: Any = field.annotation
    while get_origin(annotation) in (Annotated, Union, UnionType):
        if get_origin(annotation) is Annotated:
            yield from get_args(annotation)[1:]
        annotation = get_args(annotation)[0]
