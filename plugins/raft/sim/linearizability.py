"""Whether what the clients saw could have come from one store that does one thing at a time.

First the committed order is tried as a witness, which is linear and nearly always settles it: it is a correct order if
each output follows from the operations before it and none comes before one that had returned before it was called. Only
if it is not, a search looks for any other order: Wing and Gong's algorithm with Lowe's memory of configurations.

Keys are independent objects, so each is judged on its own (Herlihy and Wing's locality).

Sources: J. Wing, C. Gong, "Testing and Verifying Concurrent Objects", 1993; G. Lowe, "Testing for Linearizability",
2017; A. Athalye's Porcupine, for the linked list that is lifted and put back.
"""

from collections.abc import Sequence
from typing import Final, Literal

from plugins.raft.core.kv import MISMATCH, MISSING, OK, Operation
from plugins.raft.sim.history import OPEN_US, Seen
from plugins.raft.sim.violation import Violation

Verdict = Literal["ok", "illegal", "unknown"]
STEPS_MAX: Final = 200_000
"""Steps of the search for one key: some seconds. Beyond it the verdict is "unknown"."""

Value = bytes | None


def apply(value: Value, operation: Operation) -> tuple[Value, bytes]:
    """The store for one key: the value after an operation, and the output. The obvious twin of `core.kv`."""
    kind, _, new, expected = operation
    if kind == "get":
        return value, MISSING if value is None else OK + value
    if kind == "put":
        return new, OK
    if kind == "append":
        joined = (value or b"") + new
        return joined, OK + joined
    if kind == "delete":
        return None, MISSING if value is None else OK
    if (value or b"") != expected:
        return value, MISMATCH
    return new, OK


def is_witness(seen: Sequence[Seen]) -> bool:
    """Whether the committed order explains what was seen of one key."""
    value: Value = None
    last_call = -1
    for one in sorted((one for one in seen if one.order), key=lambda one: (one.order, one.called_us, one.client)):
        value, output = apply(value, one.operation)
        if one.returned_us != OPEN_US and (output != one.output or one.returned_us < last_call):
            return False
        last_call = max(last_call, one.called_us)
    return all(one.order or one.returned_us == OPEN_US for one in seen)


class _Node:
    """A call, or (when `call` is set) the return that belongs to it, in the order of time."""

    __slots__ = ("call", "following", "number", "previous", "return_")

    def __init__(self, number: int, call: "_Node | None") -> None:
        self.number = number
        self.call = call
        self.return_: _Node | None = None
        self.previous: _Node | None = None
        self.following: _Node | None = None

    def lift(self) -> None:
        """Take a call and its return out of the list."""
        for node in (self, self.return_):
            if node is not None:
                assert node.previous is not None
                node.previous.following = node.following
                if node.following is not None:
                    node.following.previous = node.previous

    def put_back(self) -> None:
        """Undo `lift`."""
        for node in (self.return_, self):
            if node is not None:
                assert node.previous is not None
                node.previous.following = node
                if node.following is not None:
                    node.following.previous = node


def _list_of(seen: Sequence[Seen]) -> _Node:
    """The list, behind a head. At one time calls come before returns: they may have overlapped."""
    calls = [_Node(number, None) for number in range(len(seen))]
    moments: list[tuple[int, int, int, _Node]] = []
    for number, one in enumerate(seen):
        call = calls[number]
        moments.append((one.called_us, 0, number, call))
        call.return_ = _Node(number, call)
        moments.append((one.returned_us, 1, number, call.return_))
    head = last = _Node(-1, None)
    for _, _, _, node in sorted(moments, key=lambda moment: moment[:3]):
        last.following, node.previous = node, last
        last = node
    return head


def search(seen: Sequence[Seen], steps_max: int = STEPS_MAX) -> Verdict:
    """Whether any order explains what was seen of one key; "unknown" once the search took `steps_max` steps."""
    head = _list_of(seen)
    value: Value = None
    done = 0
    finished = sum(1 << number for number, one in enumerate(seen) if one.returned_us != OPEN_US)
    known: set[tuple[int, Value]] = set()
    taken: list[tuple[_Node, Value]] = []
    node = head.following
    for _ in range(steps_max):
        if done & finished == finished:
            return "ok"
        if node is None or (node.call is not None and seen[node.number].returned_us != OPEN_US):
            # An operation returned here that was not placed before: what was placed last was wrong.
            if not taken:
                return "illegal"
            last, value = taken.pop()
            done &= ~(1 << last.number)
            last.put_back()
            node = last.following
            continue
        if node.call is not None:
            node = node.following
            continue
        one = seen[node.number]
        after, output = apply(value, one.operation)
        if one.returned_us == OPEN_US or output == one.output:
            state = (done | 1 << node.number, after)
            if state not in known:
                known.add(state)
                taken.append((node, value))
                value = after
                done = state[0]
                node.lift()
                node = head.following
                continue
        node = node.following
    return "unknown"


def judge(history: Sequence[Seen]) -> dict[bytes, Verdict]:
    """The verdict for each key, in the order in which the keys were first used."""
    keys: dict[bytes, list[Seen]] = {}
    for one in history:
        keys.setdefault(one.operation.key, []).append(one)
    return {key: "ok" if is_witness(seen) else search(seen) for key, seen in keys.items()}


def check_history(history: Sequence[Seen]) -> None:
    """Raises Violation when a key's history has no explanation, or when none was found in time."""
    for key, verdict in judge(history).items():
        if verdict != "ok":
            word = "cannot be explained" if verdict == "illegal" else "could not be explained in time"
            raise Violation("Linearizability", f"what clients saw of {key.decode()} {word} by any order")
