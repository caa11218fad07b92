"""The hash tree: the root of RFC 9162 however it grew, and the walk to the first difference."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.liveboard.core.digests import DifferenceWalk, MerkleTree, add_hash, digest_bytes, digest_of, leaf_hash
from tests.plugins.liveboard.core.oracle import root_of

LEAVES = [leaf_hash(number.to_bytes(4, "big")) for number in range(300)]


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 120), st.integers(0, 4))
def test_root_is_that_of_the_rfc_after_every_insertion(seed: int, count: int, rarely: int) -> None:
    random = Random(seed)
    tree = MerkleTree()
    for leaf in LEAVES[:count]:
        at_end = random.randrange(5) < rarely
        tree.insert(len(tree.leaves) if at_end else random.randint(0, len(tree.leaves)), leaf)
        if random.random() < 0.2:
            assert tree.root() == root_of(tree.leaves)
    assert tree.root() == root_of(tree.leaves)


def walk(mine: MerkleTree, theirs: MerkleTree) -> DifferenceWalk:
    walk = DifferenceWalk(mine, theirs.height, theirs.root())
    while walk.probe is not None:
        level, index = walk.probe
        walk.answer(theirs.node(level - 1, 2 * index), theirs.node(level - 1, 2 * index + 1))
    return walk


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 299))
def test_walk_finds_the_first_difference(count: int, other_count: int, change: int) -> None:
    mine, theirs = LEAVES[:count], LEAVES[:other_count]
    if change < other_count:
        theirs[change] = leaf_hash(b"another")
    found = walk(MerkleTree(mine), MerkleTree(theirs))
    length = max(count, other_count)
    differences = (at for at in range(length) if mine[at : at + 1] != theirs[at : at + 1])
    assert found.place == next(differences, None)
    assert found.rounds <= max(length - 1, 0).bit_length()


def test_one_change_in_100_000_is_found_in_17_rounds() -> None:
    leaves = [number.to_bytes(32, "big") for number in range(100_000)]
    theirs = list(leaves)
    theirs[77_777] = bytes(31) + b"\x01"
    found = walk(MerkleTree(leaves), MerkleTree(theirs))
    assert found.place == 77_777
    assert found.rounds == 17


def test_digest_counts_copies_and_ignores_order() -> None:
    digest = 0
    for leaf in reversed(LEAVES):
        digest = add_hash(digest, leaf)
    assert digest_bytes(digest) == digest_of(LEAVES)
    # A sum, unlike exclusive or, is not fooled by something that is there twice.
    assert digest_of([LEAVES[0], LEAVES[1], LEAVES[1]]) != digest_of([LEAVES[0]])


@pytest.mark.parametrize("leaf", [b"", b"\x00", bytes(64)])
def test_leaf_cannot_pass_for_a_node(leaf: bytes) -> None:
    assert leaf_hash(leaf) not in {root_of([LEAVES[0], LEAVES[1]]), root_of([])}
    assert leaf_hash(LEAVES[0] + LEAVES[1]) != root_of([LEAVES[0], LEAVES[1]])
