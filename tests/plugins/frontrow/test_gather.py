"""Requests that arrive together share a statement; each gets its own answer, or the error of its statement."""

import pytest
import trio
import trio.testing

from host.api import ServiceUnavailable
from plugins.frontrow.gather import Gatherer


class Desk:
    """Carries out batches once it is let, and keeps what they were. A request answers with itself, doubled."""

    def __init__(self):
        self.batches, self.go = [], trio.Event()

    async def carry_out(self, requests):
        self.batches.append(list(requests))
        await self.go.wait()
        if 13 in requests:
            raise LookupError("thirteen")
        return [request * 2 for request in requests]


@pytest.fixture
async def desk():
    return Desk()


@pytest.fixture
async def gatherer(desk):
    async with trio.open_nursery() as nursery:
        opened = Gatherer(
            desk.carry_out, lambda request: [request % 100], statements_max=1, waiting_max=4, alone_after=(LookupError,)
        )
        await nursery.start(opened.run)
        yield opened
        nursery.cancel_scope.cancel("the test is over")


async def under_way(desk, count):
    with trio.fail_after(30):
        while len(desk.batches) < count:
            await trio.lowlevel.checkpoint()


async def test_what_arrives_while_a_statement_is_under_way_shares_the_next(desk, gatherer):
    answers = {}

    async def ask(request):
        answers[request] = await gatherer.ask(request)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, 1)
        await under_way(desk, 1)
        for request in (2, 3, 4):
            nursery.start_soon(ask, request)
        await trio.testing.wait_all_tasks_blocked()
        desk.go.set()
    assert answers == {1: 2, 2: 4, 3: 6, 4: 8}
    assert sorted(map(len, desk.batches)) == [1, 3]


async def test_those_that_want_the_same_never_share_a_statement_also_of_one_caller(desk, gatherer):
    desk.go.set()
    assert await gatherer.ask_all([1, 101, 2]) == [2, 202, 4]
    assert desk.batches == [[1, 2], [101]]


async def test_error_is_the_culprits_alone(desk, gatherer):
    desk.go.set()
    first, culprit, last = await gatherer.ask_all([1, 13, 2])
    assert (first, last) == (2, 4)
    assert isinstance(culprit, LookupError)
    with pytest.raises(LookupError):
        await gatherer.ask(13)


async def test_caller_that_is_cancelled_in_line_takes_its_requests_along(desk, gatherer):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gatherer.ask, 1)
        await under_way(desk, 1)
        with trio.CancelScope() as scope:
            scope.cancel("left")
            await gatherer.ask_all([2, 3])
        assert scope.cancelled_caught
        desk.go.set()
        assert await gatherer.ask(4) == 8
    assert desk.batches == [[1], [4]]


async def test_caller_that_is_cancelled_under_way_leaves_the_others_their_answers(desk, gatherer):
    answers = []

    async def ask(request):
        answers.append(await gatherer.ask(request))

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            nursery.start_soon(ask, 2)
            nursery.start_soon(leave_once_under_way, desk, scope)
            await gatherer.ask(1)
        desk.go.set()
    assert scope.cancelled_caught
    assert answers == [4]


async def leave_once_under_way(desk, scope):
    await under_way(desk, 1)
    scope.cancel("left")


async def test_full_line_is_refused(desk, gatherer):
    with pytest.raises(ServiceUnavailable):
        await gatherer.ask_all([1, 2, 3, 4, 5])
