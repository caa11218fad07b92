"""Whoever leaves is noticed, also when it is before anybody watched; whoever is answered costs no task."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from host.api import ClientDisconnected
from plugins.gateway.core.errors import ApiError
from plugins.gateway.exchange import Exchange
from plugins.gateway.presence import Presence

PATIENCE_S = 30.0


class Client:
    """The other side of an exchange, that leaves when told to."""

    def __init__(self, *, fails: bool = False) -> None:
        self.leaves = trio.Event()
        self.watched = trio.Event()
        self.watch_ended = trio.Event()
        self.sent: list[Any] = []
        self._fails = fails
        self.exchange = Exchange({"headers": []}, self.receive, self.send, "chat", "r1")

    async def receive(self) -> dict[str, Any]:
        self.watched.set()
        try:
            await self.leaves.wait()
        finally:
            self.watch_ended.set()
        if self._fails:
            raise RuntimeError("the server's own fault")
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)


@asynccontextmanager
async def watching(draining: trio.Event | None = None) -> AsyncIterator[Presence]:
    presence = Presence(trio.Event() if draining is None else draining)
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(presence.run)
            yield presence
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("fails", [False, True], ids=["leaves", "cannot be heard"])
@pytest.mark.parametrize("is_watched", [True, False], ids=["while watched", "before that"])
async def test_what_runs_for_a_client_who_left_is_cancelled(is_watched: bool, fails: bool) -> None:
    client, other = Client(fails=fails), Client()

    async def run() -> None:
        if is_watched:
            await client.watched.wait()
        client.leaves.set()
        await trio.sleep_forever()

    async with watching() as presence:
        with pytest.raises(ClientDisconnected):
            await presence.during(client.exchange, run)
        # Others are watched as before.
        await presence.during(other.exchange, other.watched.wait)


async def test_a_client_who_is_answered_at_once_is_not_watched() -> None:
    quick, slow = Client(), Client()
    async with watching() as presence:
        await presence.during(quick.exchange, trio.lowlevel.checkpoint)
        # By the time that one who came later is watched, the first would be.
        await presence.during(slow.exchange, slow.watched.wait)
        assert not quick.watched.is_set()
        await slow.watch_ended.wait()


async def test_what_runs_may_fail_by_itself() -> None:
    async def run() -> None:
        raise ApiError(404, "model_not_found", "no")

    async with watching() as presence:
        with pytest.raises(ApiError):
            await presence.during(Client().exchange, run)


async def test_a_stream_that_the_gateway_s_stop_cuts_says_so() -> None:
    client, draining = Client(), trio.Event()
    client.exchange.has_begun = True
    async with watching(draining) as presence:
        with trio.CancelScope() as scope:

            async def stream() -> None:
                draining.set()
                scope.cancel()
                await trio.sleep_forever()

            await presence.during(client.exchange, stream)
    assert b"shutting_down" in client.sent[0]["body"]


async def test_a_client_who_has_left_is_told_nothing_more() -> None:
    client, draining = Client(), trio.Event()
    client.exchange.has_begun = True
    client.leaves.set()
    draining.set()
    async with watching(draining) as presence:
        with pytest.raises(ClientDisconnected):
            await presence.during(client.exchange, trio.sleep_forever)
    assert not client.sent
