"""The store: what was written is read back, whatever a crash left; damage is never taken for a torn end."""

import random
import shutil
from pathlib import Path

import pytest

from plugins.raft.core.base import Durable
from plugins.raft.core.configuration import Configuration
from plugins.raft.core.effects import Persist
from plugins.raft.core.messages import COMMAND, Entry, Snapshot
from plugins.raft.storage import Files, Storage, StorageDamaged, StorageFailed, StorageInUse
from plugins.raft.storage.frames import FRAME_HEAD, SEGMENT_HEAD

FIRST = Durable.first(Configuration((1, 2, 3)))
SMALL = 4096


def entries(first: int, last: int, term: int, size: int = 8) -> tuple[Entry, ...]:
    return tuple(Entry(index, term, COMMAND, bytes([index % 256]) * size) for index in range(first, last + 1))


def persist(
    token: int,
    term: int,
    new: tuple[Entry, ...] = (),
    *,
    vote: int = 0,
    compact_to: int = 0,
    reset: bool = False,
    snapshot: Snapshot | None = None,
) -> Persist:
    return Persist(token, term, vote, compact_to, reset, snapshot, new)


def opened(folder: Path, files: Files | None = None, segment_bytes: int = SMALL) -> tuple[Storage, Durable]:
    return Storage.open(folder, 1, first=FIRST, files=files or Quick(), segment_bytes=segment_bytes)


def written(folder: Path, *batches: list[Persist]) -> None:
    store, _ = opened(folder)
    for batch in batches:
        store.write(store.prepare(batch))
    store.close()


def read(folder: Path) -> Durable:
    store, durable = opened(folder)
    store.close()
    return durable


def only_segment(folder: Path) -> Path:
    (path,) = folder.glob("*.wal")
    return path


class Quick(Files):
    """No power is cut here: crashes are made by hand, so that nothing need wait for the disk."""

    def sync(self, descriptor: int) -> None:
        pass

    def sync_folder(self, path: object) -> None:
        pass


class Broken(Files):
    """A disk whose writes or fsyncs fail from some moment on."""

    def __init__(self) -> None:
        self.write_fails = self.sync_fails = False

    def write(self, descriptor: int, data: bytes, offset: int) -> None:
        if self.write_fails:
            super().write(descriptor, data[: len(data) // 2], offset)
            raise OSError(28, "No space left on device")
        super().write(descriptor, data, offset)

    def sync(self, descriptor: int) -> None:
        if self.sync_fails:
            raise OSError(5, "Input/output error")
        super().sync(descriptor)


def test_new_store_begins_with_the_group_and_says_the_same_again(tmp_path: Path) -> None:
    assert read(tmp_path) == FIRST
    assert read(tmp_path) == FIRST


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    written(tmp_path, [persist(1, 1, vote=2)], [persist(2, 1, entries(1, 3, 1), vote=2), persist(3, 2, vote=3)])
    assert read(tmp_path) == Durable(2, 3, FIRST.snapshot, entries(1, 3, 1))


def test_entries_replace_those_from_their_first_index_on(tmp_path: Path) -> None:
    written(tmp_path, [persist(1, 1, entries(1, 5, 1))], [persist(2, 2, entries(3, 4, 2))])
    assert read(tmp_path).entries == entries(1, 2, 1) + entries(3, 4, 2)


def test_reset_empties_the_log_behind_a_snapshot(tmp_path: Path) -> None:
    snapshot = Snapshot(9, 3, FIRST.snapshot.configuration if FIRST.snapshot else b"", b"state")
    written(
        tmp_path, [persist(1, 1, entries(1, 5, 1))], [persist(2, 3, entries(10, 11, 3), reset=True, snapshot=snapshot)]
    )
    assert read(tmp_path) == Durable(3, 0, snapshot, entries(10, 11, 3))


def test_old_segments_and_snapshots_go_and_the_rest_is_read_back(tmp_path: Path) -> None:
    store, _ = opened(tmp_path)
    for index in range(1, 400):
        store.write(store.prepare([persist(index, 1, entries(index, index, 1, 100), vote=1)]))
    assert len(list(tmp_path.glob("*.wal"))) > 5
    snapshot = Snapshot(390, 1, b"\0\0\0\0\0", b"state")
    store.write(store.prepare([persist(400, 2, snapshot=snapshot, compact_to=380, vote=3)]))
    store.close()
    assert len(list(tmp_path.glob("*.wal"))) <= 3
    assert [path.name for path in tmp_path.glob("*.snapshot")] == [f"{390:016x}-{1:016x}.snapshot"]
    assert read(tmp_path) == Durable(2, 3, snapshot, entries(391, 399, 1, 100))


def test_node_goes_on_where_it_was_after_many_restarts(tmp_path: Path) -> None:
    for index in range(1, 30):
        store, durable = opened(tmp_path)
        assert len(durable.entries) == index - 1
        store.write(store.prepare([persist(1, 1, entries(index, index, 1, 200))]))
        store.close()


@pytest.mark.parametrize("ends_in_zeros", [True, False])
def test_log_cut_at_every_byte_gives_all_whole_frames_before(tmp_path: Path, *, ends_in_zeros: bool) -> None:
    source = tmp_path / "source"
    ends = []
    store, _ = opened(source)
    for index in range(1, 5):
        store.write(store.prepare([persist(index, index, entries(index, index, index), vote=1)]))
        ends.append(store._segments[-1].end)
    store.close()
    data = only_segment(source).read_bytes()
    # The mark is as a power cut may leave it: behind the truth.
    (source / "synced").unlink()
    for cut in range(ends[0], ends[-1] + 1):
        folder = tmp_path / "cut"
        shutil.copytree(source, folder)
        tail = bytes(len(data) - cut) if ends_in_zeros else b""
        only_segment(folder).write_bytes(data[:cut] + tail)
        whole = sum(1 for end in ends if end <= cut)
        durable = read(folder)
        assert (durable.term, len(durable.entries)) == (whole, whole), cut
        # And once more: what recovery cut off is gone for good.
        assert read(folder) == durable
        shutil.rmtree(folder)


def test_any_flipped_bit_of_durable_frames_is_noticed(tmp_path: Path) -> None:
    source = tmp_path / "source"
    written(source, *[[persist(index, 1, entries(index, index, 1), vote=2)] for index in range(1, 4)])
    path = only_segment(source)
    data = path.read_bytes()
    end = len(data.rstrip(b"\0"))
    for place in range(end):
        broken = bytearray(data)
        broken[place] ^= 1 << place % 8
        path.write_bytes(bytes(broken))
        with pytest.raises(StorageDamaged):
            read(source)
    path.write_bytes(data)
    assert len(read(source).entries) == 3


def test_damage_in_the_middle_is_noticed_without_the_mark(tmp_path: Path) -> None:
    written(tmp_path, *[[persist(index, 1, entries(index, index, 1))] for index in range(1, 4)])
    (tmp_path / "synced").unlink()
    path = only_segment(tmp_path)
    data = bytearray(path.read_bytes())
    data[SEGMENT_HEAD + FRAME_HEAD + 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(StorageDamaged, match="good ones follow it"):
        read(tmp_path)


def test_torn_end_beyond_the_mark_is_dropped_and_written_over(tmp_path: Path) -> None:
    written(tmp_path, [persist(1, 1, entries(1, 1, 1))])
    path = only_segment(tmp_path)
    data = path.read_bytes()
    end = len(data.rstrip(b"\0"))
    path.write_bytes(data[:end] + random.Random(1).randbytes(60) + data[end + 60 :])
    assert len(read(tmp_path).entries) == 1
    written(tmp_path, [persist(1, 1, entries(2, 2, 1))])
    assert len(read(tmp_path).entries) == 2


def test_segment_that_is_missing_is_noticed(tmp_path: Path) -> None:
    written(tmp_path, *[[persist(index, 1, entries(index, index, 1, 600))] for index in range(1, 30)])
    paths = sorted(tmp_path.glob("*.wal"))
    paths[2].unlink()
    with pytest.raises(StorageDamaged, match="missing"):
        read(tmp_path)


def test_segment_begun_by_a_crash_is_taken_away(tmp_path: Path) -> None:
    written(tmp_path, [persist(1, 1, entries(1, 2, 1))])
    (tmp_path / f"{99:016x}.wal").write_bytes(bytes(SMALL))
    assert len(read(tmp_path).entries) == 2
    assert len(list(tmp_path.glob("*.wal"))) == 1


@pytest.mark.parametrize("damage", ["flip", "remove"])
def test_snapshot_that_cannot_be_read_stops_the_start(tmp_path: Path, damage: str) -> None:
    snapshot = Snapshot(2, 1, b"\0\0\0\0\0", b"state" * 10)
    written(tmp_path, [persist(1, 1, entries(1, 2, 1))], [persist(2, 1, snapshot=snapshot, compact_to=2)])
    (path,) = tmp_path.glob("*.snapshot")
    if damage == "flip":
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(bytes(data))
    else:
        path.unlink()
    with pytest.raises(StorageDamaged, match="snapshot"):
        read(tmp_path)


def test_snapshot_that_no_record_refers_to_is_ignored(tmp_path: Path) -> None:
    written(tmp_path, [persist(1, 1, entries(1, 2, 1))])
    (tmp_path / f"{7:016x}-{1:016x}.snapshot").write_bytes(b"half")
    (tmp_path / f"{8:016x}-{1:016x}.new").write_bytes(b"")
    assert len(read(tmp_path).entries) == 2
    assert len(list(tmp_path.glob("*.snapshot"))) == 1
    assert list(tmp_path.glob("*.new")) == []


@pytest.mark.parametrize("what", ["write", "sync"])
def test_first_failure_poisons_the_store(tmp_path: Path, what: str) -> None:
    files = Broken()
    store, _ = opened(tmp_path, files)
    store.write(store.prepare([persist(1, 1, entries(1, 1, 1))]))
    setattr(files, f"{what}_fails", True)
    with pytest.raises(StorageFailed, match="failed"):
        store.write(store.prepare([persist(2, 1, entries(2, 2, 1))]))
    setattr(files, f"{what}_fails", False)
    # An fsync that is tried again can lie: the store must not take anything, though the disk seems well.
    with pytest.raises(StorageFailed, match="earlier"):
        store.write(store.prepare([persist(3, 1, entries(3, 3, 1))]))
    store.close()
    assert read(tmp_path).entries[:1] == entries(1, 1, 1)
    assert len(read(tmp_path).entries) <= 2


def test_folder_in_use_is_refused(tmp_path: Path) -> None:
    store, _ = opened(tmp_path)
    with pytest.raises(StorageInUse):
        opened(tmp_path)
    store.close()
    assert read(tmp_path) == FIRST


def test_folder_of_another_node_is_refused(tmp_path: Path) -> None:
    written(tmp_path)
    with pytest.raises(StorageDamaged, match="belongs to node 1"):
        Storage.open(tmp_path, 2, first=FIRST)


class Model:
    """What the store should say: the obvious way."""

    def __init__(self) -> None:
        self.term = self.vote = 0
        self.snapshot = FIRST.snapshot
        self.log: dict[int, Entry] = {}

    def take(self, one: Persist) -> None:
        self.term, self.vote = one.term, one.vote
        if one.snapshot is not None:
            self.snapshot = one.snapshot
        if one.reset:
            self.log.clear()
        if one.entries:
            first = one.entries[0].index
            self.log = {index: entry for index, entry in self.log.items() if index < first}
            self.log.update({entry.index: entry for entry in one.entries})

    def durable(self) -> Durable:
        base = self.snapshot.index if self.snapshot is not None else 0
        kept = tuple(entry for index, entry in sorted(self.log.items()) if index > base)
        return Durable(self.term, self.vote, self.snapshot, kept)


def random_persist(lot: random.Random, model: Model, token: int) -> Persist:
    base = model.snapshot.index if model.snapshot is not None else 0
    last = max(model.log, default=base)
    last = max(last, base)
    term = model.term + lot.randrange(2)
    dice = lot.random()
    if dice < 0.1 and last > base:
        index = lot.randint(base + 1, last)
        place = model.log[index]
        snapshot = Snapshot(index, place.term, b"\0\0\0\0\0", lot.randbytes(lot.randrange(300)))
        return persist(token, term, vote=lot.randrange(4), compact_to=max(0, index - 3), snapshot=snapshot)
    if dice < 0.15:
        index = last + lot.randint(1, 9)
        snapshot = Snapshot(index, term, b"\0\0\0\0\0", b"installed")
        return persist(token, term, compact_to=index, reset=True, snapshot=snapshot)
    first = lot.randint(base + 1, last + 1)
    count = lot.randrange(6)
    return persist(token, term, entries(first, first + count - 1, term, lot.randrange(200)), vote=lot.randrange(4))


@pytest.mark.parametrize("seed", range(25))
def test_random_histories_with_crashes_are_read_back_up_to_what_was_durable(tmp_path: Path, seed: int) -> None:
    lot = random.Random(seed)
    model = Model()
    for _ in range(8):
        store, durable = opened(tmp_path)
        assert durable == model.durable()
        for token in range(1, 12):
            batch = []
            for _ in range(lot.randint(1, 3)):
                one = random_persist(lot, model, token)
                model.take(one)
                batch.append(one)
            store.write(store.prepare(batch))
        end = store._segments[-1].end
        path = store._segments[-1].path
        store.close()
        if lot.random() < 0.5:
            # A write that was under way when the power went: any part of it, or none, is there.
            data = bytearray(path.read_bytes())
            junk = lot.randbytes(lot.randrange(80))
            data[end : end + len(junk)] = junk
            path.write_bytes(bytes(data))
    assert read(tmp_path) == model.durable()
