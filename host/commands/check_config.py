"""`quartet check-config`: every mistake in the configuration, or the configuration in force."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import Any

from host.commands import Exit
from host.commands.options import add_config_options, add_json_option, settings_from
from host.commands.terminal import Terminal
from host.config import effective
from host.errors import ConfigError
from host.inventory import Inventory, take_inventory
from host.settings import Settings
from host.toml_text import dotted, toml_lines

EXAMPLE = "quartet check-config\nquartet check-config --show-effective --set server.port=80"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--show-effective",
        action="store_true",
        help="print every key with its value and where that comes from, as TOML; secrets stay references",
    )
    add_json_option(parser)
    add_config_options(parser)


def run(arguments: Namespace, terminal: Terminal) -> int:
    try:
        settings, problems = settings_from(arguments)
    except ConfigError as error:
        return _report(arguments, terminal, error.problems, [])
    inventory = take_inventory(settings, safe_mode=arguments.safe_mode)
    # Without a model too, the host's keys of a plugin were looked at: what is wrong there is told once.
    problems = list(dict.fromkeys([*problems, *inventory.problems]))
    broken = [str(error) for error in inventory.errors.values()]
    if problems or broken:
        return _report(arguments, terminal, problems, broken)
    if arguments.show_effective:
        _show(arguments, terminal, settings, inventory)
    elif arguments.json:
        terminal.json({"ok": True, "path": settings.path, "problems": [], "broken_plugins": []})
    else:
        names = ", ".join(plugin.name for plugin in inventory.ordered) or "none"
        terminal.line(f"{terminal.style('ok', 'green')}: {settings.path} (plugins enabled: {names})")
    return Exit.OK


def _report(arguments: Namespace, terminal: Terminal, problems: list[str], broken: list[str]) -> int:
    if arguments.json:
        terminal.json({"ok": False, "problems": problems, "broken_plugins": broken})
    else:
        terminal.problems([*problems, *broken])
    return Exit.CONFIG if problems else Exit.PLUGIN


def _show(arguments: Namespace, terminal: Terminal, settings: Settings, inventory: Inventory) -> None:
    document = effective(settings, inventory.usable_models)
    if arguments.json:
        terminal.json(document)
        return
    for keys, value in toml_lines(document):
        source = settings.raw.source(keys) if _is_given(settings.raw.data, keys) else "default"
        line = f"{dotted(keys)} = {value}" if value else f"# {dotted(keys)} is not set"
        terminal.line(f"{line}  {terminal.style(f'# {source}', 'dim')}" if value else terminal.style(line, "dim"))


def _is_given(data: Any, keys: tuple[str, ...]) -> bool:
    for key in keys:
        if not isinstance(data, Mapping) or key not in data:
            return False
        data = data[key]
    return True
