"""Where a node keeps what must survive: a segmented write-ahead log, and snapshots beside it.

    storage, durable = Storage.open(folder, node_id, first=Durable.first(group))
    batch = storage.prepare(persists)      # on the loop: bytes only, no I/O
    storage.write(batch)                   # in a thread: written and fsynced once, whole or not at all
    storage.close()

Invariants, and what stands on them:

- A batch of `Persist`s is one frame with one checksum. A frame is written only after the one before it was fsynced. So
  a damaged frame that no good one follows was torn by a crash, and is dropped; one that a good frame follows was
  damaged afterwards, and the store refuses to start (`StorageDamaged`): to cut it off could take back what was
  acknowledged (the classic loss of "Protocol-Aware Recovery for Consensus-Based Storage", FAST'18).
- The number of the last fsynced frame is also noted in a file of its own (`synced`), without an fsync: it may be too
  old, never too new. What it covers and cannot be read was damaged, even at the very end.
- A snapshot is fsynced and renamed before the frame that refers to it is written.
- (term, vote) stand in every record, as one.
- The first write or fsync that fails poisons the store: it takes nothing more, and tells nobody that anything is
  durable. Retrying an fsync can lie, because the kernel may have dropped the pages (PostgreSQL's "fsyncgate", 2018).

Files: `frames` the format · `recovery` reading it back · `store` writing it · `snapshot_files` · `files` the calls to
the system, which a laboratory may break · `errors`.
"""

from plugins.raft.storage.errors import StorageDamaged, StorageError, StorageFailed, StorageInUse
from plugins.raft.storage.files import Files
from plugins.raft.storage.store import Storage

__all__ = ["Files", "Storage", "StorageDamaged", "StorageError", "StorageFailed", "StorageInUse"]
