"""Tokens and money: read from what upstreams report, estimated where they report nothing, priced by configuration.

Money is an integer of nano-dollars (10⁻⁹ USD), so that sums are exact.
"""

from dataclasses import dataclass
from typing import Any, Final

BYTES_PER_TOKEN: Final = 4
"""The usual rule of thumb for English text."""
NANO: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer. `cached_tokens` are the part of the input that was billed as cached, `is_estimated` says
    that the upstream reported nothing, for one because its stream was broken off."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    is_estimated: bool = False

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def as_chat(self) -> dict[str, Any]:
        """As Chat Completions report it."""
        document: dict[str, Any] = {
            "prompt_tokens": self.input_tokens,
            "completion_tokens": self.output_tokens,
            "total_tokens": self.total_tokens,
        }
        if self.cached_tokens:
            document["prompt_tokens_details"] = {"cached_tokens": self.cached_tokens}
        return document


def usage_of_openai(document: Any) -> Usage | None:
    """From `usage` of Chat Completions, Completions, Embeddings (`prompt_tokens`) or Responses (`input_tokens`)."""
    if not isinstance(document, dict):
        return None
    given = document.get("prompt_tokens", document.get("input_tokens"))
    if given is None:
        return None
    details = document.get("prompt_tokens_details") or document.get("input_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else 0
    return Usage(
        _count(given), _count(document.get("completion_tokens", document.get("output_tokens"))), _count(cached)
    )


def usage_of_anthropic(document: Any) -> Usage | None:
    """From `usage` of Messages: what was read from and written to the cache counts as input."""
    if not isinstance(document, dict) or "input_tokens" not in document:
        return None
    read = _count(document.get("cache_read_input_tokens"))
    written = _count(document.get("cache_creation_input_tokens"))
    return Usage(_count(document["input_tokens"]) + read + written, _count(document.get("output_tokens")), read)


def usage_of_gemini(document: Any) -> Usage | None:
    """From `usageMetadata` of generateContent: thoughts are output."""
    if not isinstance(document, dict):
        return None
    output = _count(document.get("candidatesTokenCount")) + _count(document.get("thoughtsTokenCount"))
    return Usage(_count(document.get("promptTokenCount")), output, _count(document.get("cachedContentTokenCount")))


def usage_of_converse(document: Any) -> Usage | None:
    """From `usage` of Bedrock's Converse: what was read from and written to the cache counts as input."""
    if not isinstance(document, dict) or "inputTokens" not in document:
        return None
    read, written = _count(document.get("cacheReadInputTokens")), _count(document.get("cacheWriteInputTokens"))
    return Usage(_count(document["inputTokens"]) + read + written, _count(document.get("outputTokens")), read)


def estimate_tokens(text_bytes: int) -> int:
    """How many tokens so much text is, more or less."""
    return -(-text_bytes // BYTES_PER_TOKEN)


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens. Cached input costs `cached`, or as much as any when that is None."""

    input: float = 0.0
    output: float = 0.0
    cached: float | None = None

    def nano_usd(self, usage: Usage) -> int:
        """What `usage` costs."""
        cached_price = self.input if self.cached is None else self.cached
        fresh = max(0, usage.input_tokens - usage.cached_tokens)
        # Dollars for a million tokens are thousands of nano-dollars for one.
        return round(
            (fresh * self.input + usage.cached_tokens * cached_price + usage.output_tokens * self.output) * 1000
        )


def _count(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and value > 0 else 0
