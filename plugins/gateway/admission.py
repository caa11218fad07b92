"""Who may ask: virtual keys, and what an open gateway lets in. `limits` holds keys to what they may use.

Without any key in the configuration the gateway is open to whoever the host takes for its administrator: everybody on
loopback, elsewhere who shows the admin token. Simulated models are open to all, because they cost nothing.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

from host.api import HttpProblem, Scope
from plugins.gateway.core.errors import ApiError
from plugins.gateway.core.limits import Bucket, Spending
from plugins.gateway.core.usage import NANO
from plugins.gateway.settings import KeySettings
from plugins.gateway.targets import Route

_SECONDS_A_DAY: Final = 86_400


@dataclass(slots=True)
class Key:
    """One virtual key. `tenant` is "" for the open gateway; `digest` stands for the key, which is kept nowhere."""

    tenant: str
    digest: bytes = b""
    models: tuple[str, ...] = ()
    requests: Bucket | None = None
    tokens: Bucket | None = None
    spending: Spending = field(default_factory=lambda: Spending(None))
    budget_period: str = "month"
    expires: date | None = None
    is_open: bool = False

    @property
    def has_limits(self) -> bool:
        """Whether it may not use as much as it likes."""
        return self.requests is not None or self.tokens is not None or self.spending.budget_nano_usd is not None

    def go_on_from(self, before: "Key") -> None:
        """Take over what another key has used."""
        if self.requests is not None and before.requests is not None:
            self.requests.go_on_from(before.requests)
        if self.tokens is not None and before.tokens is not None:
            self.tokens.go_on_from(before.tokens)
        if self.budget_period == before.budget_period:
            self.spending.go_on_from(before.spending)

    def may_use(self, name: str, route: Route) -> bool:
        """Whether it may ask for the model, by the name it used or the one it stands for."""
        return not self.models or any(
            fnmatchcase(asked, pattern) for pattern in self.models for asked in (name, route.name)
        )


class Admission:
    """The keys of one run. Synchronous: nothing here waits for anything."""

    def __init__(self, keys: Mapping[str, KeySettings], authorize: Callable[[Scope], None]) -> None:
        self._authorize = authorize
        self._open = Key("", is_open=True)
        self._by_digest: dict[bytes, Key] = {}
        self.by_name: dict[str, Key] = {}
        self.configured: frozenset[str] = frozenset()
        self.configure(keys)

    @property
    def is_open(self) -> bool:
        """Whether there are no keys at all."""
        return not self._by_digest

    def configure(self, keys: Mapping[str, KeySettings]) -> None:
        """Have these keys of the configuration, beside those made at run time."""
        for name in self.configured - keys.keys():
            self.remove(name)
        self.configured = frozenset(keys)
        for name, settings in keys.items():
            self.add(key_of(name, settings, _digest(settings.key.reveal().encode())))

    def add(self, key: Key) -> None:
        """Let this key in from now on. What one of its name has used of the same limits, it has used."""
        known = self.by_name.get(key.tenant)
        if known is not None:
            self._by_digest.pop(known.digest, None)
            key.go_on_from(known)
        self._by_digest[key.digest] = key
        self.by_name[key.tenant] = key

    def remove(self, name: str) -> bool:
        """Let it in no more; False when there is none of that name."""
        key = self.by_name.pop(name, None)
        if key is None:
            return False
        del self._by_digest[key.digest]
        return True

    def identify(self, headers: Mapping[bytes, bytes]) -> Key:
        """Whose request it is.

        Raises:
            ApiError: 401 without a key that is good.
        """
        if not self._by_digest:
            return self._open
        shown = _shown(headers)
        if not shown:
            raise ApiError(401, "invalid_api_key", "You did not provide an API key: send Authorization: Bearer KEY")
        key = self._by_digest.get(_digest(shown))
        if key is None or (key.expires is not None and datetime.now(UTC).date() > key.expires):
            raise ApiError(401, "invalid_api_key", "Incorrect API key provided, or it has expired")
        return key

    def check(self, key: Key, name: str, route: Route, scope: Scope, headers: Mapping[bytes, bytes]) -> None:
        """Whether this key may use this model.

        Raises:
            ApiError: 403.
        """
        if not key.is_open:
            if not key.may_use(name, route):
                message = f"This key may not use the model {name[:200]!r}"
                raise ApiError(403, "model_not_allowed", message, param="model")
            return
        if route.is_simulated:
            return
        if _is_foreign_page(headers):
            # Any site could have its visitors' browsers spend this machine's money.
            raise ApiError(403, "key_required", "Pages of other sites need a key of this gateway: configure one")
        try:
            self._authorize(scope)
        except HttpProblem:
            message = "This gateway has no keys configured, so only its administrator may use real providers"
            raise ApiError(401, "key_required", message) from None


def key_of(name: str, settings: KeySettings, digest: bytes) -> Key:
    """The key that a section of the configuration, or a request to the admin API, describes."""
    budget = None if settings.budget_usd is None else round(settings.budget_usd * NANO)
    return Key(
        name,
        digest,
        settings.models,
        Bucket(settings.requests_per_minute) if settings.requests_per_minute else None,
        Bucket(settings.tokens_per_minute) if settings.tokens_per_minute else None,
        Spending(budget),
        settings.budget_period,
        date.fromisoformat(settings.expires) if settings.expires else None,
    )


def period_of(kind: str) -> int:
    """The number of the present day or month (UTC); always 0 for "total"."""
    if kind == "total":
        return 0
    day = int(time.time() // _SECONDS_A_DAY)
    return day if kind == "day" else _month_of(day)


@lru_cache(maxsize=2)
def _month_of(day: int) -> int:
    at = datetime.fromtimestamp(day * _SECONDS_A_DAY, UTC)
    return at.year * 12 + at.month


def _shown(headers: Mapping[bytes, bytes]) -> bytes:
    """The key that a request shows, as OpenAI's clients do or as Anthropic's."""
    scheme, _, shown = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer" and shown:
        return shown.strip()
    return headers.get(b"x-api-key", b"") or headers.get(b"api-key", b"")


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _is_foreign_page(headers: Mapping[bytes, bytes]) -> bool:
    origin = headers.get(b"origin")
    if origin is None:
        return False
    return origin.lower().partition(b"://")[2] != headers.get(b"host", b"").lower()
