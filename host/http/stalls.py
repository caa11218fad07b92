"""Tells a peer that has stopped reading from one that is only slow."""

import array
import math
import sys
from contextlib import suppress

if sys.platform != "win32":
    from fcntl import ioctl
    from termios import TIOCOUTQ

# Looks within the patience for a stalled peer, which is cut so much of it late at the most.
LOOKS = 8


class StallClock:
    """Says when a peer has taken no byte for `write_stall_s` although some wait for it. One for each
    connection, whose socket has that number.

    What counts is what the peer acknowledged. Neither of the usual measures does: a socket becomes writable only when
    a third of the kernel's buffer is free, for which a slow reader of megabytes may need minutes; and the kernel's own
    TCP_USER_TIMEOUT cuts a peer that reads steadily when its window never opens by a whole segment. This also finds the
    peer that has vanished while small events still fit into the buffer.
    """

    __slots__ = ("_look_at", "_number", "_stalls_at", "_taken_bytes", "_write_stall_s")

    def __init__(self, number: int, write_stall_s: float) -> None:
        self._number = number
        self._write_stall_s = write_stall_s
        self._look_at = 0.0
        self._stalls_at = math.inf
        self._taken_bytes = -1

    def has_stalled(self, now_s: float, given_bytes: int, *, is_blocked: bool) -> bool:
        """Look, if it is time to; to be called several times within `write_stall_s`.

        `given_bytes` is what the kernel has taken from us since the beginning, `is_blocked` whether it takes no more.
        """
        if now_s < self._look_at:
            return False
        self._look_at = now_s + self._write_stall_s / LOOKS
        # Where the kernel does not say what it holds, what it takes from us is all that is known.
        held_bytes = unacknowledged_bytes(self._number) or 0
        taken_bytes = given_bytes - held_bytes
        if taken_bytes != self._taken_bytes or not (held_bytes or is_blocked):
            self._taken_bytes = taken_bytes
            self._stalls_at = now_s + self._write_stall_s
        return now_s >= self._stalls_at


def unacknowledged_bytes(number: int) -> int | None:
    """What the kernel holds for a socket's peer (SIOCOUTQ of tcp(7) and unix(7)); None where it does not tell."""
    if sys.platform != "win32":
        held = array.array("i", [0])
        with suppress(OSError):
            ioctl(number, TIOCOUTQ, held)
            return held[0]
    return None
