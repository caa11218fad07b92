"""The section `[plugins.webhook_inbox]` of config.toml."""

from typing import Annotated
from urllib.parse import urlsplit

from host.api import Duration, Size
from pydantic import BaseModel, ConfigDict, Field, field_validator

REDACT_HEADERS = ("authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-token", "x-gitlab-token")
REDACT_FIELDS = ("password", "passwd", "secret", "token", "access_token", "refresh_token", "api_key", "client_secret")

Count = Annotated[int, Field(ge=1)]


class Config(BaseModel):
    """What can be set. Every key has a default, so that `enabled = true` is enough."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Inboxes that there may be; the first call to one more is answered 507.
    inboxes_max: Count = 100
    # Calls kept of each inbox; the oldest goes when one more arrives.
    calls_max: Count = 500
    # The body of one call; a larger one is answered 413 and not kept.
    body_bytes_max: Annotated[Size, Field(ge=1, le=16 * 1024 * 1024)] = 256 * 1024
    # Calls being stored at a time; one more is answered 503 with Retry-After.
    receiving_max: Count = 64
    # Live tails open on this host; one more is answered 503.
    tails_max: Count = 100
    # How soon a tail shows what another host received.
    tail_interval: Annotated[Duration, Field(gt=0)] = 1.0
    # Names of headers whose values are never stored, in lower case.
    redact_headers: tuple[str, ...] = REDACT_HEADERS
    # Names of fields in queries, forms and JSON bodies whose values are never stored, in lower case.
    redact_fields: tuple[str, ...] = REDACT_FIELDS
    # The origins that calls may be replayed to, such as "http://127.0.0.1:3000"; without any, nothing is replayed.
    replay_targets: tuple[str, ...] = ()
    # How long a target may take to answer a replay.
    replay_timeout: Annotated[Duration, Field(gt=0)] = 10.0

    @field_validator("replay_targets")
    @classmethod
    def check_targets(cls, targets: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse what is no origin: a path in it would look like a limit that is none."""
        for target in targets:
            parts = urlsplit(target)
            if (
                parts.scheme not in ("http", "https")
                or not parts.hostname
                or parts.path
                or parts.query
                or "@" in target
            ):
                raise ValueError(f'expected an origin such as "http://127.0.0.1:3000", found {target!r}')
        return targets
