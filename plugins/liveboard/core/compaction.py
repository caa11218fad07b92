"""Dropping the bodies of marks that can never show again, without changing any digest or picture.

Forgetting is safe only where nobody can speak about it any more. Two things are needed:

- the *floor*: the least of the last clocks of all sites that may still write. Whatever they write next lies above it,
  and new sites are refused below it (`Refusal.FLOOR`), so the order up to the floor is final;
- *retired* sites: those whose writing is over for good (`Refusal.RETIRED`). What they hid stays hidden, what they
  erased or cleared stays so.

A mark at or below the floor is pruned when its own site is retired and has hidden it, or when a retired site's erasure
or clearing, which that site has not taken back, removes all of it. Its id, clock and hash stay: versions, digest and
root are those of the whole board, and a replica that has pruned shows what one that has not shows, whatever comes
later.
"""

from collections.abc import Iterable, Set

from plugins.liveboard.core import operations as o
from plugins.liveboard.core.codec import encode_operation
from plugins.liveboard.core.opset import Entry, OperationSet


def stable_floor(board: OperationSet, retired: Set[bytes]) -> int:
    """The highest clock that nothing new can lie at or below. With no site left to write it is the board's highest."""
    last: dict[bytes, int] = {}
    for entry in board:
        operation = entry.operation
        if operation.site not in retired:
            last[operation.site] = max(last.get(operation.site, 0), operation.lamport)
    return min(last.values(), default=board.lamport_max)


def prunable(board: OperationSet, floor: int, retired: Set[bytes]) -> list[Entry]:
    """The marks at or below the floor that can never show again, in the board's order."""
    final = _final_visibility(board, retired)
    erased: set[o.OpId] = set()
    clears: list[dict[bytes, int]] = []
    for entry in board:
        operation = entry.operation
        if operation.site not in retired or not final.get(operation.id, True):
            continue
        if isinstance(operation.body, o.Erase):
            pairs = zip(operation.body.targets, operation.body.ranges, strict=True)
            erased.update(target for target, ranges in pairs if not ranges)
        elif isinstance(operation.body, o.Clear):
            clears.append(dict(operation.body.seen))
    return [
        entry
        for entry in board
        if entry.operation.lamport <= floor
        and isinstance(entry.operation.body, o.MARKS)
        and (
            not final.get(entry.operation.id, True)
            or entry.operation.id in erased
            or any(entry.operation.seq <= seen.get(entry.operation.site, 0) for seen in clears)
        )
    ]


def pruned(entry: Entry) -> Entry:
    """What takes the place of an entry whose body is dropped."""
    operation = entry.operation
    rest = o.Operation(operation.site, operation.seq, operation.lamport, o.Pruned(entry.leaf))
    return Entry(rest, encode_operation(rest), entry.leaf)


def compact(board: OperationSet, floor: int, retired: Set[bytes]) -> list[Entry]:
    """Prune what can be pruned, in place; the new entries, for whoever stores them."""
    entries = [pruned(entry) for entry in prunable(board, floor, retired)]
    for entry in entries:
        replaced = board.replace_pruned(entry)
        assert replaced, "a pruned operation has the hash of the one it was"
    return entries


def _final_visibility(board: Iterable[Entry], retired: Set[bytes]) -> dict[o.OpId, bool]:
    """The last word of retired sites about their own operations."""
    final: dict[o.OpId, bool] = {}
    for entry in board:
        operation = entry.operation
        if operation.site in retired and isinstance(operation.body, o.Visibility):
            for seq in operation.body.seqs:
                final[o.OpId(operation.site, seq)] = operation.body.visible
    return final
