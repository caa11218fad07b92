"""`quartet NAME-OF-PLUGIN command …`: the commands that plugins bring, run with their services."""

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import structlog
import trio

from host.commands import Exit
from host.commands.options import add_config_options, settings_from
from host.commands.terminal import Terminal
from host.context import PluginContext
from host.data_dir import made
from host.descriptors import Command
from host.errors import ConfigError
from host.inventory import take_inventory
from host.lending import Lender
from host.plugin_run import RunSettings, leaves
from host.plugins import Candidate, LoadedPlugin, commands_of, load
from host.services.embedded import Endpoint, TakenByAnotherHost, run_embedded_postgres, run_embedded_redis
from host.services.logs import configure_logging
from host.services.metrics import plugin_metrics
from host.services.migrations import migrate
from host.settings import Settings


def run(candidate: Candidate, words: Sequence[str], terminal: Terminal) -> int:
    """Parse the rest of the command line by what the plugin declares, and run its command.

    The plugin need not be enabled. Nothing of it runs but the command: no task, no route.

    Raises:
        PluginError: the plugin cannot be loaded.
        ConfigError: its section, or the host's part of the configuration, cannot be used.
        HostError: an embedded server is needed and does not start.
    """
    plugin = load(candidate)
    commands = {command.name: command for command in commands_of(plugin)}
    if not commands:
        terminal.problems([f"plugin {plugin.name!r} has no commands"])
        return Exit.USAGE
    arguments = _parser(plugin, commands).parse_args(words)
    settings, problems = settings_from(arguments)
    inventory = take_inventory(settings, only=[plugin.name])
    problems += inventory.problems
    if problems:
        raise ConfigError(problems)
    configure_logging(settings.log.format, settings.log.level)
    command = commands[arguments.command]
    try:
        return trio.run(_run_command, settings, plugin, inventory.configured[plugin.name][1], command, arguments)
    except BaseExceptionGroup as group:
        # One error in nested nurseries is that error; `quartet` knows how to say it.
        errors = leaves(group)
        if len(errors) == 1:
            raise errors[0] from None
        raise


def _parser(plugin: LoadedPlugin, commands: dict[str, Command]) -> ArgumentParser:
    parser = ArgumentParser(
        prog=f"quartet {plugin.name}",
        description=plugin.info.summary,
        formatter_class=RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for name, command in commands.items():
        # Examples at the end of a help are to be copied, line by line.
        own = subparsers.add_parser(
            name, help=command.help, description=command.help, formatter_class=RawDescriptionHelpFormatter
        )
        if command.arguments is not None:
            command.arguments(own)
        add_config_options(own)
    return parser


async def _run_command(
    settings: Settings, plugin: LoadedPlugin, config: Any, command: Command, arguments: Namespace
) -> int:
    """Run one command in a context like that of a running plugin; its services close when it returns."""
    services = plugin.services(config)
    data_dir = made(settings.data.dir.absolute())
    async with AsyncExitStack() as stack:
        nursery = await stack.enter_async_context(trio.open_nursery())
        stack.callback(nursery.cancel_scope.cancel, "the command has ended")
        urls = {"postgres": settings.postgres.url.reveal(), "redis": settings.redis.url.reveal()}
        if "postgres" in services and settings.postgres.url.is_embedded:
            urls["postgres"] = await _embedded(nursery, run_embedded_postgres, data_dir)
        if "redis" in services and settings.redis.url.is_embedded:
            urls["redis"] = await _embedded(nursery, run_embedded_redis, data_dir)
        lender = Lender(
            urls.__getitem__,
            acquire_timeout_s=settings.postgres.acquire_timeout,
            response_timeout_s=settings.postgres.response_timeout,
            redis_timeout_s=settings.redis.timeout,
        )
        lent = await stack.enter_async_context(lender.lend(plugin, RunSettings(services=services)))
        if lent.postgres is not None and plugin.info.migrations is not None:
            await migrate(lent.postgres, plugin.name, plugin.info.migrations)
        ctx = PluginContext(
            name=plugin.name,
            config=config,
            log=structlog.get_logger(f"plugin.{plugin.name}"),
            metrics=plugin_metrics(plugin.name, plugin.call("quartet_metrics"))[1],
            data_dir=made(data_dir / plugin.name),
            threads=trio.CapacityLimiter(RunSettings().threads_max),
            draining=trio.Event(),
            lent=lent,
        )
        return await command.run(ctx, arguments)
    raise AssertionError("the command was cancelled from within")


async def _embedded(nursery: trio.Nursery, run_server: Callable[..., Awaitable[None]], data_dir: Path) -> str:
    """The URL of an embedded server: that of the host which runs on this folder, else of one for the command alone."""
    try:
        endpoint: Endpoint = await nursery.start(run_server, data_dir)
    except TakenByAnotherHost as taken:
        if not taken.url:
            raise
        return taken.url
    return endpoint.url
