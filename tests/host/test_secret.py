"""A secret is never seen: not in its own forms, not in those of what holds it, not in an error about it."""

import copy
import json
import pickle
import traceback
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from host.config import effective, load_settings, plugin_config, read_settings
from host.config_sources import RawConfig, parse_key
from host.errors import ConfigError
from host.secret import SECRET_FILE_BYTES_MAX, Secret, ServiceUrl, redact_url

# Any text between two characters that no message has: where one of them is seen, the secret was shown.
MARK = "§"
secrets = st.text(st.characters(codec="utf-8", exclude_characters="\0")).map(lambda text: f"{MARK}{text}{MARK}")


class Upstream(BaseModel):
    url: str = ""
    api_key: Secret


class Config(BaseModel):
    key: Secret | None = None
    upstreams: list[Upstream] = []
    by_name: dict[str, Upstream] = {}


def validate(value: object, env: dict[str, str] | None = None) -> Secret:
    return TypeAdapter(Secret).validate_python(value, context={"env": env or {}})


@given(secrets)
def test_secret_in_no_form_shows_its_value(value: str) -> None:
    secret = validate({"env": "KEY"}, {"KEY": value})
    config = Config(key=secret, upstreams=[Upstream(api_key=secret)])
    forms = [repr(secret), str(secret), f"{secret}", f"{secret!r:>50}", "%s" % secret, repr([secret]), repr(config)]  # noqa: UP031
    forms += [str(config), config.model_dump_json(), repr(config.model_dump()), repr(copy.deepcopy(config))]
    for form in forms:
        assert MARK not in form
        assert "\\u00a7" not in form
    assert secret.reveal() == value


def test_secret_cannot_be_pickled_or_set_by_json_dump() -> None:
    with pytest.raises(TypeError, match="in the clear"):
        pickle.dumps(Secret("hunter22"))
    with pytest.raises(TypeError):
        json.dumps(Secret("hunter22"))


def test_secret_serialises_as_the_reference_it_came_from() -> None:
    assert TypeAdapter(Secret).dump_python(validate({"env": "KEY"}, {"KEY": "x"}), mode="json") == {"env": "KEY"}
    assert TypeAdapter(Secret).dump_python(Secret("x"), mode="json") == "<redacted>"


def test_secret_file_is_read_without_the_white_space_around_it(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("  hunter22\n")
    assert validate({"file": str(tmp_path / "key")}).reveal() == "hunter22"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("hunter22", "expected a secret by reference"),
        (12345678, "expected a secret by reference"),
        ({"env": "UNSET"}, "expected the environment variable UNSET to be set"),
        ({"env": "EMPTY"}, "expected the environment variable EMPTY to be set"),
        ({"env": "KEY", "file": "x"}, "expected a secret by reference"),
        ({"env": 5}, "expected a secret by reference"),
        ({"value": "hunter22"}, "expected a secret by reference"),
        ({}, "expected a secret by reference"),
        ({"file": "/nowhere/key"}, "expected a readable file '/nowhere/key'"),
        ({"file": "/"}, "expected a readable file '/'"),
    ],
)
def test_secret_by_anything_but_a_good_reference_is_refused(value: object, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        validate(value, {"EMPTY": "", "KEY": "hunter22"})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b" \n", "expected a secret in the file"),
        (b"x" * (SECRET_FILE_BYTES_MAX + 1), "at most 65536 bytes"),
        (b"\xff\xfe\xfd", "text in UTF-8"),
    ],
)
def test_secret_file_that_cannot_hold_a_secret_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(ValidationError, match=reason):
        validate({"file": str(tmp_path / "key")})


@given(secrets)
def test_literal_secrets_in_a_configuration_are_refused_without_being_shown(value: str) -> None:
    misplaced = ["admin", "admin.token", "admin.tokn", "postgres.url", "postgres.ulr"]
    keys = ["key", "kye", "upstreams", "by_name.a", "by_name.b.api_key", "by_name.b.apikey", "by_name.c.api_key.value"]
    raw = RawConfig(None)
    for key in [*misplaced, *(f"plugins.x.{key}" for key in keys)]:
        raw.put(parse_key(key), value, "--set")
    with patch("host.config.read_sources", return_value=raw):
        settings, problems = read_settings(None, {})
    with pytest.raises(ConfigError) as caught:
        plugin_config(settings, "x", Config)
    problems = [*problems, *caught.value.problems]
    assert len(problems) >= 10
    for shown in [*problems, repr(settings), repr(caught.value), *traceback.format_exception(caught.value)]:
        assert MARK not in shown


@given(secrets)
def test_secret_in_the_environment_is_taken_whole_and_shown_as_its_variable(value: str) -> None:
    env = {"QUARTET__ADMIN__TOKEN": value, "QUARTET__PLUGINS__X__BY_NAME__A__API_KEY": value}
    settings = load_settings(None, env)
    assert settings.admin.token is not None
    assert settings.admin.token.reveal() == value
    _, config = plugin_config(settings, "x", Config)
    assert isinstance(config, Config)
    assert config.by_name["a"].api_key.reveal() == value
    assert MARK not in json.dumps(effective(settings, {"x": Config}), ensure_ascii=False)
    assert MARK not in repr(settings)
    assert effective(settings, {}, redact=False)["admin"]["token"] == value


def test_secret_of_digits_in_the_environment_keeps_its_zeros() -> None:
    token = load_settings(None, {"QUARTET__ADMIN__TOKEN": "1_000"}).admin.token
    assert token is not None
    assert token.reveal() == "1_000"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("embedded", "embedded"),
        ("postgresql://quartet@/quartet?host=/run/pg", "postgresql://quartet@/quartet?host=/run/pg"),
        ("postgresql://u:p4ss@h:5432/db?sslmode=require", "postgresql://u:***@h:5432/db?sslmode=require"),
        ("postgresql://h/db?password=p4ss&dbname=x", "postgresql://h/db?password=***&dbname=x"),
        ("redis://:p4ss@h/0", "redis://:***@h/0"),
        ("redis://:p4/s?s@w@h/0", "redis://:***@h/0"),
        ("host=h password=p4ss", "<redacted>"),
    ],
)
def test_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert redact_url(url) == shown
    assert shown in repr(ServiceUrl(url))


@given(st.text(st.characters(codec="utf-8"), min_size=1), st.sampled_from(["postgresql", "redis"]))
def test_url_with_any_password_is_shown_without_it(password: str, scheme: str) -> None:
    url = ServiceUrl(f"{scheme}://user:§{password}§@server:1/0")
    assert "§" not in f"{url!r} {url} {url.shown()}"


def test_service_url_by_reference_is_shown_as_the_reference() -> None:
    settings = load_settings(None, {"DSN": "postgresql://u:p4ss@h/db"}, ['postgres.url={ env = "DSN" }'])
    assert settings.postgres.url.reveal() == "postgresql://u:p4ss@h/db"
    assert effective(settings, {})["postgres"]["url"] == {"env": "DSN"}
    assert "p4ss" not in repr(settings)
