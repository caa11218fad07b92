"""Redaction alone."""

import json

import pytest
from pydantic import ValidationError

from quartet_webhook_inbox.config import REDACT_FIELDS, REDACT_HEADERS, Config
from quartet_webhook_inbox.redaction import REDACTED, redact_body, redact_headers, redact_query
from quartet_webhook_inbox.replay import check_target


def test_headers_are_redacted_by_name_whatever_its_case() -> None:
    headers = [("Authorization", "Bearer x"), ("accept", "a"), ("accept", "b")]
    assert redact_headers(headers, REDACT_HEADERS) == [("Authorization", REDACTED), ("accept", "a"), ("accept", "b")]


def test_query_without_secrets_is_kept_to_the_byte() -> None:
    assert redact_query("a=%20b&&c", REDACT_FIELDS) == "a=%20b&&c"
    assert redact_query("a=1&Token=x", REDACT_FIELDS) == "a=1&Token=%5Bredacted%5D"


def test_json_is_redacted_at_any_depth_and_else_kept_to_the_byte() -> None:
    body = b'{"a": [{"password": "x", "b": 1}]}'
    redacted = redact_body(body, "application/json; charset=utf-8", REDACT_FIELDS)
    assert json.loads(redacted) == {"a": [{"password": REDACTED, "b": 1}]}
    assert redact_body(b'{ "b":1 }', "application/vnd.x+json", REDACT_FIELDS) == b'{ "b":1 }'
    assert redact_body(body, "text/plain", REDACT_FIELDS) == body


@pytest.mark.parametrize("body", [b'{"password": "x"', b"[" * 200_000, b'\xff{"password": "x"}'])
def test_json_that_cannot_be_read_is_not_kept(body: bytes) -> None:
    assert redact_body(body, "application/json", REDACT_FIELDS) == REDACTED.encode()


def test_form_is_redacted() -> None:
    assert b"hunter2" not in redact_body(b"user=a&password=hunter2", "application/x-www-form-urlencoded", REDACT_FIELDS)


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:3001/",
        "https://127.0.0.1:3000/",
        "http://127.0.0.1:3000@evil.example/",
        "http://user@127.0.0.1:3000/",
        "http://127.0.0.1:x/",
        "file:///etc/passwd",
        "",
    ],
)
def test_target_that_the_operator_did_not_name_is_refused(target: str) -> None:
    check_target("http://127.0.0.1:3000/any?thing", ("http://127.0.0.1:3000",))
    with pytest.raises(Exception, match=r"403|422|URL|replay_targets"):
        check_target(target, ("http://127.0.0.1:3000",))


@pytest.mark.parametrize("target", ["http://a/path", "ftp://a", "a:3000", "http://u@a"])
def test_config_refuses_a_replay_target_that_is_no_origin(target: str) -> None:
    with pytest.raises(ValidationError, match="expected an origin"):
        Config(replay_targets=(target,))
