"""The gateway inside a running host, with its simulated providers at hand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import trio
from pydantic_core import from_json

from host.application import Application
from host.testing import running_host
from host.toml_text import toml_value
from plugins.gateway.service import Gateway
from plugins.gateway.simulated.server import SimulatedProvider

INSTANT: dict[str, Any] = {"simulated": {"enabled": "on", "first_token": 0, "token_interval": 0}}


@dataclass(slots=True)
class House:
    """A host with the gateway. `gateway` is its inside, `http` a client of its outside."""

    url: str
    http: httpx.AsyncClient
    gateway: Gateway
    application: Application

    @property
    def primary(self) -> SimulatedProvider:
        return self.gateway.simulated["simulated"]

    @property
    def backup(self) -> SimulatedProvider:
        return self.gateway.simulated["simulated-b"]

    async def chat(
        self, text: str, model: str = "simulated/echo", *, store: bool = False, **more: Any
    ) -> httpx.Response:
        headers = {} if store else {"cache-control": "no-store"}
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        return await self.http.post("/v1/chat/completions", json=body, headers=headers)

    async def settled(self) -> None:
        """Wait until nothing is under way any more."""
        with trio.fail_after(30):
            while not self.is_settled():  # noqa: ASYNC110
                await trio.sleep(0.002)

    def is_settled(self) -> bool:
        """Whether no request, flight, connection in use, breaker's probe or count is left."""
        gateway = self.gateway
        return (
            gateway.telemetry.in_flight == 0
            and gateway.current.api.flights == 0
            and gateway.transport.statistics().active == 0
            and gateway.transport.statistics().waiting == 0
            and all(provider.tally.open_requests == 0 for provider in gateway.simulated.values())
            and all(
                not target.in_flight and not target.breaker.is_probing for target in gateway.current.targets.known()
            )
        )


@asynccontextmanager
async def open_house(
    data_dir: Path, *, postgres_url: str = "embedded", redis_url: str = "embedded", **config: Any
) -> AsyncIterator[House]:
    """A host with the gateway alone, instant simulated providers and, else, defaults."""
    section = {"providers_from_environment": False, **INSTANT, **config}
    servers = {"postgres_url": postgres_url, "redis_url": redis_url}
    async with running_host({"gateway": _flat(section)}, data_dir=data_dir, sets=_sets(section), **servers) as host:
        unit = host.application.supervisor.units["gateway"]
        assert unit.run is not None, unit.reason
        assert unit.run.card is not None
        # The card's figures are the gateway's own: the one way from a running host to its inside.
        gateway = getattr(unit.run.card.figures, "__self__", None)
        assert isinstance(gateway, Gateway)
        yield House(host.url, host.http, gateway, host.application)


def _flat(section: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in section.items() if not isinstance(value, dict)}


def _sets(section: dict[str, Any]) -> tuple[str, ...]:
    return tuple(
        f"plugins.gateway.{name}={toml_value(value)}" for name, value in section.items() if isinstance(value, dict)
    )


def events_of(text: str) -> list[Any]:
    """The data of a stream's events, JSON where it is."""
    found = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [data if data == "[DONE]" else from_json(data) for data in found]


def text_of(events: list[Any]) -> str:
    """What a stream of chat chunks says."""
    return "".join(
        choice["delta"].get("content") or "" for event in events if event != "[DONE]" for choice in event["choices"]
    )
