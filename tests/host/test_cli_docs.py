"""The pages on the command line and the configuration tell of all that there is."""

from pathlib import Path

import pytest

from host.commands import NAMES, Exit
from host.settings import PluginSettings

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_documented(name: str) -> None:
    assert f"| `{name}" in (DOCS / "command-line.md").read_text()


@pytest.mark.parametrize("code", list(Exit))
def test_every_exit_code_is_documented(code: Exit) -> None:
    assert f"| {int(code)} |" in (DOCS / "command-line.md").read_text()


@pytest.mark.parametrize("key", sorted(PluginSettings.model_fields))
def test_every_key_of_the_host_in_a_plugins_section_is_documented(key: str) -> None:
    assert f"`{key}`" in (DOCS / "configuration.md").read_text()
