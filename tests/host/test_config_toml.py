"""The shipped config.toml: every key there is, at its default, with a comment that says what it is."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest
from pydantic import BaseModel

from host.config import load_settings, plugin_config, shipped_config
from host.config_sources import Keys, key_lines
from host.http.limits import Limits
from host.inventory import take_inventory
from host.settings import SECTIONS, LimitsSettings, PluginSettings
from host.toml_text import dotted

TEXT = shipped_config().read_text()
LINES = TEXT.splitlines()
SETTINGS = load_settings(shipped_config(), {})
BUILT_IN = {plugin.name: plugin.info.config for plugin in take_inventory(SETTINGS, safe_mode=True).loaded}


def keys_of(model: type[BaseModel], prefix: Keys) -> Iterator[tuple[Keys, Any]]:
    """The keys of a section and of the sections inside it, with their defaults."""
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from keys_of(info.annotation, (*prefix, name))
        else:
            yield (*prefix, name), info.get_default(call_default_factory=True)


HOST_KEYS = [key for name, model in SECTIONS.items() for key in keys_of(model, (name,))]
PLUGIN_KEYS = [key for name, model in BUILT_IN.items() if model for key in keys_of(model, ("plugins", name))]


def is_comment(line: str) -> bool:
    return line.startswith("# ")


def lines_of(keys: Keys) -> list[int]:
    """The places (from 0) of a key: set, or commented out in its section."""
    return [line - 1 for known, line in key_lines(TEXT.replace(f"# {keys[-1]} = ", f"{keys[-1]} = ")) if known == keys]


@pytest.mark.parametrize(("keys", "default"), HOST_KEYS + PLUGIN_KEYS, ids=str)
def test_key_stands_in_config_toml_with_a_comment(keys: Keys, default: Any) -> None:
    places = lines_of(keys)
    assert len(places) == 1, f"{dotted(keys)} is missing in config.toml"
    (place,) = places
    above = LINES[place - 1]
    assert is_comment(above), f"{dotted(keys)} has no comment above it"
    assert not re.match(r"# \w+ = ", above), f"{dotted(keys)} has no comment of its own"
    is_off = default is None and "off" not in LINES[place]
    assert is_comment(LINES[place]) == is_off


def test_config_toml_has_no_key_that_is_not_the_hosts_or_a_plugins() -> None:
    known = {keys for keys, _ in HOST_KEYS + PLUGIN_KEYS} | {("plugins", name, "enabled") for name in BUILT_IN}
    tables = {keys[:depth] for keys in known for depth in range(len(keys))}
    assert {keys for keys, _ in key_lines(TEXT)} <= known | tables


def test_config_toml_says_what_the_defaults_are() -> None:
    defaults = load_settings(None, {})
    for name in SECTIONS:
        assert getattr(SETTINGS, name) == getattr(defaults, name), f"[{name}]"
    for name, model in BUILT_IN.items():
        host_part, config = plugin_config(SETTINGS, name, model)
        assert host_part == PluginSettings(enabled=True)
        in_file, by_default = dict(config or ()), dict(model() if model else ())
        different = [key for key in by_default if in_file[key] != by_default[key]]
        assert different == [], f"[plugins.{name}] has other values than the model"


def test_config_toml_describes_the_hosts_keys_of_every_plugin() -> None:
    described = {}
    for line in LINES:
        key, equals, rest = line.removeprefix("# ").partition(" = ")
        if is_comment(line) and equals and key in PluginSettings.model_fields and "  " in rest:
            value, _, comment = rest.partition("  ")
            assert comment.strip()
            described[key] = tomllib.loads(f"v = {value}")["v"]
    assert set(described) == set(PluginSettings.model_fields)
    shown = PluginSettings.model_validate(described)
    assert shown == PluginSettings(enabled=True, postgres_connections_max=SETTINGS.postgres.connections_max)


def test_limits_of_the_configuration_are_those_of_the_engines() -> None:
    assert [field.name for field in fields(Limits)] == list(LimitsSettings.model_fields)
    assert LimitsSettings().to_limits() == Limits()
    assert SETTINGS.server.limits.to_limits() == Limits()
    changed = load_settings(None, {}, ["server.limits.websocket_ping_s=off", "server.limits.request_s=2m"])
    assert changed.server.limits.to_limits() == Limits(websocket_ping_s=None, request_s=120.0)
