"""Become a server process that cannot outlive the host: `python -I -S launch.py HOST_PID SIGNAL UID GID -- command …`.

Run as a program of its own, never imported: what has to happen between fork and exec happens here, in a fresh
interpreter, so that the host needs no `preexec_fn` (unsafe in a process with threads). In this order, each step for a reason:

1. Dispositions and mask of signals go back to the default: an ignored SIGINT would survive the exec.
2. UID and GID are taken on and the supplementary groups dropped, when they are not -1 (Postgres refuses to run as root).
3. Only then PR_SET_PDEATHSIG, since the kernel clears it when the credentials change (prctl(2)). Linux only.
4. Only then the parent is compared with HOST_PID: a host that died before step 3 would go unnoticed.

Exits with 126 when the host is gone or the privileges cannot be dropped, 127 when the command cannot be run.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Carry out the four steps and become the command."""
    host_pid, death_signal, uid, gid = (int(text) for text in arguments[:4])
    command = arguments[5:]
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    if uid >= 0:
        os.setgroups([gid])
        os.setgid(gid)
        os.setuid(uid)
        if os.getuid() != uid or os.geteuid() != uid:
            sys.exit(126)
    os.umask(0o077)
    if libc is not None and libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
        sys.exit(126)
    if os.getppid() != host_pid:
        sys.exit(126)
    try:
        os.execv(command[0], command)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201 - stderr is the server's log
        sys.exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
