"""What keys may use, held to: by this host's own counts, or by counts that all hosts of one Redis share.

What an answer used is known when it is there, so requests are charged before and tokens and money billed after. Shared
bills are written by one task; until they are, a few requests more may get in, as they may beside any answer under way.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio

from host.api import OutcomeUnknown, ServiceUnavailable
from plugins.gateway.admission import Key, period_of
from plugins.gateway.core.errors import ApiError
from plugins.gateway.core.usage import Usage
from plugins.gateway.settings import LimitsSettings

if TYPE_CHECKING:
    from host.api import Redis

SCRIPT: Final = (Path(__file__).parent / "limits.lua").read_text()
_PREFIX: Final = "quartet:gateway:limit:1:"
_PERIOD_KEPT_S: Final = {"day": 2 * 86_400, "month": 40 * 86_400, "total": 0}
RETRY_S: Final = 1.0
"""Between two attempts to write bills that Redis did not take."""
LAST_WRITE_S: Final = 1.0


class OwnLimits:
    """The limits of keys by the counts of this host alone. Never waits."""

    def configure(self, settings: LimitsSettings) -> None:
        """Go by these settings from now on."""

    async def charge(self, key: Key, now_ms: int) -> None:
        """Take one request of what the key may.

        Raises:
            ApiError: 429, its limit or its budget is used up; nothing was taken.
        """
        tokens, requests = key.tokens, key.requests
        if key.spending.budget_nano_usd is not None and key.spending.is_exhausted(period_of(key.budget_period)):
            raise refusal("budget", 0)
        if tokens is not None and (wait_ms := tokens.wait_ms(1.0, now_ms)):
            raise refusal("tokens", wait_ms)
        if requests is not None and (wait_ms := requests.take_or_wait_ms(1.0, now_ms)):
            raise refusal("requests", wait_ms)

    def bill(self, key: Key, usage: Usage, cost_nano_usd: int, now_ms: int) -> None:
        """A request of the key has used so much."""
        key.spending.add(cost_nano_usd, period_of(key.budget_period))
        if key.tokens is not None:
            key.tokens.take(usage.total_tokens, now_ms)


@dataclass(slots=True)
class _Bill:
    key: Key
    period: int
    tokens: int = 0
    nano_usd: int = 0


class SharedLimits(OwnLimits):
    """The same, counted in Redis for all of its hosts. `run` writes the bills, and must run.

    While Redis does not answer within `redis_timeout`, `without_redis` decides: "open" goes by this host's own counts,
    which are kept all the time, "closed" refuses. Either is counted in `unavailable_count`.
    """

    def __init__(self, redis: "Redis", settings: LimitsSettings) -> None:
        self.unavailable_count = 0
        self._script = redis.register_script(SCRIPT)
        self._settings = settings
        # One for each key at the most, so there is a bound.
        self._bills: dict[tuple[str, int], _Bill] = {}
        self._has_bills = trio.Event()

    def configure(self, settings: LimitsSettings) -> None:
        """See `OwnLimits`."""
        self._settings = settings

    @property
    def unwritten(self) -> int:
        """How many keys have bills that Redis does not know of yet."""
        return len(self._bills)

    async def charge(self, key: Key, now_ms: int) -> None:
        """See `OwnLimits`. Cancelled, the request may have been taken all the same.

        Raises:
            ApiError: also 503, Redis is away and `without_redis` is "closed".
        """
        if not key.has_limits:
            return
        period = period_of(key.budget_period)
        if key.spending.is_exhausted(period):
            # What this host has seen, and read from Postgres, is true whatever Redis has forgotten.
            raise refusal("budget", 0)
        verdict: tuple[str, int] | None = None
        try:
            with trio.move_on_after(self._settings.redis_timeout):
                what, wait_ms = await self._call("charge", key, period, 0, 0)
                verdict = (what.decode() if isinstance(what, bytes) else what, wait_ms)
        except (ServiceUnavailable, OutcomeUnknown):
            pass
        if verdict is None:
            self.unavailable_count += 1
            if self._settings.without_redis == "closed":
                message = "The limits of this key cannot be checked now"
                raise ApiError(503, "limits_unavailable", message, retry_after_s=RETRY_S)
            await super().charge(key, now_ms)
        elif verdict[0]:
            raise refusal(*verdict)
        elif key.requests is not None:
            key.requests.take(1.0, now_ms)

    def bill(self, key: Key, usage: Usage, cost_nano_usd: int, now_ms: int) -> None:
        """See `OwnLimits`; also has it written to Redis soon."""
        super().bill(key, usage, cost_nano_usd, now_ms)
        if key.tokens is None and key.spending.budget_nano_usd is None:
            return
        period = period_of(key.budget_period)
        bill = self._bills.setdefault((key.tenant, period), _Bill(key, period))
        bill.tokens += usage.total_tokens
        bill.nano_usd += cost_nano_usd
        self._has_bills.set()

    async def run(self) -> None:
        """Write bills to Redis as they come, for ever; cancelled, what is left, within `LAST_WRITE_S`."""
        try:
            while True:
                await self._has_bills.wait()
                self._has_bills = trio.Event()
                while self._bills:
                    if not await self._write_one():
                        await trio.sleep(RETRY_S)
        finally:
            with trio.move_on_after(LAST_WRITE_S, shield=True):
                while self._bills and await self._write_one():
                    pass

    async def _write_one(self) -> bool:
        bill = self._bills.pop(next(iter(self._bills)))
        try:
            await self._call("bill", bill.key, bill.period, bill.tokens, bill.nano_usd)
        except ServiceUnavailable:
            # Money is owed until it is counted; a minute's tokens are of no interest once Redis is back.
            kept = self._bills.setdefault((bill.key.tenant, bill.period), _Bill(bill.key, bill.period))
            kept.nano_usd += bill.nano_usd
            return False
        except OutcomeUnknown:
            # It may be counted already: once too few rather than twice.
            return False
        return True

    async def _call(self, verb: str, key: Key, period: int, tokens: int, nano_usd: int) -> Any:
        budget = key.spending.budget_nano_usd
        limits = [key.requests.per_minute if key.requests else 0, key.tokens.per_minute if key.tokens else 0]
        # The braces keep both on one node of a cluster.
        name = f"{_PREFIX}{{{key.tenant}}}"
        spent = f"{name}:{key.budget_period}:{period}"
        kept_s = _PERIOD_KEPT_S[key.budget_period]
        return await self._script(
            (name, spent), (verb, *limits, -1 if budget is None else budget, kept_s, tokens, nano_usd)
        )


def refusal(what: str, wait_ms: int) -> ApiError:
    """The 429 of a key that has used up its "budget", "tokens" or "requests"."""
    if what == "budget":
        message = "This key has used up its budget"
        return ApiError(429, "insufficient_quota", message, type="insufficient_quota", should_retry=False)
    message = f"Rate limit reached: this key has so many {what} a minute"
    return ApiError(429, "rate_limit_exceeded", message, retry_after_s=wait_ms / 1000)
