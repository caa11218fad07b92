"""`quartet version`: what runs here."""

import platform
from argparse import ArgumentParser, Namespace
from importlib.metadata import PackageNotFoundError, version

from host.api import API_VERSION
from host.commands.options import add_json_option
from host.commands.terminal import Terminal

EXAMPLE = "quartet version\nquartet version --json"

_PACKAGES = ("trio", "hypercorn", "quart", "quart-trio", "psycopg", "redis", "httpx", "pydantic", "pluggy")


def add_arguments(parser: ArgumentParser) -> None:
    add_json_option(parser)


def run(arguments: Namespace, terminal: Terminal) -> int:
    versions = {
        "quartet": _version("quartet-host"),
        "plugin api": API_VERSION,
        "python": platform.python_version(),
        **{package: _version(package) for package in _PACKAGES},
    }
    if arguments.json:
        terminal.json(versions)
    else:
        width = max(len(name) for name in versions)
        for name, number in versions.items():
            terminal.line(f"{name:{width}}  {number}")
    return 0


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"
