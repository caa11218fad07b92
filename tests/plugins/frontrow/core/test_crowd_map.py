from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from plugins.frontrow.core.crowd_map import CrowdMap

SEATS = 7


class MapAgainstASet(RuleBasedStateMachine):
    """The map against a set of taken seats and a search that tries one seat after the other."""

    def __init__(self):
        super().__init__()
        self.map = CrowdMap(SEATS)
        self.taken = set()

    @rule(seat=st.integers(0, SEATS - 1))
    def take(self, seat):
        self.map.take(seat)
        self.taken.add(seat)

    @rule(seat=st.integers(0, SEATS - 1))
    def give_back(self, seat):
        self.map.give_back(seat)
        self.taken.discard(seat)

    @precondition(lambda self: len(self.taken) < SEATS)
    @rule(wanted=st.integers(0, SEATS - 1))
    def next_free_is_the_nearest_one_on(self, wanted):
        row = [(wanted + step) % SEATS for step in range(SEATS)]
        assert self.map.next_free(wanted) == next(seat for seat in row if seat not in self.taken)

    @invariant()
    def counts_agree(self):
        assert self.map.free_count == SEATS - len(self.taken)
        assert [bool(taken) for taken in self.map.is_taken] == [seat in self.taken for seat in range(SEATS)]


TestMapAgainstASet = MapAgainstASet.TestCase


@given(st.integers(1, 50))
def test_walking_the_map_from_any_seat_visits_each_seat_once(seats):
    crowd_map = CrowdMap(seats)
    visited = []
    while crowd_map.free_count:
        visited.append(crowd_map.next_free(seats // 2))
        crowd_map.take(visited[-1])
    assert sorted(visited) == list(range(seats))
