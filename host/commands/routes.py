"""`quartet routes`: what the site would serve, by path."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator

from host.commands import Exit
from host.commands.dry_run import host_offer, offer_of
from host.commands.options import add_config_options, add_json_option, settings_from
from host.commands.terminal import Terminal
from host.descriptors import Mount, Page
from host.errors import ConfigError, PluginError
from host.inventory import take_inventory

EXAMPLE = "quartet routes\nquartet routes --json"

Row = tuple[str, str, str, str]


def add_arguments(parser: ArgumentParser) -> None:
    add_json_option(parser)
    add_config_options(parser)


def run(arguments: Namespace, terminal: Terminal) -> int:
    settings, problems = settings_from(arguments)
    inventory = take_inventory(settings, safe_mode=arguments.safe_mode)
    problems += inventory.problems
    if problems:
        raise ConfigError(problems)
    errors = list(inventory.errors.values())
    rows = list(_rows("host", host_offer()))
    for plugin in inventory.ordered:
        try:
            offer = offer_of(plugin, inventory.configured[plugin.name][1])
        except PluginError as error:
            errors.append(error)
        else:
            rows += _rows(plugin.name, offer.routes)
    rows.sort(key=lambda row: (row[1], row[0]))
    if arguments.json:
        terminal.json([dict(zip(("method", "path", "plugin", "summary"), row, strict=True)) for row in rows])
    else:
        terminal.table(("METHOD", "PATH", "PLUGIN", "SUMMARY"), rows)
    terminal.problems([str(error) for error in errors])
    return Exit.PLUGIN if errors else Exit.OK


def _rows(owner: str, routes: Iterable[Mount | Page]) -> Iterator[Row]:
    """A row for each operation and page; a mount that declares no operations is one row."""
    for route in routes:
        if isinstance(route, Page):
            yield "GET", route.path, owner, f"page: {route.title}"
        elif route.operations:
            for operation in route.operations:
                admin = " (admin)" if operation.admin else ""
                yield operation.method, operation.path, owner, f"{operation.summary}{admin}"
        else:
            yield "*", f"{route.path.rstrip('/')}/…", owner, ""
