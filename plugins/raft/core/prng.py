"""Integer randomness that is the same on every machine and every Python: SplitMix64.

Source: G. Steele, D. Lea, C. Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014; public domain C code
by S. Vigna, https://prng.di.unimi.it/splitmix64.c.
"""

from typing import Final

_MASK: Final = (1 << 64) - 1


class Prng:
    """A stream of 64-bit integers. Copy it with `Prng(other.state)`."""

    __slots__ = ("state",)

    def __init__(self, seed: int) -> None:
        self.state = seed & _MASK

    def next(self) -> int:
        """The next integer, 0 to 2^64 - 1."""
        self.state = z = (self.state + 0x9E3779B97F4A7C15) & _MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def below(self, bound: int) -> int:
        """An integer from 0 to `bound` - 1; `bound` from 1 to 2^32. The bias is at most 2^-32."""
        return ((self.next() >> 32) * bound) >> 32

    def chance(self, permille: int) -> bool:
        """True in `permille` of 1,000 cases."""
        return permille > 0 and self.below(1000) < permille

    def split(self) -> "Prng":
        """A stream of its own, drawn from this one."""
        return Prng(self.next())
