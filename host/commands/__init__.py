"""The commands of `quartet`, a module each.

A command module has `EXAMPLE` (command lines that work as they stand), `add_arguments(parser)` and
`run(arguments, terminal) -> int`, the exit code. `quartet NAME-OF-PLUGIN …` is in `of_plugin`.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
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

    EXAMPLE: str

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command's arguments."""

    def run(self, arguments: Namespace, terminal: Terminal) -> int:
        """Carry the command out and return its exit code."""


# What each command does, in the order of the help: what one does first comes first. It stands here, so that the help
# and the start of a command import no other command.
HELP: Mapping[str, str] = {
    "run": "run the host with the enabled plugins, until Ctrl-C or SIGTERM",
    "plugins": "list the plugins that are there, or check one",
    "check-config": "find every mistake in the configuration, without starting anything",
    "schema": "print the JSON Schema of config.toml, with the sections of the enabled plugins",
    "routes": "list the routes of the host and of the enabled plugins, without starting anything",
    "new-plugin": "write a new plugin: a distribution that works as it stands, with its tests",
    "doctor": "look for the usual mistakes: versions, port, servers, folders, limits, plugins",
    "version": "show the version of Quartet and of what it stands on",
}
NAMES = tuple(HELP)


def command(name: str) -> CommandModule:
    """The module of one of `NAMES`."""
    module: CommandModule = import_module(f"host.commands.{name.replace('-', '_')}")
    return module
