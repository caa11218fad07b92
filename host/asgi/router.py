"""Routes inside one app: method and path template to handler.

A literal segment wins over a parameter; among routes, the order of their adding does not matter.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import unquote

from host.asgi.answers import Response, empty_response, problem_from, problem_response, send_problem
from host.asgi.body import ClientDisconnected
from host.asgi.request import Request
from host.descriptors import Message, Receive, Scope, Send
from host.errors import HttpProblem

Handler = Callable[[Request], Awaitable[Response | None]]
AnyHandler = TypeVar("AnyHandler", bound=Handler)


class Router:
    """An ASGI app that hands each request to the handler of its method and path.

    A template has literal segments and parameters: `/api/frontrow/runs/{run_id}`; `{rest:path}` as the last takes all
    that follows. GET handlers serve HEAD too, OPTIONS is answered, an unknown path is 404 and a wrong method 405 with
    Allow, all as problem+json. What `problem_from` knows is answered; any other exception passes on to the host. A
    handler returns a `Response`, or None when it sent its answer by `request.send`.
    """

    def __init__(self) -> None:
        self._root = _Node()
        self._static: dict[str, dict[str, Handler]] = {}

    def add(self, method: str, template: str, handler: Handler) -> None:
        """Add a route. Raises ValueError when the template is malformed or the route is taken."""
        assert method == method.upper(), f"methods are upper case: {method}"
        if not template.startswith("/"):
            raise ValueError(f"a path begins with '/': {template!r}")
        node = self._root
        segments = template.split("/")[1:]
        for index, segment in enumerate(segments):
            node = node.child(segment, template, is_last=index == len(segments) - 1)
        if method in node.handlers:
            raise ValueError(f"{method} {template} is there twice")
        node.handlers[method] = handler
        if "{" not in template:
            self._static[template] = node.handlers

    def route(self, method: str, template: str) -> Callable[[AnyHandler], AnyHandler]:
        """A decorator that adds its function."""

        def decorate(handler: AnyHandler) -> AnyHandler:
            self.add(method, template, handler)
            return handler

        return decorate

    def get(self, template: str) -> Callable[[AnyHandler], AnyHandler]:
        """Add a handler of GET and HEAD."""
        return self.route("GET", template)

    def post(self, template: str) -> Callable[[AnyHandler], AnyHandler]:
        """Add a handler of POST."""
        return self.route("POST", template)

    def put(self, template: str) -> Callable[[AnyHandler], AnyHandler]:
        """Add a handler of PUT."""
        return self.route("PUT", template)

    def patch(self, template: str) -> Callable[[AnyHandler], AnyHandler]:
        """Add a handler of PATCH."""
        return self.route("PATCH", template)

    def delete(self, template: str) -> Callable[[AnyHandler], AnyHandler]:
        """Add a handler of DELETE."""
        return self.route("DELETE", template)

    def websocket(self, template: str) -> Callable[[AnyHandler], AnyHandler]:
        """Add a handler of WebSockets, which speaks ASGI's websocket messages by `receive` and `send`."""
        return self.route("WEBSOCKET", template)

    def match(self, method: str, path: str) -> tuple[Handler | None, dict[str, str], frozenset[str]]:
        """The handler, the parameters, and the methods that the path knows (none: there is no such path)."""
        handlers = self._static.get(path)
        params: dict[str, str] = {}
        if handlers is None:
            found = self._root.find(path.split("/"), 1)
            if found is None:
                return None, {}, frozenset()
            handlers, params = found
        handler = handlers.get(method)
        if handler is None and method == "HEAD":
            handler = handlers.get("GET")
        return handler, params, frozenset(handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""
        if scope["type"] == "websocket":
            await self._serve_websocket(scope, receive, send)
            return
        assert scope["type"] == "http", f"a router does not serve {scope['type']}"
        has_begun = False

        async def watched_send(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        method = scope["method"]
        try:
            handler, params, methods = self.match(method, scope["path"])
            if handler is None:
                answer: Response | None = _without_handler(method, scope["path"], methods)
            else:
                answer = await handler(Request(scope, receive, watched_send, params))
            if answer is not None:
                await answer.send(watched_send, head=method == "HEAD")
        except ClientDisconnected:
            raise
        except Exception as error:
            problem = problem_from(error)
            if problem is None or has_begun:
                raise
            await send_problem(send, problem)

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler, params, _ = self.match("WEBSOCKET", scope["path"])
        if handler is not None:
            await handler(Request(scope, receive, send, params))
            return
        # A close before the accept is a refused handshake (ASGI websocket spec).
        await send({"type": "websocket.close", "code": 1000})


def _without_handler(method: str, path: str, methods: frozenset[str]) -> Response:
    if not methods:
        return problem_response(HttpProblem(404, f"there is nothing at {path}"))
    known = set(methods) - {"WEBSOCKET"} | {"OPTIONS"}
    if "GET" in known:
        known.add("HEAD")
    allow = {"Allow": ", ".join(sorted(known))}
    if method == "OPTIONS":
        return empty_response(204, allow)
    return problem_response(HttpProblem(405, f"{path} does not take {method}", headers=allow))


class _Node:
    """What may follow one prefix of segments."""

    __slots__ = ("handlers", "literals", "name", "parameter", "rest", "rest_name")

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}
        self.literals: dict[str, _Node] = {}
        self.name = ""
        self.parameter: _Node | None = None
        self.rest_name = ""
        self.rest: _Node | None = None

    def child(self, segment: str, template: str, *, is_last: bool) -> "_Node":
        """The node for a segment of a template, made when there is none."""
        if not segment.startswith("{"):
            if "{" in segment or "}" in segment:
                raise ValueError(f"a parameter is a whole segment: {template!r}")
            return self.literals.setdefault(unquote(segment), _Node())
        name, _, kind = segment.removeprefix("{").removesuffix("}").partition(":")
        if not segment.endswith("}") or not name.isidentifier() or kind not in ("", "path"):
            raise ValueError(f"{segment!r} is no parameter in {template!r}: write {{name}} or {{name:path}}")
        if kind == "path":
            if not is_last:
                raise ValueError(f"{{{name}:path}} must be the last segment of {template!r}")
            self.rest_name, self.rest = _same(self.rest_name, name, template), self.rest or _Node()
            return self.rest
        self.name, self.parameter = _same(self.name, name, template), self.parameter or _Node()
        return self.parameter

    def find(self, segments: list[str], index: int) -> tuple[dict[str, Handler], dict[str, str]] | None:
        """The handlers below this node for the segments from `index` on, with the parameters on the way."""
        if index == len(segments):
            return (self.handlers, {}) if self.handlers else None
        segment = segments[index]
        literal = self.literals.get(segment)
        found = literal.find(segments, index + 1) if literal is not None else None
        if found is None and self.parameter is not None and segment:
            found = self.parameter.find(segments, index + 1)
            if found is not None:
                found[1][self.name] = segment
        if found is None and self.rest is not None:
            found = self.rest.handlers, {self.rest_name: "/".join(segments[index:])}
        return found


def _same(known: str, name: str, template: str) -> str:
    if known and known != name:
        raise ValueError(f"{template!r} calls {{{name}}} what another route calls {{{known}}}")
    return name
