"""As whom an embedded server runs, and what that user can reach."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from host.errors import HostError

# Users to run as under root, the first that exists; Postgres refuses root.
_UNPRIVILEGED = ("postgres", "nobody")


@dataclass(frozen=True)
class Owner:
    """The user a server runs as: with this group alone, when the host has to change users for it."""

    uid: int
    gid: int
    name: str

    @property
    def needs_switch(self) -> bool:
        """Whether the host is somebody else and must change users to be this one."""
        return os.geteuid() != self.uid

    def can_reach(self, path: Path) -> bool:
        """Whether every directory above `path` lets this user through.

        For another user by the mode bits alone: an access list that would allow more is not seen, which costs no more
        than another place for the files.
        """
        return all(self._may_execute(directory) for directory in path.absolute().parents if directory.exists())

    def can_run(self, program: Path) -> bool:
        """Whether this user may reach and execute `program`."""
        return self.can_reach(program) and self._may_execute(program)

    def _may_execute(self, path: Path) -> bool:
        if not self.needs_switch:
            return os.access(path, os.X_OK)
        try:
            status = path.stat()
        except OSError:
            return False
        shift = 0 if status.st_uid == self.uid else 3 if status.st_gid == self.gid else 6
        return bool(status.st_mode & (stat.S_IXUSR >> shift))


def server_user() -> Owner:
    """Who a new server runs as: the host's own user, or under root the first unprivileged one that exists.

    Raises:
        HostError: the host is root and there is nobody else.
    """
    if os.geteuid() != 0:
        return user_of(os.geteuid(), os.getegid())
    for name in _UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Owner(entry.pw_uid, entry.pw_gid, name)
    raise HostError(
        "the embedded servers do not run as root, and there is no user postgres or nobody to run them as: "
        "make one of them, or run Quartet as another user"
    )


def user_of(uid: int, gid: int) -> Owner:
    """The user with these ids, named by number when the system has no name for it (a container's arbitrary user)."""
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return Owner(uid, gid, name)
