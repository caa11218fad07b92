"""Majorities, and joint majorities: functions of who said what. `tests/…/test_quorum.py` holds their slow oracle."""

from collections.abc import Callable, Mapping
from typing import Literal

VoteResult = Literal["won", "lost", "pending"]


def majority_index(voters: tuple[int, ...], value: Callable[[int], int]) -> int:
    """The highest value that more than half of the voters have reached. No voters: no limit (2^62), as in a joint rule.

    Sorted in full: a cleverer scan over values that were not quite sorted once committed entries without a quorum
    (openraft #1802).
    """
    if not voters:
        return 1 << 62
    return sorted([value(voter) for voter in voters])[(len(voters) - 1) >> 1]


def joint_index(incoming: tuple[int, ...], outgoing: tuple[int, ...], value: Callable[[int], int]) -> int:
    """The highest value that a majority of each set has reached (paper §6: "separate majorities")."""
    index = majority_index(incoming, value)
    return min(index, majority_index(outgoing, value)) if outgoing else index


def majority_vote(voters: tuple[int, ...], votes: Mapping[int, bool]) -> VoteResult:
    """Whether more than half said yes, can no longer do so, or may still. No voters: "won"."""
    if not voters:
        return "won"
    needed = len(voters) // 2 + 1
    yes = no = 0
    for voter in voters:
        vote = votes.get(voter)
        if vote:
            yes += 1
        elif vote is not None:
            no += 1
    if yes >= needed:
        return "won"
    return "lost" if len(voters) - no < needed else "pending"


def joint_vote(incoming: tuple[int, ...], outgoing: tuple[int, ...], votes: Mapping[int, bool]) -> VoteResult:
    """Won when won in both sets, lost when lost in either."""
    first = majority_vote(incoming, votes)
    if not outgoing:
        return first
    second = majority_vote(outgoing, votes)
    if first == second:
        return first
    return "lost" if "lost" in (first, second) else "pending"
