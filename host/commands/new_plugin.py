"""`quartet new-plugin NAME`: a complete distribution to start from, written from the templates in `host/template`."""

import keyword
import re
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from host.api import API_VERSION
from host.commands import NAMES, Exit
from host.commands.terminal import Terminal
from host.plugins import BUILT_IN_PACKAGE, HOST_DISTRIBUTION, find_candidates
from host.settings import RESERVED_KEYS

EXAMPLE = "quartet new-plugin weather\nquartet new-plugin weather --into ~/src"

NAME_CHARS_MAX: Final = 40
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*", re.ASCII)
TEMPLATE: Final = files("host") / "template"
_SUFFIX: Final = ".in"
_PLACEHOLDER: Final = re.compile(r"@(\w+)@")


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="in lower snake case, as in weather or weather_feed")
    parser.add_argument(
        "--into", type=Path, default=Path(), metavar="DIR", help="where to make the folder NAME (default: here)"
    )


def run(arguments: Namespace, terminal: Terminal) -> int:
    name: str = arguments.name
    problem = problem_with_name(name)
    if problem:
        terminal.problems([problem])
        return Exit.USAGE
    folder: Path = arguments.into / name
    try:
        written = write_plugin(name, folder)
    except OSError as error:
        terminal.problems(
            [f"{error.filename or folder}: {(error.strerror or str(error)).lower()}; nothing was overwritten"]
        )
        return Exit.FAILURE
    for path in written:
        terminal.note(f"  wrote {path}")
    terminal.line(f"""\
{terminal.style(f"{folder} is a plugin.", "bold")} Try it:

  {Path(sys.executable).name} -m pip install -e {folder}
  quartet run --set plugins.{name}.enabled=true

and keep it, in config.toml:

  [plugins.{name}]
  enabled = true""")
    return Exit.OK


def problem_with_name(name: str) -> str:
    """Why a plugin cannot have this name, in one line; empty when it can."""
    if not _NAME.fullmatch(name) or len(name) > NAME_CHARS_MAX:
        return f"{name!r}: expected lower snake case of at most {NAME_CHARS_MAX} characters, as in weather_feed"
    if name in _reserved_names():
        return f"{name!r} has a meaning of its own here; expected another name, as in my_{name}"
    candidates, _ = find_candidates()
    if name in candidates:
        return f"{name!r} is taken by a plugin ({candidates[name].origin}); expected another name, as in my_{name}"
    return ""


def module_name(name: str) -> str:
    """The import package of the plugin: not the bare name, which may well be that of a library it wraps."""
    return f"quartet_{name}"


def write_plugin(name: str, folder: Path) -> list[Path]:
    """Write the plugin into `folder`, which must not exist yet, and return the files, sorted.

    Raises:
        FileExistsError: there is something at `folder` already; it is left as it is.
        OSError: it cannot be written.
    """
    values = {
        "name": name,
        "NAME": name.upper(),
        "title": name.replace("_", " ").capitalize(),
        "module": module_name(name),
        "distribution": module_name(name).replace("_", "-"),
        "host_version": ".".join(version(HOST_DISTRIBUTION).split(".")[:2]),
        "api_version": API_VERSION,
    }
    folder.mkdir(parents=True)
    written = []
    for source, parts in _template_files(TEMPLATE, ()):
        names = [values["module"] if part == "module" else part for part in parts]
        target = folder.joinpath(*names[:-1], ".gitignore" if names[-1] == "gitignore" else names[-1])
        target.parent.mkdir(exist_ok=True)
        text = _PLACEHOLDER.sub(lambda match: values[match[1]], source.read_text(encoding="utf-8"))
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
        written.append(target)
    return sorted(written)


def _template_files(folder: Traversable, parts: tuple[str, ...]) -> Iterator[tuple[Traversable, tuple[str, ...]]]:
    """The templates below `folder`, each with the parts of the path that it is written to."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _template_files(entry, (*parts, entry.name))
        elif entry.name.endswith(_SUFFIX):
            yield entry, (*parts, entry.name.removesuffix(_SUFFIX))


def _reserved_names() -> set[str]:
    """Names that the command line, the host or Python itself has taken."""
    commands = {command.replace("-", "_") for command in NAMES}
    return {*commands, *RESERVED_KEYS, *keyword.kwlist, "host", "quartet", BUILT_IN_PACKAGE}
