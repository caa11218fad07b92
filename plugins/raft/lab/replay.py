"""The same again: feed a recording's steps to the nodes at its beginning, and come to the same hash."""

import struct
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from plugins.raft.core.base import Durable
from plugins.raft.core.codec import Malformed, decode
from plugins.raft.core.effects import Effects
from plugins.raft.core.inputs import Input
from plugins.raft.core.kv import KeyValue
from plugins.raft.core.node import Node
from plugins.raft.core.prng import Prng
from plugins.raft.core.sessions import Sessions
from plugins.raft.core.settings import Settings
from plugins.raft.lab import frozen
from plugins.raft.lab.frozen import NotFrozen
from plugins.raft.lab.recording import BOOT, INPUT, MARK, STOP, Recording, Step, chained

NONSENSE: Final = (
    ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError, struct.error
)  # fmt: skip
"""What nodes and pages raise when a file, which may say anything, makes them do what no shell does."""


class Played(NamedTuple):
    """A step, and what came of it. `event` and `effects` are None for all but inputs."""

    number: int
    step: Step
    event: Input | None
    effects: Effects | None


class Replay:
    """Nodes that go through a recording again. Not for concurrent use; knows no clock and no loop."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        segment = recording.segment
        self.hash = segment.hash
        self.at_us = segment.start_us
        self.done = 0
        """Steps played so far."""
        self.results: list[bytes] = []
        """What the machine answered to the entries of the last step."""
        self.cores: dict[int, Node | None] = {}
        self.machines: dict[int, Sessions] = {}
        self.is_up: dict[int, bool] = {}
        for number, seat in segment.seats.items():
            self.cores[number] = frozen.copy(seat.core)
            self.machines[number] = frozen.copy(seat.machine) if seat.machine is not None else Sessions(KeyValue())
            self.is_up[number] = seat.is_up

    @property
    def is_same(self) -> bool:
        """Whether all was played, and came to the same."""
        return self.done == len(self.recording.steps) and self.hash == self.recording.hash

    def play(self, steps: int | None = None) -> Iterator[Played]:
        """Play on, to the end or for so many steps.

        Raises:
            NotFrozen: a step makes no sense: the file was not made by the lab, or not left as it was.
        """
        end = len(self.recording.steps) if steps is None else min(len(self.recording.steps), self.done + steps)
        while self.done < end:
            step = self.recording.steps[self.done]
            try:
                played = self._play(step)
            except NONSENSE as error:
                raise NotFrozen(f"step {self.done:,} cannot be played: {type(error).__name__} {error}") from None
            self.done += 1
            yield played

    def run(self) -> bool:
        """Play to the end; says whether it came to the same."""
        for _ in self.play():
            pass
        return self.is_same

    def _play(self, step: Step) -> Played:
        event: Input | None = None
        effects: Effects | None = None
        self.at_us = step.at_us
        if step.kind == INPUT:
            core = self.cores[step.node]
            if core is None or not self.is_up[step.node]:
                raise ValueError(f"node {step.node} is not up")
            event = decode(step.data)
            effects = core.handle(step.clock_us, event)
            self.results = carry_out(self.machines[step.node], effects)
        elif step.kind == BOOT:
            self._boot(step)
        elif step.kind == STOP:
            self.is_up[step.node] = False
        elif step.kind != MARK:
            raise Malformed(f"there is no step of kind {step.kind}")
        if step.kind != MARK:
            self.hash = chained(self.hash, step, effects)
        return Played(self.done, step, event, effects)

    def _boot(self, step: Step) -> None:
        durable, seed, settings = frozen.decode(step.data)
        if type(durable) is not Durable or type(settings) is not Settings:
            raise Malformed("a node starts from its disk and its settings")
        self.cores[step.node] = Node(step.node, settings, durable, Prng(seed), step.clock_us)
        machine: Any = Sessions(KeyValue())
        self.machines[step.node] = machine
        self.is_up[step.node] = True


def carry_out(machine: Sessions, effects: Effects) -> list[bytes]:
    """Let a state machine follow the effects, as a shell does. Returns the results."""
    if effects.restore is not None:
        machine.restore(effects.restore.data)
        if not effects.restore.data:
            machine.applied_index = effects.restore.index
    return [machine.apply(entry) for entry in effects.apply]
