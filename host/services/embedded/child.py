"""A child process of the host: started through the launcher, waited for without a thread, stopped step by step.

`subprocess.Popen` is called in Trio's own thread on purpose, not through `trio.lowlevel.open_process`, which calls it
in a worker thread: Linux ties PR_SET_PDEATHSIG to the *thread* that forked (prctl(2)), and Trio lets its idle worker
threads end after ten seconds, which would stop the server. The call blocks for the time of a vfork and an exec.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import trio

from host.errors import HostError
from host.services.embedded.owner import Owner

_LAUNCHER = Path(__file__).with_name("launch.py")
# The least a server needs; PGDATA, PGPORT and their like in the host's environment must not reach it.
_ENVIRONMENT_KEPT = ("PATH", "HOME", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_KILL_WAIT_S = 5.0


class Child:
    """One running child. `wait` may be called by several tasks at once; nothing is left behind by a cancelled one."""

    def __init__(self, popen: "subprocess.Popen[bytes]") -> None:
        self._popen = popen

    @classmethod
    def spawn(
        cls, command: Sequence[str | Path], *, owner: Owner, directory: Path, log: Path, death_signal: signal.Signals
    ) -> "Child":
        """Start `command` as `owner` in `directory`, its output appended to `log`.

        On Linux `death_signal` reaches it when the host dies. It leads a session of its own, so that Ctrl-C in the
        host's terminal reaches the host alone.

        Raises:
            HostError: the interpreter that runs the launcher, or the log, cannot be opened.
        """
        environment = {name: os.environ[name] for name in _ENVIRONMENT_KEPT if name in os.environ}
        uid, gid = (owner.uid, owner.gid) if owner.needs_switch else (-1, -1)
        launcher = [
            sys.executable,
            "-I",
            "-S",
            str(_LAUNCHER),
            str(os.getpid()),
            str(int(death_signal)),
            str(uid),
            str(gid),
        ]
        try:
            # Statements that failed stand in it, so it is for its owner alone.
            with open(log, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as output:
                popen = subprocess.Popen(
                    [*launcher, "--", *map(str, command)],
                    cwd=directory,
                    env=environment | {"LC_ALL": "C"},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
        except OSError as error:
            raise HostError(f"cannot start {command[0]}: {error}") from error
        return cls(popen)

    @property
    def pid(self) -> int:
        """The process id; it names the server itself, since the launcher becomes it."""
        return self._popen.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs; else the exit code, or minus the signal that ended it."""
        return self._popen.poll()

    async def wait(self) -> int:
        """Wait for the end and return the exit status."""
        while (status := self._popen.poll()) is None:
            try:
                # Linux only; not yet reaped, so the pid is still this child.
                pidfd = os.pidfd_open(self._popen.pid)
            except (AttributeError, OSError):
                return await trio.to_thread.run_sync(self._popen.wait, abandon_on_cancel=True)
            try:
                await trio.lowlevel.wait_readable(pidfd)
            finally:
                trio.lowlevel.notify_closing(pidfd)
                os.close(pidfd)
        return status

    def send(self, number: signal.Signals) -> None:
        """Signal it, if it still runs."""
        if self._popen.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self._popen.send_signal(number)

    async def stop(self, *steps: tuple[signal.Signals, float]) -> signal.Signals | None:
        """Go through `steps` of (signal, seconds to wait after it), then SIGKILL, until it has ended.

        Shielded from cancellation and bounded by the sum of the seconds. Returns the signal that did it, None when it
        had ended before.
        """
        if self.exit_status is not None:
            return None
        with trio.CancelScope(shield=True):
            for number, seconds in (*steps, (signal.SIGKILL, _KILL_WAIT_S)):
                self.send(number)
                with trio.move_on_after(seconds):
                    await self.wait()
                    return number
        raise HostError(f"process {self.pid} does not end even after SIGKILL; it hangs in the kernel")
