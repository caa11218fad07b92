"""The pictures of the docs: every page has its four, they are shown, and they keep the repository small.

`python -m tests.browser.pictures NAME` takes those of one page.
"""

import re
from itertools import product
from pathlib import Path

from tests.browser.pictures import FOLDER, SCHEMES, WINDOWS
from tests.browser.tour import STOPS

DOCS = Path(__file__).parents[2] / "docs" / "pages.md"
PICTURE_BYTES_MAX = 150_000
ALL_BYTES_MAX = 4_000_000


def test_every_page_has_its_pictures_and_each_is_shown() -> None:
    wanted = {f"{stop.name}-{window}-{scheme}.webp" for stop, window, scheme in product(STOPS, WINDOWS, SCHEMES)}
    assert {file.name for file in FOLDER.iterdir()} == wanted
    assert set(re.findall(r"\]\(pictures/([^)]+)\)", DOCS.read_text())) == wanted


def test_pictures_are_small() -> None:
    sizes = {file.name: file.stat().st_size for file in FOLDER.iterdir()}
    assert {name: size for name, size in sizes.items() if size > PICTURE_BYTES_MAX} == {}
    assert sum(sizes.values()) < ALL_BYTES_MAX
