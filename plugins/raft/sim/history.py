"""What clients saw: one record for each operation."""

from typing import NamedTuple

from plugins.raft.core.kv import Operation

OPEN_US = 1 << 62
"""The end of an operation whose client never learned what became of it."""


class Seen(NamedTuple):
    """An operation, from `called_us` to `returned_us`, as its client saw it.

    `order` places it in the committed order: twice the index of its entry, or twice the index that a read was served
    at, plus one. 0 when it is not known: then `output` means nothing.
    """

    client: int
    operation: Operation
    called_us: int
    returned_us: int
    output: bytes
    order: int
