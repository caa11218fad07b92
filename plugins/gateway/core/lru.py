"""A cache in memory: least recently used out first, bounded in bytes, with an age limit."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

V = TypeVar("V")


@dataclass(slots=True)
class _Slot(Generic[V]):
    value: V
    size_bytes: int
    stored_ms: int
    expires_ms: int


class LruCache(Generic[V]):
    """Keys are bytes, times integers of one clock in milliseconds. What is larger than an eighth of the whole is not
    taken: one answer must not drive out all others.
    """

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.bytes_used = 0
        self.evicted_count = 0
        self.expired_count = 0
        self._slots: OrderedDict[bytes, _Slot[V]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._slots)

    def get(self, key: bytes, now_ms: int, *, age_ms_max: int | None = None) -> tuple[V, int] | None:
        """The value and its age, None when there is none that is young enough. Marks it as used."""
        slot = self._slots.get(key)
        if slot is None:
            return None
        if now_ms >= slot.expires_ms:
            self.expired_count += 1
            self.remove(key)
            return None
        age_ms = now_ms - slot.stored_ms
        if age_ms_max is not None and age_ms > age_ms_max:
            return None
        self._slots.move_to_end(key)
        return slot.value, age_ms

    def put(self, key: bytes, value: V, size_bytes: int, now_ms: int, ttl_ms: int) -> bool:
        """Store a value, and throw out the least recently used until all fits. False when it is too large to take."""
        self.remove(key)
        if size_bytes * 8 > self.bytes_max or ttl_ms <= 0:
            return False
        self._slots[key] = _Slot(value, size_bytes, now_ms, now_ms + ttl_ms)
        self.bytes_used += size_bytes
        self._make_room()
        return True

    def grow(self, key: bytes, more_bytes: int) -> None:
        """A stored value has become larger, for one because a second form of it was kept beside the first."""
        slot = self._slots.get(key)
        if slot is None:
            return
        slot.size_bytes += more_bytes
        self.bytes_used += more_bytes
        self._make_room()

    def resize(self, bytes_max: int) -> None:
        """Have another bound."""
        self.bytes_max = bytes_max
        self._make_room()

    def remove(self, key: bytes) -> None:
        """Forget a key, if it is there."""
        slot = self._slots.pop(key, None)
        if slot is not None:
            self.bytes_used -= slot.size_bytes

    def clear(self) -> int:
        """Forget everything; returns how many values that were."""
        count = len(self._slots)
        self._slots.clear()
        self.bytes_used = 0
        return count

    def _make_room(self) -> None:
        while self.bytes_used > self.bytes_max:
            self.evicted_count += 1
            self.remove(next(iter(self._slots)))
