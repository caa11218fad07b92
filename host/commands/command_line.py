"""What `quartet` does with a command line: finds the command, runs it, and says what went wrong."""

import difflib
import os
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence

from host.commands import HELP, NAMES, Exit, command
from host.commands.terminal import Terminal
from host.errors import ConfigError, HostError, PluginError

_DESCRIPTION = "Quartet: a plugin host on Trio, and four systems that prove what they promise."
_EPILOG = """\
Plugins add commands of their own: quartet NAME-OF-PLUGIN --help.

exit codes:
  0    it worked
  1    it failed
  2    the command line is wrong
  3    the configuration is wrong
  4    a plugin is broken
  130  interrupted

example:
  quartet run --set server.port=9000
"""


def carry_out(words: Sequence[str]) -> int:
    """Carry out a command line and return the exit code, as in `Exit`. A usage error raises SystemExit(2)."""
    terminal = Terminal()
    try:
        code = _dispatch(list(words), terminal)
        terminal.out.flush()
    except ConfigError as error:
        terminal.problems(error.problems)
        return Exit.CONFIG
    except PluginError as error:
        terminal.problems([str(error)])
        return Exit.PLUGIN
    except HostError as error:
        terminal.problems([str(error)])
        return Exit.FAILURE
    except BrokenPipeError:
        # The reader (`| head`) has seen enough; without this the interpreter complains once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILURE
    return code


def build_parser(chosen: str | None) -> ArgumentParser:
    """The parser of the command line; of the commands only the `chosen` one is imported and knows its arguments."""
    parser = ArgumentParser(
        prog="quartet",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    for name, text in HELP.items():
        own = commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            formatter_class=RawDescriptionHelpFormatter,
        )
        if name == chosen:
            module = command(name)
            own.epilog = "example:\n" + "".join(f"  {line}\n" for line in module.EXAMPLE.splitlines())
            module.add_arguments(own)
            own.set_defaults(run=module.run)
    return parser


def _dispatch(words: list[str], terminal: Terminal) -> int:
    if words and not words[0].startswith("-") and words[0] not in NAMES:
        return _plugin_command(words, terminal)
    # No option of `quartet` itself takes a value, so the first word without a dash is the command.
    parser = build_parser(next((word for word in words if not word.startswith("-")), None))
    arguments: Namespace = parser.parse_args(words)
    if arguments.version:
        return command("version").run(Namespace(json=False), terminal)
    if arguments.command is None:
        terminal.note(parser.format_help().rstrip())
        return Exit.USAGE
    code: int = arguments.run(arguments, terminal)
    return code


def _plugin_command(words: list[str], terminal: Terminal) -> int:
    from host.commands import of_plugin
    from host.plugins import find_candidates

    candidates, _ = find_candidates()
    if words[0] in candidates:
        return of_plugin.run(candidates[words[0]], words[1:], terminal)
    near = difflib.get_close_matches(words[0], [*NAMES, *candidates], n=1)
    hint = f'did you mean "{near[0]}"?' if near else "quartet --help lists them"
    terminal.problems([f'there is no command "{words[0]}" — {hint}'])
    return Exit.USAGE
