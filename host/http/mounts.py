"""The table of mounts: which app answers for a path, who owns it, and what its owner's requests are doing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import trio

from host.descriptors import ASGIApp, Mount, Page, RateLimit, WebSocketPolicy
from host.errors import HostError, HttpProblem
from host.http.answer import Answer
from host.http.limits import Limits
from host.http.pages import Pages

# What is remembered of paths looked up: so many, and none longer than this.
_FOUND_MAX = 1024
_FOUND_CHARS_MAX = 128


@dataclass(frozen=True, slots=True)
class OwnerStatistics:
    """An owner's counts since it was first mounted. `statuses` has the keys "1xx" to "5xx".

    A request that ended without an answer is in `requests` alone; `in_flight` includes streams and WebSockets.
    """

    is_open: bool
    requests: int
    in_flight: int
    websockets: int
    statuses: dict[str, int]
    crashes: int
    timeouts: int
    rate_limited_total: int


class Owner:
    """Whose mounts these are: open or not, with its requests under way and its counts."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_open = True
        self.requests = 0
        self.websockets = 0
        self.crashes = 0
        self.timeouts = 0
        self.rate_limited = 0
        self._by_class = [0] * 6
        self._retry_after_s = 1.0
        self._under_way: dict[trio.CancelScope, Answer | None] = {}
        self._waiting: trio.Event | None = None

    def check_open(self) -> None:
        """Raise the `HttpProblem` 503 that a closed owner answers with."""
        if not self.is_open:
            retry = {"Retry-After": str(math.ceil(self._retry_after_s))}
            raise HttpProblem(503, f"{self.name} is not running now", headers=retry, plugin=self.name)

    def close(self, retry_after_s: float) -> None:
        """Let nothing more in."""
        self.is_open = False
        self._retry_after_s = retry_after_s

    def enter(self, scope: trio.CancelScope, answer: Answer | None = None) -> None:
        """Note a request, cancelled by `scope` when the owner, or the limit of its answer, cannot wait for it."""
        self._under_way[scope] = answer

    def leave(self, scope: trio.CancelScope) -> None:
        """The request has ended."""
        del self._under_way[scope]
        if self._waiting is not None and not self._under_way:
            self._waiting.set()

    def expire(self, now_s: float) -> None:
        """Cancel the requests whose answers should have begun by now."""
        for scope, answer in self._under_way.items():
            if answer is not None and now_s >= answer.expires_at and not answer.has_begun:
                scope.cancel(reason="the request took too long")

    def count(self, status: int) -> None:
        """Count an answer; 0 is one that never came."""
        self.requests += 1
        self._by_class[status // 100 if status < 600 else 5] += 1

    def enter_websocket(self) -> None:
        """Note a WebSocket."""
        self.requests += 1
        self.websockets += 1

    def leave_websocket(self) -> None:
        """The WebSocket has ended."""
        self.websockets -= 1

    async def drain(self, timeout_s: float, cancel_s: float) -> None:
        """See `Dispatcher.drain`."""
        with trio.move_on_after(timeout_s):
            await self._wait_idle()
        for scope in self._under_way:
            scope.cancel(reason=f"{self.name} is stopping")
        with trio.move_on_after(cancel_s):
            await self._wait_idle()

    def statistics(self) -> OwnerStatistics:
        """The counts now."""
        return OwnerStatistics(
            is_open=self.is_open,
            requests=self.requests,
            in_flight=len(self._under_way),
            websockets=self.websockets,
            statuses={f"{digit}xx": self._by_class[digit] for digit in range(1, 6)},
            crashes=self.crashes,
            timeouts=self.timeouts,
            rate_limited_total=self.rate_limited,
        )

    async def _wait_idle(self) -> None:
        while self._under_way:
            if self._waiting is None or self._waiting.is_set():
                self._waiting = trio.Event()
            await self._waiting.wait()


@dataclass(frozen=True, slots=True)
class Entry:
    """One path prefix of the table, with its limits settled."""

    owner: Owner
    path: str
    app: ASGIApp
    body_bytes_max: int
    request_s: float
    content_types: frozenset[bytes] = frozenset({b"application/json"})
    cross_origin: bool = False
    websocket: WebSocketPolicy = field(default_factory=WebSocketPolicy)
    rate_limit: Literal["site", "none"] | RateLimit = "site"


class MountTable:
    """Finds the longest prefix of a path, on segment boundaries. Synchronous."""

    def __init__(self, limits: Limits, pages: Pages | None) -> None:
        self._limits = limits
        self._pages = pages
        self._entries: dict[str, Entry] = {}
        # Paths that were asked for, as long as the entries stay the same.
        self._found: dict[str, Entry] = {}
        self._owners: dict[str, Owner] = {}
        self.nobody = Owner("")

    def owner(self, name: str) -> Owner:
        """The owner of that name, made when it is new."""
        return self._owners.setdefault(name, Owner(name))

    def mount(self, name: str, routes: Sequence[Mount | Page]) -> None:
        """See `Dispatcher.mount`."""
        owner = self.owner(name)
        entries: dict[str, Entry] = {}
        for route in routes:
            if isinstance(route, Mount):
                entry = self._entry(owner, route)
                if entries.setdefault(entry.path, entry) is not entry:
                    raise HostError(f"{name} mounts {entry.path} twice")
        for entry in self._page_entries(owner, [route for route in routes if isinstance(route, Page)]):
            if entries.setdefault(entry.path, entry) is not entry:
                raise HostError(f"{name} has a mount and a page at {entry.path}")
        others = {path: entry for path, entry in self._entries.items() if entry.owner is not owner}
        for path in entries:
            if path in others:
                raise HostError(
                    f"{name} cannot have {path}: it belongs to {others[path].owner.name} — choose another path"
                )
        self._entries = others | entries
        self._found.clear()
        owner.is_open = True

    def remove(self, name: str) -> None:
        """See `Dispatcher.remove`."""
        owner = self.owner(name)
        owner.close(1.0)
        self._entries = {path: entry for path, entry in self._entries.items() if entry.owner is not owner}
        self._found.clear()

    def find(self, path: str) -> Entry | None:
        """The entry with the longest prefix of `path` that ends at a slash or at the path's end."""
        found = self._found.get(path)
        if found is not None:
            return found
        entries, prefix = self._entries, path
        entry = entries.get(path)
        while entry is None and prefix:
            prefix = prefix[: prefix.rfind("/")]
            entry = entries.get(prefix)
        entry = entry or entries.get("/")
        if entry is not None and len(path) <= _FOUND_CHARS_MAX:
            if len(self._found) >= _FOUND_MAX:
                self._found.clear()
            self._found[path] = entry
        return entry

    def expire(self, now_s: float) -> None:
        """See `Owner.expire`, of all owners."""
        for owner in self._owners.values():
            owner.expire(now_s)

    def statistics(self) -> dict[str, OwnerStatistics]:
        """The counts of all owners."""
        return {owner.name: owner.statistics() for owner in (self.nobody, *self._owners.values())}

    def _entry(self, owner: Owner, mount: Mount) -> Entry:
        return Entry(
            owner=owner,
            path=_checked(mount.path),
            app=mount.app,
            body_bytes_max=_least(mount.body_bytes_max, self._limits.body_bytes_max),
            request_s=self._limits.request_s if mount.request_timeout_s is None else mount.request_timeout_s,
            content_types=frozenset(kind.lower().encode() for kind in mount.content_types),
            cross_origin=mount.cross_origin,
            websocket=mount.websocket,
            rate_limit=mount.rate_limit,
        )

    def _page_entries(self, owner: Owner, pages: Sequence[Page]) -> list[Entry]:
        if not pages:
            return []
        if self._pages is None:
            raise HostError(f"{owner.name} has pages, but no folder of pages was given to the dispatcher")
        apps = self._pages.apps(pages)
        limits = self._limits
        return [
            Entry(owner, _checked(path), app, limits.body_bytes_max, limits.request_s) for path, app in apps.items()
        ]


def _least(narrowed: int | None, limit: int) -> int:
    return limit if narrowed is None else narrowed


def _checked(path: str) -> str:
    segments = path.split("/")[1:]
    is_plain = path.startswith("/") and not any(mark in path for mark in "{}?#%\\\0 ")
    if path != "/" and (not is_plain or any(segment in ("", ".", "..") for segment in segments)):
        raise HostError(f"{path!r} cannot be mounted — write a path such as /api/name, without a slash at its end")
    return path
