"""Pages of the site: Jinja templates that extend `layout.html`, with the files beside them.

A template finds others first in its page's folder, then in the site's own (`web/`). What it sees: what the page's
`context` returned, `site` (name, version, pages, plugins) and `page` (path, title). Values are escaped.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import ChoiceLoader, Environment, FileSystemLoader
from jinja2.exceptions import TemplateNotFound

from host.asgi import Handler, Request, Response, Router, empty_response, html_response, json_response
from host.descriptors import ASGIApp, Page
from host.errors import HostError
from host.http.compression import compressed
from host.http.static import StaticFolder

SiteContext = Callable[[], Mapping[str, Any]]

# Shows a problem to a person; a site without it answers with the problem's document.
PROBLEM_TEMPLATE = "problem.html"

_HEADERS = [(b"cache-control", b"no-cache"), (b"vary", b"accept")]


class Pages:
    """Makes apps out of page descriptors. One per host; environments and compiled templates are kept per folder."""

    def __init__(self, web: Path, site: SiteContext = dict) -> None:
        self._web = web
        self._site = site
        self._environments: dict[Path, Environment] = {}

    def apps(self, pages: Iterable[Page]) -> dict[str, ASGIApp]:
        """One app for each literal path prefix of the pages.

        A page without parameters has its folder's other files beside it: `/frontrow` serves `/frontrow/seats.js`.

        Raises:
            HostError: a template is missing or does not parse, or two pages have one path.
        """
        routers: dict[str, Router] = {}
        for page in pages:
            prefix = literal_prefix(page.path)
            router = routers.setdefault(prefix, Router())
            try:
                router.add("GET", page.path, self._handler(page))
                if prefix == page.path:
                    router.add("GET", f"{prefix.rstrip('/')}/{{file:path}}", _beside(page))
            except ValueError as error:
                raise HostError(f"page {page.path}: {error}") from error
        return dict(routers)

    def problem(self, document: Mapping[str, Any], path: str) -> str | None:
        """The page that tells a person at `path` of a problem (RFC 9457); None when the site has no template for it."""
        try:
            template = self._environment(self._web).get_template(PROBLEM_TEMPLATE)
        except TemplateNotFound:
            return None
        # One slash in front: a browser takes what follows two of them, or a backslash, for the name of another host.
        about = {"path": "/" + quote(path.lstrip("/\\")), "title": document.get("title") or "Problem"}
        return template.render({"problem": document, "site": self._site(), "page": about})

    def _environment(self, folder: Path) -> Environment:
        environment = self._environments.get(folder)
        if environment is None:
            loader = ChoiceLoader([FileSystemLoader(folder), FileSystemLoader(self._web)])
            environment = self._environments[folder] = Environment(loader=loader, autoescape=True)
        return environment

    def _handler(self, page: Page) -> Handler:
        environment = self._environment(page.folder)
        try:
            environment.get_template(page.template)
        except TemplateNotFound as error:
            raise HostError(f"page {page.path}: there is no template {error.name} in {page.folder}") from error
        except Exception as error:
            raise HostError(f"page {page.path}: template {page.template} does not parse: {error}") from error

        async def show(request: Request) -> Response:
            about = {"path": request.path, "title": page.title}
            context = await page.context(request.params) if page.context is not None else {}
            if _wants_json(request):
                return compressed(json_response(context, headers=_HEADERS), request)
            # Fetched anew each time: Jinja compiles again only when the file has changed.
            html = environment.get_template(page.template).render({**context, "site": self._site(), "page": about})
            return compressed(html_response(html, headers=_HEADERS), request)

        return show


def literal_prefix(path: str) -> str:
    """The part of a path template before its first parameter: `/runs/{run_id}/log` gives `/runs`."""
    return path.partition("/{")[0] or "/"


def _beside(page: Page) -> Handler:
    files = StaticFolder(page.folder, page.path)

    async def serve(request: Request) -> Response | None:
        if not request.params["file"]:
            return empty_response(308, {"Location": page.path})
        return await files.serve(request, request.params["file"])

    return serve


def _wants_json(request: Request) -> bool:
    accept = request.headers.get("accept", "")
    return "application/json" in accept and "text/html" not in accept
