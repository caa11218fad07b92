"""The calls to the system that can fail for want of space or of a working disk; a laboratory overrides them."""

import os


class Files:
    """Plain system calls. All block; they run in the thread that writes a batch."""

    def write(self, descriptor: int, data: bytes, offset: int) -> None:
        """Write all of `data` at `offset`. Raises OSError."""
        view = memoryview(data)
        while view:
            done = os.pwrite(descriptor, view, offset)
            view = view[done:]
            offset += done

    def sync(self, descriptor: int) -> None:
        """Make what was written durable. Raises OSError."""
        os.fdatasync(descriptor)

    def allocate(self, descriptor: int, size: int) -> None:
        """Reserve space, so that an fsync need not change the file's size as well. Raises OSError."""
        os.posix_fallocate(descriptor, 0, size)

    def sync_folder(self, path: str | os.PathLike[str]) -> None:
        """Make the names in a folder durable. Raises OSError."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
