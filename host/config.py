"""The configuration: read, checked whole, and shown without its secrets.

Order, the later wins: the defaults of the models, the file, the environment (`QUARTET__SERVER__PORT=80`), `--set
server.port=80`. Everything wrong is found at once and reported one line each; see `config_errors`. The host's own
sections become `Settings`; a plugin's section is checked by `plugin_config` against the model that the plugin brings,
so that nothing of a plugin is imported to read the configuration.
"""

import copy
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.json_schema import models_json_schema

from host.config_errors import hint, place, problems_of, show, types_at
from host.config_sources import ENV_CONFIG as ENV_CONFIG
from host.config_sources import ENV_SOURCE, RawConfig, read_sources
from host.config_sources import find_config as find_config
from host.config_sources import shipped_config as shipped_config
from host.errors import ConfigError
from host.secret import SECRET_FILE_BYTES_MAX, Secret
from host.settings import PLUGIN_NAME, RESERVED_KEYS, SECTIONS, PluginSettings, Section, Settings, reserved_in
from host.toml_text import dotted

Models = Mapping[str, type[BaseModel] | None]
AnyModel = TypeVar("AnyModel", bound=BaseModel)


def load_settings(path: Path | None, env: Mapping[str, str], sets: Sequence[str] = ()) -> Settings:
    """The host's settings from the file at `path` (None: no file), the environment and `--set` items.

    Raises:
        ConfigError: something of the host's part, or of the host's keys of a plugin, cannot be used.
    """
    settings, problems = read_settings(path, env, sets)
    if problems:
        raise ConfigError(problems)
    return settings


def read_settings(path: Path | None, env: Mapping[str, str], sets: Sequence[str] = ()) -> tuple[Settings, list[str]]:
    """Like `load_settings`, but the problems are returned, so that those of plugins can be added to them.

    A section that cannot be used has its defaults in the result: go on checking with it, never run with it.

    Raises:
        ConfigError: the file cannot be read, or is not TOML.
    """
    raw = read_sources(path, env, sets)
    problems = list(raw.problems)
    sections: dict[str, Section] = {}
    for name, model in SECTIONS.items():
        section, wrong = _section(model, raw, (name,), raw.data.get(name, {}), env)
        sections[name] = section or model()
        problems += wrong
    for name in raw.data:
        if name not in SECTIONS and name != "plugins":
            problems.append(f"{place((name,), raw)}: unknown section{hint(name, [*SECTIONS, 'plugins'])}")
    plugins = raw.data.get("plugins", {})
    if isinstance(plugins, Mapping):
        for name in plugins:
            problems += _check_plugin_section(raw, name, plugins[name], env)
    else:
        problems.append(f"{place(('plugins',), raw)}: expected a table, found {_kind_only(plugins)}")
        plugins = {}
    settings = Settings.model_validate({**sections, "plugins": plugins, "path": path})
    settings._raw = raw
    settings._env = env
    settings._fingerprints = {name: _fingerprint(section) for name, section in plugins.items()}
    return settings, problems


def unknown_plugins(settings: Settings, known: Iterable[str]) -> list[str]:
    """A line for each section of a plugin that is not there, with the name that was perhaps meant."""
    names = sorted(known)
    return [
        f"{place(('plugins', name), settings.raw)}: unknown plugin{hint(name, names)}"
        for name in settings.plugins
        if name not in names
    ]


def plugin_config(
    settings: Settings, name: str, model: type[BaseModel] | None
) -> tuple[PluginSettings, BaseModel | None]:
    """The host's settings of a plugin, and its own configuration as `model` reads it (None without a model).

    Raises:
        ConfigError: with all that is wrong in the plugin's section, or that the model claims a key of the host's.
    """
    raw = settings.raw
    section = settings.plugins.get(name, {})
    if not isinstance(section, Mapping):
        raise ConfigError(_check_plugin_section(raw, name, section, settings.env))
    keys = ("plugins", name)
    host_part, problems = _section(PluginSettings, raw, keys, _host_part(section), settings.env)
    own = {key: value for key, value in section.items() if key not in RESERVED_KEYS}
    config: BaseModel | None = None
    if model is None:
        problems += [f"{place((*keys, key), raw)}: unknown key{hint(key, RESERVED_KEYS)}" for key in own]
    elif claimed := list(reserved_in(model)):
        problems.append(f"{dotted(keys)}: the model of its configuration declares {', '.join(claimed)}, the host's own")
    else:
        config, wrong = _section(model, raw, keys, own, settings.env, also_known=RESERVED_KEYS)
        problems += wrong
    if problems or host_part is None:
        raise ConfigError(problems)
    return host_part, config


def effective(settings: Settings, models: Models, redact: bool = True) -> dict[str, Any]:
    """The configuration in force as plain data that could be written back: durations and sizes as text, defaults
    filled in, secrets as their references (`redact=False`: as their values). Plugins are those of `models`.

    Raises:
        ConfigError: the section of one of `models` cannot be used.
    """
    context = {"reveal": not redact}
    shown: dict[str, Any] = settings.model_dump(mode="json", context=context)
    shown["plugins"] = {}
    for name in sorted(models):
        host_part, config = plugin_config(settings, name, models[name])
        shown["plugins"][name] = host_part.model_dump(mode="json", context=context)
        if config is not None:
            shown["plugins"][name] |= config.model_dump(mode="json", context=context, by_alias=True)
    return shown


def json_schema(models: Models) -> dict[str, Any]:
    """The JSON Schema (2020-12) of config.toml with the sections of `models`, for editors to complete and check with.

    Other plugins' sections are let through unchecked.
    """
    own = {name: model for name, model in models.items() if model is not None}
    everything: list[type[BaseModel]] = [*SECTIONS.values(), PluginSettings, *own.values()]
    references, schema = models_json_schema([(model, "validation") for model in dict.fromkeys(everything)])
    definitions = schema.get("$defs", {})

    def definition(model: type[BaseModel]) -> dict[str, Any]:
        found: dict[str, Any] = definitions[references[model, "validation"]["$ref"].rpartition("/")[2]]
        return found

    plugins = {}
    for name, model in models.items():
        section = dict(definition(model)) if model else {"type": "object"}
        section["properties"] = definition(PluginSettings)["properties"] | section.get("properties", {})
        plugins[name] = {"additionalProperties": False} | section
    sections: dict[str, Any] = {name: references[model, "validation"] for name, model in SECTIONS.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "config.toml of Quartet",
        "type": "object",
        "additionalProperties": False,
        "properties": sections | {"plugins": {"type": "object", "properties": plugins}},
        "$defs": definitions,
    }


def changed_plugins(old: Settings, new: Settings) -> set[str] | Literal["host"]:
    """The plugins whose sections differ, or "host" when a part differs that only a restart of the host can apply.

    The content of secret files counts: a rotated secret restarts the plugin that uses it.
    """
    if any(getattr(old, name) != getattr(new, name) for name in SECTIONS):
        return "host"
    names = {*old.plugins, *new.plugins}
    return {name for name in names if old.fingerprints.get(name) != new.fingerprints.get(name)}


def _check_plugin_section(raw: RawConfig, name: str, section: object, env: Mapping[str, str]) -> list[str]:
    """What can be said about a plugin's section without its model: its name, its shape, and the host's keys."""
    keys = ("plugins", name)
    if not PLUGIN_NAME.fullmatch(name):
        return [f"{place(keys, raw)}: expected the name of a plugin in lower snake case, found {show(name)}"]
    if not isinstance(section, Mapping):
        return [f"{place(keys, raw)}: expected a table, found {_kind_only(section)}"]
    return _section(PluginSettings, raw, keys, _host_part(section), env)[1]


def _host_part(section: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in section.items() if key in RESERVED_KEYS}


def _section(
    model: type[AnyModel],
    raw: RawConfig,
    keys: tuple[str, ...],
    data: object,
    env: Mapping[str, str],
    *,
    also_known: Iterable[str] = (),
) -> tuple[AnyModel | None, list[str]]:
    """`data` as `model` reads it, or None with a line for each thing wrong. Unknown keys are wrong unless allowed."""
    if not isinstance(data, Mapping):
        return None, [f"{place(keys, raw)}: expected a table, found {_kind_only(data)}"]
    extra: Literal["forbid"] | None = None if model.model_config.get("extra") == "allow" else "forbid"
    given = _secrets_by_reference(data, model, raw, keys)
    try:
        return model.model_validate(given, extra=extra, context={"env": env}), []
    except ValidationError as error:
        return None, problems_of(error, model, raw, keys, also_known=also_known)


def _secrets_by_reference(
    data: Mapping[str, Any], model: type[BaseModel], raw: RawConfig, keys: tuple[str, ...]
) -> dict[str, Any]:
    """`data` with each secret whose value stands in an environment variable turned into a reference to that variable.

    The environment is as good a place for the value itself as for a reference; and `QUARTET__…__TOKEN=0123` must not
    become a number on its way.
    """
    given = copy.deepcopy(dict(data))
    for path, source in raw.sources.items():
        inside = path[len(keys) :]
        if path[: len(keys)] != keys or not inside or not source.startswith(ENV_SOURCE):
            continue
        table: Any = given
        for key in inside[:-1]:
            table = table.get(key) if isinstance(table, dict) else None
        is_literal = isinstance(table, dict) and inside[-1] in table and not isinstance(table[inside[-1]], dict)
        if is_literal and Secret in types_at(model, inside):
            table[inside[-1]] = {"env": source.removeprefix(ENV_SOURCE)}
    return given


def _kind_only(value: object) -> str:
    """The kind of a value that stands where a table should, which may hold secrets: never the value."""
    return "text" if isinstance(value, str) else show(value)


def _fingerprint(value: object) -> str:
    """A digest of a raw section and of the files that it refers to."""

    def expand(node: object) -> object:
        if isinstance(node, Mapping):
            if set(node) == {"file"} and isinstance(node["file"], str):
                return ["file", node["file"], _digest_of(Path(node["file"]))]
            return {key: expand(inner) for key, inner in node.items()}
        return [expand(inner) for inner in node] if isinstance(node, list) else node

    text = json.dumps(expand(value), sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()


def _digest_of(path: Path) -> str:
    try:
        with path.expanduser().open("rb") as file:
            return hashlib.sha256(file.read(SECRET_FILE_BYTES_MAX)).hexdigest()
    except (OSError, RuntimeError, ValueError):
        return "unreadable"
