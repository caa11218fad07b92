"""Snapshots as files of their own: whole and checked, or not there."""

import os
import struct
from pathlib import Path
from typing import Final
from zlib import crc32

from plugins.raft.core.codec import Malformed, decode_snapshot, encode_snapshot
from plugins.raft.core.messages import Snapshot
from plugins.raft.storage.errors import StorageDamaged
from plugins.raft.storage.files import Files

MAGIC: Final = b"QRAFTSNP"
_HEAD: Final = struct.Struct("<8sQI")


def path_of(folder: Path, index: int, term: int) -> Path:
    """Where the snapshot at (`index`, `term`) stands."""
    return folder / f"{index:016x}-{term:016x}.snapshot"


def write_snapshot(folder: Path, snapshot: Snapshot, files: Files) -> None:
    """Write, fsync, rename, fsync the folder: afterwards it is there for good. Raises OSError; blocks."""
    data = encode_snapshot(snapshot)
    path = path_of(folder, snapshot.index, snapshot.term)
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        files.write(descriptor, _HEAD.pack(MAGIC, len(data), crc32(data)) + data, 0)
        files.sync(descriptor)
    finally:
        os.close(descriptor)
    temporary.rename(path)
    files.sync_folder(folder)


def read_snapshot(folder: Path, index: int, term: int) -> Snapshot:
    """The snapshot at (`index`, `term`). Raises StorageDamaged when it is missing or not what was written."""
    path = path_of(folder, index, term)
    try:
        data = path.read_bytes()
        magic, size, crc = _HEAD.unpack_from(data)
        body = data[_HEAD.size :]
        if magic != MAGIC or len(body) != size or crc32(body) != crc:
            raise StorageDamaged(f"{path} is damaged — restore the node from another, under a new id")
        return decode_snapshot(body)
    except (OSError, struct.error, Malformed) as error:
        raise StorageDamaged(
            f"{path} cannot be read: {error} — restore the node from another, under a new id"
        ) from None


def remove_others(folder: Path, kept: tuple[int, int] | None) -> None:
    """Delete all snapshots but one, and what a crash left half written."""
    keep = path_of(folder, *kept).name if kept is not None else ""
    for path in folder.iterdir():
        if path.suffix in (".snapshot", ".new") and path.name != keep:
            path.unlink(missing_ok=True)
