"""Whether what clients see could come from one store that does one thing at a time, said while they see it.

The committed order is the witness: a write stands at the index of its entry, a read right behind the index that it was
served at. That order explains everything if (1) no operation stands before one that had returned when it was called,
and (2) each output is what a store gives that runs the commands in that order. Both are checked when an operation
returns, in constant time. Only if the witness fails, a search over that key's latest operations
(`sim.linearizability`) says whether any other order explains them.
"""

from collections import deque
from typing import Any, Final, Literal

from plugins.raft.core.kv import KeyValue, Operation, decode_operation
from plugins.raft.core.messages import Entry
from plugins.raft.core.sessions import Sessions
from plugins.raft.sim.history import OPEN_US, Seen
from plugins.raft.sim.linearizability import search

RECENT_MAX: Final = 200
"""Operations of the latest past that a search looks at."""
VALUES_MAX: Final = 64
"""Old values kept of each key, for reads that a node behind the others serves."""
RESULTS_MAX: Final = 4096
KEYS_MAX: Final = 1024

Verdict = Literal["ok", "illegal", "unknown"]


class History:
    """The judge. `applied` must be told of every entry that any node applies; `called` and `returned` of operations."""

    def __init__(self) -> None:
        self.verdict: Verdict = "ok"
        self.operations = 0
        self.open = 0
        self.lost = 0
        """Acknowledged writes that are not in the committed order."""
        self.acknowledged = 0
        self.found: str | None = None
        self._oracle = Sessions(KeyValue())
        self._results: dict[int, bytes] = {}
        self._values: dict[bytes, deque[tuple[int, bytes]]] = {}
        self._highest = 0
        self._recent: deque[Seen] = deque(maxlen=RECENT_MAX)

    def applied(self, entries: tuple[Entry, ...]) -> None:
        """Some node applied these. The first that applies an index moves the oracle on."""
        oracle = self._oracle
        for entry in entries:
            if entry.index != oracle.applied_index + 1:
                continue
            result = oracle.apply(entry)
            self._results[entry.index] = result
            self._results.pop(entry.index - RESULTS_MAX, None)
            operation = decode_operation(entry.data[16:]) if entry.kind == 0 else None
            if operation is not None and operation.kind != "get":
                self._note_value(entry.index, operation.key)

    def _note_value(self, index: int, key: bytes) -> None:
        store: Any = self._oracle.machine
        values = self._values.get(key)
        if values is None:
            while len(self._values) >= KEYS_MAX:
                del self._values[next(iter(self._values))]
            values = self._values[key] = deque(maxlen=VALUES_MAX)
        values.append((index, store.get(key)))

    def called(self) -> int:
        """An operation begins. Returns what `returned` must be given: the place behind which it has to stand."""
        self.open += 1
        return self._highest

    def lost_sight(self) -> None:
        """An operation ended without an answer: it may stand anywhere from its call on, or nowhere."""
        self.open -= 1

    def returned(
        self, operation: Operation, floor: int, place: int, output: bytes, called_us: int, returned_us: int
    ) -> None:
        """An operation has its answer. `place` is twice the index for a write, one more for a read."""
        self.open -= 1
        self.operations += 1
        if operation.kind != "get":
            self.acknowledged += 1
        self._recent.append(Seen(self.operations, operation, called_us, returned_us, output, place))
        wrong = self._what_is_wrong(operation, floor, place, output)
        self._highest = max(self._highest, place)
        if wrong is not None and self.verdict != "illegal":
            self._judge(operation, wrong)

    def _what_is_wrong(self, operation: Operation, floor: int, place: int, output: bytes) -> str | None:
        index = place // 2
        key = operation.key.decode("utf-8", "replace")
        if place < floor:
            return f"{operation.kind} {key} stands at entry {index}, but one that had returned stands at {floor // 2}"
        if operation.kind == "get":
            expected = self._value_at(operation.key, index)
        else:
            expected = self._results.get(index)
            if expected is None and index > self._oracle.applied_index:
                self.lost += 1
                return f"{operation.kind} {key} was acknowledged at entry {index}, which was never committed"
        if expected is not None and expected != output:
            return f"{operation.kind} {key} at entry {index} answered {output[:40]!r} instead of {expected[:40]!r}"
        return None

    def _value_at(self, key: bytes, index: int) -> bytes | None:
        """What a read at `index` should say; None when that is not remembered."""
        values = self._values.get(key)
        if values is None:
            return None
        for at, value in reversed(values):
            if at <= index:
                return value
        return None

    def _judge(self, operation: Operation, wrong: str) -> None:
        """The witness failed: does any other order explain the latest operations of this key?"""
        seen = [one for one in self._recent if one.operation.key == operation.key]
        first = min(one.called_us for one in seen)
        begun = _first_write(seen, first)
        verdict = search(begun, 20_000)
        if verdict != "ok":
            self.verdict = verdict
            self.found = wrong

    def document(self) -> dict[str, Any]:
        """For a page."""
        return {
            "verdict": self.verdict,
            "operations": self.operations,
            "open": self.open,
            "acknowledged": self.acknowledged,
            "lost": self.lost,
            "found": self.found,
        }


def _first_write(seen: list[Seen], at_us: int) -> list[Seen]:
    """The operations, behind an open write that gives what the first one found: what came before is not known."""
    first = min(seen, key=lambda one: one.order)
    if first.operation.kind != "get" or not first.output.startswith(b"+"):
        return seen
    write = Operation("put", first.operation.key, first.output[1:])
    return [Seen(0, write, at_us - 1, OPEN_US, b"", 0), *seen]
