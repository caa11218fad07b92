"""An engine in memory, for tests of what stands above engines."""

from typing import Any

import trio

from host.descriptors import ASGIApp

HOST = (b"host", b"localhost:8000")


class Exchange:
    """One request and what came back. `left` makes the client leave."""

    def __init__(self, scope: dict[str, Any], chunks: list[bytes]) -> None:
        self.scope = scope
        self.messages: list[dict[str, Any]] = []
        self.left = trio.Event()
        self._chunks = chunks or [b""]

    async def receive(self) -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        if self.scope["type"] == "websocket" and not self.messages:
            return {"type": "websocket.connect"}
        if self.scope["type"] == "http" and self._chunks:
            body = self._chunks.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(self._chunks)}
        await self.left.wait()
        return {"type": f"{self.scope['type']}.disconnect"}

    async def send(self, message: Any) -> None:
        await trio.lowlevel.checkpoint()
        self.messages.append(dict(message))

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        names = [name for name, _ in self.messages[0]["headers"]]
        assert len(names) == len(set(names)), f"a header is there twice: {sorted(names)}"
        return dict(self.messages[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages[1:])


def exchange(
    method: str,
    path: str,
    *headers: tuple[bytes, bytes],
    chunks: list[bytes] | None = None,
    query: bytes = b"",
    host: tuple[bytes, bytes] | None = HOST,
    http_version: str = "1.1",
) -> Exchange:
    """A request that was not sent yet; "WEBSOCKET" as its method makes it a handshake."""
    scope = {
        "type": "websocket" if method == "WEBSOCKET" else "http",
        "http_version": http_version,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": [*([host] if host else []), *headers],
        "client": ("127.0.0.1", 1),
        "scheme": "http",
        "extensions": {"websocket.http.response": {}},
    }
    if method != "WEBSOCKET":
        scope["method"] = method
    return Exchange(scope, chunks or [])


async def ask(app: ASGIApp, method: str, path: str, *headers: tuple[bytes, bytes], **more: Any) -> Exchange:
    """Make a request and wait for its end."""
    made = exchange(method, path, *headers, **more)
    await app(made.scope, made.receive, made.send)
    return made
