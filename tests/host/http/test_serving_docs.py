"""`docs/serving.md` says every limit with its default, and every key of `[server]`."""

import re
from dataclasses import fields
from pathlib import Path

from host.http.limits import KIB, MIB, Limits
from host.settings import ServerSettings

TEXT = Path(__file__).parents[3].joinpath("docs/serving.md").read_text(encoding="utf-8")


def shown(name: str, value: float | None) -> str:
    """A default as the page writes it."""
    if value is None:
        return "off"
    if name.endswith("_s"):
        return f"{value:g} s"
    if "bytes" in name:
        return f"{value // MIB:g} MiB" if value >= MIB else f"{value // KIB:g} KiB"
    return f"{value:,}" if value >= 10_000 else f"{value:g}"


def test_every_limit_is_there_with_its_default() -> None:
    table = TEXT.partition("## Limits\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", table, re.MULTILINE)
    defaults = Limits()
    assert found == [(field.name, shown(field.name, getattr(defaults, field.name))) for field in fields(Limits)]


def test_every_key_of_the_server_is_there() -> None:
    missing = [name for name in ServerSettings.model_fields if name != "limits" and not re.search(rf"\b{name}\b", TEXT)]
    assert missing == []
