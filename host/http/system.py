"""The host's own routes: health, metrics, the API document, and what the site says of itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import trio

from host.asgi import EventStream, Request, Response, Router, json_response, text_response
from host.descriptors import Mount, Operation, Page
from host.http.benchmarks_page import benchmarks_page
from host.http.compression import compressed
from host.http.openapi import openapi_document
from host.http.static import StaticFolder
from host.http.writing import writing_pages
from host.services.metrics import CONTENT_TYPE, MetricsPage
from host.site import Site

OVERVIEW_INTERVAL_S = 1.0
"""How often an unchanged overview is sent again, so that its figures stay fresh."""

OVERVIEW_PAUSE_S = 0.1
"""The shortest time between two overviews on one stream, however often states change."""


def system_routes(site: Site, metrics: MetricsPage, draining: trio.Event, web: Path) -> list[Mount | Page]:
    """The mounts and pages that belong to the host. `web` is the folder of the site's pages."""
    router = Router()

    @router.get("/livez")
    async def livez(request: Request) -> Response:
        return text_response("ok\n")

    async def readyz(request: Request) -> Response:
        is_ready, lines = site.is_ready()
        verdict = "ready" if is_ready else "not ready"
        body = "\n".join([*lines, verdict]) if "verbose" in request.query else verdict
        return text_response(body + "\n", status=200 if is_ready else 503)

    router.add("GET", "/readyz", readyz)
    router.add("GET", "/healthz", readyz)

    @router.get("/metrics")
    async def metrics_page(request: Request) -> Response:
        return Response(200, metrics.render(), [(b"content-type", CONTENT_TYPE.encode())])

    @router.get("/openapi.json")
    async def openapi(request: Request) -> Response:
        mounts = {"host": [described()], **site.mounts()}
        return compressed(json_response(openapi_document(site.version, mounts)), request)

    @router.get("/-/plugins.json")
    async def plugins(request: Request) -> Response:
        return json_response({"host": site.host()})

    @router.get("/-/overview.json")
    async def overview(request: Request) -> Response:
        return json_response(await site.overview())

    @router.get("/-/events")
    async def events(request: Request) -> None:
        async with EventStream(request.scope, request.receive, request.send, draining) as stream:
            while True:
                changed = site.supervisor.next_change()
                await stream.send(await site.overview(), event="overview")
                await trio.sleep(OVERVIEW_PAUSE_S)
                with trio.move_on_after(OVERVIEW_INTERVAL_S - OVERVIEW_PAUSE_S):
                    await changed.wait()

    paths = ("/livez", "/readyz", "/healthz", "/metrics", "/openapi.json")
    own_paths = ("/-/plugins.json", "/-/overview.json", "/-/events")
    return [
        *(Mount(path, router) for path in (*paths, *own_paths)),
        Mount("/assets", StaticFolder(web / "assets", "/assets")),
        Page("/", "Overview", web / "home", context=lambda _: site.overview()),
        *writing_pages(site, web),
        benchmarks_page(web),
        Page("/-/plugins", "Plugins", web / "plugins", context=lambda _: _host_only(site)),
        Page("/-/docs", "API", web / "docs"),
    ]


async def _host_only(site: Site) -> Mapping[str, Any]:
    return {"host": site.host()}


def described() -> Mount:
    """The host's operations, for the API document and the list of routes."""

    async def nowhere(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("only its operations are used")

    return Mount(
        "/",
        nowhere,
        operations=(
            Operation("GET", "/livez", "Whether the event loop turns", responses={200: "alive"}),
            Operation(
                "GET",
                "/readyz",
                "Whether the host takes traffic; `?verbose` says why not",
                parameters=({"name": "verbose", "in": "query", "schema": {"type": "string"}},),
                responses={200: "ready", 503: "starting, draining, or a required check fails"},
            ),
            Operation("GET", "/metrics", "Prometheus metrics of the host and its plugins", responses={200: "metrics"}),
            Operation("GET", "/-/plugins.json", "Plugins and their states", responses={200: "the host's state"}),
            Operation("GET", "/-/overview.json", "Live figures of every plugin", responses={200: "the overview"}),
            Operation("GET", "/-/events", "The overview as server-sent events", responses={200: "event stream"}),
        ),
    )
