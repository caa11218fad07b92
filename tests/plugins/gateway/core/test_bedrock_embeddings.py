"""Embeddings of Bedrock, whose families of models have words of their own."""

from typing import Any

import pytest
from pydantic_core import from_json, to_json

from plugins.gateway.core.errors import ApiError
from plugins.gateway.core.reading import Malformed, Seed, make_request, read_whole
from tests.plugins.gateway.core.test_bedrock_requests import LLAMA, codec

EMBEDDINGS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("amazon.titan-embed-text-v2:0", {"input": "a", "dimensions": 256}, {"inputText": "a", "dimensions": 256}),
    ("amazon.titan-embed-text-v1", {"input": ["a"], "encoding_format": "base64"}, {"inputText": "a"}),
    ("cohere.embed-multilingual-v3", {"input": ["a", "b"]}, {"texts": ["a", "b"], "input_type": "search_document"}),
    (
        "eu.cohere.embed-v4:0",
        {"input": "a", "input_type": "search_query", "dimensions": 256},
        {"texts": ["a"], "input_type": "search_query", "output_dimension": 256},
    ),
]


@pytest.mark.parametrize(("model", "body", "expected"), EMBEDDINGS)
def test_embeddings_are_asked_for_in_the_words_of_their_family(
    model: str, body: dict[str, Any], expected: dict[str, Any]
) -> None:
    outgoing = make_request(codec("embeddings"), body, b"", model, stream=False)
    assert from_json(outgoing.content) == expected
    assert outgoing.path.endswith("/invoke")


@pytest.mark.parametrize(
    ("model", "body"),
    [
        ("amazon.titan-embed-text-v2:0", {"input": ["a", "b"]}),
        ("amazon.titan-embed-text-v2:0", {"input": [[1, 2]]}),
        ("cohere.embed-english-v3", {"input": []}),
        ("cohere.embed-english-v3", {"input": "a", "encoding_format": "hex"}),
        (LLAMA, {"input": "a"}),
    ],
)
def test_embeddings_that_cannot_be_are_refused(model: str, body: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as raised:
        make_request(codec("embeddings"), body, b"", model, stream=False)
    assert raised.value.status == 400


@pytest.mark.parametrize(
    ("content", "vectors", "tokens"),
    [
        ({"embedding": [0.5, 1.0], "inputTextTokenCount": 7}, [[0.5, 1.0]], 7),
        ({"embeddings": [[0.5], [1.0]], "response_type": "embeddings_floats"}, [[0.5], [1.0]], 0),
        ({"embeddings": {"float": [[0.5]]}, "response_type": "embeddings_by_type"}, [[0.5]], 0),
    ],
)
def test_embeddings_come_as_openai_lists_them(content: Any, vectors: list[Any], tokens: int) -> None:
    made = read_whole(codec("embeddings"), to_json(content), Seed("s", 1, "m"))
    document = from_json(made.body)
    assert [each["embedding"] for each in document["data"]] == vectors
    assert document["usage"]["prompt_tokens"] == tokens
    assert (made.usage is None) == (tokens == 0)
    with pytest.raises(Malformed):
        read_whole(codec("embeddings"), b"{}", Seed("s", 1, "m"))
