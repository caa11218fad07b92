"""What the host says of itself: the documents behind `/-/plugins`, the overview, `/readyz` and the page navigation.

Everything here is read off the running supervisor at the moment of asking.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
import trio

from host.descriptors import Card, Figure, Mount, Page
from host.errors import PluginError
from host.plugin_run import first_line
from host.plugins import Candidate
from host.supervisor import UP, PluginState, Supervised, Supervisor

log: structlog.stdlib.BoundLogger = structlog.get_logger("quartet.site")

FIGURES_TIMEOUT_S = 1.0
"""How long one plugin may take to measure its figures for the overview."""


class Site:
    """The host's view of its plugins, running or not."""

    def __init__(self, version: str, supervisor: Supervisor) -> None:
        self.version = version
        self.supervisor = supervisor
        self.draining = False
        self.loop_lag_s = 0.0
        self.started_at = time.time()
        self.not_loaded: dict[str, PluginError] = {}
        self.disabled: dict[str, Candidate] = {}
        self._began_s = trio.current_time()
        self._without_figures: dict[str, str] = {}

    def is_ready(self) -> tuple[bool, list[str]]:
        """Whether the host takes traffic, and a line for each thing that was looked at (`[+]` well, `[-]` not)."""
        lines = ["[-] the host is draining" if self.draining else "[+] the host is not draining"]
        is_ready = not self.draining
        for unit in self.supervisor.units.values():
            starts = unit.state in (PluginState.CONFIGURED, PluginState.STARTING)
            failing = unit.run is not None and any(r.required and r.error for r in unit.run.checks.values())
            is_ready = is_ready and not starts and not failing
            mark = "[-]" if starts or failing or unit.state not in UP else "[+]"
            lines.append(f"{mark} plugin {unit.name}: {unit.state}{f' ({unit.reason})' if unit.reason else ''}")
        lines += [f"[-] {error}" for error in self.not_loaded.values()]
        return is_ready, lines

    def plugins(self) -> list[dict[str, Any]]:
        """All plugins that are there, running ones first in start order, as JSON-ready records."""
        records = [self._running(unit) for unit in self.supervisor.units.values()]
        records += [
            {"name": name, "state": PluginState.FAILED, "reason": str(error), "origin": error.origin, "enabled": True}
            for name, error in sorted(self.not_loaded.items())
        ]
        records += [
            {"name": name, "state": PluginState.DISCOVERED, "reason": "not enabled", "enabled": False}
            | {"origin": candidate.origin, "version": candidate.version}
            for name, candidate in sorted(self.disabled.items())
        ]
        return records

    def for_pages(self) -> dict[str, Any]:
        """What every page's template sees as `site`: name, version, the pages of the navigation, and the plugins."""
        pages = [
            {"path": route.path, "title": route.title, "plugin": unit.name}
            for unit in self.supervisor.units.values()
            for route in unit.routes
            if isinstance(route, Page) and route.nav
        ]
        return {"name": "Quartet", "version": self.version, "pages": pages, "plugins": self.plugins()}

    def mounts(self) -> dict[str, list[Mount]]:
        """The mounts of the plugins that run, by plugin."""
        return {
            unit.name: [route for route in unit.routes if isinstance(route, Mount)]
            for unit in self.supervisor.units.values()
            if unit.run is not None
        }

    async def overview(self) -> dict[str, Any]:
        """Cards with their live figures, and the state of the host. A plugin that is down, or whose figures fail,
        shows none.
        """
        cards: list[dict[str, Any]] = []
        for unit in tuple(self.supervisor.units.values()):
            card = unit.card
            if card is not None:
                cards.append(_card(unit, card, await self._figures(unit.name, card) if unit.state in UP else []))
        return {"cards": cards, "host": self.host()}

    def host(self) -> dict[str, Any]:
        """The state of the host itself."""
        return {
            "version": self.version,
            "started_at": self.started_at,
            "uptime_s": round(trio.current_time() - self._began_s, 3),
            "draining": self.draining,
            "loop_lag_ms": round(self.loop_lag_s * 1e3, 3),
            "tasks": trio.lowlevel.current_statistics().tasks_living,
            "plugins": self.plugins(),
        }

    async def _figures(self, plugin: str, card: Card) -> Sequence[Figure]:
        try:
            with trio.fail_after(FIGURES_TIMEOUT_S):
                figures = await card.figures()
        except Exception as error:
            reason = first_line(error)
            # Once, not each second for everybody who looks at the overview.
            if self._without_figures.get(plugin) != reason:
                log.warning("no figures for the overview", plugin=plugin, reason=reason)
            self._without_figures[plugin] = reason
            return []
        self._without_figures.pop(plugin, None)
        return figures

    def _running(self, unit: Supervised) -> dict[str, Any]:
        plugin, run, services = unit.plugin, unit.run, unit.configured.run.services
        checks = run.checks if run else {}
        return {
            "name": unit.name,
            "enabled": True,
            "state": unit.state,
            "reason": unit.reason,
            "since_s": round(trio.current_time() - unit.since_s, 3),
            "summary": plugin.info.summary,
            "version": plugin.version,
            "origin": plugin.candidate.origin,
            "requires": list(plugin.info.requires),
            "services": sorted(plugin.info.services if services is None else services),
            "docs_url": plugin.info.docs_url,
            "hooks": plugin.hooks,
            "restarts": unit.restarts,
            "start_ms": None if unit.start_duration_s is None else round(unit.start_duration_s * 1e3, 1),
            "tasks": run.task_names if run else [],
            "routes": [route.path for route in unit.routes] if run else [],
            "checks": [
                {"name": name, "required": result.required, "error": result.error}
                | {"age_s": _age_s(result.checked_at_s)}
                for name, result in checks.items()
            ],
        }


def _card(unit: Supervised, card: Card, figures: Sequence[Figure]) -> dict[str, Any]:
    values: list[Mapping[str, Any]] = [
        {"label": f.label, "value": f.value, "unit": f.unit, "measured_at": f.measured_at} for f in figures
    ]
    return {
        "plugin": unit.name,
        "state": unit.state,
        "title": card.title,
        "href": card.href,
        "hard_thing": card.hard_thing,
        "promise": card.promise,
        "proof_url": card.proof_url,
        "proof_body": dict(card.proof_body),
        "figures": values,
    }


def _age_s(checked_at_s: float | None) -> float | None:
    return None if checked_at_s is None else round(trio.current_time() - checked_at_s, 3)
