"""Files, environment and command line: what wins, what each value may be, and where each one stood."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.config import find_config, load_settings, shipped_config
from host.config_sources import ENV_PREFIX, key_lines, parse_key, parse_value, read_sources
from host.errors import ConfigError
from host.toml_text import dotted, toml_value

LAYERS = ("file", "environment", "set")
ports = st.one_of(st.none(), st.integers(min_value=1, max_value=65535))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config")


@given(file=ports, environment=ports, sets=st.lists(st.integers(min_value=1, max_value=65535), max_size=3))
def test_last_layer_that_gives_a_value_wins(
    folder: Path, file: int | None, environment: int | None, sets: list[int]
) -> None:
    path = folder / "config.toml"
    path.write_text("" if file is None else f"[server]\nport = {file}\n")
    env = {} if environment is None else {"QUARTET__SERVER__PORT": str(environment)}
    settings = load_settings(path, env, [f"server.port={port}" for port in sets])
    given_ports = [port for port in (8000, file, environment, *sets) if port is not None]
    assert settings.server.port == given_ports[-1]
    assert settings.server.host == "127.0.0.1"


def test_layer_changes_one_key_of_a_table_and_replaces_an_array_or_reference_whole(folder: Path) -> None:
    path = folder / "merge.toml"
    path.write_text('[server]\nport = 1\nallowed_hosts = ["a", "b"]\n[admin]\ntoken = { file = "/x" }\n')
    env = {"QUARTET__SERVER__ALLOWED_HOSTS": '["c"]', "QUARTET__ADMIN__TOKEN": '{ env = "T" }', "T": "t"}
    settings = load_settings(path, env)
    assert settings.server.port == 1
    assert settings.server.allowed_hosts == ("c",)
    assert settings.admin.token is not None
    assert settings.admin.token.reveal() == "t"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("80", 80),
        ("1.5", 1.5),
        ("true", True),
        ("True", "True"),
        ('"80"', "80"),
        ("2m", "2m"),
        ("127.0.0.1", "127.0.0.1"),
        ("", ""),
        ("#x", "#x"),
        ('["a", 1]', ["a", 1]),
        ('{ env = "X" }', {"env": "X"}),
        ("2026-01-01", "2026-01-01"),
        ("1\nx = 2", "1\nx = 2"),
        ("[" * 5000, "[" * 5000),
    ],
)
def test_value_from_outside_is_toml_where_it_parses_else_text(text: str, value: Any) -> None:
    assert parse_value(text) == value


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("a.b.c", ("a", "b", "c")),
        ('plugins.gateway."gpt-4.1".x', ("plugins", "gateway", "gpt-4.1", "x")),
        (" a . b ", ("a", "b")),
        ("", ()),
        ("a..b", ()),
        ("a b", ()),
        ("a\n.b", ()),
        ('"a', ()),
        ("a.b = 1\nc", ()),
    ],
)
def test_key_of_a_set_option_is_a_dotted_toml_key(text: str, keys: tuple[str, ...]) -> None:
    assert parse_key(text) == keys


@given(st.lists(st.text(st.characters(codec="ascii", exclude_categories=["Cc"])), min_size=1, max_size=4))
def test_dotted_key_is_read_back_as_the_same_parts(keys: list[str]) -> None:
    assert parse_key(dotted(keys)) == tuple(keys)


@pytest.mark.parametrize(
    ("env", "sets", "problem"),
    [
        ({"QUARTET____X": "1"}, [], "environment QUARTET____X: expected QUARTET__SECTION__KEY, found an empty part"),
        ({}, ["server"], "--set 'server': expected SECTION.KEY=VALUE, found no such key"),
        ({}, ["=5"], "--set '': expected SECTION.KEY=VALUE, found no such key"),
        (
            {"QUARTET__SERVER__PORT": "1"},
            ["server.port.x=2"],
            "server.port.x (--set): expected server.port to be a table, found a value "
            "(environment QUARTET__SERVER__PORT)",
        ),
    ],
)
def test_override_that_names_no_key_is_a_problem(env: dict[str, str], sets: list[str], problem: str) -> None:
    assert read_sources(None, env, sets).problems == [problem]


def test_misspelt_section_from_the_environment_has_its_place() -> None:
    raw = read_sources(None, {"QUARTET__SERVR__PORT": "1"}, [])
    assert raw.source(("servr",)) == "environment QUARTET__SERVR__PORT"
    assert raw.source(("server",)) == ""


def test_other_environment_variables_are_left_alone() -> None:
    assert read_sources(None, {"QUARTET_CONFIG": "x", "QUARTETX": "1", "PATH": "/"}, []).data == {}
    assert ENV_PREFIX == "QUARTET__"


def test_config_is_searched_from_the_option_to_the_shipped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config(None, {}) == shipped_config()
    assert shipped_config().is_file()
    Path("config.toml").touch()
    assert find_config(None, {}) == Path("config.toml")
    assert find_config(None, {"QUARTET_CONFIG": "/e.toml"}) == Path("/e.toml")
    assert find_config(Path("/o.toml"), {"QUARTET_CONFIG": "/e.toml"}) == Path("/o.toml")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a = \n", r":1:5: expected TOML, found: invalid value$"),
        (b"a = 1\na = 2\n", r":2:\d+: expected TOML, found: cannot overwrite a value$"),
        (b"\xff", r": expected text in UTF-8, found byte 0xff$"),
        (b"a = " + b"[" * 5000, r": expected TOML, found tables nested too deeply$|expected TOML, found"),
    ],
)
def test_file_that_is_not_toml_is_one_problem_with_its_place(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=problem) as caught:
        read_sources(path, {}, [])
    assert len(caught.value.problems) == 1


def test_file_that_is_not_there_is_one_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere.toml: expected a readable file, found: no such file or directory$"):
        read_sources(tmp_path / "nowhere.toml", {}, [])


DOCUMENT = '''\
top = 1
[a]            # a table
b = [          # an array over lines
  "]", # with a bracket in a string and [ in a comment
  2,
]
c = """
[not.a.table]
d = 5
"""
"quoted key" = { env = "X" }
e.f.g = """one line"""
[[a.items]]
name = 'x'
[[a.items]]
name = 'y'
[a.items.inner]
deep = true
h = \'\'\'
\'\'\'
i = """ends in quotes"""""
[z]
'''


def test_every_key_has_the_line_that_it_stands_on() -> None:
    tomllib.loads(DOCUMENT)
    assert dict(key_lines(DOCUMENT)) == {
        ("top",): 1,
        ("a",): 2,
        ("a", "b"): 3,
        ("a", "c"): 7,
        ("a", "quoted key"): 11,
        ("a", "e", "f", "g"): 12,
        ("a", "items", "0"): 13,
        ("a", "items", "0", "name"): 14,
        ("a", "items", "1"): 15,
        ("a", "items", "1", "name"): 16,
        ("a", "items", "1", "inner"): 17,
        ("a", "items", "1", "inner", "deep"): 18,
        ("a", "items", "1", "inner", "h"): 19,
        ("a", "items", "1", "inner", "i"): 21,
        ("z",): 22,
    }


keys = st.text(st.characters(codec="utf-8", exclude_characters='"\\', exclude_categories=["Cc", "Cs"]), min_size=1)
values = st.one_of(
    st.integers(min_value=-(2**63), max_value=2**63 - 1),
    st.booleans(),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs"])),
    st.lists(st.text("ab[]{}#\"'\n")),
    st.dictionaries(keys, st.text("ab[]{}#\"'\n"), max_size=2),
)


@given(st.dictionaries(keys, st.dictionaries(keys, st.tuples(values, st.booleans()), max_size=4), max_size=4))
def test_lines_of_any_document_are_those_of_its_keys(document: dict[str, dict[str, tuple[Any, bool]]]) -> None:
    lines: list[str] = []
    expected: dict[tuple[str, ...], int] = {}
    for table, members in document.items():
        lines.append(f"[{dotted([table])}]")
        expected[(table,)] = len(lines)
        for key, (value, on_lines) in members.items():
            expected[table, key] = len(lines) + 1
            text = toml_value(value)
            if on_lines and isinstance(value, list):
                text = text.replace(", ", ", # ]\n").replace("[", "[\n", 1)
            elif on_lines and isinstance(value, str) and '"' not in value and "\\" not in value:
                text = f'"""\n{text[1:-1]}\n"""'
            lines += f"{dotted([key])} = {text}".split("\n")
    text = "\n".join(lines)
    tomllib.loads(text)
    assert dict(key_lines(text)) == expected
