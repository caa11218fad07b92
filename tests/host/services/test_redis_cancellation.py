"""Replies never shift: thousands of calls, cancelled at random, and every reply checked to be the caller's own."""

import random

import pytest
import trio
from redis.exceptions import ResponseError
from trio.lowlevel import Abort

from host.services.redis import Redis
from host.services.redis_calls import Call

from .redis_kit import own_redis, running

TASKS = 60
CALLS = 100


@pytest.fixture(scope="module")
def server():
    with own_redis() as server:
        yield server


class Shifted(Exception):
    """A caller was given a reply that was not its own."""


class Storm:
    """Tasks that call, each under a scope that another task cancels at a random moment."""

    def __init__(self, redis: Redis, seed: int) -> None:
        self._redis = redis
        self._random = random.Random(seed)
        self._scopes: set[trio.CancelScope] = set()
        self._script = redis.register_script("return ARGV[1]")
        self.answered = self.cancelled = 0

    async def run(self) -> None:
        async with trio.open_nursery() as canceller:
            canceller.start_soon(self._cancel_at_random)
            async with trio.open_nursery() as callers:
                for task in range(TASKS):
                    callers.start_soon(self._call_and_check, task)
            canceller.cancel_scope.cancel()

    async def _cancel_at_random(self) -> None:
        while True:
            # Now and then between two scheduler passes, now and then a whole round trip later.
            if self._random.random() < 0.5:
                await trio.sleep(0.0005)
            else:
                await trio.lowlevel.checkpoint()
            for scope in self._random.sample(sorted(self._scopes, key=id), len(self._scopes) // 4):
                scope.cancel()

    async def _call_and_check(self, task: int) -> None:
        for call in range(CALLS):
            token = f"{task}.{call}".encode()
            with trio.CancelScope() as scope:
                self._scopes.add(scope)
                if self._random.random() < 0.1:
                    scope.cancel()
                await self._check(token)
                self.answered += 1
            self._scopes.discard(scope)
            self.cancelled += scope.cancelled_caught

    async def _check(self, token: bytes) -> None:
        match self._random.randrange(5):
            case 0:
                pipe = self._redis.pipeline(transaction=self._random.random() < 0.5)
                same(await pipe.echo(token).echo(token + b"!").execute(), [token, token + b"!"])
            case 1:
                same(await self._script(args=[token]), token)
            case 2:
                try:
                    await self._redis.execute_command("NOSUCH", token)
                except ResponseError as error:
                    same(token.decode() in str(error), True)
                else:
                    raise Shifted(token)
            case 3:
                padding = self._random.randbytes(self._random.choice([1, 100, 40_000]))
                same(await self._redis.echo(token + padding), token + padding)
            case _:
                same(await self._redis.echo(token), token)


def same(reply: object, expected: object) -> None:
    if reply != expected:
        raise Shifted(f"{reply!r:.200} is not {expected!r:.200}")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("in_flight_max", [7, 10_000])
async def test_cancelled_callers_shift_no_reply(server, seed, in_flight_max):
    async with running(server.url, in_flight_max=in_flight_max) as redis:
        storm = Storm(redis, seed)
        await storm.run()

        now = redis.statistics()
        assert storm.answered > 500
        assert storm.cancelled > 500
        assert now.replies_discarded_total > 50, "hardly any call was cancelled between its writing and its reply"
        assert now.in_flight_peak <= in_flight_max
        assert now.connections_lost_total == now.calls_unknown_total == 0
        # A place left behind would hold the next call back, or give it somebody else's reply.
        same(await redis.echo("last"), b"last")
        assert redis.statistics().in_flight == redis.statistics().queued == 0


async def test_storm_finds_the_bug_it_looks_for(server, monkeypatch):
    """The negative control: cancelled callers that take the places of their replies along."""

    async with running(server.url) as redis:

        def abort(call, _):
            awaiting = redis._lane.calls.awaiting
            if call in awaiting:
                awaiting.remove(call)
            call.task = None
            return Abort.SUCCEEDED

        monkeypatch.setattr(Call, "abort", abort)
        with pytest.raises(ExceptionGroup) as caught:
            await Storm(redis, 0).run()
        assert caught.value.subgroup(Shifted)


async def test_caller_cancelled_before_it_calls_sends_nothing(server):
    async with running(server.url) as redis:
        before = redis.statistics().calls_sent_total
        with trio.CancelScope() as scope:
            scope.cancel()
            await redis.set("never", 1)
        assert scope.cancelled_caught
        assert redis.statistics().calls_sent_total == before

        async with trio.open_nursery() as nursery:
            nursery.start_soon(redis.ping)
            await trio.lowlevel.checkpoint()
            nursery.start_soon(redis.ping)
            with trio.CancelScope() as scope:
                scope.cancel()
                await redis.set("never", 1)
        assert await redis.exists("never") == 0


async def test_cancelled_caller_leaves_at_once(server):
    async with running(server.url) as redis:
        await redis.execute_command("CLIENT PAUSE", 300)
        with trio.fail_after(0.2), trio.move_on_after(0.02) as scope:
            await redis.get("k")
        assert scope.cancelled_caught
        assert await redis.echo("mine") == b"mine"
        assert redis.statistics().replies_discarded_total == 1
