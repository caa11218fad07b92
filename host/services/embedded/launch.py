"""Become a server process that cannot outlive the host: `python -I -S launch.py HOST_PID SIGNAL UID GID -- command …`.

Run as a program of its own, never imported: what has to happen between fork and exec happens here, in a fresh
interpreter, so that the host needs no `preexec_fn` (unsafe in a process with threads). In this order, each step for a
reason:

1. Dispositions and mask of signals go back to the default: an ignored SIGINT would survive the exec.
2. UID and GID are taken on and the supplementary groups dropped, when they are not -1 (Postgres refuses to run as
   root).
3. Only then PR_SET_PDEATHSIG, since the kernel clears it when the credentials change (prctl(2)). Linux only.
4. Only then the parent is compared with HOST_PID: a host that died before step 3 would go unnoticed.

Exits with 1 and the reason on stderr, which is the server's log, when a step or the exec fails.
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
    # Loaded while its files can still be read: the interpreter may lie where the other user cannot reach it.
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if uid >= 0:
        os.setgroups([gid])
        os.setgid(gid)
        os.setuid(uid)
        if (os.getuid(), os.geteuid(), os.getgid()) != (uid, uid, gid):
            sys.exit(f"cannot become user {uid}")
    os.umask(0o077)
    if libc is not None:
        # A sandbox may forbid it; what a dead host left is then found at the next start (see `leftovers`).
        libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != host_pid:
        sys.exit(f"the host (pid {host_pid}) is gone")
    try:
        os.execv(command[0], command)
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
