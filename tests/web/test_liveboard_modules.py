"""The board's page asks for all its modules at once, not one after another as each names the next."""

import os
import re
from pathlib import Path

WEB = Path(__file__).parents[2] / "web"
PAGE = WEB / "liveboard" / "index.html"
IMPORT = re.compile(r'^(?:import|export)[^;]*?from "([^"]+)"|^import "([^"]+)"', re.MULTILINE)


def modules_of(path: Path, seen: set[Path]) -> set[Path]:
    """A module and all that it imports, the imports of those included."""
    if path not in seen:
        seen.add(path)
        for found in IMPORT.finditer(path.read_text()):
            name = found[1] or found[2]
            target = WEB / name.lstrip("/") if name.startswith("/") else path.parent / name
            modules_of(Path(os.path.normpath(target)), seen)
    return seen


def test_every_module_of_the_first_load_is_preloaded_and_no_other() -> None:
    main = WEB / "liveboard" / "page" / "main.js"
    wanted = {
        path.relative_to(WEB / "liveboard").with_suffix("").as_posix()
        for path in modules_of(main, set())
        if path.is_relative_to(WEB / "liveboard") and path != main
    }
    listed = re.search(r"for module in \[(.*?)\]", PAGE.read_text(), re.DOTALL)
    assert listed is not None
    names = re.findall(r'"([^"]+)"', listed[1])
    assert sorted(names) == sorted(wanted)
