"""One key-value operation against a running node: the command, the wait, and what the answer means.

Shared by the lab and by `quartet raft node`. Sessions make a retry safe: a command that comes twice with the same
session and sequence is applied once, and answers the same (paper §8).
"""

import struct
from typing import Final, NamedTuple

import trio

from host.api import HttpProblem, OutcomeUnknown
from plugins.raft.core.kv import MISMATCH, MISSING, OK, Operation, encode_operation
from plugins.raft.core.sessions import EXPIRED, REGISTERED, STALE, register_command, session_command
from plugins.raft.requests import NotTaken
from plugins.raft.shell import Shell

NOBODY: Final = -1
"""The client of a command that belongs to no session."""


class Session(NamedTuple):
    """A command's place in its session."""

    client: int
    sequence: int


class Answer(NamedTuple):
    """What became of an operation. `value` is None when the key is not there, or the answer has none."""

    index: int  # type: ignore[assignment]
    output: bytes
    value: bytes | None
    node: int
    term: int
    ms: float


async def register(shell: Shell, timeout_s: float) -> int:
    """Open a session; its number. Raises like `write`."""
    applied = await shell.propose(register_command(), timeout_s)
    assert applied.result.startswith(REGISTERED)
    number: int = struct.unpack("<q", applied.result[1:9])[0]
    return number


def command_of(operation: Operation, session: Session | None) -> bytes:
    """The bytes for the log."""
    client, sequence = session if session is not None else (NOBODY, 0)
    return session_command(client, sequence, encode_operation(operation))


async def write(shell: Shell, operation: Operation, session: Session | None, timeout_s: float) -> Answer:
    """Have an operation applied.

    Raises:
        NotTaken: nothing happened.
        OutcomeUnknown: it may have happened, or may yet.
        HttpProblem: 409, the session is not known, or has gone on.
    """
    started = trio.current_time()
    applied = await shell.propose(command_of(operation, session), timeout_s)
    result = applied.result
    if session is not None and result[:1] == EXPIRED:
        raise HttpProblem(409, f"there is no session {session.client}, or it has expired", type="session-expired")
    if session is not None and result[:1] == STALE:
        raise HttpProblem(409, f"session {session.client} is beyond command {session.sequence}", type="session-stale")
    return _answer(shell, applied.index, result, started)


async def read(shell: Shell, key: bytes, timeout_s: float, *, lease: bool = False) -> Answer:
    """Read a key, linearizably, from any node. Raises NotTaken, OutcomeUnknown (there: no answer in time).

    With `lease` a leader answers at once while its lease lasts.
    """
    started = trio.current_time()
    applied = await shell.read(key, timeout_s, lease=lease)
    return _answer(shell, applied.index, applied.result, started)


def stale_read(shell: Shell, key: bytes) -> Answer:
    """What this node happens to have applied; may be old."""
    machine = shell.machine
    output: bytes = machine.machine.get(key)  # type: ignore[attr-defined]
    return _answer(shell, machine.applied_index, output, trio.current_time())


def _answer(shell: Shell, index: int, output: bytes, started: float) -> Answer:
    value = output[1:] if output[:1] == OK else None
    return Answer(index, output, value, shell.id, shell.node.term, round((trio.current_time() - started) * 1000, 2))


def is_missing(answer: Answer) -> bool:
    """Whether the key was not there."""
    return answer.output == MISSING


def is_mismatch(answer: Answer) -> bool:
    """Whether a swap found another value than expected."""
    return answer.output == MISMATCH


def problem_of(error: NotTaken | OutcomeUnknown) -> HttpProblem:
    """The answer for a client that was refused, or left without an answer."""
    if isinstance(error, OutcomeUnknown):
        return HttpProblem(503, str(error), type="unknown", title="Outcome unknown")
    status = 413 if error.reason == "too-large" else 409 if error.reason.startswith("invalid") else 503
    headers = {"Retry-After": "1"} if status == 503 else {}
    return HttpProblem(status, str(error), type=error.reason, headers=headers, leader=error.leader)
