"""A room's board in memory: its operations by revision, ready to be sent, and what is computed of them."""

import hmac
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from plugins.liveboard.core import digests
from plugins.liveboard.core.frames import RECEIPT_BYTES, committed_bytes
from plugins.liveboard.core.opset import Added, Entry, OperationSet, light_entry

CHECKPOINT_OPERATIONS: Final = 256
"""A digest is kept after so many operations each: any other takes fewer additions than this."""
PAGE_OPERATIONS_MAX: Final = 2048


class BoardLog:
    """The board as this host knows it: a prefix of the database's revisions, without a hole."""

    def __init__(self, room: str, secret: bytes) -> None:
        self.board = OperationSet()
        self.bytes = 0
        self._context = b"receipt\x00" + room.encode() + b"\x00"
        self._secret = secret
        self._log: list[Entry] = []
        self._digests = [0]
        self._digest = 0

    @property
    def rev(self) -> int:
        return len(self._log)

    def append(self, entries: Sequence[Entry]) -> None:
        """Take up the operations of the revisions after `rev`."""
        for entry in entries:
            added = self.board.add(entry)
            assert added is Added.NEW, f"revision {self.rev + 1} holds an operation that was there"
            self._log.append(entry)
            self.bytes += len(entry.data)
            self._digest = digests.add_hash(self._digest, entry.leaf)
            if self.rev % CHECKPOINT_OPERATIONS == 0:
                self._digests.append(self._digest)

    def load(self, datas: Iterable[bytes]) -> None:
        """Take up operations as the database has them."""
        self.append([light_entry(data) for data in datas])

    def entry(self, rev: int) -> Entry:
        """The operation of a revision from 1 to `rev`."""
        return self._log[rev - 1]

    def replace(self, entries: Iterable[Entry]) -> None:
        """Put pruned entries in the place of the whole ones."""
        by_id = {entry.operation.id: entry for entry in entries}
        for at, entry in enumerate(self._log):
            pruned = by_id.get(entry.operation.id)
            if pruned is not None and self.board.replace_pruned(pruned):
                self._log[at] = pruned

    def digest_at(self, rev: int) -> bytes:
        """The digest of the first `rev` operations; 0 <= rev <= `self.rev`."""
        if rev == self.rev:
            return digests.digest_bytes(self._digest)
        start = rev // CHECKPOINT_OPERATIONS
        digest = self._digests[start]
        for entry in self._log[start * CHECKPOINT_OPERATIONS : rev]:
            digest = digests.add_hash(digest, entry.leaf)
        return digests.digest_bytes(digest)

    def receipt(self, leaf: bytes) -> bytes:
        """The server's word that it had the operation of this hash. Nobody else can give it."""
        return hmac.digest(self._secret, self._context + leaf, "sha256")[:RECEIPT_BYTES]

    def is_receipt(self, receipt: bytes, leaf: bytes) -> bool:
        return hmac.compare_digest(receipt, self.receipt(leaf))

    def page(self, rev: int, bytes_max: int) -> tuple[bytes, int]:
        """A `Committed` frame of the operations from `rev` on, about `bytes_max` long, and its last revision."""
        size, last = 0, rev - 1
        while last < min(self.rev, rev + PAGE_OPERATIONS_MAX) and (size == 0 or size < bytes_max):
            size += len(self._log[last].data)
            last += 1
        return self.frame(rev, self._log[rev - 1 : last]), last

    def frames_without_revision(self, entries: Sequence[Entry], bytes_max: int) -> Iterator[bytes]:
        """`Committed` frames of these operations under revision 0, each about `bytes_max` long."""
        page: list[Entry] = []
        size = 0
        for entry in entries:
            page.append(entry)
            size += len(entry.data)
            if size >= bytes_max or len(page) == PAGE_OPERATIONS_MAX:
                yield self.frame(0, page)
                page, size = [], 0
        if page:
            yield self.frame(0, page)

    def frame(self, rev: int, entries: Sequence[Entry]) -> bytes:
        """A `Committed` frame of these operations."""
        return committed_bytes(rev, [(self.receipt(entry.leaf), entry.data) for entry in entries])
