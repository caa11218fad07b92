"""The commands of `quartet`, a module each.

A command module has `HELP` (one line), `EXAMPLE` (command lines that work as they stand), `add_arguments(parser)` and
`run(arguments, terminal) -> int`, the exit code. `quartet NAME-OF-PLUGIN …` is in `of_plugin`.
"""

from argparse import ArgumentParser, Namespace
from enum import IntEnum
from importlib import import_module
from typing import Protocol

from host.commands.terminal import Terminal


class Exit(IntEnum):
    """What the exit code of `quartet` says. It is also in `quartet --help`."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    CONFIG = 3
    PLUGIN = 4
    INTERRUPTED = 130


class CommandModule(Protocol):
    """What a module of this package offers."""

    HELP: str
    EXAMPLE: str

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command's arguments."""

    def run(self, arguments: Namespace, terminal: Terminal) -> int:
        """Carry the command out and return its exit code."""


# In the order of the help: what one does first comes first.
NAMES = ("run", "plugins", "check-config", "schema", "routes", "new-plugin", "doctor", "version")


def command(name: str) -> CommandModule:
    """The module of one of `NAMES`."""
    module: CommandModule = import_module(f"host.commands.{name.replace('-', '_')}")
    return module
