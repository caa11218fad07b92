"""Plugins made on the spot: modules in `sys.modules`, and distributions in a folder on the path."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from host.api import Mount, Page, PluginInfo, Task, hookimpl
from host.plugins import Candidate, LoadedPlugin, load


def make_module(name: str, **hooks: Callable[..., Any]) -> str:
    """A module with these hooks, marked; returns the name to import it by."""
    full_name = f"fake_plugin_{name}"
    module = ModuleType(full_name)
    for hook, function in hooks.items():
        function.__module__ = full_name
        setattr(module, hook, hookimpl(function))
    sys.modules[full_name] = module
    return full_name


def make_plugin(
    name: str,
    *,
    requires: tuple[str, ...] = (),
    after: tuple[str, ...] = (),
    tasks: Callable[[Any], list[Task]] | None = None,
    routes: Callable[[Any], list[Mount | Page]] | None = None,
    **hooks: Callable[..., Any],
) -> LoadedPlugin:
    """A loaded plugin; `tasks` and `routes` take the context."""
    info = PluginInfo(summary=f"The fake {name}.", requires=requires, after=after)

    def quartet_info() -> PluginInfo:
        return info

    def quartet_tasks(ctx: Any) -> list[Task]:
        return tasks(ctx) if tasks else []

    def quartet_routes(ctx: Any) -> list[Mount | Page]:
        return routes(ctx) if routes else []

    all_hooks = {"quartet_info": quartet_info, "quartet_tasks": quartet_tasks, "quartet_routes": quartet_routes}
    return load(Candidate(name, make_module(name, **{**all_hooks, **hooks})))


def install(folder: Path, name: str, source: str, *, requires: str = "quartet-host", version: str = "1.2.3") -> None:
    """Put a plugin's module and the metadata of its distribution into a folder that is on `sys.path`."""
    (folder / f"{name}_module.py").write_text(source)
    metadata = folder / f"{name}_dist-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}-dist\nVersion: {version}\nRequires-Dist: {requires}\n"
    )
    (metadata / "entry_points.txt").write_text(f"[quartet.plugins]\n{name} = {name}_module\n")
