"""All plugins that are there, with what is known of each before any runs: enabled, loaded, configured, ordered."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pydantic import BaseModel

from host.config import Models, plugin_config, unknown_plugins
from host.errors import ConfigError, PluginError
from host.plugins import Candidate, LoadedPlugin, find_candidates, load, start_order
from host.settings import PluginSettings, Settings


@dataclass(slots=True)
class Inventory:
    """What came of looking at every plugin once.

    `disabled` were never imported. Of those that were `loaded`, `ordered` can run, in start order. `errors` has the
    first error of each that was meant to run and cannot; `problems` are the lines about their configuration.
    """

    candidates: dict[str, Candidate]
    disabled: dict[str, Candidate] = field(default_factory=dict)
    loaded: list[LoadedPlugin] = field(default_factory=list)
    ordered: list[LoadedPlugin] = field(default_factory=list)
    configured: dict[str, tuple[PluginSettings, BaseModel | None]] = field(default_factory=dict)
    models: dict[str, type[BaseModel] | None] = field(default_factory=dict)
    errors: dict[str, PluginError] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def usable_models(self) -> Models:
        """The models of the plugins whose configuration could be read."""
        return {name: self.models[name] for name in self.configured}


def take_inventory(settings: Settings, *, safe_mode: bool = False, only: Iterable[str] | None = None) -> Inventory:
    """Find all plugins, import the enabled ones (or `only` these, enabled or not), and check their configuration.

    Never raises for a plugin: one that is broken is in `errors`, and the others are looked at all the same.
    """
    everything, _ = find_candidates()
    candidates, errors = find_candidates(safe_mode=safe_mode)
    inventory = Inventory(candidates, errors={error.plugin: error for error in errors})
    # In safe mode the sections of plugins that are left out are no mistakes.
    inventory.problems += unknown_plugins(settings, everything)
    chosen = None if only is None else set(only)
    for name, candidate in candidates.items():
        wanted = (
            settings.is_enabled(name, built_in=candidate.distribution is None) if chosen is None else name in chosen
        )
        if not wanted:
            inventory.disabled[name] = candidate
            continue
        try:
            plugin = load(candidate)
        except PluginError as error:
            inventory.errors[name] = error
            continue
        inventory.models[name] = plugin.info.config
        try:
            inventory.configured[name] = plugin_config(settings, name, plugin.info.config)
        except ConfigError as error:
            inventory.problems += error.problems
        inventory.loaded.append(plugin)
    inventory.ordered, unordered = start_order(inventory.loaded)
    inventory.errors |= {error.plugin: error for error in unordered}
    return inventory
