"""Server processes of an earlier host that still run, or are still dying, in the same data directory.

On Linux the kernel stops the servers with the host (see `launch`), but they may need a moment; elsewhere, and for the
backends of a killed postmaster, nobody does. Every process of an embedded server carries its place's token in its command
line: Postgres as `cluster_name`, which it also writes into the title of each backend, Redis in the path of its socket.
"""

import contextlib
import logging
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import trio

from host.errors import HostError
from host.services.embedded.place import Place

log = logging.getLogger("quartet.embedded")

_PROC = Path("/proc")
_POLL_S = 0.01
_QUIT_WAIT_S = 6.0
_KILL_WAIT_S = 5.0


def find_leftovers(place: Place, program: str, needle: str) -> list[int]:
    """The pids of `program` (a pattern for its name) under the place's user whose command line holds `needle`."""
    pattern = re.compile(rf"(?:^|/)(?:{program})[ :\0].*{re.escape(needle)}", re.DOTALL)
    return [pid for pid, uid, command in _processes() if uid == place.owner.uid and pattern.search(command)]


async def clear_leftovers(place: Place, program: str, needle: str) -> int:
    """Stop what `find_leftovers` finds and wait until it is gone. Only for who holds the place's lock.

    SIGQUIT first: for Postgres an immediate shutdown, from which it recovers by its write-ahead log.
    Returns the number of processes found.

    Raises:
        HostError: a process survives SIGKILL.
    """
    found = find_leftovers(place, program, needle)
    if not found:
        return 0
    log.warning(
        "stopping %d %s process(es) of an earlier host in %s: %s", len(found), place.service, place.data_dir, found
    )
    for number, seconds in ((signal.SIGQUIT, _QUIT_WAIT_S), (signal.SIGKILL, _KILL_WAIT_S)):
        for pid in find_leftovers(place, program, needle):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        with trio.move_on_after(seconds):
            while find_leftovers(place, program, needle):
                await trio.sleep(_POLL_S)
            return len(found)
    left = find_leftovers(place, program, needle)
    raise HostError(
        f"{place.service} process(es) {left} of an earlier host in {place.data_dir} do not end: kill them by hand"
    )


def _processes() -> Iterator[tuple[int, int, str]]:
    """(pid, uid, command line) of every process that can be seen; a zombie has no command line and is left out."""
    if not (_PROC / "self" / "cmdline").exists():
        yield from _processes_by_ps()
        return
    for entry in os.scandir(_PROC):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                uid = entry.stat().st_uid
                command = Path(entry.path, "cmdline").read_bytes()
                if command:
                    yield int(entry.name), uid, os.fsdecode(command)


def _processes_by_ps() -> Iterator[tuple[int, int, str]]:
    listing = subprocess.run(
        ["/bin/ps", "-A", "-ww", "-o", "pid=,uid=,command="], capture_output=True, text=True, timeout=10, check=False
    )
    for line in listing.stdout.splitlines():
        pid, uid, command = (*line.split(None, 2), "", "", "")[:3]
        if pid.isdigit() and uid.isdigit():
            yield int(pid), int(uid), command
