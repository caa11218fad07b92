"""The page of every key: fresh, whole, and in the words of whoever reads it."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from host.api import Duration, Secret, Size
from host.config import load_settings, shipped_config
from host.config_tables import markdown
from host.inventory import take_inventory

PAGE = Path(__file__).parents[2] / "docs" / "configuration-keys.md"
REGENERATE = "quartet schema --markdown --safe-mode > docs/configuration-keys.md"


@pytest.fixture(scope="module")
def built_in() -> str:
    inventory = take_inventory(load_settings(shipped_config(), {}), safe_mode=True)
    return markdown(inventory.models)


def test_the_page_is_what_the_models_say(built_in: str) -> None:
    assert PAGE.read_text(encoding="utf-8") == built_in + "\n", f"it is stale: {REGENERATE}"


def test_the_page_names_the_command_that_writes_it(built_in: str) -> None:
    assert REGENERATE in built_in


def test_keys_of_the_host_and_of_built_in_plugins_have_the_words_of_config_toml(built_in: str) -> None:
    for row in (
        "| `port` | whole number | `8000` | ≥ 0, ≤ 65,535 | The port to listen on; 0 takes any that is free. |",
        '| `header_bytes_max` | size | `"32KiB"` | > 0B | The request line and the headers together; a larger one is',
        '| `restart_window` | duration | `"1m"` |  | how long a failure counts |',
        "| `nodes` | whole number | `5` | ≥ 1, ≤ 7 | Nodes of the lab when it is fresh. |",
        "## `[plugins.gateway.cache.semantic]`",
        "| `providers` | table by NAME | `{}` |",
        "| `virtual_keys` | table by NAME | `{}` |",
    ):
        assert row in built_in
    for section in built_in.split("## ")[1:]:
        if ".NAME" not in section.splitlines()[0]:
            assert [line for line in section.splitlines() if line.startswith("| `") and line.endswith("|  |")] == []


class Station(BaseModel):
    """Where it is measured.

    And how.
    """

    key: Secret
    every: Annotated[Duration, Field(gt=0)] = 90.0
    kinds: tuple[Literal["wind", "rain"], ...] = ("rain",)


class Weather(BaseModel):
    """What the weather is."""

    unit: Literal["C", "F"] = Field("C", description="Of temperatures.")
    cache: Size | None = Field(None, description="How much is kept.")
    calls_per_s: float = Field(2.5, gt=0, le=1000, description="To the service.")
    stations: dict[str, Station] = {}
    roof: Station | None = None


def test_keys_of_another_plugin_have_the_words_of_their_model() -> None:
    page = markdown({"weather": Weather, "plain": None})
    own = page.partition("## `[plugins.weather]`")[2].splitlines()
    assert own[2] == "What the weather is."
    assert own[6:11] == [
        '| `unit` | `"C"`, `"F"` | `"C"` |  | Of temperatures. |',
        "| `cache` | size | not set |  | How much is kept. |",
        "| `calls_per_s` | number, a second | `2.5` | > 0, ≤ 1,000 | To the service. |",
        "| `stations` | table by NAME | `{}` |  |  |",
        "| `roof` | table | not set |  |  |",
    ]
    assert own.count("Where it is measured.") == 2
    for line in (
        "## `[plugins.weather.stations.NAME]`",
        "## `[plugins.weather.roof]`",
        "| `key` | secret | must be set |  |  |",
        '| `every` | duration | `"1m30s"` | > 0s |  |',
        '| `kinds` | list of `"wind"`, `"rain"` | `["rain"]` |  |  |',
    ):
        assert line in own
    assert "plain" not in page
