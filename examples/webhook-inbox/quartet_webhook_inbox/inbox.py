"""The inbox: what arrives is redacted, stored and told to the tails; tails read from the store."""

from collections.abc import Iterator
from contextlib import contextmanager

import trio
from host.api import EventStream, HttpProblem, PluginContext, Request

from quartet_webhook_inbox.config import Config
from quartet_webhook_inbox.redaction import redact_body, redact_headers, redact_query
from quartet_webhook_inbox.store import LIST_MAX, Arrival, Store

_RETRY = {"Retry-After": "1"}


class Inbox:
    """One run of the plugin."""

    def __init__(self, ctx: PluginContext) -> None:
        self.ctx = ctx
        self.config: Config = ctx.config
        self.store = Store(ctx.postgres, inboxes_max=self.config.inboxes_max, calls_max=self.config.calls_max)
        self._receiving = 0
        # Set, and gone, once a call arrived at this host; of inboxes that have a tail.
        self._arrived: dict[str, trio.Event] = {}
        self._tails_open = 0

    async def receive(self, request: Request) -> int:
        """Keep one call and return its id.

        Raises:
            HttpProblem: 413 the body is too large; 503 too many are being stored; 507 no room for a new inbox.
            ServiceUnavailable: Postgres is away; the sender should come again.
        """
        name = request.params["name"]
        with self._counted():
            body = await request.body(self.config.body_bytes_max)
            headers = [(key.decode("latin-1"), value.decode("latin-1")) for key, value in request.scope["headers"]]
            content_type = request.headers.get("content-type", "")
            call = Arrival(
                inbox=name,
                method=request.method,
                # NUL is the one character that Postgres keeps in no text.
                path=request.path.replace("\0", "\ufffd"),
                query=redact_query(request.scope["query_string"].decode("latin-1"), self.config.redact_fields),
                headers=redact_headers(headers, self.config.redact_headers),
                body=redact_body(body, content_type, self.config.redact_fields),
                client=request.client,
            )
            id = await self.store.add(call)
        self.ctx.metrics["received_total"].inc()
        self.ctx.metrics["received_bytes_total"].inc(len(body))
        arrived = self._arrived.pop(name, None)
        if arrived is not None:
            arrived.set()
        return id

    async def tail(self, name: str, stream: EventStream) -> None:
        """Send the inbox's calls from the stream's last id on, as they arrive, for ever.

        A slow client delays itself alone: what it has not taken waits in the database.
        """
        seen = await self._first_unseen(name, stream)
        while True:
            # Taken before the look: a call that arrives during it wakes the wait behind it.
            arrived = self._arrived.setdefault(name, trio.Event())
            calls = await self.store.after(name, seen)
            for call in calls:
                await stream.send(call.shown(), event="call", id=str(call.id))
                seen = call.id
            if len(calls) < LIST_MAX:
                with trio.move_on_after(self.config.tail_interval):
                    await arrived.wait()

    async def _first_unseen(self, name: str, stream: EventStream) -> int:
        """The id after which a client goes on; a new one is shown the latest calls first."""
        text = stream.last_event_id
        if text.isascii() and text.isdigit() and len(text) < 19:
            return int(text)
        latest = await self.store.latest(name)
        return latest[0].id - 1 if latest else 0

    @contextmanager
    def _counted(self) -> Iterator[None]:
        if self._receiving >= self.config.receiving_max:
            self.ctx.metrics["refused_total"].inc()
            raise HttpProblem(503, "too many calls arrive at once", headers=_RETRY)
        self._receiving += 1
        self.ctx.metrics["receiving"].set(self._receiving)
        try:
            yield
        finally:
            self._receiving -= 1
            self.ctx.metrics["receiving"].set(self._receiving)

    @contextmanager
    def tail_counted(self, name: str) -> Iterator[None]:
        """Count a tail for the block. Raises `HttpProblem` 503 when there are as many as there may be."""
        if self._tails_open >= self.config.tails_max:
            raise HttpProblem(503, "too many live tails are open", headers=_RETRY)
        self._tails_open += 1
        self.ctx.metrics["tails"].set(self._tails_open)
        try:
            yield
        finally:
            self._tails_open -= 1
            self.ctx.metrics["tails"].set(self._tails_open)
            arrived = self._arrived.get(name)
            if arrived is not None and not arrived.statistics().tasks_waiting:
                del self._arrived[name]
