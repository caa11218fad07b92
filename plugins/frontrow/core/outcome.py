"""What one buyer of a stampede has heard so far, as small integers that fit one byte of the history."""

from typing import Final

WAITING: Final = 0
"""Parked at the gate, or asking."""
HOLDING: Final = 1
"""Has a hold (or goes without, when layer 1 is away) and asks layer 2 for the seat."""
BOOKED: Final = 2
"""Told: the seat is yours. Final."""
HELD: Final = 3
"""Told: somebody holds every seat that you asked for. May come back."""
SOLD: Final = 4
"""Told by layer 2: the seat is sold. Final for that seat."""
UNAVAILABLE: Final = 5
"""Told: nothing was done, try later. Layer 2 could not be reached."""
UNKNOWN: Final = 6
"""Told: it may be booked, ask again. Becomes BOOKED or UNAVAILABLE once it is settled."""

NAMES: Final = ("waiting", "holding", "booked", "held", "sold", "unavailable", "unknown")

REJECTED: Final = (HELD, SOLD)
"""The outcomes of a buyer who was turned away because somebody else has the seat."""
