"""The options that say which configuration a command reads, and the reading of it."""

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from host.config import find_config, read_settings
from host.settings import Settings


def add_config_options(parser: ArgumentParser) -> None:
    """Declare `--config`, `--set` and `--safe-mode`."""
    group = parser.add_argument_group("configuration")
    group.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="read this file; otherwise $QUARTET_CONFIG, ./config.toml, or the shipped defaults",
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="sets",
        help="override one key, as in --set server.port=80 (repeatable)",
    )
    group.add_argument("--safe-mode", action="store_true", help="leave plugins out that are not built in")


def add_json_option(parser: ArgumentParser) -> None:
    """Declare `--json`."""
    parser.add_argument("--json", action="store_true", help="write JSON for machines")


def settings_from(arguments: Namespace, sets: list[str] | None = None) -> tuple[Settings, list[str]]:
    """The settings that the options name, and the problems with them. `sets` come before the `--set` options.

    Raises:
        ConfigError: the file cannot be read, or is not TOML.
    """
    return read_settings(find_config(arguments.config, os.environ), os.environ, [*(sets or []), *arguments.sets])
