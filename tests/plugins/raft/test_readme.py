"""The map from paper to file to test leads to files that are there."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PLUGIN = TESTS.parents[2] / "plugins" / "raft"
TABLE = [line for line in (PLUGIN / "README.md").read_text().splitlines() if line.startswith("| ")]
NAMED = sorted({name for line in TABLE for name in re.findall(r"`([\w/.]+/[\w.]*)`", line)})


@pytest.mark.parametrize("name", NAMED)
def test_file_that_the_readme_names_is_there(name: str) -> None:
    path = name.removeprefix("tests/plugins/raft/")
    assert (PLUGIN / path).exists() or (TESTS / path).exists()


@pytest.mark.parametrize("folder", ["core", "sim", "lab", "process", "storage"])
def test_every_folder_of_the_plugin_is_on_the_map(folder: str) -> None:
    assert any(name.startswith(f"{folder}/") for name in NAMED)
