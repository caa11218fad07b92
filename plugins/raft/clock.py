"""The clock of a node: integer microseconds, never going back, and as fast or slow as a laboratory wants."""

import trio


def now_us() -> int:
    """Trio's clock in microseconds."""
    return int(trio.current_time() * 1_000_000)


class Clock:
    """Trio's clock, running at `permille` of its speed. Changing that makes no jump."""

    __slots__ = ("_base_us", "_set_us", "permille")

    def __init__(self, permille: int = 1000) -> None:
        self._set_us = now_us()
        self._base_us = self._set_us
        self.permille = permille

    def read(self) -> int:
        """What it shows."""
        now = now_us()
        if self.permille == 1000:
            return self._base_us + now - self._set_us
        return self._base_us + (now - self._set_us) * self.permille // 1000

    def true_us(self, clock_us: int) -> int:
        """When, on Trio's clock, it shows at least so much; going on as it does now."""
        return self._set_us + -((self._base_us - clock_us) * 1000 // self.permille)

    def seconds_until(self, clock_us: int) -> float:
        """How long until it shows so much; 0 when it does already."""
        return max(0, self.true_us(clock_us) - now_us()) / 1_000_000

    def steady_us(self) -> int:
        """For how long it has run at the true speed; 0 when it does not."""
        return now_us() - self._set_us if self.permille == 1000 else 0

    def skew(self, permille: int) -> None:
        """Run at another speed from now on."""
        self._base_us, self._set_us = self.read(), now_us()
        self.permille = permille
