"""What every page promises, read off its files: nothing inline, nothing from elsewhere, small modules."""

import re
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "web"
MODULE_LINES_MAX = 300
TEMPLATES = sorted(WEB.rglob("*.html"))
SCRIPTS = sorted(WEB.rglob("*.js"))
STYLES = sorted(WEB.rglob("*.css"))

INLINE = {
    "a script": re.compile(r"<script(?![^>]*\bsrc=)", re.IGNORECASE),
    "a style element": re.compile(r"<style", re.IGNORECASE),
    "a style attribute": re.compile(r"<[^>]*\sstyle=", re.IGNORECASE),
    "a handler": re.compile(r"<[^>]*\son\w+=", re.IGNORECASE),
}
ELSEWHERE = re.compile(r"""(?:src|href)=["'](?:https?:)?//|@import|url\(\s*["']?https?:|from ["']https?:""")

# Where a visitor may go by a click is not loaded.
LINK = re.compile(r"<a\s[^>]*>")


def named(paths: list[Path]) -> list[object]:
    return [pytest.param(path, id=str(path.relative_to(WEB))) for path in paths]


@pytest.mark.parametrize("path", named(TEMPLATES))
def test_template_has_nothing_inline(path: Path) -> None:
    text = re.sub(r"\{#.*?#\}", "", path.read_text(), flags=re.DOTALL)
    assert {name for name, pattern in INLINE.items() if pattern.search(text)} == set()


@pytest.mark.parametrize("path", named([*TEMPLATES, *SCRIPTS, *STYLES]))
def test_file_loads_nothing_from_elsewhere(path: Path) -> None:
    assert ELSEWHERE.findall(LINK.sub("", path.read_text())) == []


@pytest.mark.parametrize("path", named(SCRIPTS))
def test_module_is_small_and_says_what_it_is(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) < MODULE_LINES_MAX
    assert lines[0].startswith("// ")


@pytest.mark.parametrize(
    "text", ["<script>x</script>", "<p style='x'>", "<style>", '<a onclick="x">', "<SCRIPT >"], ids=str
)
def test_inline_code_would_be_found(text: str) -> None:
    assert any(pattern.search(text) for pattern in INLINE.values())


@pytest.mark.parametrize("text", ['<script src="https://cdn.example/x.js">', "url(https://x)", '@import "x"'], ids=str)
def test_foreign_source_would_be_found(text: str) -> None:
    assert ELSEWHERE.search(text)
