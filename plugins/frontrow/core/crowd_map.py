"""The seat map as the crowd sees it: which seats somebody was told are taken.

It only steers buyers away from seats that they cannot get; it decides no sale. An answer marks a seat taken, and
a seat whose holder gave it back is free again.
"""


class CrowdMap:
    """Free and taken seats of one run, by position. Finding the next free one is one scan in C."""

    __slots__ = ("_taken", "free_count")

    def __init__(self, seats: int) -> None:
        assert seats > 0, "a map has at least one seat"
        self._taken = bytearray(seats)
        self.free_count = seats

    def take(self, seat: int) -> None:
        """Somebody was told that this seat is held or sold."""
        if not self._taken[seat]:
            self._taken[seat] = 1
            self.free_count -= 1

    def give_back(self, seat: int) -> None:
        """The holder of this seat could not book it."""
        if self._taken[seat]:
            self._taken[seat] = 0
            self.free_count += 1

    def next_free(self, wanted: int) -> int | None:
        """The first free seat from `wanted` on, round the end of the row; None when all are taken."""
        if not self.free_count:
            return None
        seat = self._taken.find(0, wanted)
        return seat if seat >= 0 else self._taken.find(0, 0, wanted)

    def free_seats(self) -> list[int]:
        """All free positions, in order."""
        return [seat for seat, taken in enumerate(self._taken) if not taken]
