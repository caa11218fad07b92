"""The tutorial, done as it stands: its files are written, its hooks put in, and its tests run, with those of the page
about testing, which are about the same plugin.
"""

import re
from pathlib import Path

from host.commands.new_plugin import write_plugin
from tests.host.scratch import make_scratch

TUTORIAL = Path(__file__).parents[2] / "docs" / "plugins" / "tutorial.md"
TESTING = TUTORIAL.with_name("testing.md")
# "… in `path`:" and the block that follows.
FILE = re.compile(r"[Ii]n `([\w/.]+)`:\n\n```\w+\n(.*?)```", re.DOTALL)
HOOK = re.compile(r"@hookimpl\ndef (\w+)\(.*?(?=\n\n\n|\Z)", re.DOTALL)


def put_hooks_in(module: str, block: str) -> str:
    """The module with the block's hooks in the place of its own, and the block's imports after the first of its own."""
    imports, _, hooks = block.partition("\n\n\n")
    for hook in HOOK.finditer(hooks.rstrip() + "\n"):
        own = next(found for found in HOOK.finditer(module) if found[1] == hook[1])
        module = module.replace(own[0], hook[0].rstrip())
    return module.replace("from host.api", f"{imports}\nfrom host.api", 1)


def test_tutorial_works_as_it_stands(tmp_path: Path) -> None:
    scratch = make_scratch(tmp_path)
    folder = tmp_path / "tide"
    write_plugin("tide", folder)
    tutorial = TUTORIAL.read_text()
    blocks = dict(FILE.findall(tutorial))
    assert len(blocks) == 4
    for name, block in blocks.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(put_hooks_in(path.read_text(), block) if path.exists() else block)
    shown_tests = re.findall(r"```python\n(.*?)```", TESTING.read_text(), re.DOTALL)
    for number, block in enumerate(shown_tests):
        (folder / "tests" / f"test_shown_{number}.py").write_text(block)
    scratch.install(folder)
    tests = scratch.pytest(folder)
    assert tests.returncode == 0, tests.stdout + tests.stderr
    assert "Six tests pass" in tutorial
    assert f"{6 + len(shown_tests)} passed" in tests.stdout
    shown = re.findall(r"^    (✓ .*)$", tutorial, re.MULTILINE)
    scratch.config.write_text("[plugins.tide]\nenabled = true\n")
    check = scratch.quartet("plugins", "check", "tide", "--config", str(scratch.config))
    assert check.stdout.splitlines() == shown
    wrote = re.findall(r"^      wrote tide/(.*)$", tutorial, re.MULTILINE)
    assert all((folder / name).is_file() for name in wrote)
    assert len(wrote) == 9
