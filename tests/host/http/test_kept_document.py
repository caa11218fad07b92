"""Documents that are made once: two forms, two tags, and neither taken for the other."""

import gzip
from typing import Any

import pytest

from host.api import KeptDocument, Request

CONTENT = b'{"seats": [' + b"1," * 5000 + b"1]}"


def asked(**headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]

    async def nothing(*_: Any) -> Any:
        raise AssertionError("the answer is in memory")

    return Request({"type": "http", "method": "GET", "path": "/", "headers": raw}, nothing, nothing)


def answered(document: KeptDocument, request: Request) -> tuple[int, bytes, dict[bytes, bytes]]:
    answer = document.answer(request, [(b"cache-control", b"public")])
    assert len(dict(answer.headers)) == len(answer.headers)
    return answer.status, answer.body, dict(answer.headers)


def test_each_client_gets_the_form_it_takes_and_caches_are_told() -> None:
    document = KeptDocument(CONTENT)
    status, body, plain = answered(document, asked())
    assert (status, body, plain[b"content-type"]) == (200, CONTENT, b"application/json")
    assert b"content-encoding" not in plain
    status, body, packed = answered(document, asked(accept_encoding="br, gzip"))
    assert (status, gzip.decompress(body), packed[b"content-encoding"]) == (200, CONTENT, b"gzip")
    assert len(body) < len(CONTENT) / 10
    assert plain[b"vary"] == packed[b"vary"] == b"accept-encoding"
    assert plain[b"cache-control"] == b"public"


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_form_that_the_client_has_is_not_sent_again(encoding: str) -> None:
    document = KeptDocument(CONTENT)
    etag = answered(document, asked(accept_encoding=encoding))[2][b"etag"].decode()
    for tags in (etag, f"W/{etag}", f'"another", {etag}', "*"):
        status, body, headers = answered(document, asked(accept_encoding=encoding, if_none_match=tags))
        assert (status, body, headers[b"etag"]) == (304, b"", etag.encode())


def test_tag_of_one_form_is_not_that_of_the_other_nor_of_another_content() -> None:
    document = KeptDocument(CONTENT)
    packed = answered(document, asked(accept_encoding="gzip"))[2][b"etag"].decode()
    assert answered(document, asked(if_none_match=packed))[0] == 200
    other = KeptDocument(CONTENT + b" ")
    assert answered(other, asked(accept_encoding="gzip", if_none_match=packed))[0] == 200
    assert answered(KeptDocument(CONTENT), asked(accept_encoding="gzip", if_none_match=packed))[0] == 304
