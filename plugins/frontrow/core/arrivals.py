"""Who arrives when, and which seat each buyer wants first: pure functions of a run's seed."""

from typing import Final

SEED_MAX: Final = 2**53 - 1
"""Seeds travel through JSON; JavaScript reads integers up to this one exactly."""

_MASK: Final = 2**64 - 1
_ARRIVAL: Final = 0x41525249
_CHOICE: Final = 0x43484F49


def mix(seed: int, stream: int, number: int) -> int:
    """A well-spread 64-bit value for `number` in a named stream of a seed (the finaliser of splitmix64)."""
    value = (seed * 0x9E3779B97F4A7C15 + (stream << 32) + number * 0xD1B54A32D192ED03) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def arrival_order(seed: int, buyers: int) -> list[int]:
    """The buyers 0 … buyers - 1 in the order in which the gun lets them go."""
    return sorted(range(buyers), key=lambda buyer: (mix(seed, _ARRIVAL, buyer), buyer))


def first_choices(seed: int, buyers: int, seats: int) -> list[int]:
    """For each buyer the position of the seat wanted first; further wishes follow it in the order of the row."""
    return [mix(seed, _CHOICE, buyer) % seats for buyer in range(buyers)]
