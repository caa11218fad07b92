"""The document behind the dashboard: what the gateway did, does, and is made of, read off the running parts."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import trio

from plugins.gateway.core.usage import NANO
from plugins.gateway.generation import Generation
from plugins.gateway.pipeline import now_ms
from plugins.gateway.simulated.faults import DESCRIPTIONS
from plugins.gateway.simulated.server import SimulatedProvider
from plugins.gateway.store import Store
from plugins.gateway.targets import Target
from plugins.gateway.telemetry import Telemetry

TARGETS_SHOWN: Final = 32
LATEST_SHOWN: Final = 50


class Stats:
    """Makes the document. Costs a fraction of a millisecond."""

    def __init__(
        self,
        telemetry: Telemetry,
        store: Store,
        simulated: Mapping[str, SimulatedProvider],
        current: Callable[[], Generation],
    ) -> None:
        self.telemetry = telemetry
        self._store = store
        self._simulated = simulated
        self._current = current
        self._began = time.time()

    def document(self, *, with_latest: bool = True) -> dict[str, Any]:
        """The figures of now."""
        telemetry, memory = self.telemetry, self._store.memory
        now, current = now_ms(), self._current()
        retry_budget = current.pipeline.retry_budget
        document = {
            "at": time.time(),
            "started_at": self._began,
            "offers_simulated": current.targets.offers_simulated,
            "in_flight": telemetry.in_flight,
            "flights": current.api.flights,
            "requests": self._requests(),
            "latency_ms": telemetry.percentiles_ms(),
            "tokens": _by_kind(telemetry),
            "cost_usd": sum(telemetry.cost.values()) / NANO,
            "saved_tokens": telemetry.totals["saved_tokens_total"],
            "saved_usd": telemetry.totals["saved_nano_usd"] / NANO,
            "fallbacks": telemetry.totals["fallbacks_total"],
            "hedges": telemetry.totals["hedges_total"],
            "retries": retry_budget.spent_count,
            "retries_refused": retry_budget.refused_count,
            "cache": {
                "entries": len(memory),
                "bytes": memory.bytes_used,
                "bytes_max": memory.bytes_max,
                "evicted": memory.evicted_count,
                "expired": memory.expired_count,
            },
            "seconds": [
                {"second": second, "requests": requests, "hits": hits, "errors": errors}
                for second, requests, hits, errors in telemetry.seconds
                if now // 1000 - second <= len(telemetry.seconds)
            ],
            "targets": [_target(target, now) for target in current.targets.known()[-TARGETS_SHOWN:]],
            "simulated": [_simulated(provider) for provider in self._simulated.values()],
            "faults": DESCRIPTIONS,
            "models": [{"id": name, "owned_by": owner} for name, owner in current.targets.model_names()],
        }
        if with_latest:
            document["latest"] = [record._asdict() for record in list(telemetry.latest)[-LATEST_SHOWN:]]
        return document

    def since(self, sequence: int) -> tuple[list[dict[str, Any]], int]:
        """The requests that finished after that number, the newest at most, and the number to ask with next."""
        telemetry = self.telemetry
        count = min(telemetry.sequence - sequence, LATEST_SHOWN)
        records = [record._asdict() for record in list(telemetry.latest)[-count:]] if count > 0 else []
        return records, telemetry.sequence

    def _requests(self) -> dict[str, Any]:
        by_cache = dict.fromkeys(("hit", "miss", "coalesced", "bypass"), 0)
        errors = total = answered = 0
        for (_, cache, status), count in self.telemetry.requests.items():
            total += count
            if status == 200:
                answered += count
                by_cache[cache] += count
            elif status >= 500:
                errors += count
        served = by_cache["hit"] + by_cache["coalesced"]
        return {
            "total": total,
            "answered": answered,
            "errors": errors,
            "disconnects": self.telemetry.totals["client_disconnects_total"],
            "by_cache": by_cache,
            "hit_rate": served / answered if answered else None,
        }


def _by_kind(telemetry: Telemetry) -> dict[str, int]:
    made = {"input": 0, "output": 0}
    for (_, kind), count in telemetry.tokens.items():
        made[kind] += count
    return made


def _target(target: Target, now: int) -> dict[str, Any]:
    p50, p95 = target.first_token.percentiles([0.5, 0.95], now)
    return {
        "name": target.name,
        "provider": target.provider.name,
        "model": target.model,
        "dialect": target.provider.dialect,
        "simulated": target.provider.is_simulated,
        "state": target.breaker.state,
        "opened": target.breaker.opened_count,
        "closed_for_ms": target.breaker.wait_ms(now),
        "in_flight": target.in_flight,
        "requests": target.requests,
        "failures": target.failures,
        "last_failure": target.last_failure,
        "latency_ms": round(target.latency.value_ms, 2),
        "first_token_p50_ms": None if p50 is None else round(p50 / 1000, 2),
        "first_token_p95_ms": None if p95 is None else round(p95 / 1000, 2),
    }


def _simulated(provider: SimulatedProvider) -> dict[str, Any]:
    fault = provider.present_fault()
    return {
        "name": provider.name,
        "dialect": provider.dialect,
        "fault": fault.kind,
        "fault_left_s": max(0.0, round(provider.fault_until - trio.current_time(), 1)) if fault.kind != "none" else 0,
        "requests": provider.tally.requests,
        "open_requests": provider.tally.open_requests,
    }
