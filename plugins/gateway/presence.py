"""Clients who leave: what runs for them is cancelled at once, wherever it stands.

A task that waits for a disconnect costs as much as a passed-on request's parsing and routing together, and most answers
are there before anybody could have left. So a request is watched once it has lasted for `WATCH_AFTER_S`, by a task of
`Presence.run`; whoever leaves earlier is noticed then.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog
import trio

from host.api import ClientDisconnected
from plugins.gateway.core.errors import ApiError
from plugins.gateway.exchange import Exchange, break_off, is_leaving

WATCH_AFTER_S: Final = 0.01
FAREWELL_S: Final = 0.5
"""How long a stream that is cut by the stop of the gateway may take to say so."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("plugin.gateway")


class Presence:
    """Watches the clients of one run of the plugin; `run` must run. `draining` is set when the gateway stops."""

    def __init__(self, draining: trio.Event) -> None:
        self._draining = draining
        self._new: list[_Stay] = []
        self._has_new = trio.Event()

    async def run(self) -> None:
        """Watch whoever stays for long, until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                await self._has_new.wait()
                while self._new:
                    stays, self._new = self._new, []
                    await trio.sleep(WATCH_AFTER_S)
                    for stay in stays:
                        if not stay.is_over:
                            nursery.start_soon(stay.watch)
                self._has_new = trio.Event()

    async def during(self, exchange: Exchange, run: Callable[[], Awaitable[None]]) -> None:
        """Run until it ends or the client leaves, whichever is first. Raises what `run` raises.

        Cancelled because the gateway stops, a stream that has begun still gets its error event.

        Raises:
            ClientDisconnected: the client left.
        """
        stay = _Stay(exchange)
        self._new.append(stay)
        self._has_new.set()
        try:
            with stay.scope:
                await run()
        except BaseException as error:
            if is_leaving(error) and self._draining.is_set() and exchange.has_begun and not stay.is_left:
                farewell = ApiError(503, "shutting_down", "the gateway is stopping", retry_after_s=1.0)
                with trio.move_on_after(FAREWELL_S, shield=True):
                    await break_off(exchange, farewell)
            raise
        finally:
            stay.end()
        if stay.is_left and not exchange.status:
            raise ClientDisconnected("the client left before its answer was complete")


class _Stay:
    """One client while it waits for its answer."""

    __slots__ = ("_exchange", "_watch", "is_left", "is_over", "scope")

    def __init__(self, exchange: Exchange) -> None:
        self.scope = trio.CancelScope()
        self.is_left = self.is_over = False
        self._exchange = exchange
        self._watch: trio.CancelScope | None = None

    async def watch(self) -> None:
        """Wait for its leaving, and cancel what runs for it."""
        with trio.CancelScope() as self._watch:
            if self.is_over:
                return
            try:
                while (await self._exchange.receive())["type"] != "http.disconnect":
                    pass
            except Exception:
                # One request's fault: it must end no other's watch.
                log.exception("a client can no longer be heard", request_id=self._exchange.request_id)
            if not self.is_over:
                self.is_left = True
                self.scope.cancel("the client has left")

    def end(self) -> None:
        """It has its answer, or will never get one."""
        self.is_over = True
        if self._watch is not None:
            self._watch.cancel("answered")
