"""What two boards are compared by: a sum that no order changes, and a hash tree that finds where they differ.

`leaf_hash` of an operation is SHA-256 of 0x00 and its bytes. The *digest* is the sum of all leaf hashes modulo 2^256:
it takes one addition an operation and is the same in whatever order they came, so it tells accidents apart at every
moment. Against somebody who may choose operations freely a sum of this size is weak (Wagner, CRYPTO 2002); what is
proved to strangers is the *root*: the Merkle Tree Hash of RFC 9162 §2.1.1 over the operations in the board's order.
Equal roots mean the same operations in the same order, hence the same picture.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from plugins.liveboard.core.operations import HASH_BYTES

DIGEST_MODULUS: Final = 1 << 8 * HASH_BYTES
EMPTY_ROOT: Final = sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """The hash of an operation's bytes (RFC 9162: HASH(0x00 || d))."""
    return sha256(b"\x00" + data).digest()


def add_hash(digest: int, leaf: bytes) -> int:
    """The digest of a set with one more operation."""
    return (digest + int.from_bytes(leaf, "big")) % DIGEST_MODULUS


def digest_of(leaves: Iterable[bytes]) -> bytes:
    """The digest of operations by their leaf hashes."""
    return digest_bytes(sum(int.from_bytes(leaf, "big") for leaf in leaves) % DIGEST_MODULUS)


def digest_bytes(digest: int) -> bytes:
    """A digest as 32 bytes, the most significant first."""
    return digest.to_bytes(HASH_BYTES, "big")


class MerkleTree:
    """The tree over a list of leaf hashes that mostly grows at its end.

    Nothing is hashed until somebody asks; then only what lies right of the leftmost change. `node(level, index)` is the
    tree hash of the leaves from index·2^level on, 2^level of them or as many as there are.
    """

    __slots__ = ("_clean", "_levels", "leaves")

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self.leaves = list(leaves)
        self._levels: list[list[bytes]] = []
        # The leaves before this one are as they were when the levels above were computed.
        self._clean = 0

    def insert(self, rank: int, leaf: bytes) -> None:
        """Put a leaf before the one that is now at `rank`."""
        self.leaves.insert(rank, leaf)
        self._clean = min(self._clean, rank)

    @property
    def height(self) -> int:
        """The level at which node 0 is the root."""
        return max(len(self.leaves) - 1, 0).bit_length()

    def root(self) -> bytes:
        """The tree hash of all leaves."""
        return self.node(self.height, 0) or EMPTY_ROOT

    def node(self, level: int, index: int) -> bytes | None:
        """The hash at a place, None where there is no leaf. Above the root, node 0 is the root."""
        if level == 0:
            return self.leaves[index] if index < len(self.leaves) else None
        self._grow()
        if level > len(self._levels):
            return self.node(len(self._levels), 0) if index == 0 else None
        row = self._levels[level - 1]
        return row[index] if index < len(row) else None

    def _grow(self) -> None:
        """Bring all levels up to date. An odd one at the end rises as it is."""
        count = len(self.leaves)
        if self._clean == count and len(self._levels) == self.height:
            return
        below, clean = self.leaves, self._clean
        for level in range(self.height):
            if level == len(self._levels):
                self._levels.append([])
            row = self._levels[level]
            clean //= 2
            del row[clean:]
            even = len(below) & ~1
            for at in range(2 * clean, even, 2):
                row.append(sha256(b"\x01" + below[at] + below[at + 1]).digest())
            row.extend(below[even:])
            below = row
        self._clean = count


class DifferenceWalk:
    """Finds the first place at which two boards' orders differ, asking one pair of hashes a round.

    `probe` is the (level, index) of the node whose two children are wanted next, None at the end; `place` is then the
    rank of the first difference, or None when there is none. About log2 of the operations' number of rounds.
    """

    __slots__ = ("_index", "_level", "_mine", "place", "rounds")

    def __init__(self, mine: MerkleTree, theirs_height: int, theirs_root: bytes) -> None:
        self._mine = mine
        self._level = max(mine.height, theirs_height)
        self._index = 0
        self.rounds = 0
        self.place: int | None = None
        if mine.root() == theirs_root:
            self._level = -1
        self._settle()

    @property
    def probe(self) -> tuple[int, int] | None:
        return (self._level, self._index) if self._level > 0 else None

    def answer(self, left: bytes | None, right: bytes | None) -> None:
        """The other's children of `probe`: nodes (level-1, 2·index) and (level-1, 2·index+1), None where it has none.

        `right` is not needed when the left ones differ, and is not looked at otherwise: the parents differ.
        """
        assert self._level > 0, "the walk is over"
        self.rounds += 1
        self._level -= 1
        self._index *= 2
        if self._mine.node(self._level, self._index) == left:
            self._index += 1
        self._settle()

    def _settle(self) -> None:
        if self._level == 0:
            self.place = self._index
