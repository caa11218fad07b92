"""Amazon's credentials: where they come from, and how a request is signed with them.

They are revealed for no longer than a signature takes. There is no looking for roles or profiles: whoever has temporary
credentials gives them by reference, to files for one, and has the configuration read anew when they have changed.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import httpx
from pydantic import BaseModel, ConfigDict, Field

from host.api import Secret
from plugins.gateway.core.sigv4 import Field as HeaderField
from plugins.gateway.core.sigv4 import authorization

SERVICE: Final = "bedrock"
_REGION_VARIABLES: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs for one account in one region. `session_token` belongs to credentials that are temporary."""

    region: str
    access_key_id: Secret
    secret_access_key: Secret
    session_token: Secret | None = None

    def headers(self, url: httpx.URL, content: bytes, now_unix_s: float) -> tuple[HeaderField, ...]:
        """The headers by which a POST of `content` to `url` is known to come from the account, for some minutes."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_unix_s)).encode()
        made: list[HeaderField] = [(b"x-amz-date", stamp)]
        if self.session_token is not None:
            made.append((b"x-amz-security-token", self.session_token.reveal().encode("latin-1", "replace")))
        value = authorization(
            url.raw_path,
            [(b"host", url.netloc), *made],
            content,
            access_key_id=self.access_key_id.reveal(),
            secret_access_key=self.secret_access_key.reveal(),
            region=self.region,
            service=SERVICE,
        )
        return (*made, (b"authorization", value))


class AwsSettings(BaseModel):
    """The region, and the credentials that requests are signed with when no key is given; else the environment's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    region: str = Field(default="", pattern=r"^[a-z0-9-]*$", description="Else that of AWS_REGION.")
    access_key_id: Secret | None = Field(default=None, description="Else, with the next two, that of the environment.")
    secret_access_key: Secret | None = Field(default=None, description="What signs.")
    session_token: Secret | None = Field(default=None, description="Of temporary credentials.")

    def completed(self, environment: Mapping[str, str]) -> "AwsSettings":
        """These, and of the environment what they do not say: credentials come from one place, all of them."""
        region = self.region or next((environment[name] for name in _REGION_VARIABLES if environment.get(name)), "")
        given = self
        if self.access_key_id is None and self.secret_access_key is None:
            given = AwsSettings(
                access_key_id=secret_of(environment, "AWS_ACCESS_KEY_ID"),
                secret_access_key=secret_of(environment, "AWS_SECRET_ACCESS_KEY"),
                session_token=secret_of(environment, "AWS_SESSION_TOKEN"),
            )
        return given.model_copy(update={"region": region})

    def signer(self) -> Signer | None:
        """Who signs with these, None when something is missing."""
        if not self.region or self.access_key_id is None or self.secret_access_key is None:
            return None
        return Signer(self.region, self.access_key_id, self.secret_access_key, self.session_token)


def secret_of(environment: Mapping[str, str], variable: str) -> Secret | None:
    """The value of a variable that is set, and not to nothing."""
    value = environment.get(variable)
    return Secret(value, reference={"env": variable}) if value else None
