"""`quartet plugins list` and `quartet plugins check NAME`: what is there, and whether it is sound."""

import warnings
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from typing import Any

from host.commands import Exit
from host.commands.dry_run import Offer, offer_of
from host.commands.options import add_config_options, add_json_option, settings_from
from host.commands.terminal import Style, Terminal
from host.errors import PluginError
from host.inventory import Inventory, take_inventory
from host.plugins import Candidate, suggestion
from host.settings import Settings

EXAMPLE = "quartet plugins list\nquartet plugins check frontrow"

_STYLES: dict[str, Style] = {"enabled": "green", "disabled": "dim", "broken": "red"}


@dataclass(slots=True)
class Step:
    """One thing that was checked: `problem` is empty when it is well."""

    name: str
    found: str = ""
    problem: str = ""


def add_arguments(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser(
        "list",
        help="all plugins, enabled or not",
        description="List all plugins. Only the enabled ones are imported.",
        epilog="example: quartet plugins list --json",
    )
    check = actions.add_parser(
        "check",
        help="look at everything that a plugin would put up",
        description="Import a plugin, enabled or not, check its configuration, and call each of its hooks once, with "
        "warnings as errors. Nothing is started and nothing is written.",
        epilog="example: quartet plugins check frontrow",
    )
    check.add_argument("name", metavar="NAME")
    for parser_of_action, run_action in ((listing, _list), (check, _check)):
        add_json_option(parser_of_action)
        add_config_options(parser_of_action)
        parser_of_action.set_defaults(action=run_action)


def run(arguments: Namespace, terminal: Terminal) -> int:
    code: int = arguments.action(arguments, terminal)
    return code


def _list(arguments: Namespace, terminal: Terminal) -> int:
    settings, _ = settings_from(arguments)
    inventory = take_inventory(settings, safe_mode=arguments.safe_mode)
    records = _records(inventory)
    if arguments.json:
        terminal.json({"plugins": records})
        return Exit.OK
    rows = [
        (record["name"], record["state"], record["version"], record["origin"], record["reason"] or record["summary"])
        for record in records
    ]
    terminal.table(
        ("NAME", "STATE", "VERSION", "ORIGIN", ""), rows, [_STYLES.get(record["state"]) for record in records]
    )
    return Exit.OK


def _records(inventory: Inventory) -> list[dict[str, Any]]:
    """A record for each plugin: those that run in start order, then the broken ones, then the disabled ones."""
    sound = [plugin for plugin in inventory.ordered if plugin.name in inventory.configured]
    enabled: list[dict[str, Any]] = [
        _record(plugin.candidate, "enabled")
        | {
            "version": plugin.version,
            "summary": plugin.info.summary,
            "requires": list(plugin.info.requires),
            "services": sorted(plugin.info.services),
            "hooks": plugin.hooks,
        }
        for plugin in sound
    ]
    misconfigured = [plugin.candidate for plugin in inventory.ordered if plugin not in sound]
    broken = [
        _record(candidate, "broken", "wrong configuration: see quartet check-config") for candidate in misconfigured
    ]
    for name, error in sorted(inventory.errors.items()):
        known = inventory.candidates.get(name) or Candidate(name, "")
        broken.append(_record(known, "broken", f"{error.phase}: {error.reason}") | {"origin": error.origin})
    disabled = [
        _record(candidate, "disabled", f"set enabled = true under [plugins.{name}]")
        for name, candidate in sorted(inventory.disabled.items())
    ]
    return enabled + broken + disabled


def _record(candidate: Candidate, state: str, reason: str = "") -> dict[str, Any]:
    """What is known of a plugin that was not imported."""
    return {
        "name": candidate.name,
        "state": state,
        "version": candidate.version,
        "origin": candidate.origin,
        "module": candidate.module,
        "summary": "",
        "reason": reason,
        "requires": [],
        "services": [],
        "hooks": [],
    }


def _check(arguments: Namespace, terminal: Terminal) -> int:
    settings, _ = settings_from(arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        steps = check_plugin(settings, arguments.name)
    failed = [step for step in steps if step.problem]
    if arguments.json:
        records = [{"check": s.name, "ok": not s.problem, "found": s.found, "problem": s.problem} for s in steps]
        terminal.json({"plugin": arguments.name, "ok": not failed, "checks": records})
    else:
        for step in steps:
            mark = terminal.style("✗", "red") if step.problem else terminal.style("✓", "green")
            terminal.line(f"{mark} {step.name:<14} {step.problem or step.found}".rstrip())
    return Exit.PLUGIN if failed else Exit.OK


def check_plugin(settings: Settings, name: str) -> list[Step]:
    """What is known of a plugin after importing it and calling its hooks once; ends at the first step that stops it."""
    inventory = take_inventory(settings, only=[name])
    if name not in inventory.candidates:
        return [Step("found", problem=f"there is no plugin {name!r}{suggestion(name, inventory.candidates)}")]
    candidate = inventory.candidates[name]
    steps = [Step("found", f"{candidate.module} ({candidate.origin})")]
    error = inventory.errors.get(name)
    if error is not None and error.phase != "ordering":
        return [
            *steps,
            Step("loads", problem=f"in {error.phase}: {error.reason}{f' — {error.hint}' if error.hint else ''}"),
        ]
    section = f"plugins.{name}"
    problems = [line for line in inventory.problems if line.startswith((section + ".", section + " ", section + ":"))]
    if problems:
        return [*steps, Step("loads"), *(Step("configuration", problem=line) for line in problems)]
    plugin = next(plugin for plugin in inventory.loaded if plugin.name == name)
    needs = [other for other in plugin.info.requires if other not in inventory.candidates]
    steps += [
        Step("loads", f"version {plugin.version}, plugin API {plugin.info.requires_api}"),
        Step("configuration", "fits its model" if plugin.info.config else "takes none"),
        Step(
            "requires", ", ".join(plugin.info.requires) or "nothing", f"not there: {', '.join(needs)}" if needs else ""
        ),
    ]
    try:
        offer = offer_of(plugin, inventory.configured[name][1])
    except PluginError as raised:
        return [*steps, Step("hooks", problem=f"{raised.phase}: {raised.reason}")]
    return [*steps, *_offered(offer)]


def _offered(offer: Offer) -> list[Step]:
    def names(items: list[Any], of: str) -> str:
        return ", ".join(str(getattr(item, of)) for item in items) or "none"

    return [
        Step("metrics", names(offer.metrics, "name")),
        Step("routes", names(offer.routes, "path")),
        Step("tasks", names(offer.tasks, "name")),
        Step("health checks", names(offer.checks, "name")),
        Step("commands", names(offer.commands, "name")),
        Step("card", offer.card.title if offer.card else "none"),
    ]
