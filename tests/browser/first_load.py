"""Measures how each page of the tour loads for the first time: bytes of content, and milliseconds until it is live.

    python -m tests.browser.first_load

A table for people, and one JSON object as the last line. The best of three visits with an empty cache, by the browser's
own clock: to the load event, and to the moment at which the page hears from its host.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from host.testing import host_process
from tests.browser.conftest import ARGUMENTS, find_chromium
from tests.browser.network import Traffic
from tests.browser.tour import STOPS, ready

VISITS = 3
WATCH_LIVE = """
  new MutationObserver(() => {
    if (document.documentElement.dataset.link === "live") window.live_ms ??= performance.now();
  }).observe(document, { subtree: true, attributes: true, attributeFilter: ["data-link"] });
"""
TIMES = """() => {
  const [{ loadEventEnd }] = performance.getEntriesByType("navigation");
  return { load_ms: Math.round(loadEventEnd), live_ms: Math.round(window.live_ms) };
}"""


def main() -> None:
    """Visit each page on a host of its own, and print what was found."""
    found = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        host_process(data_dir=Path(folder)) as host,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        for stop in STOPS:
            path = stop.at(host.url)
            visits = [visit(browser, host.url, path) for _ in range(VISITS)]
            found[stop.name] = min(visits, key=lambda each: each["live_ms"])
            print(f"{stop.name:36}" + "".join(f"{value:>10,} {name}" for name, value in found[stop.name].items()))
        browser.close()
    print(json.dumps(found))


def visit(browser: Browser, url: str, path: str) -> dict[str, Any]:
    """One visit with an empty cache."""
    context = browser.new_context(base_url=url)
    context.add_init_script(WATCH_LIVE)
    page = context.new_page()
    traffic = Traffic(page)
    page.goto(path)
    ready(page)
    traffic.wait_until_quiet()
    times: dict[str, Any] = page.evaluate(TIMES)
    context.close()
    return {**times, "content_bytes": sum(traffic.bytes_by_url().values())}


if __name__ == "__main__":
    main()
