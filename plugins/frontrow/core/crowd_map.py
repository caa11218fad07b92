"""The seat map as the crowd sees it: which seats somebody was told are taken.

It only steers buyers away from seats that they cannot get; it decides no sale. An answer marks a seat taken, and
a seat whose holder gave it back is free again.
"""


class CrowdMap:
    """Free and taken seats of one run, by position. Finding the next free one is one scan in C."""

    __slots__ = ("free_count", "is_taken")

    def __init__(self, seats: int) -> None:
        assert seats > 0, "a map has at least one seat"
        self.is_taken = bytearray(seats)
        self.free_count = seats

    def take(self, seat: int) -> None:
        """Somebody was told that this seat is held or sold."""
        if not self.is_taken[seat]:
            self.is_taken[seat] = 1
            self.free_count -= 1

    def give_back(self, seat: int) -> None:
        """The holder of this seat could not book it."""
        if self.is_taken[seat]:
            self.is_taken[seat] = 0
            self.free_count += 1

    def next_free(self, wanted: int) -> int:
        """The first free seat from `wanted` on, round the end of the row. There must be one."""
        assert self.free_count, "all seats are taken"
        seat = self.is_taken.find(0, wanted)
        return seat if seat >= 0 else self.is_taken.find(0, 0, wanted)
