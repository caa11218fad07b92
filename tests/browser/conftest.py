"""A real Chromium for the tests: the one that the system has, never a download."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from host.testing import host_process
from host.testing_servers import fresh_database
from tests.needs import missing

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TIMEOUT_MS = 20_000


def find_chromium() -> str | None:
    """The Chromium of this machine, or the one that `QUARTET_CHROMIUM` names."""
    return os.environ.get("QUARTET_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests; each page has a context, and so a profile, of its own."""
    path = find_chromium()
    if path is None:
        missing("there is no Chromium on this machine: apt-get install chromium (or set QUARTET_CHROMIUM)")
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="package")
def host_url(
    postgres_server_url: str, redis_server_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """One host with all systems for all tests that do not need one of their own: a start costs as much as a test.

    Tests leave it well, and do not count on being the first. Its board may be killed as soon as it is up.
    """
    data_dir = tmp_path_factory.mktemp("host")
    with (
        fresh_database(postgres_server_url) as postgres_url,
        host_process(
            postgres_url=postgres_url,
            redis_url=redis_server_url,
            data_dir=data_dir,
            sets=("plugins.liveboard.crash_interval=1ms",),
        ) as host,
    ):
        yield host.url


@dataclass
class Visit:
    """A page under watch: what went wrong on it, and whom it asked."""

    page: Page
    faults: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def hosts_asked(self) -> set[str]:
        """The hosts that the page asked for anything, images and scripts included."""
        return {urlsplit(request.url).netloc for request in self.requests if not request.url.startswith("data:")}


Open = Callable[..., Visit]


@pytest.fixture
def open_page(browser: Browser, host_url: str) -> Iterator[Open]:
    """Opens paths of the host, in a window of `width` and `height` and whatever else a context takes.

    After the test every page must have met no error, of which `allowed` may hold parts, and asked nobody but the host.
    """
    visits: list[tuple[Visit, tuple[str, ...]]] = []

    def open_it(
        path: str, *, width: int = 1280, height: int = 800, allowed: tuple[str, ...] = (), **options: object
    ) -> Visit:
        context = browser.new_context(base_url=host_url, viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(TIMEOUT_MS)
        visit = Visit(context.new_page())
        visits.append((visit, allowed))
        watch(visit)
        visit.page.goto(path)
        return visit

    yield open_it
    for visit, allowed in visits:
        asked = visit.hosts_asked()
        visit.page.context.close()
        assert [fault for fault in visit.faults if not any(part in fault for part in allowed)] == []
        assert asked == {urlsplit(host_url).netloc}


def watch(visit: Visit) -> None:
    """Collect what a visitor would find in the developer tools."""
    page = visit.page

    def note(request: Request) -> None:
        visit.requests.append(request)

    page.on("request", note)
    page.on("pageerror", lambda error: visit.faults.append(f"error: {error}"))
    page.on(
        "console",
        lambda message: visit.faults.append(message.text) if message.type in ("error", "warning") else None,
    )
