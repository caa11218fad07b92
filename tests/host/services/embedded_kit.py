"""What the tests of the embedded servers share: a directory for them, a way to run them, and a look at processes."""

import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import trio

from host.services.embedded import Endpoint, Restart, run_embedded_postgres, run_embedded_redis

RUNNERS = {"postgres": run_embedded_postgres, "redis": run_embedded_redis}
# Far above what a start takes: a machine under load is not a failure.
PATIENCE_S = 30


@contextlib.contextmanager
def public_directory() -> Iterator[Path]:
    """A directory that the servers' user can reach; pytest's own has mode 0700, which under root is for root alone."""
    with tempfile.TemporaryDirectory(prefix="quartet-", dir="/tmp", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@dataclass
class Running:
    """A server that runs in this test's loop."""

    endpoint: Endpoint
    restarts: trio.MemoryReceiveChannel[Restart]

    @property
    def pid(self) -> int:
        pid = self.endpoint.pid()
        assert pid is not None
        return pid

    @property
    def socket_dir(self) -> Path:
        return Path(self.endpoint.url.partition("host=")[2] or Path(self.endpoint.url[len("unix://") :]).parent)


@contextlib.asynccontextmanager
async def running(service: str, data_dir: Path, **options) -> AsyncIterator[Running]:
    """Run `service` on `data_dir` for the block; `restarts` receives each restart."""
    sender, receiver = trio.open_memory_channel[Restart](10)

    async def run(*, task_status: trio.TaskStatus[Endpoint]) -> None:
        await RUNNERS[service](data_dir, on_restart=sender.send_nowait, task_status=task_status, **options)

    async with trio.open_nursery() as nursery:
        with trio.fail_after(PATIENCE_S):
            endpoint = await nursery.start(run)
        with trio.fail_after(PATIENCE_S):
            yield Running(endpoint, receiver)
        nursery.cancel_scope.cancel()


def query(url: str, statement: str):
    """The first value of the first row; None when the statement returns no rows."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


def is_running(pid: int) -> bool:
    """Whether that process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return False
    else:
        return state != "Z"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def left_of(pids: Iterable[int]) -> list[int]:
    """Those that still run after a moment: the kernel may need one to bury a process whose memory is gone already."""
    pids = list(pids)
    with trio.move_on_after(1):
        while any(map(is_running, pids)):  # noqa: ASYNC110
            await trio.sleep(0.002)
    return [pid for pid in pids if is_running(pid)]


def descendants(pid: int) -> set[int]:
    """`pid` and the processes below it, as far as they have not lost their parent. Linux only."""
    found = {pid}
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            found |= descendants(int(child))
    return found


def named(processes: Iterable[int], title: bytes) -> int:
    """The one of the processes whose command line holds `title`; others may end while one looks. Linux only."""
    for pid in processes:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if title in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
    raise LookupError(title)
