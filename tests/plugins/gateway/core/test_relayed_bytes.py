"""A client's request goes on as its own bytes but for the name of the model, and means what it meant."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.gateway.core.dialects.openai import ChatCodec, with_model

NUMBERS_AND_SPACE = b'{ "seed": 1e2, "model" : "a\\"b" ,"x":1.50}'
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text()
    | st.sampled_from(["model", '"model":"a"', "a"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["model", "x", "y"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def test_nothing_but_the_name_changes() -> None:
    assert with_model(json.loads(NUMBERS_AND_SPACE), NUMBERS_AND_SPACE, "b") == (
        b'{ "seed": 1e2, "model":"b" ,"x":1.50}'
    )
    raw = b'{"model":"b","n":1.0}'
    assert with_model(json.loads(raw), raw, "b") is raw


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=4), st.sampled_from(["a", '"', "é\\"]), st.booleans())
def test_the_body_means_the_same_wherever_else_a_model_is_named(more: dict[str, Any], name: str, ascii: bool) -> None:
    body = more | {"model": name}
    raw = json.dumps(body, ensure_ascii=ascii).encode("utf-8", "surrogatepass")
    assert json.loads(with_model(body, raw, "new")) == body | {"model": "new"}


@pytest.mark.parametrize(
    "raw",
    [
        b'{"mod\\u0065l":"a","x":{"model":"a"}}',
        b'{"model":"a","x":{"model":"a"}}',
        b'{"x":{"model":"a"}}',
        b'{"model":7}',
    ],
)
def test_a_name_that_cannot_be_told_by_its_bytes_is_put_in_by_writing_anew(raw: bytes) -> None:
    body = json.loads(raw)
    assert json.loads(with_model(body, raw, "new")) == body | {"model": "new"}


@pytest.mark.parametrize(
    ("raw", "sent"),
    [
        (b'{"model":"m","stream":true} ', b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}'),
        (b'{"model":"a","stream":true}', b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}'),
        (
            b'{"model":"m","stream":true,"stream_options":{"x":1}}',
            b'{"model":"m","stream":true,"stream_options":{"x":1,"include_usage":true}}',
        ),
        (b'{"model":"m","stream":1}', b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}'),
    ],
)
def test_the_usage_of_a_stream_is_asked_for(raw: bytes, sent: bytes) -> None:
    assert ChatCodec().request(json.loads(raw), raw, "m", stream=True).content == sent
