"""Percentiles of the recent past in constant space: logarithmic buckets, in slots of time that are reused in turn."""

import math
from collections.abc import Sequence
from typing import Final

# 24 buckets for each factor of ten: a value is known to within 10 %, from 1 µs to 10,000 s.
_PER_DECADE: Final = 24
_BUCKETS: Final = _PER_DECADE * 10
_SCALE: Final = _PER_DECADE / math.log(10)


class RollingHistogram:
    """Durations in microseconds over the last `slots` × `slot_ms`. Times are of one clock, in milliseconds."""

    __slots__ = ("_counts", "_epochs", "_newest", "_newest_counts", "_slot_ms", "count")

    def __init__(self, slot_ms: int = 10_000, slots: int = 6) -> None:
        self._slot_ms = slot_ms
        # Made when first needed: most targets are asked seldom.
        self._counts: list[list[int]] = [[] for _ in range(slots)]
        self._epochs = [-1] * slots
        self._newest = -1
        self._newest_counts: list[int] = []
        self.count = 0

    def observe(self, value_us: float, now_ms: int) -> None:
        """Note one value."""
        epoch = now_ms // self._slot_ms
        if epoch != self._newest:
            slot = epoch % len(self._epochs)
            if self._epochs[slot] != epoch:
                self._epochs[slot] = epoch
                self._counts[slot] = [0] * _BUCKETS
            self._newest, self._newest_counts = epoch, self._counts[slot]
        bucket = int(math.log(value_us) * _SCALE) if value_us > 1 else 0
        self._newest_counts[bucket if bucket < _BUCKETS else _BUCKETS - 1] += 1
        self.count += 1

    def percentiles(self, shares: Sequence[float], now_ms: int, *others: "RollingHistogram") -> list[float | None]:
        """The values in microseconds below which these shares (0 to 1) lie; None when there is nothing recent.

        With `others`, of all of them taken together.
        """
        live = [counts for each in (self, *others) for counts in each._live(now_ms)]
        merged = [sum(column) for column in zip(*live, strict=True)] if live else []
        total = sum(merged)
        if not total:
            return [None] * len(shares)
        found: list[float | None] = []
        for share in shares:
            wanted = max(1, math.ceil(share * total))
            seen = 0
            for bucket, count in enumerate(merged):
                seen += count
                if seen >= wanted:
                    found.append(math.exp((bucket + 0.5) / _SCALE))
                    break
        return found

    def _live(self, now_ms: int) -> list[list[int]]:
        newest = now_ms // self._slot_ms
        return [
            counts
            for counts, epoch in zip(self._counts, self._epochs, strict=True)
            if epoch >= 0 and newest - epoch < len(self._epochs)
        ]
