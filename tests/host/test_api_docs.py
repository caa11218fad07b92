"""The reference for plugin authors tells of all that there is in `host.api`."""

import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from host import api, hookspecs, testing

REFERENCE = (Path(__file__).parents[2] / "docs" / "plugins" / "reference.md").read_text()

# What stands in backticks: `name`, `name(arguments)`, `object.name`, and the words of examples.
DOCUMENTED = {word for code in re.findall(r"`([^`\n]+)`", REFERENCE) for word in re.findall(r"[A-Za-z_]\w*", code)}

_NOT_OURS = {"TYPE_CHECKING", "Any", "import_module"}
NAMES = sorted({name for name in [*vars(api), *api._LATE] if name.isidentifier() and name[0] != "_"} - _NOT_OURS)
HOOKS = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("quartet_")}


def members() -> Iterator[str]:
    """Every public field, method and property of the classes of `host.api`."""
    for name in NAMES:
        value = getattr(api, name)
        if not inspect.isclass(value):
            continue
        own = {member for member in vars(value) if not member.startswith("_")}
        if dataclasses.is_dataclass(value):
            own |= {field.name for field in dataclasses.fields(value)}
        yield from (f"{name}.{member}" for member in sorted(own))


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_the_api_is_documented(name: str) -> None:
    assert name in DOCUMENTED, f"tell of {name} in docs/plugins/reference.md"


@pytest.mark.parametrize("member", list(members()))
def test_every_member_of_the_api_is_documented(member: str) -> None:
    assert member.partition(".")[2] in DOCUMENTED, f"tell of {member} in docs/plugins/reference.md"


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_with_its_arguments(hook: str) -> None:
    arguments = ", ".join(inspect.signature(HOOKS[hook]).parameters)
    assert f"| `{hook}({arguments})` |" in REFERENCE


@pytest.mark.parametrize(
    "name", ["running_host", "host_process", "started_host", "host_url", "postgres_url", "redis_url"]
)
def test_every_part_of_the_test_kit_is_documented(name: str) -> None:
    assert hasattr(testing, name)
    assert f"`{name}" in REFERENCE


def test_every_link_within_the_page_has_its_heading() -> None:
    headings = {
        re.sub(r"[^a-z -]", "", line.lower()).strip().replace(" ", "-")
        for line in re.findall("^#+ (.+)$", REFERENCE, re.M)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", REFERENCE)) <= headings


def test_the_first_example_is_a_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    example = re.search(r"```python\n(from host\.api.*?)```", REFERENCE, re.S)
    assert example is not None
    made: dict[str, object] = {}
    exec(example[1], made)
    assert isinstance(made["quartet_info"](), api.PluginInfo)  # type: ignore[operator]
