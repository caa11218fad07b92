"""Server processes of an earlier host that still run, or are still dying, in the same data directory.

On Linux the kernel stops the servers with the host (see `launch`), but they may need a moment; elsewhere, and for the
backends of a killed postmaster, nobody does. Every process of an embedded server can be told by its command line:
that of Postgres holds the place's token as `cluster_name`, which also stands in the title of each backend, that of
Redis holds the path of its socket.
"""

import contextlib
import logging
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import trio

from host.errors import HostError
from host.services.embedded.place import Place

log = logging.getLogger("quartet.embedded")

_PROC = Path("/proc")
_PS_TIMEOUT_S = 10.0
_POLL_S = 0.01
KILL_WAIT_S = 5.0


@dataclass(frozen=True)
class Leftovers:
    """How to know the processes of one server: by their user and a pattern for the command line (NUL between words)."""

    place: Place
    pattern: re.Pattern[str]

    def find(self) -> list[int]:
        """The pids of those that run now; zombies do not count.

        Raises:
            HostError: the system shows no processes.
        """
        uid = self.place.owner.uid
        try:
            return [pid for pid, user, line in _processes() if user == uid and self.pattern.search(line)]
        except (OSError, subprocess.SubprocessError) as error:
            raise HostError(f"cannot see which processes run, neither in /proc nor by ps: {error}") from error

    async def clear(self, *steps: tuple[signal.Signals, float]) -> int:
        """End them by `steps` of (signal, seconds to wait after it), then SIGKILL. Only for who holds the place's lock.

        Returns how many there were. A cancellation leaves them signalled.

        Raises:
            HostError: a process survives SIGKILL.
        """
        found = self.find()
        if not found:
            return 0
        place = self.place
        log.warning("ending %d %s process(es) left in %s: %s", len(found), place.service, place.data_dir, found)
        for number, seconds in (*steps, (signal.SIGKILL, KILL_WAIT_S)):
            for pid in self.find():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            with trio.move_on_after(seconds):
                await self._until_gone()
                return len(found)
        raise HostError(
            f"process(es) {self.find()} of the {place.service} in {place.data_dir} do not end even after SIGKILL"
        )

    async def _until_gone(self) -> None:
        # They are no children of this process, so nothing tells of their end.
        while self.find():  # noqa: ASYNC110
            await trio.sleep(_POLL_S)


def _processes() -> Iterator[tuple[int, int, str]]:
    """(pid, uid, command line) of every process that can be seen; a zombie has no command line and is left out."""
    if not (_PROC / "self" / "cmdline").exists():
        yield from _processes_by_ps()
        return
    for entry in os.scandir(_PROC):
        if entry.name.isdigit():
            # It may end between the two reads.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                uid = entry.stat().st_uid
                if line := Path(entry.path, "cmdline").read_bytes():
                    yield int(entry.name), uid, os.fsdecode(line)


def _processes_by_ps() -> Iterator[tuple[int, int, str]]:
    listing = subprocess.run(
        ["/bin/ps", "-A", "-ww", "-o", "pid=,uid=,command="],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_PS_TIMEOUT_S,
        check=True,
    )
    for line in listing.stdout.splitlines():
        pid, uid, command = (*line.split(None, 2), "", "", "")[:3]
        if pid.isdigit() and uid.isdigit():
            yield int(pid), int(uid), command
