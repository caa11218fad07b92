"""Many small requests to the database as few statements: what arrives while one is under way leaves with the next.

One request alone is sent at once, so nobody waits for company. Requests that share a key (the same seat, the same
order) never share a statement: the second sees what became of the first.
"""

from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast

import trio
from pydantic_core import to_json
from trio.lowlevel import Abort, RaiseCancelT, Task, current_task, reschedule, wait_task_rescheduled

from host.api import OutcomeUnknown, ServiceUnavailable

RIVALS_MIN: Final = 2
"""One alone finds out as fast by being carried out."""

Ask = TypeVar("Ask")
Answer = TypeVar("Answer")


@dataclass(slots=True, eq=False)
class _Caller:
    """The task that waits for `undecided` requests; None once it is woken or gone."""

    task: Task | None
    undecided: int


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Ask, Answer]):
    ask: Ask
    caller: _Caller
    answer: Answer | None = None
    error: Exception | None = None
    is_decided: bool = False
    is_rival: bool = False
    """A batch has left without it, because somebody before it wanted the same."""

    def decide(self, answer: Answer | None, error: Exception | None = None) -> None:
        """Keep what became of it; its caller is woken with the last of its requests."""
        caller = self.caller
        self.answer, self.error, self.is_decided = answer, error, True
        caller.undecided -= 1
        if not caller.undecided and caller.task is not None:
            task, caller.task = caller.task, None
            reschedule(task)


class Gatherer(Generic[Ask, Answer]):
    """Gathers requests; `run` must be running. Any number of tasks may ask at once.

    `look` answers those that came too late without carrying them out, or None: a thousand rivals for one seat cost two
    statements, not a thousand. It is asked about requests that had to wait for a rival.

    `carry_out` answers a batch, an answer for each request in order, or raises: then all of the batch get the error,
    unless it is one of `alone_after`, after which each is carried out alone to find the culprit.
    A full line (`waiting_max`) raises `ServiceUnavailable`. A request that is cancelled before its statement was sent
    is left out of it; later, it is carried out all the same.
    """

    def __init__(
        self,
        carry_out: Callable[[Sequence[Ask]], Awaitable[Sequence[Answer]]],
        keys: Callable[[Ask], Iterable[Hashable]],
        *,
        look: Callable[[Sequence[Ask]], Awaitable[Sequence[Answer | None]]] | None = None,
        alone_after: tuple[type[Exception], ...] = (),
        batch_max: int = 250,
        statements_max: int = 2,
        waiting_max: int = 100_000,
    ) -> None:
        self._carry_out = carry_out
        self._keys = keys
        self._look = look
        self._alone_after = alone_after
        self._batch_max = batch_max
        self._statements_max = statements_max
        self._waiting_max = waiting_max
        self._waiting: list[_Waiting[Ask, Answer]] = []
        self._arrived = trio.Event()
        self.statements = 0
        """Statements sent; requests over statements is how well they gather."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry out requests until cancelled."""
        free = trio.Semaphore(self._statements_max)
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                await free.acquire()
                while not self._waiting:
                    self._arrived = trio.Event()
                    await self._arrived.wait()
                if self._look is not None:
                    await self._turn_away(self._look)
                if batch := self._next_batch():
                    nursery.start_soon(self._send, batch, free)
                else:
                    free.release()

    async def ask(self, request: Ask) -> Answer:
        """The answer to one request, or the error of its statement."""
        answer = (await self.ask_all([request]))[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def ask_all(self, requests: Sequence[Ask]) -> list[Answer | Exception]:
        """For each request its answer, or the error of its statement. There must be some."""
        assert requests
        if len(self._waiting) + len(requests) > self._waiting_max:
            raise ServiceUnavailable("too many requests wait in line; try again later")
        # No `trio.Event` for each: a purchase asks nine times, and an event costs as much as the rest of an ask.
        caller = _Caller(current_task(), len(requests))
        asked: list[_Waiting[Ask, Answer]] = [_Waiting(request, caller) for request in requests]
        self._waiting += asked

        def leave(_: RaiseCancelT) -> Abort:
            caller.task = None
            self._waiting = [waiting for waiting in self._waiting if waiting.caller is not caller]
            return Abort.SUCCEEDED

        if not self._arrived.is_set():
            self._arrived.set()
        await wait_task_rescheduled(leave)
        return [waiting.error or cast("Answer", waiting.answer) for waiting in asked]

    async def _turn_away(self, look: Callable[[Sequence[Ask]], Awaitable[Sequence[Answer | None]]]) -> None:
        rivals = [waiting for waiting in self._waiting if waiting.is_rival]
        if len(rivals) < RIVALS_MIN:
            return
        self.statements += 1
        try:
            answers = await look([waiting.ask for waiting in rivals])
        except (ServiceUnavailable, OutcomeUnknown):
            # They find out when it is their turn.
            return
        for waiting, answer in zip(rivals, answers, strict=True):
            waiting.is_rival = False
            if answer is not None:
                waiting.decide(answer)
        self._waiting = [waiting for waiting in self._waiting if not waiting.is_decided]

    def _next_batch(self) -> list[_Waiting[Ask, Answer]]:
        """The first of those that wait of whose keys nobody before them in the batch has one."""
        batch: list[_Waiting[Ask, Answer]] = []
        later: list[_Waiting[Ask, Answer]] = []
        taken: set[Hashable] = set()
        for at, waiting in enumerate(self._waiting):
            if len(batch) >= self._batch_max:
                later += self._waiting[at:]
                break
            keys = set(self._keys(waiting.ask))
            if taken.isdisjoint(keys):
                taken |= keys
                batch.append(waiting)
            else:
                # Whoever comes after it and wants the same waits behind it.
                taken |= keys
                waiting.is_rival = True
                later.append(waiting)
        self._waiting = later
        return batch

    async def _send(self, batch: list[_Waiting[Ask, Answer]], free: trio.Semaphore) -> None:
        try:
            await self._decide(batch)
        except trio.Cancelled:
            _fail(batch, OutcomeUnknown("the plugin stopped while the statement was under way"))
            raise
        finally:
            free.release()

    async def _decide(self, batch: list[_Waiting[Ask, Answer]]) -> None:
        self.statements += 1
        try:
            answers = await self._carry_out([waiting.ask for waiting in batch])
        except self._alone_after as error:
            if len(batch) > 1:
                for waiting in batch:
                    await self._decide([waiting])
                return
            _fail(batch, error)
        except Exception as error:
            _fail(batch, error)
        else:
            for waiting, answer in zip(batch, answers, strict=True):
                waiting.decide(answer)


def records(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows for `json_to_recordset`: one parameter, however many columns they have.

    An array for each column would cost the driver more than all the rest of a statement.
    """
    return to_json(list(rows)).decode()


def _fail(batch: "list[_Waiting[Ask, Answer]]", error: Exception) -> None:
    for waiting in batch:
        if not waiting.is_decided:
            waiting.decide(None, error)
