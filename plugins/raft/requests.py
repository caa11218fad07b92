"""What a client waits for: a command to be applied, a read to be served, a change to be made.

The shell tells a sink, once, what became of a request. `Call` is the sink for a task that waits; the lane of pipelined
commands has its own, because an object and a wake-up for each of 20,000 commands a second would be most of the cost.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

import trio

from host.api import HostError, OutcomeUnknown
from plugins.raft.core.effects import Reason


class Fate(IntEnum):
    """What became of a request. UNKNOWN: it may happen yet, or have happened."""

    APPLIED = 0
    READY = 1
    CHANGED = 2
    REFUSED = 3
    UNKNOWN = 4


class NotTaken(HostError):
    """The node refused; nothing was done. `leader` is a hint where to go, 0 when nobody is known."""

    def __init__(self, reason: Reason, leader: int) -> None:
        super().__init__(_WORDS[reason] + (f"; node {leader} leads" if leader else ""))
        self.reason = reason
        self.leader = leader


_WORDS: dict[Reason, str] = {
    "not-leader": "this node does not lead",
    "no-leader": "no leader is known: a majority may be gone, or an election is under way",
    "overloaded": "too much waits for a majority already",
    "too-large": "the command is too large",
    "transferring": "the leader is handing over",
    "change-pending": "another change of members is under way",
    "no-commit-in-term": "the leader is new and has not committed anything in its term yet",
    "invalid-change": "that change of members leads nowhere",
    "invalid-target": "that node cannot become leader",
    "stepped-down": "the leader stepped down",
}


class Applied(NamedTuple):
    """A command is committed and applied. `result` is the machine's."""

    index: int  # type: ignore[assignment]
    result: bytes


Sink = Callable[[int, Fate, int, bytes | Reason, int], None]
"""Called as sink(tag, fate, index, result or reason, leader hint). Must not raise or await."""


class Call:
    """One request of a task: hand `finish` to the shell, then `wait`."""

    __slots__ = ("_done", "_read", "fate", "index", "leader", "value")

    def __init__(self, read: Callable[[], bytes] | None = None) -> None:
        """`read` is called at the very moment when a read may be served, and gives its result."""
        self._done = trio.Event()
        self._read = read
        self.fate = Fate.UNKNOWN
        self.index = 0
        self.value: bytes | Reason = b""
        self.leader = 0

    def finish(self, tag: int, fate: Fate, index: int, value: bytes | Reason, leader: int) -> None:
        """Take the answer."""
        self.fate, self.index, self.value, self.leader = fate, index, value, leader
        if fate is Fate.READY and self._read is not None:
            self.value = self._read()
        self._done.set()

    async def wait(self, timeout_s: float) -> Applied:
        """Wait for the answer.

        Raises:
            NotTaken: it was refused; nothing happened.
            OutcomeUnknown: it may have happened, or may yet: also when the time is over, or the wait is cancelled.
        """
        with trio.move_on_after(timeout_s):
            await self._done.wait()
        if self.fate is Fate.REFUSED:
            raise NotTaken(self.value, self.leader)  # type: ignore[arg-type]
        if self.fate is Fate.UNKNOWN:
            raise OutcomeUnknown("no majority answered in time: the command may have been carried out, or may yet be")
        assert isinstance(self.value, bytes)
        return Applied(self.index, self.value)
