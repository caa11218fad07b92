"""Every input of the live cluster, in a ring of some 30 seconds, and as a file.

A step is what one node was fed, at which reading of its own clock, or that a node started from its disk, or stopped. A
chain of SHA-256 runs over all steps and what they brought about:

    hash(n) = SHA-256(hash(n - 1), step n, effects of step n)

The ring is a row of segments; each begins with a copy of all nodes and of the hash. A recording is the last few of
them: whoever feeds their steps to the nodes at their beginning must come to the hash at their end (`replay`).
"""

import hashlib
import struct
import zlib
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from plugins.raft.core.base import Durable
from plugins.raft.core.codec import encode, encode_entries, encode_persist
from plugins.raft.core.effects import Accepted, Changed, Effects, ReadReady, Refused
from plugins.raft.core.inputs import Input
from plugins.raft.core.node import Node
from plugins.raft.core.sessions import Sessions
from plugins.raft.lab import frozen
from plugins.raft.lab.frozen import FORMAT, NotFrozen

MAGIC: Final = b"QRAFTREC1\n"
SEGMENT_US: Final = 5_000_000
SEGMENT_STEPS: Final = 5000
STEPS_MAX: Final = 60_000
"""Steps in the ring: under a flood it covers less time, never more memory."""
BYTES_MAX: Final = 64 * 1024 * 1024
"""What a file may unpack to."""

INPUT, BOOT, STOP, MARK = range(4)
"""Kinds of steps. A mark changes no node: it tells a page of faults, and is not in the chain."""

_STEP: Final = struct.Struct("<BqBq")
_STATUS: Final = struct.Struct("<qBqq")
_ANSWER: Final = struct.Struct("<Bqq")


class Step(NamedTuple):
    """`at_us` is the lab's time, `clock_us` the node's. `takes_us`: how long each message sent will be under way."""

    kind: int
    at_us: int
    node: int
    clock_us: int
    data: bytes
    takes_us: tuple[int, ...] = ()


class Seat(NamedTuple):
    """A node at the beginning of a segment; `core` is None when it never ran. `is_up`: it is fed."""

    core: Node | None
    machine: Sessions | None
    is_up: bool


@dataclass(slots=True)
class Segment:
    """Steps, and where they begin. `scene` is what a page needs to know beyond the nodes."""

    start_us: int
    hash: bytes
    seats: dict[int, Seat]
    scene: dict[str, Any]
    steps: list[Step] = field(default_factory=list)


@dataclass(slots=True)
class Recording:
    """A stretch of the cluster's life. `hash` is that after the last step."""

    segment: Segment
    hash: bytes
    end_us: int

    @property
    def steps(self) -> list[Step]:
        """All steps."""
        return self.segment.steps


def chained(before: bytes, step: Step, effects: Effects | None) -> bytes:
    """The hash after a step."""
    head = _STEP.pack(step.kind, 0, step.node, step.clock_us)
    return hashlib.sha256(before + head + step.data + (b"" if effects is None else effects_bytes(effects))).digest()


def effects_bytes(effects: Effects) -> bytes:
    """All that effects say, as bytes."""
    persist, send, restore, apply, answers, status = effects
    parts = [encode(message) for message in send]
    if persist is not None:
        parts.append(b"P" + encode_persist(persist))
    if restore is not None:
        parts.append(b"R" + struct.pack("<qq", restore.index, restore.term) + restore.data)
    if apply:
        parts.append(b"A" + encode_entries(apply))
    for answer in answers:
        if type(answer) is Changed:
            parts.append(_ANSWER.pack(4, answer.request_id, 0))
            continue
        if type(answer) is Accepted:
            parts.append(_ANSWER.pack(1, answer.index, answer.term))
        elif type(answer) is Refused:
            parts.append(_ANSWER.pack(2, answer.leader, 0) + answer.reason.encode())
        else:
            assert type(answer) is ReadReady
            parts.append(_ANSWER.pack(3, answer.index, 0))
        parts.append(struct.pack(f"<{len(answer.request_ids)}q", *answer.request_ids))
    if status is not None:
        parts.append(b"S" + _STATUS.pack(*status))
    return b"".join(parts)


def encode_boot(durable: Durable, seed: int, settings: tuple[Any, ...]) -> bytes:
    """The content of a BOOT step."""
    return frozen.encode((durable, seed, settings))


class Recorder:
    """The ring. All methods are for the lab's loop."""

    def __init__(self, seconds: float) -> None:
        self.hash = bytes(32)
        self.steps = 0
        self._keep_us = int(seconds * 1_000_000)
        self._segments: deque[Segment] = deque()

    def begin(self, at_us: int, seats: dict[int, Seat], scene: dict[str, Any]) -> None:
        """Begin a segment with the nodes as they are now. The copies are made here."""
        twins = {
            number: Seat(frozen.copy(seat.core), frozen.copy(seat.machine), seat.is_up)
            for number, seat in seats.items()
        }
        self._segments.append(Segment(at_us, self.hash, twins, scene))
        held = sum(len(segment.steps) for segment in self._segments)
        while len(self._segments) > 1 and (self._segments[1].start_us <= at_us - self._keep_us or held > STEPS_MAX):
            held -= len(self._segments.popleft().steps)

    def is_due(self, at_us: int) -> bool:
        """Whether the next segment should begin."""
        if not self._segments:
            return True
        last = self._segments[-1]
        return at_us - last.start_us >= SEGMENT_US or len(last.steps) >= SEGMENT_STEPS

    def add(self, step: Step, effects: Effects | None) -> None:
        """Record a step."""
        if step.kind != MARK:
            self.hash = chained(self.hash, step, effects)
        self.steps += 1
        self._segments[-1].steps.append(step)

    def fed(self, at_us: int, node: int, clock_us: int, event: Input, effects: Effects, takes: tuple[int, ...]) -> None:
        """Record an input."""
        self.add(Step(INPUT, at_us, node, clock_us, encode(event), takes), effects)

    def export(self, at_us: int, seconds: float) -> Recording:
        """The last so many seconds, and a little more: from the beginning of a segment."""
        start_us = at_us - int(seconds * 1_000_000)
        first = 0
        for place, segment in enumerate(self._segments):
            if segment.start_us <= start_us:
                first = place
        chosen = [self._segments[place] for place in range(first, len(self._segments))]
        steps = [step for segment in chosen for step in segment.steps]
        begin = chosen[0]
        return Recording(Segment(begin.start_us, begin.hash, begin.seats, begin.scene, steps), self.hash, at_us)


def encode_recording(recording: Recording) -> bytes:
    """The file."""
    segment = recording.segment
    document = (
        FORMAT,
        segment.start_us,
        recording.end_us,
        segment.hash,
        recording.hash,
        {number: tuple(seat) for number, seat in segment.seats.items()},
        _plain(segment.scene),
        [tuple(step) for step in segment.steps],
    )
    return MAGIC + zlib.compress(frozen.encode(document), 6)


def decode_recording(data: bytes) -> Recording:
    """The recording in a file. Raises NotFrozen with what is wrong."""
    if not data.startswith(MAGIC):
        raise NotFrozen("this is no recording of the lab")
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(data[len(MAGIC) :], BYTES_MAX)
    except zlib.error as error:
        raise NotFrozen(f"the recording is damaged: {error}") from None
    if not unpacker.eof:
        raise NotFrozen("the recording is cut short, or larger than any that is made here")
    if len(plain) > 30 and plain[10:26] != FORMAT.encode():
        raise NotFrozen("the recording was made by another version of the lab")
    document = frozen.decode(plain)
    try:
        _, start_us, end_us, begin_hash, end_hash, seats, scene, steps = document
        segment = Segment(
            int(start_us),
            bytes(begin_hash),
            {int(number): Seat(*seat) for number, seat in seats.items()},
            dict(scene),
            [Step(*step) for step in steps],
        )
        return Recording(segment, bytes(end_hash), int(end_us))
    except (TypeError, ValueError, AttributeError) as error:
        raise NotFrozen(f"the recording has the wrong form: {error}") from None


def _plain(value: Any) -> Any:
    """A scene with nothing in it but what the format knows."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
