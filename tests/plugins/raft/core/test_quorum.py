"""Majorities against an oracle that tries every value and every set of voters."""

from itertools import chain, combinations

from hypothesis import given
from hypothesis import strategies as st

from plugins.raft.core.quorum import joint_index, joint_vote, majority_index, majority_vote

voters = st.lists(st.integers(1, 9), unique=True, max_size=7).map(lambda ids: tuple(sorted(ids)))
matches = st.dictionaries(st.integers(1, 9), st.integers(0, 12))
votes = st.dictionaries(st.integers(1, 9), st.booleans())


def quorums(group: tuple[int, ...]) -> list[set[int]]:
    """Every set of voters that is more than half."""
    subsets = chain.from_iterable(combinations(group, size) for size in range(len(group) + 1))
    return [set(subset) for subset in subsets if len(subset) * 2 > len(group)]


def slow_index(groups: list[tuple[int, ...]], match: dict[int, int]) -> int:
    """The highest index such that each group has a quorum which all reached it."""
    return max(
        index
        for index in range(13)
        if all(any(all(match.get(n, 0) >= index for n in q) for q in quorums(group)) for group in groups)
    )


def slow_vote(groups: list[tuple[int, ...]], given_votes: dict[int, bool]) -> str:
    """Won if every group has a quorum of yes; lost if no way to fill in the missing votes wins."""

    def wins(all_votes: dict[int, bool]) -> bool:
        return all(any(all(all_votes.get(n, False) for n in q) for q in quorums(group)) for group in groups)

    if wins(given_votes):
        return "won"
    everybody = {n: given_votes.get(n, True) for group in groups for n in group}
    return "pending" if wins(everybody) else "lost"


@given(voters.filter(bool), matches)
def test_majority_index_is_the_oracles(group: tuple[int, ...], match: dict[int, int]) -> None:
    assert majority_index(group, lambda n: match.get(n, 0)) == slow_index([group], match)


@given(voters.filter(bool), voters.filter(bool), matches)
def test_joint_index_is_the_oracles(new: tuple[int, ...], old: tuple[int, ...], match: dict[int, int]) -> None:
    assert joint_index(new, old, lambda n: match.get(n, 0)) == slow_index([new, old], match)


@given(voters.filter(bool), votes)
def test_majority_vote_is_the_oracles(group: tuple[int, ...], given_votes: dict[int, bool]) -> None:
    assert majority_vote(group, given_votes) == slow_vote([group], given_votes)


@given(voters.filter(bool), voters.filter(bool), votes)
def test_joint_vote_is_the_oracles(new: tuple[int, ...], old: tuple[int, ...], given_votes: dict[int, bool]) -> None:
    assert joint_vote(new, old, given_votes) == slow_vote([new, old], given_votes)


def test_no_voters_limit_nothing() -> None:
    assert majority_index((), lambda _: 0) == 1 << 62
    assert joint_index((1,), (), lambda _: 5) == 5
    assert majority_vote((), {}) == "won"
