"""What a page asks of the network, off the browser's own events (Chrome DevTools Protocol, domain Network)."""

from collections import Counter
from typing import Any

from playwright.sync_api import Page

POLL_MS = 50
QUIET_POLLS = 4
POLLS_MAX = 600


class Traffic:
    """Counts the bytes of content that a page gets over the wire, as compressed as they come, from now on.

    Headers are not counted (some 600 bytes an answer, of which HTTP/2 sends most but once), nor are event streams,
    which go on for as long as the page is open.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self._urls: dict[str, str] = {}
        self._open: set[str] = set()
        self._streams: set[str] = set()
        self._bytes: Counter[str] = Counter()
        self._head_bytes: dict[str, int] = {}
        session = page.context.new_cdp_session(page)
        session.on("Network.requestWillBeSent", self._sent)
        session.on("Network.responseReceived", self._answered)
        session.on("Network.dataReceived", self._received)
        session.on("Network.loadingFinished", self._finished)
        session.on("Network.loadingFailed", lambda event: self._open.discard(event["requestId"]))
        session.send("Network.enable")

    def wait_until_quiet(self) -> None:
        """Wait until nothing but event streams has been open for a while."""
        quiet = 0
        for _ in range(POLLS_MAX):
            quiet = 0 if self._open else quiet + 1
            if quiet == QUIET_POLLS:
                return
            self._page.wait_for_timeout(POLL_MS)
        raise AssertionError(f"still open: {[self._urls[request] for request in self._open]}")

    def bytes_by_url(self) -> dict[str, int]:
        """Bytes of each answer."""
        sums: Counter[str] = Counter()
        for request, received in self._bytes.items():
            if request not in self._streams:
                sums[self._urls.get(request, request)] += received
        return dict(sums.most_common())

    def _sent(self, event: dict[str, Any]) -> None:
        url = event["request"]["url"]
        # A worker's script ends in a target of the worker's own, which is not watched here.
        if url.startswith(("data:", "blob:")) or url.endswith("_worker.js"):
            return
        self._urls[event["requestId"]] = url
        self._open.add(event["requestId"])

    def _answered(self, event: dict[str, Any]) -> None:
        self._head_bytes[event["requestId"]] = round(event["response"]["encodedDataLength"])
        if event["response"]["mimeType"] == "text/event-stream":
            self._open.discard(event["requestId"])
            self._streams.add(event["requestId"])

    def _received(self, event: dict[str, Any]) -> None:
        self._bytes[event["requestId"]] += event["encodedDataLength"]

    def _finished(self, event: dict[str, Any]) -> None:
        self._open.discard(event["requestId"])
        request = event["requestId"]
        self._bytes[request] = round(event["encodedDataLength"]) - self._head_bytes.get(request, 0)
