"""Finding plugins, importing the enabled ones, and putting them in order.

Metadata first: a plugin that is not enabled is never imported, and one whose distribution does not fit this host is
refused before its import. Every plugin has a `pluggy.PluginManager` of its own: pluggy stops a call at the first
implementation that raises and loses the results of the others (`pluggy._callers._multicall`), and alone each error
has one plugin to name.
"""

import difflib
import importlib
import inspect
import pkgutil
import re
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import Distribution, EntryPoint, entry_points, version
from types import ModuleType
from typing import Any

import pluggy
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from host import hookspecs
from host.api import API_VERSION
from host.descriptors import Command, PluginInfo, Service
from host.errors import PluginError

BUILT_IN_PACKAGE = "plugins"
ENTRY_POINT_GROUP = "quartet.plugins"
HOST_DISTRIBUTION = "quartet-host"

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_HOOK_PREFIX = "quartet_"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plugin that could be enabled, known by its metadata alone. `distribution` is None for a built-in."""

    name: str
    module: str
    distribution: Distribution | None = None

    @property
    def version(self) -> str:
        """The version of its distribution; a built-in has that of the host."""
        return self.distribution.version if self.distribution else version(HOST_DISTRIBUTION)

    @property
    def origin(self) -> str:
        """Where it comes from, for people: `built-in`, or distribution and version."""
        return f"{self.distribution.name} {self.distribution.version}" if self.distribution else "built-in"


@dataclass(frozen=True, slots=True)
class LoadedPlugin:
    """An imported plugin whose hooks were checked. Call its hooks through `call`, which names it in every error."""

    candidate: Candidate
    info: PluginInfo
    manager: pluggy.PluginManager

    @property
    def name(self) -> str:
        return self.candidate.name

    @property
    def version(self) -> str:
        return self.info.version or self.candidate.version

    @property
    def hooks(self) -> list[str]:
        """The names of the hooks that it implements, sorted."""
        return sorted(hook for hook in _hook_names() if getattr(self.manager.hook, hook).get_hookimpls())

    def services(self, config: Any) -> frozenset[Service]:
        """The services that it uses under this configuration (None: the plugin has none, or none that is valid)."""
        more = self.info.services_of
        return self.info.services | (more(config) if more is not None and config is not None else frozenset())

    def call(self, hook: str, **arguments: Any) -> Any:
        """The result of a hook: the value of a first-result hook, else the implementation's items as a list.

        Raises:
            PluginError: the hook raised, or returned something that cannot be iterated over.
        """
        caller = getattr(self.manager.hook, hook)
        try:
            result = caller(**arguments)
            if caller.spec.opts["firstresult"]:
                return result
            return [item for items in result if items is not None for item in items]
        except (Exception, SystemExit) as error:
            raise self.error(hook, error) from error

    def error(self, phase: str, error: BaseException) -> PluginError:
        """`error`, attributed to this plugin and `phase`."""
        if isinstance(error, PluginError):
            return error
        return _plugin_error(self.candidate, phase, error)


def find_candidates(*, safe_mode: bool = False) -> tuple[dict[str, Candidate], list[PluginError]]:
    """All plugins that are there, by name, from metadata alone; in safe mode the built-in ones only.

    An entry point whose name is malformed or taken is left out and returned as an error.
    """
    package = importlib.import_module(BUILT_IN_PACKAGE)
    found = {
        module.name: Candidate(module.name, f"{BUILT_IN_PACKAGE}.{module.name}")
        for module in pkgutil.iter_modules(package.__path__)
        if module.ispkg
    }
    errors: list[PluginError] = []
    if safe_mode:
        return found, errors
    for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=_entry_order):
        candidate = Candidate(entry.name, entry.value, entry.dist)
        if not _NAME.fullmatch(entry.name):
            reason, hint = "its entry point is not named in lower snake case", "rename it, as in `weather_feed`"
        elif entry.name in found:
            reason, hint = f"the name is taken by {found[entry.name].origin}", "uninstall one of the two"
        else:
            found[entry.name] = candidate
            continue
        errors.append(PluginError(entry.name, "discovery", reason, origin=candidate.origin, hint=hint))
    return found, errors


def load(candidate: Candidate) -> LoadedPlugin:
    """Import the plugin, check its hooks, and ask what it is.

    Raises:
        PluginError: it does not fit this host, cannot be imported, or breaks a rule of hooks.
    """
    _check_distribution(candidate)
    module = _import(candidate)
    _check_hooks(candidate, module)
    manager = pluggy.PluginManager("quartet")
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(module, name=candidate.name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise _plugin_error(candidate, "hooks", error) from error
    info = LoadedPlugin(candidate, PluginInfo(""), manager).call("quartet_info")
    if not isinstance(info, PluginInfo):
        raise PluginError(
            candidate.name,
            "quartet_info",
            "the hook is missing" if info is None else f"it returned {type(info).__name__}",
            origin=candidate.origin,
            hint="return a host.api.PluginInfo",
        )
    _check_api(candidate, info.requires_api)
    return LoadedPlugin(candidate, info, manager)


def start_order(plugins: Iterable[LoadedPlugin]) -> tuple[list[LoadedPlugin], list[PluginError]]:
    """The plugins in the order in which they start, and an error for each that cannot.

    `requires` must be among them; `after` counts only for those that are. Those left out, by a missing requirement or
    by a cycle, take their dependents with them.
    """
    left = {plugin.name: plugin for plugin in plugins}
    errors: list[PluginError] = []
    while True:
        missing = {
            name: requirement
            for name, plugin in left.items()
            for requirement in plugin.info.requires
            if requirement not in left
        }
        for name, requirement in missing.items():
            plugin = left.pop(name)
            errors.append(
                PluginError(
                    name,
                    "ordering",
                    f"it requires {requirement!r}, which is not enabled or did not load",
                    origin=plugin.candidate.origin,
                    hint=f"set enabled = true under [plugins.{requirement}]",
                )
            )
        if missing:
            continue
        graph = {
            name: [*plugin.info.requires, *(other for other in plugin.info.after if other in left)]
            for name, plugin in sorted(left.items())
        }
        try:
            return [left[name] for name in TopologicalSorter(graph).static_order()], errors
        except CycleError as error:
            # graphlib lists the cycle against the direction of `requires`.
            cycle = list(reversed(error.args[1]))
            for name in set(cycle):
                plugin = left.pop(name)
                reason = f"its order is a cycle: {' → '.join(cycle)}"
                hint = "take one requires/after out"
                errors.append(PluginError(name, "ordering", reason, origin=plugin.candidate.origin, hint=hint))


def commands_of(plugin: LoadedPlugin) -> list[Command]:
    """The subcommands that the plugin adds to the command line."""
    commands: list[Command] = plugin.call("quartet_commands")
    return commands


def suggestion(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` when one of `known` is near to `name`, else nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _entry_order(entry: EntryPoint) -> tuple[str, str]:
    return entry.name, entry.dist.name if entry.dist else ""


def _hook_names() -> list[str]:
    return [name for name in vars(hookspecs) if name.startswith(_HOOK_PREFIX)]


def _plugin_error(candidate: Candidate, phase: str, error: BaseException, hint: str = "") -> PluginError:
    """One line: the kind of error, its message, and the innermost place inside the plugin, when there is one."""
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if f"/{candidate.module.replace('.', '/')}" in frame.filename]
    if own:
        reason += f" at {own[-1].filename}:{own[-1].lineno}"
    return PluginError(candidate.name, phase, reason, origin=candidate.origin, hint=hint)


def _check_distribution(candidate: Candidate) -> None:
    """Compare the distribution's own requirement on the host with this host's version, before anything is imported."""
    if candidate.distribution is None:
        return
    ours = version(HOST_DISTRIBUTION)
    for line in candidate.distribution.requires or ():
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if canonicalize_name(requirement.name) != HOST_DISTRIBUTION or (
            requirement.marker and not requirement.marker.evaluate()
        ):
            continue
        if not requirement.specifier.contains(ours, prereleases=True):
            raise PluginError(
                candidate.name,
                "compatibility",
                f"it requires {line}, and this is {HOST_DISTRIBUTION} {ours}",
                origin=candidate.origin,
                hint="install a version of the plugin made for this host",
            )


def _check_api(candidate: Candidate, requires_api: str) -> None:
    try:
        major, minor = (int(part) for part in requires_api.split("."))
    except ValueError:
        reason = f'requires_api = {requires_api!r} is not "MAJOR.MINOR"'
        raise PluginError(candidate.name, "compatibility", reason, origin=candidate.origin) from None
    our_major, our_minor = (int(part) for part in API_VERSION.split("."))
    if major != our_major or minor > our_minor:
        raise PluginError(
            candidate.name,
            "compatibility",
            f"it needs plugin API {requires_api}, and this host has {API_VERSION}",
            origin=candidate.origin,
            hint="upgrade the host" if (major, minor) > (our_major, our_minor) else "upgrade the plugin",
        )


def _import(candidate: Candidate) -> ModuleType:
    try:
        return importlib.import_module(candidate.module)
    except (Exception, SystemExit) as error:
        # SystemExit too: a script mistaken for a plugin must not end the host.
        hint = ""
        if isinstance(error, ModuleNotFoundError) and error.name == candidate.module.partition(".")[0]:
            # An editable install adds a folder to the module path, which Python reads only as it starts.
            hint = "if it was installed while the host ran, start the host again"
        raise _plugin_error(candidate, "import", error, hint) from error


def _check_hooks(candidate: Candidate, module: ModuleType) -> None:
    """Refuse misspelt, unmarked and asynchronous hooks, which pluggy would take or leave in silence."""
    known = _hook_names()
    for name, value in vars(module).items():
        if not inspect.isroutine(value):
            continue
        marked = hasattr(value, "quartet_impl")
        own = getattr(value, "__module__", "") == module.__name__
        reason = ""
        if not marked and own and name.startswith(_HOOK_PREFIX):
            reason = f"{name} is not marked with @hookimpl"
        elif marked and name not in known:
            reason = f"there is no hook {name!r}{suggestion(name, known)}"
        elif marked and (inspect.iscoroutinefunction(value) or inspect.isasyncgenfunction(value)):
            reason = f"{name} is asynchronous, and hooks are not: await in a task, route or check that it returns"
        if reason:
            raise PluginError(candidate.name, "hooks", reason, origin=candidate.origin)
