"""What the keeper of a board takes in, and by which rule it refuses the rest: every refusal is told, none is silent.

The keeper is the server, or the hub of a simulation. An operation is either taken as it is or not at all: nothing in it
is ever rewritten, for two versions of one id would split the board.
"""

from collections import ChainMap
from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Final

from plugins.liveboard.core import operations as o
from plugins.liveboard.core.errors import Refusal
from plugins.liveboard.core.opset import Entry, OperationSet

LAMPORT_JUMP_MAX: Final = 1 << 20
"""How far an operation's clock may be ahead of the board's. One that ran away would lie above all others for ever and
use up the numbers; this leaves room for a million strokes drawn offline, and 2^33 jumps before the numbers end."""


@dataclass(frozen=True, slots=True)
class Refused:
    """`detail` is a number that helps: the expected seq for GAP, the largest clock for CLOCK, the floor for FLOOR."""

    reason: Refusal
    detail: int = 0


@dataclass(frozen=True, slots=True)
class Rules:
    """What a board allows at present. Sizes are those of the codec; these are the numbers that change."""

    operations_max: int = 200_000
    bytes_max: int = 64 * 2**20
    sites_max: int = 10_000
    lamport_jump_max: int = LAMPORT_JUMP_MAX
    floor: int = 0
    retired: Set[bytes] = frozenset()


class Draft:
    """A board with operations that are about to be added: what is offered together is judged one after another."""

    __slots__ = ("_board", "_new", "bytes", "entries", "lamport_max", "versions")

    def __init__(self, board: OperationSet, board_bytes: int) -> None:
        self._board = board
        self._new: dict[o.OpId, Entry] = {}
        self.bytes = board_bytes
        self.lamport_max = board.lamport_max
        self.versions: ChainMap[bytes, int] = ChainMap({}, board.versions)
        self.entries: list[Entry] = []

    def __len__(self) -> int:
        return len(self._board) + len(self.entries)

    @property
    def sites(self) -> int:
        """How many sites have written."""
        new, old = self.versions.maps
        return len(old) + sum(site not in old for site in new)

    def get(self, id: o.OpId) -> Entry | None:
        return self._new.get(id) or self._board.get(id)

    def add(self, entry: Entry) -> None:
        """Count an operation that was admitted as being there."""
        operation = entry.operation
        self._new[operation.id] = entry
        self.entries.append(entry)
        self.bytes += len(entry.data)
        self.lamport_max = max(self.lamport_max, operation.lamport)
        self.versions[operation.site] = operation.seq


def admit(
    board: Draft,
    entry: Entry,
    rules: Rules,
    may_change: Callable[[o.Operation], bool] | None = None,
) -> Refused | None:
    """Whether the board takes `entry`: None is yes, also for one that it has already.

    `may_change` decides about those that change others' marks.
    """
    operation = entry.operation
    if isinstance(operation.body, o.Pruned):
        return Refused(Refusal.MALFORMED)
    known = board.get(operation.id)
    if known is not None:
        return None if known.leaf == entry.leaf else Refused(Refusal.EQUIVOCATION)
    last = board.versions.get(operation.site, 0)
    if operation.site in rules.retired:
        return Refused(Refusal.RETIRED)
    if operation.seq != last + 1:
        return Refused(Refusal.GAP, last + 1)
    if operation.lamport <= rules.floor:
        return Refused(Refusal.FLOOR, rules.floor)
    clock_max = min(board.lamport_max + rules.lamport_jump_max, o.INTEGER_MAX)
    if operation.lamport > clock_max:
        return Refused(Refusal.CLOCK, clock_max)
    if last == 0 and board.sites >= rules.sites_max:
        return Refused(Refusal.LIMIT, rules.sites_max)
    if len(board) >= rules.operations_max:
        return Refused(Refusal.BOARD_FULL, rules.operations_max)
    if board.bytes + len(entry.data) > rules.bytes_max:
        return Refused(Refusal.BOARD_FULL, rules.bytes_max)
    if may_change is not None and not may_change(operation):
        return Refused(Refusal.FORBIDDEN)
    return None
