"""`quartet schema`: the JSON Schema of config.toml, or every key of it as a page."""

from argparse import ArgumentParser, Namespace

from host.commands import Exit
from host.commands.options import add_config_options, settings_from
from host.commands.terminal import Terminal
from host.config import json_schema
from host.config_tables import markdown
from host.inventory import take_inventory

EXAMPLE = "quartet schema > config.schema.json\nquartet schema --markdown > keys.md"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--markdown", action="store_true", help="print tables of every key for people instead")
    add_config_options(parser)


def run(arguments: Namespace, terminal: Terminal) -> int:
    settings, _ = settings_from(arguments)
    inventory = take_inventory(settings, safe_mode=arguments.safe_mode)
    if arguments.markdown:
        terminal.line(markdown(inventory.models))
    else:
        terminal.json(json_schema(inventory.models))
    terminal.problems([str(error) for error in inventory.errors.values()])
    return Exit.PLUGIN if inventory.errors else Exit.OK
