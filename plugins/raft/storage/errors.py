"""What can be wrong with a disk, in one line each."""

from host.api import HostError


class StorageError(HostError):
    """Root of the errors of a node's storage."""


class StorageInUse(StorageError):
    """Another process has this folder open."""


class StorageDamaged(StorageError):
    """Something that was durable cannot be read back. The node must not start: what it promised may be gone."""


class StorageFailed(StorageError):
    """A write or an fsync failed. The store is poisoned; whether the last batch is durable is not known."""
