"""A place for a node in the lab: its disk, its clock, and the node while it runs."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import trio

from plugins.raft.clock import Clock
from plugins.raft.core.base import Durable
from plugins.raft.core.kv import KeyValue
from plugins.raft.core.node import Node
from plugins.raft.core.sessions import Sessions
from plugins.raft.core.settings import Settings
from plugins.raft.lab.sentences import Before
from plugins.raft.shell import Observer, Shell, Transport
from plugins.raft.storage import Files, Storage, StorageDamaged, StorageError, StorageFailed
from plugins.raft.storage.frames import FRAME_HEAD, SEGMENT_HEAD
from plugins.raft.storage.recovery import recover

SEGMENT_BYTES = 1024 * 1024


class LabFiles(Files):
    """A disk that may be full, or slow."""

    def __init__(self) -> None:
        self.is_full = False
        self.slow_s = 0.0

    def write(self, descriptor: int, data: bytes, offset: int) -> None:
        """Write, unless the disk is full."""
        if self.is_full:
            raise OSError(28, "No space left on device")
        super().write(descriptor, data, offset)

    def sync(self, descriptor: int) -> None:
        """Make durable, after a while when the disk is slow. Runs in a thread."""
        if self.slow_s:
            time.sleep(self.slow_s)
        super().sync(descriptor)


class LabSeat:
    """One node, running or not. `state` is "up", "down" or "damaged"; `core` the last node that ran here."""

    def __init__(self, number: int, folder: Path, ended: Callable[["LabSeat"], None]) -> None:
        self.number = number
        self.folder = folder
        self.files = LabFiles()
        self.clock = Clock()
        self.state = "down"
        self.reason = ""
        self.core: Node | None = None
        self.shell: Shell | None = None
        self.before = Before()
        """Where its node stood after the last step."""
        self.flipped: tuple[Path, int] | None = None
        self._scope = trio.CancelScope()
        self._ended = ended
        self._is_over = trio.Event()

    @property
    def is_up(self) -> bool:
        """Whether it runs and does not stand still."""
        return self.state == "up" and self.shell is not None and not self.shell.is_paused

    def open(self, durable: Durable) -> tuple[Storage, Durable]:
        """Open its disk. Blocks. Raises StorageError."""
        if self.files.is_full:
            raise StorageFailed(f"the disk of n{self.number} is full")
        return Storage.open(self.folder, self.number, first=durable, files=self.files, segment_bytes=SEGMENT_BYTES)

    def sit(
        self,
        storage: Storage,
        durable: Durable,
        settings: Settings,
        transport: Transport,
        observer: Observer,
        seed: int,
        snapshot_every: int,
        threads: trio.CapacityLimiter,
    ) -> Shell:
        """Put a new node on what the disk holds; `run` is next."""
        self.shell = Shell(
            settings,
            storage,
            durable,
            transport,
            Sessions(KeyValue()),
            seed=seed,
            clock=self.clock,
            snapshot_every=snapshot_every,
            observer=observer,
            threads=threads,
        )
        self.core = self.shell.node
        self.before = Before(commit=self.core.commit)
        self.state, self.reason = "up", ""
        self._scope = trio.CancelScope()
        self._is_over = trio.Event()
        return self.shell

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the node until it is stopped, or its disk fails."""
        shell = self.shell
        assert shell is not None
        try:
            with self._scope:
                await shell.run(task_status=task_status)
        except* StorageFailed as group:
            self.reason = str(group.exceptions[0])
        finally:
            shell.storage.close()
            self.state = "down"
            self.shell = None
            self._is_over.set()
            self._ended(self)

    async def stop(self, reason: str) -> None:
        """Stop it, as a crash does: what its disk has not is gone. Nothing when it does not run."""
        if self.shell is None:
            return
        self.reason = reason
        self._scope.cancel(reason=reason)
        await self._is_over.wait()

    def tear(self) -> None:
        """Leave half a frame at the end of the log, as a power cut in the middle of a write does. Blocks."""
        path, end = self._tail()
        with path.open("r+b") as file:
            file.seek(end)
            file.write(os.urandom(FRAME_HEAD + 20))

    def flip(self) -> None:
        """Damage a bit of what is durable. Blocks; nothing is written twice."""
        if self.flipped is not None:
            return
        path, end = self._tail()
        self.flipped = path, max(SEGMENT_HEAD + FRAME_HEAD, end - 1)
        self._toggle()

    def mend(self) -> None:
        """Flip the damaged bit back. Blocks."""
        if self.flipped is not None:
            self._toggle()
            self.flipped = None

    def wipe(self) -> None:
        """Throw the disk away. Blocks."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.flipped = None

    def _toggle(self) -> None:
        assert self.flipped is not None
        path, place = self.flipped
        with path.open("r+b") as file:
            file.seek(place)
            byte = file.read(1)
            file.seek(place)
            file.write(bytes([byte[0] ^ 1]))

    def _tail(self) -> tuple[Path, int]:
        """The last segment, and where its last frame ends."""
        # Not where its zeros begin: a frame may end with some.
        last = recover(self.folder, self.number).segments[-1]
        return last.path, last.end


async def open_seat(seat: LabSeat, durable: Durable, threads: trio.CapacityLimiter) -> tuple[Storage, Durable] | None:
    """Open a seat's disk in a thread; None, with the reason on the seat, when that cannot be."""
    try:
        return await trio.to_thread.run_sync(seat.open, durable, limiter=threads)
    except StorageDamaged as error:
        seat.state, seat.reason = "damaged", str(error)
    except StorageError as error:
        seat.state, seat.reason = "down", str(error)
    return None
