"""Embeddings by Bedrock's InvokeModel, where each family of models has words of its own: Titan's and Cohere's."""

from typing import Any

from pydantic_core import to_json

from plugins.gateway.core.dialects.bedrock import NAME, path_of
from plugins.gateway.core.dialects.translating import texts_to_embed
from plugins.gateway.core.errors import ApiError
from plugins.gateway.core.reading import Malformed, Outgoing, Reader, Seed, Whole, parse_object
from plugins.gateway.core.usage import Usage


class EmbeddingsOverInvokeCodec:
    """Embeddings to InvokeModel. Titan takes one text a request, Cohere many."""

    streams = False

    def request(self, body: dict[str, Any], raw: bytes, model: str, *, stream: bool) -> Outgoing:
        """See `Codec`."""
        texts = texts_to_embed(body, NAME)
        dimensions = body.get("dimensions")
        request: dict[str, Any]
        if "titan-embed-text" in model:
            if len(texts) > 1:
                raise ApiError(400, "unsupported_parameter", "Titan embeds one text a request", param="input")
            request = {"inputText": texts[0]} | ({"dimensions": dimensions} if dimensions else {})
        elif "cohere.embed" in model:
            # It wants to know what for; documents are what is embedded in numbers.
            request = {"texts": texts, "input_type": body.get("input_type") or "search_document"}
            request |= {"output_dimension": dimensions} if dimensions else {}
        else:
            message = f"of Bedrock's embeddings those of Titan and Cohere can be asked for, not those of {model[:200]}"
            raise ApiError(400, "unsupported_endpoint", message, param="model")
        return Outgoing(path_of(model, "invoke"), to_json(request))

    def whole(self, content: bytes, seed: Seed) -> Whole:
        """See `Codec`. Lists of floats always: the SDKs take them also where they asked for base64."""
        document = parse_object(content)
        embeddings = document.get("embeddings")
        if isinstance(embeddings, dict):
            embeddings = embeddings.get("float")
        if "embedding" in document:
            embeddings = [document["embedding"]]
        if not isinstance(embeddings, list):
            raise Malformed("there are no embeddings in it")
        data = [{"object": "embedding", "index": index, "embedding": each} for index, each in enumerate(embeddings)]
        tokens = document.get("inputTextTokenCount")
        usage = Usage(tokens) if isinstance(tokens, int) else None
        told = {"prompt_tokens": tokens or 0, "total_tokens": tokens or 0}
        return Whole(to_json({"object": "list", "data": data, "model": seed.model, "usage": told}), usage)

    def reader(self, seed: Seed) -> Reader:
        """See `Codec`."""
        raise AssertionError("there is no stream of these")
