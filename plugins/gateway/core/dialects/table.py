"""Which endpoint can be served by which dialect, and by what."""

from collections.abc import Mapping
from typing import Final, Literal

from plugins.gateway.core.dialects.anthropic import ChatOverMessagesCodec, MessagesCodec
from plugins.gateway.core.dialects.bedrock import ChatOverConverseCodec
from plugins.gateway.core.dialects.bedrock_embeddings import EmbeddingsOverInvokeCodec
from plugins.gateway.core.dialects.bedrock_messages import MessagesOverBedrockCodec
from plugins.gateway.core.dialects.gemini import ChatOverGeminiCodec, EmbeddingsOverGeminiCodec
from plugins.gateway.core.dialects.messages import MessagesOverChatCodec
from plugins.gateway.core.dialects.openai import (
    ChatCodec,
    CompletionsCodec,
    EmbeddingsCodec,
    ModerationsCodec,
    ResponsesCodec,
)
from plugins.gateway.core.dialects.relayed import PATHS, RelayCodec
from plugins.gateway.core.reading import Codec

Dialect = Literal["openai", "azure", "anthropic", "gemini", "bedrock"]
Surface = Literal["chat", "completions", "embeddings", "responses", "messages", "moderations"]

_OPENAI: Final[Mapping[str, Codec]] = {
    "chat": ChatCodec(),
    "completions": CompletionsCodec(),
    "embeddings": EmbeddingsCodec(),
    "responses": ResponsesCodec(),
    "messages": MessagesOverChatCodec(ChatCodec()),
    "moderations": ModerationsCodec(),
    **{path[1:]: RelayCodec(path) for path in PATHS},
}
CODECS: Final[Mapping[str, Mapping[str, Codec]]] = {
    "openai": _OPENAI,
    "azure": {surface: codec for surface, codec in _OPENAI.items() if surface != "moderations"},
    "anthropic": {"chat": ChatOverMessagesCodec(), "messages": MessagesCodec()},
    "gemini": {
        "chat": ChatOverGeminiCodec(),
        "embeddings": EmbeddingsOverGeminiCodec(),
        "messages": MessagesOverChatCodec(ChatOverGeminiCodec()),
    },
    "bedrock": {
        "chat": ChatOverConverseCodec(),
        "embeddings": EmbeddingsOverInvokeCodec(),
        "messages": MessagesOverBedrockCodec(),
    },
}


def codec_of(dialect: str, surface: str) -> Codec | None:
    """Who speaks for `surface` to upstreams of `dialect`, None when nobody does."""
    return CODECS[dialect].get(surface)
