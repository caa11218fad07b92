"""The set of a board's operations: the whole state, of which versions, digests and picture are functions.

Merging is union, so operations may come in any order, any number of times, through any path, and all replicas that have
the same ones are the same. The same id with other bytes (equivocation) is refused: what came first stays, and the pair
is kept as evidence. On a board with a server the server's version is everybody's: replicas take operations from it
alone.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from plugins.liveboard.core import digests
from plugins.liveboard.core.codec import decode_operation, decode_stamp
from plugins.liveboard.core.operations import UNREAD, Operation, OpId, Order, Pruned
from plugins.liveboard.core.versions import Versions

EVIDENCE_MAX: Final = 64
"""Equivocations kept; later ones are counted only."""


class Added(Enum):
    """What became of an operation that was offered."""

    NEW = "new"
    KNOWN = "known"
    EQUIVOCATION = "equivocation"


@dataclass(frozen=True, slots=True)
class Entry:
    """An operation with its bytes and their hash (of a pruned one: the hash of what it was)."""

    operation: Operation
    data: bytes
    leaf: bytes


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two operations with one id: proof that the site, or somebody in its name, lies."""

    kept: bytes
    refused: bytes


def entry_of(data: bytes) -> Entry:
    """The entry of an operation's bytes. Raises `CodecError`."""
    operation = decode_operation(data)
    body = operation.body
    return Entry(operation, data, body.hash if isinstance(body, Pruned) else digests.leaf_hash(data))


def light_entry(data: bytes) -> Entry:
    """The entry of an operation that was read before and is kept for its bytes: its body is left unread.

    A decoded stroke takes some forty times the memory of its bytes. Raises `CodecError` when not even the stamp is
    there.
    """
    operation = decode_stamp(data)
    body = operation.body
    return Entry(operation, data, body.hash if isinstance(body, Pruned) else digests.leaf_hash(data))


def lightened(entry: Entry) -> Entry:
    """The same entry without its body."""
    operation = entry.operation
    return replace(entry, operation=Operation(operation.site, operation.seq, operation.lamport, UNREAD))


class OperationSet:
    """Grows by `add`, and by nothing else; `replace_pruned` drops a body and changes no digest."""

    __slots__ = ("_digest", "_entries", "_orders", "_tree", "equivocations", "evidence", "lamport_max", "versions")

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries: dict[OpId, Entry] = {}
        self._orders: list[Order] = []
        self._tree = digests.MerkleTree()
        self._digest = 0
        self.versions: dict[bytes, int] = {}
        self.lamport_max = 0
        self.equivocations = 0
        self.evidence: list[Evidence] = []
        for entry in entries:
            self.add(entry)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, id: OpId) -> bool:
        return id in self._entries

    def __iter__(self) -> Iterator[Entry]:
        """All entries in the board's order."""
        return (self._entries[OpId(site, seq)] for _, site, seq in self._orders)

    def get(self, id: OpId) -> Entry | None:
        return self._entries.get(id)

    def add(self, entry: Entry) -> Added:
        """Take an operation into the set, unless it is there, or another one is there under its id."""
        operation = entry.operation
        known = self._entries.get(operation.id)
        if known is not None:
            if known.leaf == entry.leaf:
                return Added.KNOWN
            self.equivocations += 1
            if len(self.evidence) < EVIDENCE_MAX:
                self.evidence.append(Evidence(known.data, entry.data))
            return Added.EQUIVOCATION
        self._entries[operation.id] = entry
        order = operation.order
        rank = len(self._orders)
        if rank and order < self._orders[-1]:
            rank = bisect_left(self._orders, order)
        self._orders.insert(rank, order)
        self._tree.insert(rank, entry.leaf)
        self._digest = digests.add_hash(self._digest, entry.leaf)
        self.lamport_max = max(self.lamport_max, operation.lamport)
        self._advance(operation.site)
        return Added.NEW

    def replace_pruned(self, entry: Entry) -> bool:
        """Put a pruned entry in the place of the whole one it is the hash of; False when that is not here."""
        known = self._entries.get(entry.operation.id)
        if known is None or known.leaf != entry.leaf:
            return False
        assert isinstance(entry.operation.body, Pruned), "only a pruned operation may take another's place"
        self._entries[entry.operation.id] = entry
        return True

    @property
    def digest(self) -> bytes:
        """The sum of all hashes, the same in whatever order they came."""
        return digests.digest_bytes(self._digest)

    @property
    def tree(self) -> digests.MerkleTree:
        """The hash tree over the board's order."""
        return self._tree

    @property
    def root(self) -> bytes:
        return self._tree.root()

    @property
    def gaps(self) -> int:
        """Operations beyond the versions: here, but with one of their site's missing before them."""
        return len(self._entries) - sum(self.versions.values())

    def at_rank(self, rank: int) -> Entry:
        """The entry at a place in the board's order."""
        _, site, seq = self._orders[rank]
        return self._entries[OpId(site, seq)]

    def missing_in(self, versions: Versions) -> list[Entry]:
        """What a replica with those versions lacks of these, in the board's order."""
        return [entry for entry in self if entry.operation.seq > versions.get(entry.operation.site, 0)]

    def _advance(self, site: bytes) -> None:
        seq = self.versions.get(site, 0)
        while OpId(site, seq + 1) in self._entries:
            seq += 1
        if seq:
            self.versions[site] = seq
