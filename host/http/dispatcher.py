"""The root ASGI app: finds the mount of a path, keeps its crashes in, and puts the house's rules around it.

It knows owners (plugins, the host) and their mounts, and nothing of what is inside. Per request it costs a scan of the
headers, some dictionary look-ups and one cancel scope; lists of headers are made once. The scope ends a request whose
answer has not begun within its time limit, and lets a stopping owner end what it still serves.
"""

import itertools
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

import structlog
import trio

from host.asgi import ClientDisconnected, Response, problem_from, problem_response, send_problem
from host.descriptors import Message, Mount, Page, Receive, Scope, Send
from host.errors import HttpProblem
from host.http import security
from host.http.answer import Answer
from host.http.engine import AnswerAborted
from host.http.limits import Limits
from host.http.mounts import Entry, MountTable, Owner, OwnerStatistics
from host.http.pages import Pages
from host.http.problem_pages import ProblemPage, prefers_html
from host.http.rate_limits import RateLimiter, RateLimits
from host.http.security import Policy

log: structlog.stdlib.BoundLogger = structlog.get_logger("quartet.http")

OnCrash = Callable[[str, BaseException], None]

# Kept when a proxy or client sends one, so that one request has one name in everybody's logs.
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
CLOSE_RESTART = 1012
CLOSE_CRASHED = 1011
# Between two looks at the time limits of requests.
CLOCK_S = 0.1
# How long a cancelled handler may clean up before `drain` gives it up.
CANCEL_S = 1.0


class Dispatcher:
    """The app that an engine serves. All methods belong to the Trio thread.

    `on_crash(owner, error)` is called once for each exception that left a mount; it must not raise.
    """

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        policy: Policy | None = None,
        pages: Pages | None = None,
        on_crash: OnCrash = lambda owner, error: None,
        rate_limits: RateLimits | None = None,
    ) -> None:
        self.on_crash = on_crash
        self._limits = limits or Limits()
        self._policy = policy or Policy()
        self._pages = pages
        self.rate_limiter = RateLimiter(rate_limits or RateLimits())
        self._table = MountTable(self._limits, pages)
        self._has_clock = False
        self._ids = itertools.count(1)
        self._id_prefix = secrets.token_hex(5)

    def mount(self, owner: str, routes: Sequence[Mount | Page]) -> None:
        """Serve these routes, and only these, for the owner. All of them or, on an error, none.

        Raises:
            HostError: a path is malformed, is there twice or belongs to another owner; a page's template is missing.
        """
        self._table.mount(owner, routes)

    def unmount(self, owner: str, retry_after_s: float = 1) -> None:
        """Answer 503 with Retry-After on the owner's routes from now on. Requests under way go on; see `drain`."""
        self._table.owner(owner).close(retry_after_s)

    async def drain(self, owner: str, timeout_s: float) -> None:
        """Wait until none of the owner's requests is under way; after `timeout_s` cancel those that are.

        A cancelled request is answered 503, or ended unfinished when its answer has begun; a WebSocket closes with
        1012. Returns `CANCEL_S` later at the latest, whatever a handler does about its cancellation.
        """
        await self._table.owner(owner).drain(timeout_s, CANCEL_S)

    def remove(self, owner: str) -> None:
        """Forget the owner's routes: their paths are 404 from now on, or another mount's."""
        self._table.remove(owner)

    async def run_clock(self) -> NoReturn:
        """Hold requests to their time limits, `CLOCK_S` late at the most, until cancelled.

        Where it does not run, each request has a deadline of its own, which costs it a tenth more.
        """
        self._has_clock = True
        try:
            while True:
                await trio.sleep(CLOCK_S)
                self._table.expire(trio.current_time())
        finally:
            self._has_clock = False

    def statistics(self) -> dict[str, OwnerStatistics]:
        """Counts by owner; what no mount got is under ""."""
        return self._table.statistics()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""
        if scope["type"] == "http":
            await self._serve_http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._serve_websocket(scope, receive, send)
        else:
            raise NotImplementedError(f"the host serves no {scope['type']}")

    async def _serve_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request_id = self._name(scope, headers)
        exchange = Answer(send, request_id)
        if scope["scheme"] == "https":
            exchange.extra += self._policy.transport_headers("https", headers.get(b"host"))
        if self._pages is not None and scope["method"] in ("GET", "HEAD") and prefers_html(headers.get(b"accept", b"")):
            exchange.page = ProblemPage(self._pages, scope["path"], head=scope["method"] == "HEAD")
        entry: Entry | None = None
        owner = self._table.nobody
        try:
            self._check_size(scope)
            _check_framing(headers)
            security.check_host(self._policy, headers.get(b"host"))
            entry = self._table.find(_normal_path(scope, headers))
            if entry is None:
                raise HttpProblem(404, f"there is nothing at {scope['path']}")
            owner = entry.owner
            scope["quartet.owner"] = owner.name
            answer = self._answer_before(scope, headers, entry, exchange)
            receive = self._limited(receive, headers, scope, entry)
        except HttpProblem as problem:
            answer = problem_response(problem)
        if answer is not None:
            # Counted first: a client that closes once it has the answer cancels what comes after it.
            owner.count(answer.status)
            await answer.send(exchange.entrance, head=scope["method"] == "HEAD")
            return
        assert entry is not None
        await self._run_http(entry, scope, receive, exchange)

    def _answer_before(
        self, scope: Scope, headers: Mapping[bytes, bytes], entry: Entry, exchange: Answer
    ) -> Response | None:
        """The answer that needs no mount, if there is one. Raises `HttpProblem` when the request is refused."""
        policy, method = self._policy, scope["method"]
        origin = headers.get(b"origin")
        before = len(exchange.extra)
        if origin is not None or policy.has_cors:
            exchange.extra += security.cors_headers(policy, origin, cross_origin=entry.cross_origin)
        if method == "OPTIONS":
            answer = security.preflight(policy, headers, cross_origin=entry.cross_origin)
            if answer is not None:
                del exchange.extra[before:]
                return answer
        if method not in security.SAFE_METHODS:
            if origin is not None:
                security.check_origin(policy, origin, headers.get(b"host"), cross_origin=entry.cross_origin)
            if entry.content_types:
                security.check_content_type(headers, entry.content_types)
            exchange.extra += self.rate_limiter.check(scope, headers, entry)
        entry.owner.check_open()
        return None

    async def _run_http(self, entry: Entry, scope: Scope, receive: Receive, exchange: Answer) -> None:
        owner = entry.owner
        # No more holds once the answer has begun: streams last as long as they like.
        exchange.expires_at = trio.current_time() + entry.request_s
        limit = trio.CancelScope()
        if not self._has_clock:
            exchange.limit, limit.deadline = limit, exchange.expires_at
        owner.enter(limit, exchange)
        try:
            with limit:
                try:
                    await entry.app(scope, receive, exchange.entrance)
                except (Exception, BaseExceptionGroup, SystemExit) as error:
                    await self._end_with(error, owner, scope, exchange)
                else:
                    if not exchange.has_begun:
                        await self._end_with(RuntimeError("the app returned without an answer"), owner, scope, exchange)
            if limit.cancelled_caught:
                await self._end_cancelled(owner, entry, exchange)
        finally:
            owner.leave(limit)
            owner.count(exchange.status)
        if not exchange.is_complete:
            raise AnswerAborted("the answer was begun and not finished")

    async def _end_with(self, error: BaseException, owner: Owner, scope: Scope, exchange: Answer) -> None:
        """Answer for an exception that left the app. Re-raises the cancellation that a group may hold."""
        if _is_quiet(error):
            raise AnswerAborted("nobody waits for the rest of the answer") from None
        problem = problem_from(error)
        if problem is None or exchange.has_begun:
            rest = self._report(error, owner, scope, exchange.request_id)
            if rest is not None:
                raise rest
            problem = HttpProblem(500, "the request met a fault of the program; the log has it under this request id")
            problem.extra["request_id"] = exchange.request_id.decode()
        if exchange.is_complete:
            return
        if exchange.has_begun:
            raise AnswerAborted("the app failed after its answer had begun") from None
        await send_problem(exchange.entrance, problem)

    async def _end_cancelled(self, owner: Owner, entry: Entry, exchange: Answer) -> None:
        if owner.is_open:
            owner.timeouts += 1
            reason = f"the request took longer than {entry.request_s:g} s"
        else:
            reason = "this part of the site is stopping"
        if exchange.has_begun:
            raise AnswerAborted(reason)
        await send_problem(exchange.entrance, HttpProblem(503, reason, headers={"Retry-After": "1"}))

    def _report(
        self, error: BaseException, owner: Owner, scope: Scope, request_id: bytes
    ) -> BaseExceptionGroup[BaseException] | None:
        """Log and count a crash. Returns the part of a group that is not a crash and must go on (`Cancelled`)."""
        rest = None
        if isinstance(error, BaseExceptionGroup):
            crash, rest = error.split((Exception, SystemExit))
            if crash is None:
                return rest
            error = crash
        owner.crashes += 1
        log.error(
            "a request crashed",
            plugin=owner.name,
            request_id=request_id.decode(),
            method=scope.get("method", "WEBSOCKET"),
            path=scope["path"],
            exc_info=error,
        )
        self.on_crash(owner.name, error)
        return rest

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request_id = self._name(scope, headers)
        owner = self._table.nobody
        try:
            self._check_size(scope)
            security.check_host(self._policy, headers.get(b"host"))
            entry = self._table.find(_normal_path(scope, headers))
            if entry is None:
                raise HttpProblem(404, f"there is nothing at {scope['path']}")
            owner = entry.owner
            scope["quartet.owner"] = owner.name
            # For the engine, once the app accepts, and for `host.api.WebSocket`.
            scope["quartet.websocket"] = entry.websocket
            security.check_origin(
                self._policy, headers.get(b"origin"), headers.get(b"host"), cross_origin=entry.cross_origin
            )
            self.rate_limiter.check(scope, headers, entry)
            owner.check_open()
        except HttpProblem as problem:
            owner.count(problem.status)
            await _refuse_websocket(scope, send, problem, request_id)
            return
        await self._run_websocket(entry, scope, receive, send, request_id)

    async def _run_websocket(self, entry: Entry, scope: Scope, receive: Receive, send: Send, request_id: bytes) -> None:
        owner = entry.owner
        state = "handshake"

        async def watched_send(message: Message) -> None:
            nonlocal state
            kind = message["type"]
            if kind == "websocket.accept":
                state = "open"
            elif kind != "websocket.send":
                state = "closed"
            await send(message)

        async def end(code: int, reason: str, status: int) -> None:
            if state == "open":
                await send({"type": "websocket.close", "code": code, "reason": reason})
            elif state == "handshake":
                await _refuse_websocket(scope, send, HttpProblem(status, reason), request_id)

        owner.enter_websocket()
        limit = trio.CancelScope()
        owner.enter(limit)
        try:
            with limit:
                try:
                    await entry.app(scope, receive, watched_send)
                except (Exception, BaseExceptionGroup, SystemExit) as error:
                    if _is_quiet(error):
                        return
                    problem = problem_from(error)
                    if problem is not None and state == "handshake":
                        await _refuse_websocket(scope, send, problem, request_id)
                        return
                    rest = self._report(error, owner, scope, request_id)
                    if rest is not None:
                        raise rest from None
                    await end(CLOSE_CRASHED, "internal error", 500)
            if limit.cancelled_caught:
                await end(CLOSE_RESTART, "restarting", 503)
        finally:
            owner.leave(limit)
            owner.leave_websocket()

    def _name(self, scope: Scope, headers: Mapping[bytes, bytes]) -> bytes:
        """Give the request its id: the one it came with when that is a plain word, else a new one."""
        given = headers.get(b"x-request-id")
        if given is not None and _REQUEST_ID.fullmatch(given):
            scope["quartet.request_id"] = given.decode()
            return given
        name = scope["quartet.request_id"] = f"{self._id_prefix}-{next(self._ids):x}"
        return name.encode()

    def _check_size(self, scope: Scope) -> None:
        limits = self._limits
        if len(scope["headers"]) > limits.header_count_max:
            raise HttpProblem(431, f"there are more than {limits.header_count_max} headers")
        if len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"]) > limits.target_bytes_max:
            raise HttpProblem(414, f"path and query are longer than {limits.target_bytes_max} bytes")

    def _limited(self, receive: Receive, headers: Mapping[bytes, bytes], scope: Scope, entry: Entry) -> Receive:
        """Hold the body to its limit. An engine never hands on more than a Content-Length announces."""
        bytes_max = entry.body_bytes_max
        length = headers.get(b"content-length")
        if length is not None:
            if not length.isdigit():
                raise HttpProblem(400, "Content-Length is not a number")
            if int(length) > bytes_max:
                raise HttpProblem(413, f"the body is larger than {bytes_max} bytes")
            return receive
        if b"transfer-encoding" not in headers and scope["http_version"] in ("1.0", "1.1"):
            return receive
        size = 0

        async def limited_receive() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > bytes_max:
                raise HttpProblem(413, f"the body is larger than {bytes_max} bytes")
            return message

        return limited_receive


def _is_quiet(error: BaseException) -> bool:
    """Whether nothing but the client's leaving, or an end that was reported already, is behind the error."""
    if isinstance(error, BaseExceptionGroup):
        return error.split((AnswerAborted, ClientDisconnected))[1] is None
    return isinstance(error, AnswerAborted | ClientDisconnected)


def _check_framing(headers: Mapping[bytes, bytes]) -> None:
    """Refuse a body with two lengths, and go on with nothing after it (RFC 9112 §6.1).

    "A server MAY reject a request that contains both Content-Length and Transfer-Encoding [...]. Regardless, the server
    MUST close the connection after responding to such a request to avoid the potential attacks": what a proxy takes
    for the body, this host might take for the next request.
    """
    if b"transfer-encoding" in headers and b"content-length" in headers:
        close = {"Connection": "close"}
        raise HttpProblem(400, "the request has both a Content-Length and a Transfer-Encoding", headers=close)


def _normal_path(scope: Scope, headers: Mapping[bytes, bytes]) -> str:
    """The path to look up. The absolute form (RFC 9112 §3.2.2) is reduced to its path in the scope itself."""
    path: str = scope["path"]
    if path.startswith("/"):
        return path
    if path == "*" and scope.get("method") == "OPTIONS":
        scope["path"] = "/"
        return "/"
    scheme, separator, rest = path.partition("://")
    authority, slash, tail = rest.partition("/")
    host = headers.get(b"host", b"").decode("latin-1")
    if not separator or scheme.lower() not in ("http", "https") or authority.lower() != host.lower():
        raise HttpProblem(400, "the request's target is neither a path nor an address of this host")
    scope["path"] = slash + tail or "/"
    raw: bytes = scope.get("raw_path") or b""
    scope["raw_path"] = b"/" + raw.partition(b"://")[2].partition(b"/")[2]
    return str(scope["path"])


async def _refuse_websocket(scope: Scope, send: Send, problem: HttpProblem, request_id: bytes) -> None:
    """Refuse a handshake: with the problem where the engine can say it, else with a bare 403."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1000})
        return
    exchange = Answer(_as_websocket(send), request_id)
    await send_problem(exchange.send, problem)


def _as_websocket(send: Send) -> Send:
    async def send_response(message: Message) -> None:
        await send({**message, "type": message["type"].replace("http.", "websocket.http.", 1)})

    return send_response
