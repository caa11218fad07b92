"""A line for each request: off (the metrics count them anyway), sampled, or full."""

import itertools
from typing import Literal

import structlog
import trio

from host.descriptors import ASGIApp, Message, Receive, Scope, Send

log: structlog.stdlib.BoundLogger = structlog.get_logger("quartet.access")

AccessMode = Literal["off", "sampled", "full"]
# Sampled: one request in so many, and every answer from 500 on.
SAMPLED_ONE_IN = 100


class AccessLog:
    """Stands before the app and logs what it answered. The query is left out: it may hold secrets."""

    def __init__(self, app: ASGIApp, mode: AccessMode) -> None:
        assert mode != "off", "nobody should pay for a log that is off"
        self._app = app
        self._one_in = 1 if mode == "full" else SAMPLED_ONE_IN
        self._count = itertools.count()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, and log it at its end, however that comes. Status 0 is no answer."""
        status = 101 if scope["type"] == "websocket" else 0
        began_s = trio.current_time()

        async def watched_send(message: Message) -> None:
            nonlocal status
            if message["type"].endswith("http.response.start"):
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        finally:
            if next(self._count) % self._one_in == 0 or status >= 500:
                client = scope.get("client")
                log.info(
                    "request",
                    method=scope.get("method", "WEBSOCKET"),
                    path=scope["path"],
                    status=status,
                    duration_ms=round((trio.current_time() - began_s) * 1e3, 2),
                    client=client[0] if client else "",
                    request_id=scope.get("quartet.request_id", ""),
                    plugin=scope.get("quartet.owner", ""),
                )
