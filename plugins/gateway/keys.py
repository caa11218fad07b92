"""Virtual keys made while the gateway runs, and the ledger of what all keys have used.

Both live in memory and, when the gateway may use Postgres, there: keys as SHA-256 digests of 256 random bits, which
cannot be guessed or turned back. The ledger is written every few seconds; what a kill -9 takes with it is that much.
"""

import hashlib
import secrets
from collections import defaultdict
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import structlog
import trio
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import from_json

from host.api import HttpProblem, OutcomeUnknown, Secret, ServiceUnavailable
from plugins.gateway.admission import Admission, Key, key_of, period_of
from plugins.gateway.core.usage import NANO, Usage
from plugins.gateway.limits import OwnLimits
from plugins.gateway.pipeline import now_ms
from plugins.gateway.settings import KeySettings, Name

if TYPE_CHECKING:
    from host.api import Postgres

WRITE_INTERVAL_S: Final = 2.0
KEYS_MAX: Final = 10_000
PREFIX: Final = "sk-quartet-"

log: structlog.stdlib.BoundLogger = structlog.get_logger("plugin.gateway")


class NewKey(BaseModel):
    """A key to be made; limits as in the configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    models: tuple[str, ...] = ()
    requests_per_minute: Annotated[int, Field(gt=0)] | None = None
    tokens_per_minute: Annotated[int, Field(gt=0)] | None = None
    budget_usd: Annotated[float, Field(ge=0)] | None = None
    budget_period: Literal["day", "month", "total"] = "month"
    expires: Annotated[str, Field(pattern=r"^(\d{4}-\d\d-\d\d)?$")] = ""


class KeyDesk:
    """Makes, lists and withdraws keys, and keeps the ledger. `run` must run when there is a Postgres."""

    def __init__(self, admission: Admission, limits: OwnLimits, postgres: "Postgres | None") -> None:
        self._admission = admission
        self._limits = limits
        self._postgres = postgres
        # (tenant, model) to requests, input tokens, output tokens, nano-dollars; not yet written, and in all.
        self._unwritten: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        self._ledger: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])

    def bill(self, tenant: str, model: str, usage: Usage, cost_nano_usd: int) -> None:
        """An upstream has worked for a key: also for a stream that was broken off."""
        key = self._admission.by_name.get(tenant)
        if key is not None:
            self._limits.bill(key, usage, cost_nano_usd, now_ms())
        for book in (self._ledger, self._unwritten) if self._postgres is not None else (self._ledger,):
            line = book[tenant, model]
            line[0] += 1
            line[1] += usage.input_tokens
            line[2] += usage.output_tokens
            line[3] += cost_nano_usd

    async def make(self, wanted: NewKey) -> str:
        """Make a key and return its text, which nobody can be shown again.

        Raises:
            HttpProblem: 409 there is one of that name, 429 there are too many.
            ServiceUnavailable: Postgres is away; the key was not made.
        """
        if wanted.name in self._admission.by_name:
            raise HttpProblem(409, f"there is a key named {wanted.name}")
        if len(self._admission.by_name) >= KEYS_MAX:
            raise HttpProblem(429, f"there are {KEYS_MAX} keys already")
        text = PREFIX + secrets.token_urlsafe(32)
        digest = hashlib.sha256(text.encode()).digest()
        try:
            key = _key(wanted, digest)
        except ValueError as error:
            raise HttpProblem(422, f"expires: {error}") from None
        if self._postgres is not None:
            query = "INSERT INTO gateway.keys (name, digest, limits) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
            if not await self._postgres.execute(query, (wanted.name, digest, wanted.model_dump_json())):
                raise HttpProblem(409, f"there is a key named {wanted.name}")
        self._admission.add(key)
        return text

    async def withdraw(self, name: str) -> None:
        """Withdraw a key at once.

        Raises:
            HttpProblem: 404 there is none, 409 it is in the configuration.
        """
        if name in self._admission.configured:
            raise HttpProblem(409, f"the key {name} is in the configuration: take it out there")
        if self._postgres is not None:
            await self._postgres.execute("DELETE FROM gateway.keys WHERE name = %s", (name,))
        if not self._admission.remove(name):
            raise HttpProblem(404, f"there is no key named {name}")

    def listed(self) -> list[dict[str, Any]]:
        """The keys with their limits and what they have spent in their present periods."""
        return [
            {
                "name": name,
                "configured": name in self._admission.configured,
                "models": list(key.models),
                "requests_per_minute": key.requests.per_minute if key.requests else None,
                "tokens_per_minute": key.tokens.per_minute if key.tokens else None,
                "budget_usd": _usd(key.spending.budget_nano_usd),
                "budget_period": key.budget_period,
                "spent_usd": _usd(key.spending.spent(period_of(key.budget_period))),
                "expires": key.expires.isoformat() if key.expires else None,
            }
            for name, key in self._admission.by_name.items()
        ]

    async def usage(self) -> dict[str, Any]:
        """The ledger, by key and model: since the start, or of all time and all hosts when it is in Postgres."""
        lines: list[tuple[Any, ...]] = [(tenant, model, *line) for (tenant, model), line in self._ledger.items()]
        if self._postgres is not None:
            await self._write()
            query = (
                "SELECT tenant, model, sum(requests)::bigint, sum(input_tokens)::bigint, sum(output_tokens)::bigint, "
                "sum(nano_usd)::bigint FROM gateway.ledger GROUP BY tenant, model ORDER BY 6 DESC LIMIT 1000"
            )
            lines = [tuple(row) for row in await self._postgres.fetch_all(query)]
        names = ("key", "model", "requests", "input_tokens", "output_tokens")
        return {
            "since": "all time" if self._postgres is not None else "the start",
            "lines": [dict(zip(names, line[:5], strict=True)) | {"cost_usd": line[5] / NANO} for line in lines],
        }

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Load the keys and what they have spent, then write the ledger, until cancelled; then once more."""
        await self._load()
        task_status.started()
        try:
            while True:
                await trio.sleep(WRITE_INTERVAL_S)
                await self._refresh()
        finally:
            with trio.move_on_after(WRITE_INTERVAL_S, shield=True):
                await self._write()

    async def _refresh(self) -> None:
        try:
            await self._write()
            await self._load()
        except (ServiceUnavailable, OutcomeUnknown) as error:
            log.warning("the ledger could not be written, it is kept in memory", reason=str(error))

    async def _load(self) -> None:
        """Take over keys that other hosts have made or withdrawn, and what has been spent everywhere."""
        assert self._postgres is not None
        rows = await self._postgres.fetch_all("SELECT name, digest, limits::text FROM gateway.keys")
        present = {row[0] for row in rows} | self._admission.configured
        for name, digest, limits in rows:
            known = self._admission.by_name.get(name)
            if known is None or known.digest != bytes(digest):
                self._admission.add(_key(NewKey.model_validate(from_json(limits)), bytes(digest)))
        for name in [name for name in self._admission.by_name if name not in present]:
            self._admission.remove(name)
        query = "SELECT tenant, kind, period, sum(nano_usd)::bigint FROM gateway.spent GROUP BY 1, 2, 3"
        for tenant, kind, period, nano_usd in await self._postgres.fetch_all(query):
            key = self._admission.by_name.get(tenant)
            if key is not None and key.budget_period == kind and period == period_of(kind):
                key.spending.period, key.spending.spent_nano_usd = period, nano_usd

    async def _write(self) -> None:
        if self._postgres is None or not self._unwritten:
            return
        lines, self._unwritten = self._unwritten, defaultdict(lambda: [0, 0, 0, 0])
        try:
            async with self._postgres.transaction() as connection:
                for (tenant, model), line in lines.items():
                    await connection.execute(
                        "INSERT INTO gateway.ledger (tenant, model, requests, input_tokens, output_tokens, nano_usd) "
                        "VALUES (%s, %s, %s, %s, %s, %s)",
                        (tenant, model, *line),
                    )
                    key = self._admission.by_name.get(tenant)
                    if key is not None:
                        await connection.execute(
                            "INSERT INTO gateway.spent (tenant, kind, period, nano_usd) VALUES (%s, %s, %s, %s) "
                            "ON CONFLICT (tenant, kind, period) DO UPDATE "
                            "SET nano_usd = gateway.spent.nano_usd + excluded.nano_usd",
                            (tenant, key.budget_period, period_of(key.budget_period), line[3]),
                        )
        except ServiceUnavailable:
            # Nothing was written: these lines come again with the next ones.
            for place, line in lines.items():
                self._unwritten[place] = [a + b for a, b in zip(self._unwritten[place], line, strict=True)]
            raise


def _key(wanted: NewKey, digest: bytes) -> Key:
    limits = wanted.model_dump(exclude={"name"})
    return key_of(wanted.name, KeySettings(key=Secret("never shown"), **limits), digest)


def _usd(nano_usd: int | None) -> float | None:
    return None if nano_usd is None else nano_usd / NANO
