"""The queue of calls against an obvious oracle: a server that answers each ECHO with what it was sent."""

from dataclasses import dataclass, field
from typing import Any

import hiredis
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from outcome import Error, Value
from trio.lowlevel import Abort

from host.errors import OutcomeUnknown, ServiceUnavailable
from host.services.redis_calls import Call, CallQueue, ConnectionLost, pack_words

WINDOW = 3


@dataclass
class EchoServer:
    """Parses what was written and answers it: bulk strings, and errors for tokens that ask for one."""

    reader: Any = field(default_factory=hiredis.Reader)
    received: list[bytes] = field(default_factory=list)
    answers: bytes = b""

    def take(self, data: bytes) -> None:
        self.reader.feed(bytes(data))
        while command := self.reader.gets():
            token = command[1]
            self.received.append(token)
            self.answers += b"-ERR %s\r\n" % token if token.startswith(b"e") else b"$%d\r\n%s\r\n" % (len(token), token)


class CallQueueMachine(RuleBasedStateMachine):
    """Adds, cancels, writes in pieces, answers in pieces; each caller must get its own reply, exactly once."""

    def __init__(self):
        super().__init__()
        self.woken = {}
        self.queue = CallQueue(self.wake, WINDOW)
        self.server = EchoServer()
        self.calls = {}
        self.gone = set()
        self.withdrawn = set()
        self.count = 0

    def wake(self, task, outcome):
        assert task not in self.woken, "woken twice"
        assert task not in self.gone, "woken after it had gone"
        self.woken[task] = outcome

    def tokens(self, task):
        kind, number, due = task
        return [b"%s%d.%d" % (kind.encode(), number, place) for place in range(due)]

    @rule(
        kinds=st.lists(st.sampled_from("oe"), min_size=1, max_size=5),
        due=st.sampled_from([1, 1, 1, 2, 4]),
        size=st.sampled_from([0, 0, 300_000]),
    )
    def add(self, kinds, due, size):
        for kind in kinds:
            task = (kind, self.count, due)
            data = b"".join(pack_words(("ECHO", token, b"x" * size)) for token in self.tokens(task))
            self.calls[task] = Call(task, data, float(self.count), due, None if due == 1 else [])
            self.queue.add(self.calls[task])
            self.count += 1

    @precondition(lambda self: set(self.calls) - set(self.woken) - self.gone)
    @rule(data=st.data())
    def cancel(self, data):
        task = data.draw(st.sampled_from(sorted(set(self.calls) - set(self.woken) - self.gone)))
        if self.calls[task] in self.queue.queued:
            self.withdrawn.add(task)
        assert self.calls[task].abort(lambda: None) is Abort.SUCCEEDED
        self.gone.add(task)

    @rule(takes=st.lists(st.integers(0, 60), max_size=4))
    def write(self, takes):
        takes = iter(takes)

        def send(data):
            taken = min(len(data), next(takes, 10**9))
            self.server.take(data[:taken])
            return taken

        self.queue.write(send)

    @precondition(lambda self: self.server.answers)
    @rule(data=st.data())
    def answer(self, data):
        size = data.draw(st.integers(1, len(self.server.answers)))
        chunk, self.server.answers = self.server.answers[:size], self.server.answers[size:]
        self.queue.feed(chunk)

    @rule(behind=st.integers(0, 10))
    def expire(self, behind):
        now_s = float(self.count - behind)
        waiting = {task for task in self.calls if task not in self.woken and task not in self.gone}
        due = {task for task in waiting if self.calls[task].expires_at_s <= now_s}
        counts = self.queue.expire(now_s, OutcomeUnknown, ServiceUnavailable)
        assert due == waiting & set(self.woken)
        assert sum(counts) == len(due)
        for task in due:
            if is_error(self.woken[task], ServiceUnavailable):
                self.withdrawn.add(task)
        rest = [self.calls[task].expires_at_s for task in waiting - due]
        assert self.queue.next_expiry_s() == min(rest, default=float("inf"))

    @rule()
    def lose(self):
        awaiting = {call.task for call in self.queue.awaiting} - {None}
        queued = {call.task for call in self.queue.queued} - {None}
        self.queue.lose(OutcomeUnknown, ServiceUnavailable)
        assert all(is_error(self.woken[task], OutcomeUnknown) for task in awaiting)
        assert all(is_error(self.woken[task], ServiceUnavailable) for task in queued)
        for task in queued:
            assert self.tokens(task)[0] not in self.server.received, "reported unsent, but the server has it"
        assert set(self.woken) | self.gone == set(self.calls), "somebody is left waiting"
        self.queue = CallQueue(self.wake, WINDOW)
        self.server = EchoServer(received=self.server.received)

    @invariant()
    def every_reply_is_the_callers_own(self):
        for task, out in self.woken.items():
            if isinstance(out, Value):
                replies = out.value if task[2] > 1 else [out.value]
                assert [str(reply).removeprefix("b'").rstrip("'") for reply in replies] == [
                    token.decode() for token in self.tokens(task)
                ]

    @invariant()
    def what_was_withdrawn_before_it_was_written_never_arrives(self):
        assert not {self.tokens(task)[0] for task in self.withdrawn} & set(self.server.received)

    @invariant()
    def window_is_kept(self):
        assert len(self.queue.awaiting) <= WINDOW
        assert self.queue.queued_bytes == sum(len(call.packed) for call in self.queue.queued)

    def teardown(self):
        while self.queue.has_output or self.queue.awaiting:
            self.write([])
            answers, self.server.answers = self.server.answers, b""
            self.queue.feed(answers)
        self.every_reply_is_the_callers_own()
        assert set(self.woken) | self.gone == set(self.calls), "somebody is left waiting"


def is_error(outcome, kind):
    return isinstance(outcome, Error) and isinstance(outcome.error, kind)


CallQueueMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestCallQueue = CallQueueMachine.TestCase


def test_machine_finds_a_place_that_is_given_up(monkeypatch):
    """The negative control: a cancelled caller that takes the place of its reply along is found out."""
    machine = CallQueueMachine()
    for kind in "ooo":
        machine.add([kind], 1, 0)
    machine.write([])
    first = machine.queue.awaiting.popleft()
    machine.gone.add(first.task)

    machine.queue.feed(machine.server.answers[:10])
    with pytest.raises(AssertionError):
        machine.every_reply_is_the_callers_own()


def test_reply_that_nobody_asked_for_is_a_lost_connection():
    queue = CallQueue(lambda task, outcome: None, 1)
    with pytest.raises(ConnectionLost, match="nobody asked"):
        queue.feed(b"+OK\r\n")


def test_bytes_that_are_not_resp_are_a_lost_connection():
    queue = CallQueue(lambda task, outcome: None, 1)
    with pytest.raises(ConnectionLost, match="not RESP"):
        queue.feed(b"HTTP/1.1 400 Bad Request\r\n")


def test_send_that_fails_leaves_the_calls_queued():
    queue = CallQueue(lambda task, outcome: None, 9)
    for number in range(3):
        queue.add(Call(None if number == 1 else number, b"x", 0.0))

    def send(data):
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        queue.write(send)
    assert [call.task for call in queue.queued] == [0, 2]
    assert not queue.awaiting
