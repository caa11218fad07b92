"""Hosts, origins, content types, CORS and the admin token, as tables."""

import ast
import hmac
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from host.errors import HttpProblem
from host.http import security
from host.http.security import (
    Policy,
    admin_guard,
    check_content_type,
    check_host,
    check_origin,
    cors_headers,
    is_same_origin,
    preflight,
)

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("host", "is_known"),
    [
        (None, True),
        (b"localhost", True),
        (b"LOCALHOST:8000", True),
        (b"localhost.:8000", True),
        (b"board.localhost:8000", True),
        (b"127.0.0.1:8000", True),
        (b"[::1]:8000", True),
        (b"192.168.1.5", True),
        (b"quartet.example:80", True),
        (b"evil.example", False),
        (b"evil.example:8000", False),
        (b"localhost.evil.example", False),
        (b"127.0.0.1.evil.example", False),
        (b"notlocalhost", False),
        (b"", False),
        (b"\xff", False),
        (b"[::1", False),
        (b"user@evil.example", False),
    ],
)
def test_host_on_loopback_is_a_name_that_nobody_can_rebind(host: bytes | None, is_known: bool) -> None:
    policy = Policy(allowed_hosts=["Quartet.example"])
    for _ in range(2):
        assert policy.is_known_host(host) is is_known
    if not is_known:
        with pytest.raises(HttpProblem, match="421"):
            check_host(policy, host)


def test_host_elsewhere_is_any_unless_names_are_configured() -> None:
    assert Policy(loopback=False).is_known_host(b"anything.example")
    strict = Policy(loopback=False, allowed_hosts=["quartet.example"])
    assert strict.is_known_host(b"quartet.example")
    assert not strict.is_known_host(b"anything.example")


def test_host_memory_is_bounded() -> None:
    policy = Policy()
    for number in range(5000):
        policy.is_known_host(b"%d.example" % number)
    assert len(policy._known) <= 1024


@pytest.mark.parametrize(
    ("origin", "host", "is_same"),
    [
        (b"http://localhost:8000", b"localhost:8000", True),
        (b"http://LocalHost:8000", b"localhost:8000", True),
        (b"http://quartet.example", b"quartet.example", True),
        (b"http://quartet.example", b"quartet.example:80", True),
        (b"https://quartet.example", b"quartet.example", True),
        (b"https://quartet.example:443", b"quartet.example", True),
        (b"http://[::1]:8000", b"[::1]:8000", True),
        (b"https://quartet.example", b"quartet.example:80", False),
        (b"http://localhost:8001", b"localhost:8000", False),
        (b"http://localhost", b"localhost:8000", False),
        (b"http://evil.example", b"localhost:8000", False),
        (b"http://localhost:8000.evil.example", b"localhost:8000", False),
        (b"http://localhost:8000@evil.example", b"localhost:8000", False),
        (b"null", b"null", False),
        (b"null", b"localhost", False),
        (b"file://", b"", False),
        (b"localhost:8000", b"localhost:8000", False),
        (b"", b"", False),
        (b"http://localhost", None, False),
    ],
)
def test_same_origin_is_the_authority_of_the_host(origin: bytes, host: bytes | None, is_same: bool) -> None:
    assert is_same_origin(origin, host) is is_same


CORS = Policy(cors_origins=["https://app.example", "https://two.example/"])


@pytest.mark.parametrize("origin", [None, b"http://localhost:8000", b"https://app.example", b"https://TWO.example"])
def test_origin_none_own_and_configured_pass(origin: bytes | None) -> None:
    check_origin(CORS, origin, b"localhost:8000", cross_origin=False)


@pytest.mark.parametrize("origin", [b"null", b"https://evil.example", b"http://app.example", b""])
def test_origin_foreign_is_403_but_for_mounts_that_let_all_in(origin: bytes) -> None:
    with pytest.raises(HttpProblem, match="403"):
        check_origin(CORS, origin, b"localhost:8000", cross_origin=False)
    check_origin(CORS, origin, b"localhost:8000", cross_origin=True)


JSON = frozenset({b"application/json"})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b"content-length": b"0"},
        {b"content-type": b"application/json", b"content-length": b"2"},
        {b"content-type": b"Application/JSON; charset=utf-8", b"content-length": b"2"},
    ],
)
def test_content_type_that_is_taken(headers: dict[bytes, bytes]) -> None:
    check_content_type(headers, JSON)


@pytest.mark.parametrize(
    "headers",
    [
        {b"content-type": b"text/plain", b"content-length": b"2"},
        {b"content-type": b"application/x-www-form-urlencoded", b"content-length": b"0"},
        {b"content-type": b"multipart/form-data; boundary=x"},
        {b"content-type": b"application/json-evil"},
        {b"content-type": b""},
        {b"content-length": b"2"},
        {b"transfer-encoding": b"chunked"},
    ],
)
def test_content_type_that_a_form_or_a_bare_blob_could_send_is_415(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(HttpProblem, match="415"):
        check_content_type(headers, JSON)


def test_cors_headers_only_for_friends_and_always_vary() -> None:
    friend = dict(cors_headers(CORS, b"https://app.example", cross_origin=False))
    assert friend[b"access-control-allow-origin"] == b"https://app.example"
    assert friend[b"vary"] == b"origin"
    assert b"access-control-allow-credentials" not in friend
    for origin in (None, b"null", b"https://evil.example"):
        assert cors_headers(CORS, origin, cross_origin=False) == [(b"vary", b"origin")]
    assert cors_headers(Policy(), b"https://app.example", cross_origin=False) == []
    everybody = dict(cors_headers(Policy(), b"null", cross_origin=True))
    assert everybody[b"access-control-allow-origin"] == b"*"


def preflight_of(origin: bytes, headers: bytes = b"authorization, content-type") -> dict[bytes, bytes]:
    return {
        b"origin": origin,
        b"host": b"localhost:8000",
        b"access-control-request-method": b"POST",
        b"access-control-request-headers": headers,
    }


def test_preflight_of_a_friend_is_answered() -> None:
    answer = preflight(CORS, preflight_of(b"https://app.example"), cross_origin=False)
    assert answer is not None
    headers = dict(answer.headers)
    assert answer.status == 204
    assert headers[b"access-control-allow-origin"] == b"https://app.example"
    assert headers[b"access-control-allow-headers"] == b"authorization, content-type"
    assert b"POST" in headers[b"access-control-allow-methods"]
    assert b"access-control-request-headers" in headers[b"vary"]


def test_preflight_of_a_stranger_is_403_and_of_our_own_page_is_the_apps() -> None:
    with pytest.raises(HttpProblem, match="403"):
        preflight(CORS, preflight_of(b"https://evil.example"), cross_origin=False)
    assert preflight(CORS, preflight_of(b"http://localhost:8000"), cross_origin=False) is None
    assert preflight(CORS, {b"origin": b"https://app.example"}, cross_origin=False) is None


def test_preflight_echoes_no_header_that_is_none() -> None:
    answer = preflight(CORS, preflight_of(b"https://app.example", b"x\r\nset-cookie: a=b"), cross_origin=False)
    assert answer is not None
    assert b"access-control-allow-headers" not in dict(answer.headers)


def scope(*headers: tuple[bytes, bytes]) -> dict[str, object]:
    return {"type": "http", "headers": list(headers)}


def test_admin_on_loopback_is_everybody_who_is_not_forwarded() -> None:
    authorize = admin_guard(None, loopback=True)
    authorize(scope())
    for name in (b"x-forwarded-for", b"forwarded", b"via", b"x-real-ip"):
        with pytest.raises(HttpProblem, match="403"):
            authorize(scope((name, b"203.0.113.9")))


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (None, 401),
        (b"", 401),
        (b"Bearer ", 401),
        (b"Basic c2VjcmV0", 401),
        (b"Bearer wrong", 403),
        (b"Bearer secre", 403),
        (b"Bearer secret ", 0),
        (b"bearer secret", 0),
        (b"Bearer secret", 0),
    ],
)
def test_admin_elsewhere_shows_the_token(value: bytes | None, status: int) -> None:
    authorize = admin_guard("secret", loopback=False)
    asked = scope() if value is None else scope((b"authorization", value))
    if not status:
        authorize(asked)
        return
    with pytest.raises(HttpProblem) as caught:
        authorize(asked)
    assert caught.value.status == status
    assert ("WWW-Authenticate" in caught.value.headers) is (status == 401)


def test_admin_elsewhere_without_a_configured_token_is_nobody() -> None:
    for token in (None, ""):
        with pytest.raises(HttpProblem, match="403"):
            admin_guard(token, loopback=False)(scope((b"authorization", b"Bearer ")))


def test_the_admin_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(shown: bytes, expected: bytes) -> bool:
        compared.append((shown, expected))
        return hmac.compare_digest(shown, expected)

    monkeypatch.setattr(security, "hmac", SimpleNamespace(compare_digest=compare))
    authorize = admin_guard("secret", loopback=False)
    authorize(scope((b"authorization", b"Bearer secret")))
    for shown in (b"s", b"secre", b"secretly", b"\xff"):
        with pytest.raises(HttpProblem, match="403"):
            authorize(scope((b"authorization", b"Bearer " + shown)))
    assert compared == [(shown, b"secret") for shown in (b"secret", b"s", b"secre", b"secretly", b"\xff")]


SECRETS = re.compile(r"token|secret|signature|password|expected|shown|mac\b", re.IGNORECASE)


def secrets_compared(source: str) -> list[str]:
    """The comparisons by == or != in code that authenticates, in which something has the name of a secret."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
            sides = [node.left, *node.comparators]
            if any(isinstance(side, ast.Constant) for side in sides):
                continue
            text = ast.unparse(node)
            if SECRETS.search(text):
                found.append(text)
    return found


AUTHENTICATING = (
    "host/http/security.py",
    "host/secret.py",
    "plugins/frontrow/core/signature.py",
    "plugins/frontrow/core/tokens.py",
    "plugins/gateway/keys.py",
    "plugins/liveboard/access.py",
)


@pytest.mark.parametrize("path", AUTHENTICATING)
def test_no_secret_is_compared_by_its_first_difference(path: str) -> None:
    assert secrets_compared((ROOT / path).read_text()) == []


def test_such_a_comparison_is_found() -> None:
    assert secrets_compared("if shown == expected: ...") == ["shown == expected"]
    assert secrets_compared("if hmac.compare_digest(shown, expected): ...") == []
