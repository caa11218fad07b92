"""Anthropic's Messages at Bedrock: to Claude as they are, by InvokeModel; to other models translated, by Converse.

The streams of InvokeModel carry the very events of Messages, each as base64 in an event "chunk".
"""

from base64 import b64decode
from typing import Any, Final

from pydantic_core import to_json

from plugins.gateway.core.dialects.anthropic import MessagesCodec, MessagesReader
from plugins.gateway.core.dialects.bedrock import ChatOverConverseCodec, is_claude, path_of
from plugins.gateway.core.dialects.bedrock_errors import raise_if_exception
from plugins.gateway.core.dialects.messages import MessagesOverChatCodec
from plugins.gateway.core.reading import Outgoing, Reader, Seed, Whole, parse_object

VERSION: Final = "bedrock-2023-05-31"
_ELSEWHERE: Final = ("model", "stream")
"""What the path says there."""


class MessagesOverBedrockCodec:
    """Messages to whichever model. A profile whose ARN does not name Claude is taken for another's."""

    streams = True

    def __init__(self) -> None:
        self._claude = MessagesCodec()
        self._others = MessagesOverChatCodec(ChatOverConverseCodec())

    def request(self, body: dict[str, Any], raw: bytes, model: str, *, stream: bool) -> Outgoing:
        """See `Codec`."""
        if not is_claude(model):
            return self._others.request(body, raw, model, stream=stream)
        kept = {name: value for name, value in body.items() if name not in _ELSEWHERE}
        operation = "invoke-with-response-stream" if stream else "invoke"
        return Outgoing(path_of(model, operation), to_json({"anthropic_version": VERSION, **kept}))

    def whole(self, content: bytes, seed: Seed) -> Whole:
        """See `Codec`."""
        return (self._claude if is_claude(seed.model) else self._others).whole(content, seed)

    def reader(self, seed: Seed) -> Reader:
        """See `Codec`."""
        return InvokedMessagesReader() if is_claude(seed.model) else self._others.reader(seed)


class InvokedMessagesReader(MessagesReader):
    """Reads the events of a message out of those of InvokeModelWithResponseStream."""

    def feed(self, name: str, data: bytes) -> list[bytes]:
        """See `Reader`."""
        if self.is_done:
            return []
        raise_if_exception(name, data)
        return super().feed("", b64decode(parse_object(data)["bytes"])) if name == "chunk" else []
