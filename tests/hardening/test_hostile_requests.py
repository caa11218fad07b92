"""Every operation of the API document, given what no honest client sends: each is answered 4xx, and nothing is harmed.

Beside Schemathesis, which stays within what HTTP and JSON can say: here bodies are not JSON or only just, paths climb,
and lines are broken into whatever is echoed.
"""

import json
import re
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from tests.hardening.test_api_document import LEFT_OUT

UNSAFE = ("post", "put", "patch", "delete")
STREAMS = re.compile(r"/(events|changes)$")
DEEP = 50_000

NOT_JSON = {
    "nothing": b"",
    "an open brace": b"{",
    "brackets without end": b"[" * DEEP,
    "objects without end": b'{"a":' * DEEP,
    "not UTF-8": b'{"name": "\xff\xfe"}',
    "a surrogate in UTF-8": b'{"name": "\xed\xa0\x80"}',
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "NUL": b"\x00",
    "an unescaped line break": b'{"name": "a\nb"}',
    "two documents": b"{} {}",
    "a comma too many": b'{"name": "x",}',
    "a comment": b"{} // so",
    "NaN": b'{"name": NaN}',
    "infinity": b'{"name": -Infinity}',
    "a number as nobody writes it": b'{"name": 0x10}',
    "a leading zero": b'{"name": 01}',
}
NO_OBJECT = {
    "null": b"null",
    "a text": b'"x"',
    "a number of 5,000 digits": b"9" * 5000,
    "a number beyond all floats": b"1e99999",
    "a list": b"[1, 2]",
    "a deep list": b"[" * DEEP + b"]" * DEEP,
}
VALUES: dict[str, Any] = {
    "null": None,
    "minus one": -1,
    "more than 64 bits": 2**64,
    "a fraction": 0.5,
    "a text of NUL": "\x00",
    "a path that climbs": "../../../../etc/passwd",
    "line breaks": "a\r\nx-injected: yes\r\n\r\n",
    "SQL": "'; DROP SCHEMA frontrow CASCADE; --",
    "markup": "<script>alert(1)</script>{{ 7 * 7 }}",
    "a text of 100,000": "x" * 100_000,
    "right to left, and beyond the first plane": "\u202e\U0001f4a5\ufffe",
    "a list in lists": [[[[]]]],
    "an object": {"__proto__": {"admin": True}},
}
RAW_VALUES = {
    "a lone surrogate": b'"\\ud800"',
    "5,000 digits": b"1" + b"0" * 5000,
    "beyond all floats": b"1e99999",
    "minus zero": b"-0.0",
}
PLACES = (
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e",
    "%00",
    "a%0d%0ax-injected:%20yes",
    "%ff%fe",
    "9" * 400,
    "%f0%9f%92%a5",
    "~",
)


class Documented:
    """The operations of the running host."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._schemas = document["components"]["schemas"]
        self.operations = [
            (method, path, operation)
            for path, item in document["paths"].items()
            for method, operation in item.items()
            if not (method == "get" and STREAMS.search(path))
        ]

    def properties(self, operation: dict[str, Any]) -> Iterator[str]:
        """The members that its body may have, at its top."""
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        yield from sorted(set(self._members(body)))

    def _members(self, schema: dict[str, Any]) -> Iterator[str]:
        if reference := schema.get("$ref"):
            yield from self._members(self._schemas[reference.rpartition("/")[2]])
        yield from schema.get("properties", ())
        for part in (*schema.get("oneOf", ()), *schema.get("anyOf", ()), *schema.get("allOf", ())):
            yield from self._members(part)


@pytest.fixture
def documented(http: httpx.Client) -> Documented:
    return Documented(http.get("/openapi.json").json())


@pytest.fixture
def open_gateway(http: httpx.Client) -> None:
    """A gateway without keys, which answers everybody: others may have made some."""
    for key in http.get("/api/gateway/keys").json()["keys"]:
        assert http.delete(f"/api/gateway/keys/{quote(key['name'], safe='')}").status_code == 204


def is_experiment(path: str) -> bool:
    """Whether what it does when asked rightly takes long: then it is not asked with what could be right."""
    return any(re.search(pattern, path) for pattern in LEFT_OUT)


def filled(path: str) -> str:
    """The path with something in the place of its parameters."""
    return re.sub(r"\{\w+\}", "1", path)


def check(answer: httpx.Response, operation: dict[str, Any], told: str) -> None:
    """Nothing of the sort is a fault of the program, and nothing of it is told as an answer that nobody documented."""
    assert str(answer.status_code) in operation["responses"], f"{told}: {answer.status_code} {answer.text[:300]}"
    assert "x-injected" not in answer.headers, told


def test_every_body_that_is_not_json_is_refused(http: httpx.Client, documented: Documented) -> None:
    asked = 0
    for method, path, operation in documented.operations:
        if method not in UNSAFE:
            continue
        for name, body in {**NOT_JSON, **NO_OBJECT}.items():
            told = f"{method} {path} with {name}"
            answer = http.request(method, filled(path), content=body, headers={"content-type": "application/json"})
            check(answer, operation, told)
            if "requestBody" in operation:
                assert 400 <= answer.status_code < 500 or answer.status_code == 503, f"{told}: {answer.status_code}"
            asked += 1
    assert asked > 500


def test_every_member_may_hold_anything(http: httpx.Client, documented: Documented) -> None:
    asked = 0
    for method, path, operation in documented.operations:
        if is_experiment(path):
            continue
        for member in documented.properties(operation):
            named = json.dumps(member).encode()
            values = {name: json.dumps(value).encode() for name, value in VALUES.items()} | RAW_VALUES
            bodies = {name: b"{%b: %b}" % (named, value) for name, value in values.items()}
            bodies["the same name twice"] = b"{%b: 1, %b: []}" % (named, named)
            for name, body in bodies.items():
                answer = http.request(method, filled(path), content=body, headers={"content-type": "application/json"})
                check(answer, operation, f"{method} {path}: {member} is {name}")
                asked += 1
    assert asked > 500


@pytest.mark.usefixtures("open_gateway")
def test_a_prompt_may_hold_anything(http: httpx.Client) -> None:
    """The gateway's requests have no model in the document: they are others' formats."""
    paths = ("chat/completions", "completions", "embeddings", "responses", "messages", "moderations")
    members = ("model", "messages", "input", "prompt", "stream", "max_tokens", "temperature", "tools", "metadata", "n")
    base = {
        "model": "simulated/echo",
        "messages": [{"role": "user", "content": "hello"}],
        "input": "hello",
        "prompt": "hello",
        "max_tokens": 5,
    }
    for path in paths:
        documented = http.get("/openapi.json").json()["paths"][f"/v1/{path}"]["post"]["responses"]
        for member in members:
            for name, value in VALUES.items():
                told = f"{path}: {member} is {name}"
                answer = http.post(f"/v1/{path}", json={**base, member: value})
                assert str(answer.status_code) in documented, f"{told}: {answer.status_code} {answer.text[:300]}"


def test_no_body_is_larger_than_its_route_takes(http: httpx.Client, documented: Documented) -> None:
    body = b'{"name": "' + b"x" * (17 * 2**20) + b'"}'
    for method, path, operation in documented.operations:
        # Prompts may be larger: what the gateway takes is its own setting.
        if method in UNSAFE and not path.startswith("/v1/"):
            answer = http.request(method, filled(path), content=body, headers={"content-type": "application/json"})
            assert answer.status_code in (413, 415), f"{method} {path}: {answer.status_code} {answer.text[:200]}"
            assert str(answer.status_code) in operation["responses"]


# Paths and headers, byte by byte


def said(url: str, request: bytes) -> bytes:
    """All that is answered to these bytes."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as sock:
        sock.sendall(request)
        return b"".join(iter(lambda: sock.recv(65536), b""))


REQUEST = b"%b %b HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\n%b\r\n"


def test_no_path_climbs_out_and_no_parameter_forges_a_header(http: httpx.Client, documented: Documented) -> None:
    url = str(http.base_url)
    for method, path, operation in documented.operations:
        for place in PLACES if "{" in path else ():
            target = re.sub(r"\{\w+\}", place, path)
            sent = REQUEST % (method.upper().encode(), target.encode(), b"Content-Length: 2\r\n")
            answer = said(url, sent + (b"" if is_experiment(path) else b"{}") + b"  ")
            head = answer.partition(b"\r\n\r\n")[0].lower()
            status = head.split()[1].decode()
            assert status in operation["responses"] or status == "404", f"{method} {target}: {answer[:300]!r}"
            assert b"x-injected:" not in head, f"{method} {target}"
            assert b"root:" not in answer, f"{method} {target}"


CLIMBING = (
    b"/assets/../../config.toml",
    b"/assets/..%2f..%2fconfig.toml",
    b"/assets/%2e%2e/%2e%2e/config.toml",
    b"/assets/..\\..\\config.toml",
    b"/assets/..%5c..%5cconfig.toml",
    b"/assets//etc/passwd",
    b"/assets/%00/../app.css",
    b"/assets/....//....//config.toml",
    b"/frontrow/..%2f..%2fconfig.toml",
    b"/frontrow/index.html",
    b"/raft-lab/%2e%2e/layout.html",
    b"/writing/..%2f..%2fpyproject.toml",
    b"/-/docs/..%2f..%2f..%2fetc%2fpasswd",
)


@pytest.mark.parametrize("target", CLIMBING, ids=repr)
def test_no_page_leads_out_of_its_folder(http: httpx.Client, target: bytes) -> None:
    answer = said(str(http.base_url), REQUEST % (b"GET", target, b""))
    assert answer.split()[1] in (b"400", b"404", b"308"), answer[:300]
    for secret in (b"[server]", b"[project]", b"root:", b"{% block", b"{{"):
        assert secret not in answer


REFLECTED = (
    b"X-Request-Id: a\tb",
    b"X-Request-Id: " + b"x" * 200,
    b"X-Request-Id: <script>",
    b"Origin: http://evil.example/\xff",
    b"Accept-Language: \xff\xfe",
    b"If-None-Match: " + b'"x",' * 500,
    b"Range: bytes=" + b"0-1," * 500,
    b"Accept: " + b"text/html;q=0.0000001," * 100,
    b"Last-Event-ID: \x80",
    b"X-Liveboard-Key: \xff",
    b"Idempotency-Key: \xff\xff",
    b"Authorization: Bearer \xff",
    b"Content-Length: 1000000000000000000000000",
    b"X-Forwarded-For: " + b"1," * 300,
    b"Forwarded: for=" + b'"[' * 100,
)


@pytest.mark.parametrize("line", REFLECTED, ids=lambda line: repr(line[:30]))
@pytest.mark.parametrize(
    ("method", "target"), [(b"GET", b"/frontrow"), (b"POST", b"/api/frontrow/holds"), (b"GET", b"/api/raft/state")]
)
def test_no_header_is_reflected_or_harms(http: httpx.Client, line: bytes, method: bytes, target: bytes) -> None:
    answer = said(str(http.base_url), REQUEST % (method, target, line + b"\r\n"))
    head = answer.partition(b"\r\n\r\n")[0]
    assert answer.split()[1][:1] in (b"2", b"3", b"4"), answer[:300]
    assert b"<script>" not in head
    assert b"x" * 200 not in head
    assert b"\xff" not in head
