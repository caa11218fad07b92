"""One answer on its way from a mount to the engine."""

import math
from typing import Any

import trio

from host.descriptors import Message, Send
from host.http import security
from host.http.problem_pages import ProblemPage


class Answer:
    """One answer on its way out: adds what every answer carries, and knows how far it has come."""

    status = 0
    has_begun = is_complete = False
    # By when it must have begun: looked at by the owner's clock, or, where none runs, by `limit`.
    expires_at = math.inf
    limit: trio.CancelScope | None = None
    page: ProblemPage | None = None

    def __init__(self, engine_send: Send, request_id: bytes) -> None:
        self.request_id = request_id
        self.extra = [(b"x-request-id", request_id)]
        self._engine_send = engine_send

    async def send(self, message: Message) -> None:
        """Stands between the app and the engine's `send`."""
        kind = message["type"]
        if kind == "http.response.body":
            if not message.get("more_body", False):
                self.is_complete = True
        elif kind == "http.response.start":
            message = {**message, "headers": self._dressed(message.get("headers", ()))}
            self.status = message["status"]
            self.has_begun = True
            if self.limit is not None:
                self.limit.deadline = math.inf
        elif kind == "http.response.pathsend":
            self.is_complete = True
        await self._engine_send(message)

    @property
    def entrance(self) -> Send:
        """What the app sends to."""
        return self.send if self.page is None else self._send_page

    async def _send_page(self, message: Message) -> None:
        assert self.page is not None
        for passed in self.page.instead_of(message):
            await self.send(passed)

    def _dressed(self, headers: Any) -> list[tuple[bytes, bytes]]:
        given = dict(headers)
        media_type = given.get(b"content-type")
        ours = security.DATA_HEADERS if media_type in security.DATA_TYPES else security.PAGE_HEADERS
        if not security.SECURITY_NAMES.isdisjoint(given):
            # An app may be stricter or laxer about its own answers; the same header twice would be unclear.
            ours = [pair for pair in ours if pair[0] not in given]
        return [*headers, *ours, *self.extra]
