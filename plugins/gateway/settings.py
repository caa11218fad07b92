"""The gateway's section of the configuration, `[plugins.gateway]`. Every default is one to run with."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from host.api import Duration, Secret, Size
from plugins.gateway.aws import AwsSettings, Signer, secret_of
from plugins.gateway.core.catalog import KNOWN
from plugins.gateway.core.dialects.table import Dialect
from plugins.gateway.core.needs import Need
from plugins.gateway.core.routing import Strategy

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
ModelName = Annotated[str, Field(min_length=1, max_length=256)]


class Part(BaseModel):
    """What all parts of the section share: unknown keys are errors, and nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PriceSettings(Part):
    """US dollars for a million tokens."""

    input: float = Field(default=0.0, ge=0)
    output: float = Field(default=0.0, ge=0)
    cached: float | None = Field(default=None, ge=0)


class ProviderSettings(Part):
    """One upstream. Of a provider that is known by its name, only what differs needs to be said."""

    kind: Dialect | None = Field(default=None, description="The dialect it speaks.")
    base_url: str = Field(
        default="",
        pattern=r"^(https?://[^\s?#]+)?$",
        description="Up to and with /v1; of Bedrock only when it is not the region's own.",
    )
    api_key: Secret | None = Field(default=None, description="Its key; known providers have theirs in the environment.")
    models: tuple[ModelName, ...] = Field(default=(), description="Models it is asked for by their bare names.")
    api_version: str = Field(default="2024-10-21", description="Of Azure OpenAI.")
    aws: AwsSettings = Field(default=AwsSettings(), description="Of Amazon Bedrock.")
    headers: dict[str, str] = Field(default={}, description="Sent with every request.")
    enabled: bool = True

    def dialect_as(self, name: str) -> Dialect:
        """The dialect of the provider that has this name."""
        return self.kind or (KNOWN[name].dialect if name in KNOWN else "openai")


class TargetSettings(Part):
    """One model of one provider, as a member of a group."""

    model: Annotated[str, Field(pattern=r"^[^/\s]+/\S+$")]
    weight: float = Field(default=1.0, ge=0)
    context: int | None = Field(default=None, gt=0, description="How many tokens its window has.")
    lacks: frozenset[Need] = Field(default=frozenset(), description="What it cannot do: it is not asked for that.")


def _to_target(value: object) -> object:
    return {"model": value} if isinstance(value, str) else value


def _to_group(value: object) -> object:
    if isinstance(value, str):
        value = [value]
    return {"targets": value} if isinstance(value, list) else value


Target = Annotated[TargetSettings, BeforeValidator(_to_target)]


class GroupSettings(Part):
    """A name that clients may ask for, and the targets behind it in their order."""

    targets: Annotated[tuple[Target, ...], Field(min_length=1, max_length=32)]
    strategy: Strategy = "priority"
    hedge: bool = Field(default=False, description="Ask a second target when the first is slow to begin.")
    shadow: str = Field(default="", description="A target that gets a copy of each request, its answers thrown away.")
    cache: bool = True


Group = Annotated[GroupSettings, BeforeValidator(_to_group)]


class KeySettings(Part):
    """A virtual key: who has it may use these models, so often, for so much."""

    key: Secret
    models: tuple[str, ...] = Field(
        default=(), description="Names it may ask for; none is all. A final * matches any rest."
    )
    requests_per_minute: int | None = Field(default=None, gt=0)
    tokens_per_minute: int | None = Field(default=None, gt=0)
    budget_usd: float | None = Field(default=None, ge=0)
    budget_period: Literal["day", "month", "total"] = "month"
    expires: str = Field(default="", description="A date, 2027-01-31, after which it is refused.")


class LimitsSettings(Part):
    """The limits of keys, with `use_redis` those of all hosts together."""

    without_redis: Literal["open", "closed"] = Field(
        default="open", description="open: by the host's own counts; closed: refuse."
    )
    redis_timeout: Duration = Field(default=0.25, gt=0, le=10)


class SimulatedSettings(Part):
    """The simulated providers: real servers on loopback with the real wire formats, and invented answers."""

    enabled: Literal["auto", "on", "off"] = Field(default="auto", description="auto: when no real provider is there.")
    first_token: Duration = Field(default=0.04, le=60, description="Until the first token.")
    token_interval: Duration = Field(default=0.008, le=60, description="Between two tokens.")
    price_per_million: float = Field(
        default=1.0, ge=0, description="A pretended price in USD, so that savings can be watched."
    )


class ClockSettings(Part):
    """How long each phase of an upstream call may take."""

    connect: Duration = Field(default=5.0, gt=0)
    first_token: Duration = Field(default=60.0, gt=0)
    between_chunks: Duration = Field(default=60.0, gt=0)
    total: Duration = Field(default=600.0, gt=0)


class RetrySettings(Part):
    """How often and how fast to try again."""

    rounds: int = Field(default=3, ge=1, le=10, description="Passes over the targets of a group.")
    attempts_max: int = Field(default=6, ge=1, le=32)
    backoff: Duration = Field(default=0.25, gt=0)
    backoff_max: Duration = Field(default=8.0, gt=0)
    patience: Duration = Field(default=2.0, ge=0)
    budget_ratio: float = Field(default=0.2, ge=0, le=1)
    budget_reserve: int = Field(default=100, ge=1)


class BreakerSettings(Part):
    """When a target is left alone, and for how long."""

    failures: int = Field(default=5, ge=1)
    window: int = Field(default=20, ge=2, le=1000)
    pause: Duration = Field(default=1.0, gt=0)
    pause_max: Duration = Field(default=30.0, gt=0)


class HedgeSettings(Part):
    """Second requests for those that are slow to begin; groups switch it on."""

    after: Duration = Field(
        default=0.0, ge=0, description="0: the 95th percentile of the target's recent first tokens."
    )
    after_min: Duration = Field(default=0.05, ge=0)
    budget_ratio: float = Field(default=0.05, ge=0, le=1)


class SemanticSettings(Part):
    """Answers to questions that mean the same, by the embeddings of another distribution."""

    embedder: str = Field(default="", description="The entry point of quartet.gateway.embedders; none: off.")
    threshold: float = Field(default=0.95, gt=0, le=1, description="The least cosine of two questions.")
    timeout: Duration = Field(default=0.5, gt=0, le=60)
    entries_max: int = Field(default=10_000, ge=1, le=1_000_000)


class CacheSettings(Part):
    """The exact-match cache."""

    enabled: bool = True
    ttl: Duration = Field(default=3600.0, gt=0)
    bytes_max: Size = Field(default=64 * 2**20, ge=2**20)
    entry_bytes_max: Size = Field(default=4 * 2**20, ge=1024)
    temperature_max: float = Field(default=2.0, ge=0, description="Hotter requests are not cached.")
    single_flight: bool = True
    semantic: SemanticSettings = SemanticSettings()


class TracesSettings(Part):
    """OpenTelemetry: a span for each request, without prompt or answer, to a collector that speaks OTLP over HTTP."""

    endpoint: str = Field(
        default="", pattern=r"^(https?://\S+)?$", description="http://127.0.0.1:4318/v1/traces; none: no spans."
    )
    headers: dict[str, Secret] = Field(default={}, description="Sent to the collector, for one its key.")
    service_name: str = "quartet-gateway"
    ratio: float = Field(default=1.0, ge=0, le=1, description="Of the requests whose clients did not decide it.")


class Settings(Part):
    """Everything the gateway can be told."""

    providers: dict[Name, ProviderSettings] = {}
    providers_from_environment: bool = True
    models: dict[ModelName, Group] = {}
    virtual_keys: dict[Name, KeySettings] = {}
    prices: dict[ModelName, PriceSettings] = {}
    body_bytes_max: Size = Field(default=32 * 2**20, ge=1024)
    upstream_connections_max: int = Field(default=2000, ge=1, le=60_000)
    use_postgres: bool = False
    use_redis: bool = False
    limits: LimitsSettings = LimitsSettings()
    simulated: SimulatedSettings = SimulatedSettings()
    clocks: ClockSettings = ClockSettings()
    retries: RetrySettings = RetrySettings()
    breaker: BreakerSettings = BreakerSettings()
    hedge: HedgeSettings = HedgeSettings()
    cache: CacheSettings = CacheSettings()
    traces: TracesSettings = TracesSettings()

    @model_validator(mode="after")
    def _providers_are_complete(self) -> Self:
        environment = os.environ if self.providers_from_environment else {}
        for name, provider in self.providers.items():
            if provider.dialect_as(name) == "bedrock":
                if provider.enabled and not access_to_bedrock(provider, environment).is_complete:
                    raise ValueError(
                        f"providers.{name} needs aws.region and, as api_key or as aws.access_key_id and "
                        "aws.secret_access_key, its credentials; what is not said is looked for in AWS_REGION, "
                        "AWS_BEARER_TOKEN_BEDROCK, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                    )
            elif name not in KNOWN and not provider.base_url:
                raise ValueError(f"providers.{name} needs a base_url: it is none that is known by its name")
        return self


def known_environment(environment: Mapping[str, str]) -> Mapping[str, Secret | None]:
    """The known providers that need no more than what is in the environment, by name, with their key there.

    Bedrock may have credentials instead of a key, and needs a region.
    """
    found = {name: secret_of(environment, known.key_variable) for name, known in KNOWN.items() if known.key_variable}
    can_ask_bedrock = access_to_bedrock(ProviderSettings(), environment).is_complete
    return {name: key for name, key in found.items() if (can_ask_bedrock if name == "bedrock" else key is not None)}


@dataclass(frozen=True, slots=True)
class BedrockAccess:
    """Where Bedrock is asked, and by what right: with a key, or else signed."""

    base_url: str
    key: Secret | None
    signer: Signer | None

    @property
    def is_complete(self) -> bool:
        return bool(self.base_url) and (self.key is not None or self.signer is not None)


def access_to_bedrock(given: ProviderSettings, environment: Mapping[str, str]) -> BedrockAccess:
    """What is configured for a provider of this kind, completed by the environment."""
    known = KNOWN["bedrock"]
    aws = given.aws.completed(environment)
    has_own_credentials = given.aws.access_key_id is not None
    key = given.api_key or (None if has_own_credentials else secret_of(environment, known.key_variable))
    base_url = given.base_url or (known.base_url.format(region=aws.region) if aws.region else "")
    return BedrockAccess(base_url, key, None if key else aws.signer())
