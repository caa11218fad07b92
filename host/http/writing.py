"""The deep dives under `/writing`, and the sources and tests that they cite, line by line.

Of the program's files those are shown that an article names with `cite("path")`, and no others; an installation without
the tests says so where one of them would stand.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import trio

from host.descriptors import Page
from host.errors import HttpProblem
from host.site import Site

CITATION: Final = re.compile(r"""\bcite\("([^"]+)"(?:, "([^"]+)")?""")
"""A file that a template cites, and the function or class in it, if any."""
_DEFINITION: Final = re.compile(r"\s*(?:async def|def|class|export (?:async )?(?:function|class)) (\w+)")


@dataclass(frozen=True, slots=True)
class Article:
    """A deep dive: a template of its own in the folder, served at its slug. `voice` is the system it is about."""

    slug: str
    title: str
    summary: str
    voice: str = ""


ARTICLES: Final = (
    Article(
        "frontrow-no-double-booking",
        "One seat, a thousand buyers",
        "Redis decides who waits, one statement of Postgres decides who owns: how a seat is never sold twice.",
        "frontrow",
    ),
    Article(
        "raft-from-scratch",
        "Raft from scratch",
        "The algorithm as one pure function, in a simulation, a lab and processes; and what each rule is for.",
        "raft",
    ),
    Article(
        "liveboard-realtime-crdt",
        "A board that converges",
        "A drawing as a set that only grows: how every screen comes to one picture, and can show that it did.",
        "liveboard",
    ),
    Article(
        "llm-gateway",
        "A gateway that keeps working",
        "Fallback, breakers, a cache and shared streams in front of model providers, and why a cut stream stays cut.",
        "gateway",
    ),
    Article(
        "four-systems",
        "Four systems, one process",
        "What seats, logs, boards and model calls have in common once each has to show that its promise holds.",
    ),
    Article(
        "trio-host",
        "A plugin host on Trio",
        "Nurseries, cancellation and lanes: what structured concurrency gives a server, and what it costs.",
    ),
)


def writing_pages(site: Site, web: Path) -> list[Page]:
    """The index, the articles, and the files they cite. `web` is the folder of the site's pages."""
    folder = web / "writing"
    root = web.parent
    cited = frozenset(path for path, _ in citations(folder))

    async def index(params: Mapping[str, str]) -> Mapping[str, Any]:
        return {"articles": ARTICLES}

    async def source(params: Mapping[str, str]) -> Mapping[str, Any]:
        path = params["path"]
        if path not in cited:
            raise HttpProblem(404, "no article cites this file")
        try:
            text = await trio.Path(root / path).read_text(encoding="utf-8")
        except OSError:
            raise HttpProblem(404, f"{path} is in the repository, and not part of this installation") from None
        return {"path": path, "lines": _lines(text)}

    def page_of(number: int, article: Article) -> Page:
        async def context(params: Mapping[str, str]) -> Mapping[str, Any]:
            following = ARTICLES[(number + 1) % len(ARTICLES)]
            return {"article": article, "following": following, **await site.overview()}

        return Page(f"/writing/{article.slug}", article.title, folder, template=f"{article.slug}.html", context=context)

    return [
        Page("/writing", "Writing", folder, context=index),
        *(page_of(number, article) for number, article in enumerate(ARTICLES)),
        Page("/writing/source/{path:path}", "Source", folder, template="source.html", context=source),
    ]


def citations(folder: Path) -> list[tuple[str, str]]:
    """The files that the templates of a folder cite, each with the name looked for in it, "" for none."""
    templates = sorted(folder.glob("*.html"))
    return [(match[1], match[2] or "") for each in templates for match in CITATION.finditer(each.read_text("utf-8"))]


def _lines(text: str) -> list[dict[str, Any]]:
    """The lines of a file, numbered; what is defined in one is its anchor."""
    found = [(line, _DEFINITION.match(line)) for line in text.splitlines()]
    return [{"text": line, "anchor": name[1] if name else ""} for line, name in found]
