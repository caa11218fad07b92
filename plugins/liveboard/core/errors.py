"""What the core refuses, and by which name a peer is told."""

from enum import IntEnum


class CodecError(ValueError):
    """Bytes or values that are not one of the board's records. The message says what and where."""


class Refusal(IntEnum):
    """Why an operation is not taken. The numbers are on the wire.

    After GAP the sender sends from the number it is told. After CLOCK, FLOOR, RETIRED and EQUIVOCATION it stamps what
    it has not got acknowledged anew, under a new site id. The others are final for the operation.
    """

    MALFORMED = 1
    SITE = 2
    GAP = 3
    EQUIVOCATION = 4
    CLOCK = 5
    FLOOR = 6
    RETIRED = 7
    FORBIDDEN = 8
    LIMIT = 9
    BOARD_FULL = 10
    RATE = 11
