"""`quartet run`: run the host until it is told to stop."""

from argparse import ArgumentParser, Namespace

import trio

from host.commands.options import add_config_options, settings_from
from host.commands.terminal import Terminal
from host.errors import ConfigError
from host.inventory import take_inventory
from host.services.logs import configure_logging
from host.settings import Settings

EXAMPLE = "quartet run\nquartet run --config production.toml --set log.format=json"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--strict-plugins", action="store_true", help="end when any enabled plugin fails")
    parser.add_argument("--log-format", choices=["auto", "console", "json"], help="the same as --set log.format=…")
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("-v", "--verbose", action="store_true", help="the same as --set log.level=debug")
    loudness.add_argument("-q", "--quiet", action="store_true", help="the same as --set log.level=warning")
    add_config_options(parser)


def run(arguments: Namespace, terminal: Terminal) -> int:
    from host.application import Application, Options

    settings = _settings(arguments)
    configure_logging(settings.log.format, settings.log.level)
    options = Options(
        safe_mode=arguments.safe_mode,
        strict_plugins=arguments.strict_plugins,
        reload=lambda: _settings(arguments),
        announce=terminal.note,
    )
    terminal.note(f"Quartet reads {settings.path}")
    return trio.run(Application(settings, options).run)


def _settings(arguments: Namespace) -> Settings:
    """The settings, once nothing is wrong with them.

    Raises:
        ConfigError: with all problems, those of the plugins' sections included.
    """
    sets = [f"log.format={arguments.log_format}"] if arguments.log_format else []
    sets += ["log.level=debug"] if arguments.verbose else ["log.level=warning"] if arguments.quiet else []
    settings, problems = settings_from(arguments, sets)
    if problems:
        # The plugins' problems belong to the same list, so that one look mends them all.
        problems += take_inventory(settings, safe_mode=arguments.safe_mode).problems
        raise ConfigError(list(dict.fromkeys(problems)))
    return settings
