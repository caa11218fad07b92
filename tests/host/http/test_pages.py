"""Pages out of templates, and the files beside them."""

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from host.descriptors import Page
from host.errors import HostError, HttpProblem
from host.http.pages import Pages, literal_prefix
from tests.host.http.memory import ask

LAYOUT = "<title>{{ page.title }} · {{ site.name }}</title>{% block main %}{% endblock %}"


@pytest.fixture
def web(tmp_path: Path) -> Path:
    web = tmp_path / "web"
    for name, text in {
        "layout.html": LAYOUT,
        "shop/index.html": '{% extends "layout.html" %}{% block main %}{{ name }}{% endblock %}',
        "shop/run.html": '{% extends "layout.html" %}{% block main %}run {{ run }} at {{ page.path }}{% endblock %}',
        "shop/shop.js": "let a",
    }.items():
        (web / name).parent.mkdir(parents=True, exist_ok=True)
        (web / name).write_text(text)
    return web


async def shop(params: Mapping[str, str]) -> Mapping[str, Any]:
    return {"name": "<b>seats & stalls</b>"}


async def run(params: Mapping[str, str]) -> Mapping[str, Any]:
    if params["run_id"] == "0":
        raise HttpProblem(404, "no such run")
    return {"run": params["run_id"]}


def shop_pages(web: Path) -> list[Page]:
    folder = web / "shop"
    return [
        Page("/shop", "Shop", folder, context=shop, nav=True),
        Page("/shop/runs/{run_id}", "Run", folder, template="run.html", context=run),
    ]


async def test_page_is_rendered_in_its_layout_and_escaped(web: Path) -> None:
    apps = Pages(web, lambda: {"name": "Quartet"}).apps(shop_pages(web))
    got = await ask(apps["/shop"], "GET", "/shop")
    assert got.status == 200
    assert got.headers[b"content-type"] == b"text/html; charset=utf-8"
    assert got.body.decode() == "<title>Shop · Quartet</title>&lt;b&gt;seats &amp; stalls&lt;/b&gt;"


async def test_page_with_parameters_sees_them(web: Path) -> None:
    apps = Pages(web, lambda: {"name": "Quartet"}).apps(shop_pages(web))
    got = await ask(apps["/shop/runs"], "GET", "/shop/runs/17")
    assert got.body.endswith(b"run 17 at /shop/runs/17")


async def test_page_problem_is_the_answer_of_its_path(web: Path) -> None:
    got = await ask(Pages(web).apps(shop_pages(web))["/shop/runs"], "GET", "/shop/runs/0")
    assert (got.status, got.headers[b"content-type"]) == (404, b"application/problem+json")


async def test_page_has_a_json_twin(web: Path) -> None:
    app = Pages(web).apps(shop_pages(web))["/shop/runs"]
    got = await ask(app, "GET", "/shop/runs/17", (b"accept", b"application/json"))
    assert got.body == b'{"run":"17"}'
    browser = await ask(app, "GET", "/shop/runs/17", (b"accept", b"text/html,application/json;q=0.9"))
    assert browser.headers[b"content-type"].startswith(b"text/html")
    assert browser.headers[b"vary"] == b"accept"


async def test_page_has_its_folders_files_beside_it_but_no_templates(web: Path) -> None:
    app = Pages(web).apps(shop_pages(web))["/shop"]
    assert (await ask(app, "GET", "/shop/shop.js")).body == b"let a"
    for path in ("/shop/index.html", "/shop/run.html", "/shop/../layout.html"):
        assert (await ask(app, "GET", path)).status == 404


async def test_page_with_a_slash_at_its_end_is_sent_on(web: Path) -> None:
    got = await ask(Pages(web).apps(shop_pages(web))["/shop"], "GET", "/shop/")
    assert (got.status, got.headers[b"location"]) == (308, b"/shop")


async def test_page_at_the_root_serves_files_beside_it(web: Path) -> None:
    apps = Pages(web).apps([Page("/", "Home", web / "shop", context=shop)])
    assert list(apps) == ["/"]
    assert (await ask(apps["/"], "GET", "/")).status == 200
    assert (await ask(apps["/"], "GET", "/shop.js")).status == 200
    assert (await ask(apps["/"], "GET", "/nothing")).status == 404


async def test_page_follows_an_edited_template(web: Path) -> None:
    app = Pages(web).apps(shop_pages(web))["/shop"]
    await ask(app, "GET", "/shop")
    (web / "shop" / "index.html").write_text("new and longer")
    assert (await ask(app, "GET", "/shop")).body == b"new and longer"


def test_page_with_a_missing_or_broken_template_is_refused(web: Path) -> None:
    (web / "shop" / "broken.html").write_text("{% if %}")
    for template, reason in (("none.html", "no template none.html"), ("broken.html", "does not parse")):
        with pytest.raises(HostError, match=reason):
            Pages(web).apps([Page("/shop", "Shop", web / "shop", template=template)])


def test_pages_with_one_path_are_refused(web: Path) -> None:
    with pytest.raises(HostError, match="twice"):
        Pages(web).apps([*shop_pages(web), Page("/shop", "Again", web / "shop")])


@pytest.mark.parametrize(
    ("path", "prefix"), [("/", "/"), ("/a", "/a"), ("/a/{b}", "/a"), ("/a/{b}/c", "/a"), ("/{a}", "/")]
)
def test_literal_prefix_ends_before_the_first_parameter(path: str, prefix: str) -> None:
    assert literal_prefix(path) == prefix


async def test_long_page_is_compressed_for_who_takes_that(web: Path) -> None:
    (web / "layout.html").write_text("<p>" + "words " * 1000)
    app = Pages(web).apps(shop_pages(web))["/shop"]
    plain = await ask(app, "GET", "/shop")
    packed = await ask(app, "GET", "/shop", (b"accept-encoding", b"gzip"))
    assert packed.headers[b"content-encoding"] == b"gzip"
    assert len(packed.body) < len(plain.body) / 10
    assert gzip.decompress(packed.body) == plain.body
    for got in (plain, packed):
        assert got.headers[b"vary"] == b"accept, accept-encoding"
