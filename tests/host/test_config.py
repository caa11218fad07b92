"""What is said about a configuration that cannot be used, to the letter; and what becomes of one that can."""

import copy
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from host.config import (
    changed_plugins,
    effective,
    json_schema,
    load_settings,
    plugin_config,
    read_settings,
    unknown_plugins,
)
from host.errors import ConfigError
from host.http.engine import ENGINES
from host.secret import Secret
from host.settings import SECTIONS, PluginSettings, Settings
from host.toml_text import dotted, toml_lines
from host.units import Duration, Size

DURATION = 'a duration such as "250ms", "5s" or "1h30m", or a number of seconds'
SECRET = 'a secret by reference: { env = "NAME" } or { file = "PATH" }'


class Upstream(BaseModel):
    url: str
    weight: Annotated[int, Field(ge=1)] = 1
    api_key: Secret | None = None


class Weather(BaseModel):
    model_config = ConfigDict(frozen=True)

    station: str = "home"
    every: Duration = 60.0
    cache: Size = 1024
    mode: Literal["now", "later"] = "now"
    retries: int | Literal["none"] = 3
    upstreams: list[Upstream] = []
    named: dict[str, Upstream] = {}
    api_key: Secret | None = None

    @field_validator("station")
    @classmethod
    def _is_not_mars(cls, value: str) -> str:
        if value == "mars":
            raise ValueError("a station on Earth is needed")
        return value

    @model_validator(mode="after")
    def _later_needs_cache(self) -> "Weather":
        if self.mode == "later" and self.cache == 0:
            raise ValueError('mode "later" needs a cache')
        return self


def write(folder: Path, text: str) -> Path:
    path = folder / "c.toml"
    path.write_text(text)
    return path


def problems_in(folder: Path, text: str, env: dict[str, str] | None = None, sets: list[str] | None = None) -> list[str]:
    """All problems, host and the plugin `weather`, with the folder left out of the places."""
    settings, problems = read_settings(write(folder, text), env or {}, sets or [])
    problems += unknown_plugins(settings, ["weather", "frontrow"])
    try:
        plugin_config(settings, "weather", Weather)
    except ConfigError as error:
        problems += [line for line in error.problems if line not in problems]
    return [line.replace(f"{folder}/", "") for line in problems]


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        pytest.param(
            '[server]\nport = "80a"',
            ['server.port (c.toml:2): expected a whole number, found "80a"'],
            id="a number is text",
        ),
        pytest.param(
            "[server]\nport = true",
            ["server.port (c.toml:2): expected a whole number, found true"],
            id="a boolean is no number",
        ),
        pytest.param(
            "[server]\nport = 65536",
            ["server.port (c.toml:2): expected at most 65535, found 65536"],
            id="a number is too large",
        ),
        pytest.param(
            "[server]\nprot = 80",
            ['server.prot (c.toml:2): unknown key — did you mean "port"?'],
            id="a key is misspelt",
        ),
        pytest.param(
            "[log]\nfile = 80",
            ["log.file (c.toml:2): unknown key — there are access, format, level"],
            id="a key is unknown",
        ),
        pytest.param(
            "[sevrer]\nport = 80",
            ['sevrer (c.toml:1): unknown section — did you mean "server"?'],
            id="a section is misspelt",
        ),
        pytest.param("server = 5", ["server (c.toml:1): expected a table, found 5"], id="a section is a value"),
        pytest.param("plugins = 5", ["plugins (c.toml:1): expected a table, found 5"], id="plugins are a value"),
        pytest.param(
            '[log]\nformat = "xml"',
            ['log.format (c.toml:2): expected "auto", "console" or "json", found "xml"'],
            id="none of the choices",
        ),
        pytest.param(
            '[server]\ncertfile = "x"',
            ["server (c.toml:1): expected certfile and keyfile together, found only one of them"],
            id="two keys go together",
        ),
        pytest.param(
            "[server]\nallowed_hosts = [\n  'a',\n  5,\n]",
            ["server.allowed_hosts[1] (c.toml:2): expected text, found 5"],
            id="an element of an array",
        ),
        pytest.param(
            '[server]\nallowed_hosts = ["https://a.example"]\ncors_origins = ["*", "a.example"]',
            [
                "server.allowed_hosts[0] (c.toml:2): expected a host name without scheme and port, such as "
                '"quartet.example", found "https://a.example"',
                'server.cors_origins[1] (c.toml:3): expected an origin such as "https://app.example", or "*", '
                'found "a.example"',
            ],
            id="names and origins",
        ),
        pytest.param(
            '[redis]\ntimeout = "5 sec"',
            [f'redis.timeout (c.toml:2): expected {DURATION}, found "5 sec"'],
            id="a duration is none",
        ),
        pytest.param(
            "[server.limits]\nbody_bytes_max = 0\nrequest_s = -1",
            [
                "server.limits.body_bytes_max (c.toml:2): expected more than 0, found 0",
                f"server.limits.request_s (c.toml:3): expected {DURATION}, found -1",
            ],
            id="limits",
        ),
        pytest.param(
            '[admin]\ntoken = "hunter2"',
            [f"admin.token (c.toml:2): expected {SECRET}, found text, not shown"],
            id="a literal secret",
        ),
        pytest.param(
            '[admin]\ntoken = { env = "NOT_THERE" }',
            ["admin.token (c.toml:2): expected the environment variable NOT_THERE to be set, found it unset or empty"],
            id="a secret that is not there",
        ),
        pytest.param(
            "[postgres]\nurl = 'localhost:5432'",
            [
                'postgres.url (c.toml:2): expected "embedded", a URL, or a reference { env = "NAME" } or '
                '{ file = "PATH" }, found text, not shown'
            ],
            id="a URL is none",
        ),
        pytest.param(
            "[plugins.frontrwo]\nenabled = true",
            ['plugins.frontrwo (c.toml:1): unknown plugin — did you mean "frontrow"?'],
            id="a plugin is misspelt",
        ),
        pytest.param(
            "[plugins.Bad-Name]",
            [
                'plugins.Bad-Name (c.toml:1): expected the name of a plugin in lower snake case, found "Bad-Name"',
                "plugins.Bad-Name (c.toml:1): unknown plugin — there are frontrow, weather",
            ],
            id="a plugin cannot have that name",
        ),
        pytest.param(
            "[plugins]\nweather = true",
            ["plugins.weather (c.toml:2): expected a table, found true"],
            id="a plugin is a value",
        ),
        pytest.param(
            '[plugins.weather]\nenabled = "yes"\non_failure = "explode"\nthreads_max = 0',
            [
                'plugins.weather.enabled (c.toml:2): expected true or false, found "yes"',
                'plugins.weather.on_failure (c.toml:3): expected "restart", "stop" or "exit", found "explode"',
                "plugins.weather.threads_max (c.toml:4): expected at least 1, found 0",
            ],
            id="the host's keys of a plugin",
        ),
        pytest.param(
            "[plugins.weather]\nenabeld = true\nevry = 1",
            [
                'plugins.weather.enabeld (c.toml:2): unknown key — did you mean "enabled"?',
                'plugins.weather.evry (c.toml:3): unknown key — did you mean "every"?',
            ],
            id="keys of both are suggested",
        ),
        pytest.param(
            '[plugins.weather]\nretries = "some"',
            ['plugins.weather.retries (c.toml:2): expected a whole number or "none", found "some"'],
            id="a union says all it takes",
        ),
        pytest.param(
            '[plugins.weather]\nstation = "mars"',
            ['plugins.weather.station (c.toml:2): a station on Earth is needed, found "mars"'],
            id="a validator's own words",
        ),
        pytest.param(
            '[plugins.weather]\nmode = "later"\ncache = 0',
            ['plugins.weather (c.toml:1): mode "later" needs a cache'],
            id="a model validator's own words",
        ),
        pytest.param(
            "[[plugins.weather.upstreams]]\nurl = 'a'\n[[plugins.weather.upstreams]]\nulr = 'b'\nweight = 0",
            [
                "plugins.weather.upstreams[1].url (c.toml:3): expected text, found no such key",
                "plugins.weather.upstreams[1].weight (c.toml:5): expected at least 1, found 0",
                'plugins.weather.upstreams[1].ulr (c.toml:4): unknown key — did you mean "url"?',
            ],
            id="an array of tables",
        ),
        pytest.param(
            "[plugins.weather.named.'gpt-4.1']\nurl = 5",
            ['plugins.weather.named."gpt-4.1".url (c.toml:2): expected text, found 5'],
            id="a table of tables",
        ),
        pytest.param(
            "[plugins.weather]\nstation = " + repr("x" * 5 + "\t") + "\nupstreams = 'x'\nnamed = [1]",
            [
                "plugins.weather.upstreams (c.toml:3): expected an array, found text",
                "plugins.weather.named (c.toml:4): expected a table, found an array",
            ],
            id="wrong kinds of collection",
        ),
    ],
)
def test_mistake_in_the_file_is_told_to_the_letter(tmp_path: Path, text: str, problems: list[str]) -> None:
    assert problems_in(tmp_path, text) == problems


def test_mistakes_everywhere_are_told_at_once_with_their_places(tmp_path: Path) -> None:
    text = '[server]\nport = 0\nhost = ""\n[plugins.weather]\nevery = "x"\n'
    env = {"QUARTET__SERVER__PORT": "x", "QUARTET__PLUGINS__WEATHER__CACHE": "1 potato", "QUARTET__X": "1"}
    assert problems_in(tmp_path, text, env, ["log.level=loud", "nonsense"]) == [
        "--set 'nonsense': expected SECTION.KEY=VALUE, found no such key",
        'server.host (c.toml:3): expected text of at least 1 characters, found ""',
        'server.port (environment QUARTET__SERVER__PORT): expected a whole number, found "x"',
        'log.level (--set): expected "debug", "info", "warning" or "error", found "loud"',
        "x (environment QUARTET__X): unknown section — there are admin, data, log, plugins, postgres, redis, server",
        f'plugins.weather.every (c.toml:5): expected {DURATION}, found "x"',
        "plugins.weather.cache (environment QUARTET__PLUGINS__WEATHER__CACHE): expected a size such as "
        '"512B", "64KiB" or "16MiB", or a number of bytes, found "1 potato"',
    ]


def test_load_settings_raises_with_all_problems(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(write(tmp_path, "[server]\nport = -1\n[log]\nlevel = 5\n"), {})
    assert len(caught.value.problems) == 2
    assert str(caught.value) == "\n".join(caught.value.problems)


def test_long_value_is_shown_cut_short(tmp_path: Path) -> None:
    (problem,) = problems_in(tmp_path, f'[log]\nlevel = "{"x" * 500}"')
    assert problem.endswith("x…")
    assert len(problem) < 150


def test_key_of_the_host_in_a_plugins_model_is_refused() -> None:
    class Greedy(BaseModel):
        enabled: bool = True
        on_failure: str = ""

    with pytest.raises(ConfigError, match="declares enabled, on_failure, the host's own"):
        plugin_config(load_settings(None, {}), "greedy", Greedy)


def test_plugin_without_a_model_takes_the_hosts_keys_alone() -> None:
    settings = load_settings(None, {}, ["plugins.plain.threads_max=3"])
    assert plugin_config(settings, "plain", None) == (PluginSettings(threads_max=3), None)
    settings = load_settings(None, {}, ["plugins.plain.thread_max=3"])
    with pytest.raises(ConfigError, match='unknown key — did you mean "threads_max"'):
        plugin_config(settings, "plain", None)


def test_unknown_key_is_refused_even_where_the_model_would_ignore_it() -> None:
    class Careless(BaseModel):
        model_config = ConfigDict(extra="ignore")
        level: int = 1

    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")

    settings = load_settings(None, {}, ["plugins.a.levle=3"])
    with pytest.raises(ConfigError, match='unknown key — did you mean "level"'):
        plugin_config(settings, "a", Careless)
    _, config = plugin_config(settings, "a", Open)
    assert config is not None
    assert config.model_extra == {"levle": 3}


def test_enabled_without_a_word_is_for_built_in_plugins_only() -> None:
    settings = load_settings(None, {}, ["plugins.on.enabled=true", "plugins.off.enabled=false"])
    assert [settings.is_enabled("silent", built_in=built_in) for built_in in (True, False)] == [True, False]
    assert settings.is_enabled("on", built_in=False)
    assert not settings.is_enabled("off", built_in=True)


def test_engine_is_one_that_there_is() -> None:
    for name in ENGINES:
        assert load_settings(None, {}, [f"server.engine={name}"]).server.engine == name
    with pytest.raises(
        ConfigError, match=r'^server.engine \(--set\): expected "hypercorn" or "native".*, found "apache"$'
    ):
        load_settings(None, {}, ["server.engine=apache"])


@pytest.mark.parametrize(
    ("section", "url", "is_good"),
    [
        ("postgres", "postgresql://u:hunter2@db/q", True),
        ("postgres", "postgres://db/q", True),
        ("postgres", "mysql://u:hunter2@db/q", False),
        ("redis", "redis://:hunter2@cache", True),
        ("redis", "rediss://cache", True),
        ("redis", "unix:///run/redis.sock", True),
        ("redis", "htp://:hunter2@cache", False),
    ],
)
def test_address_of_another_kind_of_server_is_refused(section: str, url: str, is_good: bool) -> None:
    problems = read_settings(None, {}, [f"{section}.url={url}"])[1]
    assert is_good is (problems == [])
    assert "hunter2" not in str(problems)
    assert is_good or "://…" in problems[0]


def test_settings_and_their_sections_are_frozen() -> None:
    settings = load_settings(None, {})
    with pytest.raises(ValidationError, match="frozen"):
        settings.server.port = 1  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        settings.server = settings.server  # type: ignore[misc]


toml_text = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
upstreams = st.builds(Upstream, url=toml_text, weight=st.integers(min_value=1, max_value=10**6))
configs = st.builds(
    Weather,
    station=toml_text.filter(lambda text: text != "mars"),
    every=st.integers(min_value=0, max_value=10**8).map(lambda ms: ms / 1000),
    cache=st.integers(min_value=1, max_value=2**50),
    retries=st.one_of(st.integers(min_value=0, max_value=9), st.just("none")),
    upstreams=st.lists(upstreams, max_size=3),
    named=st.dictionaries(toml_text, upstreams, max_size=3),
)


@settings_of_hypothesis(max_examples=40)
@given(
    config=configs, port=st.integers(min_value=0, max_value=65535), hosts=st.lists(st.from_regex(r"\A[a-z0-9.-]+\Z"))
)
def test_effective_configuration_written_and_read_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, config: Weather, port: int, hosts: list[str]
) -> None:
    settings = Settings.model_validate(
        {"server": {"port": port, "allowed_hosts": hosts}, "plugins": {"weather": config.model_dump(mode="json")}}
    )
    settings.raw.data["plugins"] = settings.plugins
    document = effective(settings, {"weather": Weather})
    text = "\n".join(f"{dotted(keys)} = {value}" for keys, value in toml_lines(document) if value)
    path = tmp_path_factory.getbasetemp() / "round.toml"
    path.write_text(text, newline="")
    again = load_settings(path, {})
    assert effective(again, {"weather": Weather}) == document
    assert plugin_config(again, "weather", Weather)[1] == config
    assert changed_plugins(settings, again) in (set(), {"weather"})


def test_schema_knows_every_key_and_refuses_others() -> None:
    schema = json_schema({"weather": Weather, "plain": None})
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == {*SECTIONS, "plugins"}
    weather = schema["properties"]["plugins"]["properties"]["weather"]
    assert set(weather["properties"]) == {*Weather.model_fields, *PluginSettings.model_fields}
    assert weather["additionalProperties"] is False
    assert set(schema["properties"]["plugins"]["properties"]["plain"]["properties"]) == set(PluginSettings.model_fields)
    references = {line.split('"')[1] for line in str(schema).replace("'", '"').split('"$ref": ')[1:]}
    assert references
    assert all(reference.rpartition("/")[2] in schema["$defs"] for reference in references)


BASE = {"server": {"port": 80}, "plugins": {"a": {"x": 1}, "b": {"enabled": True}}}


@pytest.mark.parametrize(
    ("keys", "value", "changed"),
    [
        (["plugins", "a", "x"], 1, set()),
        (["plugins", "a", "x"], 2, {"a"}),
        (["plugins", "a", "x"], "1", {"a"}),
        (["plugins", "b", "enabled"], False, {"b"}),
        (["plugins", "c"], {"enabled": True}, {"c"}),
        (["plugins", "b"], None, {"b"}),
        (["server", "port"], 81, "host"),
        (["log"], {"level": "debug"}, "host"),
        (["log"], {"level": "info"}, set()),
    ],
)
def test_change_of_the_configuration_names_the_plugins_that_it_touches(
    tmp_path: Path, keys: list[str], value: Any, changed: Any
) -> None:
    document: dict[str, Any] = copy.deepcopy(BASE)
    table = document
    for key in keys[:-1]:
        table = table[key]
    if value is None:
        del table[keys[-1]]
    else:
        table[keys[-1]] = value
    old, new = (load_settings(write(tmp_path, to_toml(data)), {}) for data in (BASE, document))
    assert changed_plugins(old, new) == changed


def to_toml(document: dict[str, Any]) -> str:
    text = "\n".join(f"{dotted(keys)} = {value}" for keys, value in toml_lines(document))
    assert tomllib.loads(text) == document
    return text


def test_rotated_secret_file_changes_the_plugin_that_uses_it(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("one")
    path = write(tmp_path, f'[plugins.a]\nenabled = true\n[plugins.b]\nkeys = [{{ file = "{secret}" }}]\n')
    before = load_settings(path, {})
    assert changed_plugins(before, load_settings(path, {})) == set()
    secret.write_text("two")
    assert changed_plugins(before, load_settings(path, {})) == {"b"}
    secret.unlink()
    assert changed_plugins(before, load_settings(path, {})) == {"b"}
