"""The deep dives: served with and without their plugins, and every claim leads to a file and a name that are there."""

import re
import shutil
from pathlib import Path

import pytest

from host.errors import HttpProblem
from host.http.writing import ARTICLES, citations, writing_pages
from host.site import Site
from host.testing import running_host

ROOT = Path(__file__).parents[2]
WRITING = ROOT / "web" / "writing"


def test_every_article_has_a_template_and_every_template_an_article() -> None:
    templates = {path.stem for path in WRITING.glob("*.html") if not path.stem.startswith("_")}
    assert templates == {article.slug for article in ARTICLES} | {"index", "source"}


@pytest.mark.parametrize(("path", "name"), citations(WRITING))
def test_what_is_cited_is_there(path: str, name: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    assert not name or re.search(rf"^\s*(async def|def|class) {name}\b", text, re.MULTILINE)


def test_files_named_in_the_text_of_articles_are_cited() -> None:
    for template in WRITING.glob("*.html"):
        plain = re.sub(r"\{\{.*?\}\}", "", template.read_text(encoding="utf-8"))
        assert re.findall(r"\b(?:plugins|host|tests)/[\w/]+\.py\b", plain) == []


def test_figures_beside_a_cited_report_are_those_of_a_report() -> None:
    compared = 0
    for template in WRITING.glob("*.html"):
        text = template.read_text(encoding="utf-8")
        cited = re.findall(r'cite\("(docs/[^"]+)"', text)
        reports = "".join((ROOT / path).read_text(encoding="utf-8") for path in cited)
        for paragraph in re.findall(r"<p>.*?</p>", text, re.DOTALL):
            if 'cite("docs/' in paragraph:
                figures = re.findall(r"\d{1,3}(?:,\d{3})+", paragraph)
                assert [figure for figure in figures if figure not in reports] == [], template.name
                compared += len(figures)
    assert compared > 5


def test_diagrams_hold_nothing_that_the_content_policy_refuses() -> None:
    for template in (*WRITING.glob("*.html"), *WRITING.glob("diagrams/*.svg")):
        text = template.read_text(encoding="utf-8")
        assert re.search(r"""\sstyle=|\son\w+=|<style|<script(?! type="module" src=)""", text) is None, template


async def test_pages_are_served_on_a_host_without_plugins_and_say_how_to_turn_them_on(tmp_path: Path) -> None:
    async with running_host({}, data_dir=tmp_path) as host:
        html = {"accept": "text/html"}
        index = await host.http.get("/writing", headers=html)
        assert index.status_code == 200
        for article in ARTICLES:
            assert f'href="/writing/{article.slug}"' in index.text
            page = await host.http.get(f"/writing/{article.slug}", headers=html)
            assert page.status_code == 200, page.text
            assert article.title in page.text
            assert "Every number here comes off the running process." not in page.text
            if article.voice:
                assert f"<code>[plugins.{article.voice}]</code>" in page.text
                assert "data-prove" not in page.text
        assert (await host.http.get("/writing/no-such-thing", headers=html)).status_code == 404


async def test_cited_files_are_shown_by_line_and_no_others(tmp_path: Path) -> None:
    async with running_host({}, data_dir=tmp_path) as host:
        page = await host.http.get("/writing/source/plugins/frontrow/claims.py", headers={"accept": "text/html"})
        assert page.status_code == 200
        assert '<li id="ClaimDesk"><code>class ClaimDesk:</code></li>' in page.text
        for path in ("host/secret.py", "config.toml", "plugins/frontrow/../../config.toml", "%2e%2e/pyproject.toml"):
            assert (await host.http.get(f"/writing/source/{path}")).status_code == 404


async def test_a_cited_file_that_an_installation_lacks_is_a_problem_that_says_so(tmp_path: Path) -> None:
    web = tmp_path / "web"
    shutil.copytree(WRITING, web / "writing")
    pages = {page.path: page for page in writing_pages(Site("1", None), web)}  # type: ignore[arg-type]
    context = pages["/writing/source/{path:path}"].context
    assert context is not None
    with pytest.raises(HttpProblem, match="not part of this installation"):
        await context({"path": "tests/plugins/frontrow/test_claims.py"})
