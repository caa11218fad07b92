"""Providers that need nothing but a key: their dialect, their address, and where their key is looked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from plugins.gateway.core.dialects.table import Dialect


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a provider by its name. `prefixes` begin the names of models that are its own; a `{region}` in
    `base_url` is the user's."""

    dialect: Dialect
    base_url: str
    key_variable: str
    prefixes: tuple[str, ...] = ()


KNOWN: Final[Mapping[str, Known]] = {
    "openai": Known(
        "openai",
        "https://api.openai.com/v1",
        "OPENAI_API_KEY",
        ("gpt-", "o1", "o3", "o4", "chatgpt-", "text-embedding-", "whisper-", "tts-", "dall-e-", "omni-moderation"),
    ),
    "anthropic": Known("anthropic", "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY", ("claude-",)),
    "gemini": Known(
        "gemini", "https://generativelanguage.googleapis.com/v1beta", "GEMINI_API_KEY", ("gemini-", "gemma-")
    ),
    "bedrock": Known(
        "bedrock",
        "https://bedrock-runtime.{region}.amazonaws.com",
        "AWS_BEARER_TOKEN_BEDROCK",
        # Makers of models, then where profiles may send a request.
        (
            *("anthropic.", "amazon.", "meta.", "cohere.", "mistral.", "deepseek.", "qwen.", "openai.", "ai21."),
            *("us.", "us-gov.", "eu.", "apac.", "jp.", "au.", "global.", "arn:aws:bedrock:", "arn:aws-us-gov:bedrock:"),
        ),
    ),
    "groq": Known("openai", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "mistral": Known(
        "openai", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", ("mistral-", "codestral-", "ministral-")
    ),
    "together": Known("openai", "https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "deepseek": Known("openai", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", ("deepseek-",)),
    "openrouter": Known("openai", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "xai": Known("openai", "https://api.x.ai/v1", "XAI_API_KEY", ("grok-",)),
    # On the user's own machine: these want no key, and are on once they are named in the configuration.
    "ollama": Known("openai", "http://127.0.0.1:11434/v1", ""),
    "vllm": Known("openai", "http://127.0.0.1:8001/v1", ""),
    "llamacpp": Known("openai", "http://127.0.0.1:8080/v1", ""),
}
