"""Where an embedded server lives and as whom it runs.

Everything is in `data_dir` unless it cannot be. Postgres refuses root, so under root the servers run as an unprivileged
user; when that user cannot pass through the directories above `data_dir` (a clone under /root, say), the server's home is
`/var/lib/quartet/<hash of data_dir>` instead. No directory that Quartet did not make is ever chmodded.

    data_dir/postgres.lock      flock of the host that owns the server, with its pid
    data_dir/postgres.log       what the server says
    home/                       mode 0700, of the server's user: data_dir/postgres or the one in /var/lib/quartet
    home/run/                   the unix socket; elsewhere when the path would not fit into sockaddr_un
"""

import fcntl
import hashlib
import logging
import os
import pwd
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from host.errors import HostError

log = logging.getLogger("quartet.embedded")

SYSTEM_HOME = Path("/var/lib/quartet")
# Users to run as under root, the first that exists.
_UNPRIVILEGED = ("postgres", "nobody")
# sizeof(sun_path) less the final NUL: 108 on Linux (unix(7)), 104 on macOS and the BSDs (sys/un.h).
SOCKET_PATH_BYTES_MAX = 107 if sys.platform == "linux" else 103


@dataclass(frozen=True)
class Owner:
    """The user a server runs as."""

    uid: int
    gid: int
    name: str

    @property
    def needs_switch(self) -> bool:
        """Whether the host is somebody else and must change users to be it."""
        return os.geteuid() != self.uid

    def can_reach(self, path: Path) -> bool:
        """Whether every directory above `path` lets this user through, by the mode bits."""
        if self.uid == 0:
            return True
        groups = {self.gid}
        for directory in path.absolute().parents:
            if not self._may(directory, groups, stat.S_IXUSR):
                return False
        return True

    def can_run(self, program: Path) -> bool:
        """Whether this user may reach and execute `program`."""
        return self.can_reach(program) and self._may(program, {self.gid}, stat.S_IXUSR)

    def _may(self, path: Path, groups: set[int], owner_bit: int) -> bool:
        try:
            status = path.stat()
        except OSError:
            return False
        shift = 0 if status.st_uid == self.uid else 3 if status.st_gid in groups else 6
        return bool(status.st_mode & (owner_bit >> shift))


@dataclass(frozen=True)
class Place:
    """The directories and files of one embedded server. `token` names it in its command line, for it alone."""

    service: str
    data_dir: Path
    home: Path
    run_dir: Path
    owner: Owner
    token: str

    @property
    def log(self) -> Path:
        """The log, beside the home and not in it: a host that is root writes into no directory of another user."""
        return self.data_dir / f"{self.service}.log"

    def last_words(self, bytes_max: int = 2000) -> str:
        """The end of the log on one line, for an error message."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - bytes_max))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return "no log"
        return " | ".join(line.strip() for line in lines[-4:] if line.strip()) or "the log is empty"


def settle(data_dir: Path, service: str, socket_name: str, *, marker: str) -> Place:
    """Make the directories for `service` and say where they are.

    `marker` is what exists in a home that is in use (`pgdata`): such a home is never passed over for an empty one.

    Raises:
        HostError: a directory cannot be made, belongs to somebody else, or holds data that the server's user cannot reach.
    """
    data_dir = data_dir.absolute()
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        data_dir = data_dir.resolve()
        token = "quartet-" + hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
        home, owner = _choose_home(data_dir, service, token, marker)
        _make_private(home, owner)
        run_dir = _choose_run_dir(home, service, socket_name, token, owner)
        _make_private(run_dir, owner)
    except OSError as error:
        raise HostError(f"cannot set up {service} in {data_dir}: {error}; choose another data_dir") from error
    return Place(service, data_dir, home, run_dir, owner, token)


@contextmanager
def locked(data_dir: Path, service: str) -> Iterator[None]:
    """Own `service` in `data_dir` for the length of the block.

    The kernel drops the lock with the process, so none is ever stale.

    Raises:
        HostError: another host owns it; the message names its pid.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        path = data_dir / f"{service}.lock"
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise HostError(f"cannot lock {data_dir}: {error}; choose another data_dir") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
            raise HostError(
                f"the {service} in {data_dir} belongs to the host with pid {holder}: stop that one, or set another data_dir"
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def server_user() -> Owner:
    """Who a new server runs as: the host's own user, or under root the first unprivileged one that exists."""
    uid = os.geteuid()
    if uid != 0:
        return _owner(uid, os.getegid())
    for name in _UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Owner(entry.pw_uid, entry.pw_gid, name)
    raise HostError(
        "Postgres refuses to run as root and there is neither a user postgres nor nobody: run as another user"
    )


def _owner(uid: int, gid: int) -> Owner:
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return Owner(uid, gid, name)


def _choose_home(data_dir: Path, service: str, token: str, marker: str) -> tuple[Path, Owner]:
    """The home that is in use already, else one in `data_dir`, else the one in /var/lib/quartet."""
    home, system_home = data_dir / service, SYSTEM_HOME / token / service
    owner = server_user()
    if os.geteuid() != 0:
        return home, owner
    if (home / marker).exists():
        status = home.stat()
        if status.st_uid != 0:
            owner = _owner(status.st_uid, status.st_gid)
        if not owner.can_reach(home / marker):
            raise HostError(
                f"{home} holds data, but user {owner.name}, as whom the server must run, cannot pass through the "
                f"directories above it: move data_dir to a place that user can reach"
            )
        return home, owner
    if owner.can_reach(home) and not (system_home / marker).exists():
        return home, owner
    log.info("%s runs as user %s, who cannot reach %s; its data are in %s", service, owner.name, data_dir, system_home)
    system_home.parent.mkdir(parents=True, exist_ok=True)
    for directory in (SYSTEM_HOME, system_home.parent):
        directory.chmod(0o755)
    (system_home.parent / "data_dir").write_text(f"{data_dir}\n")
    return system_home, owner


def _choose_run_dir(home: Path, service: str, socket_name: str, token: str, owner: Owner) -> Path:
    """The directory of the socket: in the home, or a short one when the path would be too long."""
    candidates = [home / "run"]
    if os.geteuid() == 0:
        candidates.append(SYSTEM_HOME / token / f"{service}-run")
    elif runtime := os.environ.get("XDG_RUNTIME_DIR"):
        candidates.append(Path(runtime) / f"{token}-{service}")
    candidates.append(Path(tempfile.gettempdir()) / f"{token}-{service}")
    candidates.append(Path("/tmp") / f"{token}-{service}")  # noqa: S108 - made private and checked below
    for directory in candidates:
        if len(os.fsencode(directory / socket_name)) <= SOCKET_PATH_BYTES_MAX and owner.can_reach(directory):
            return directory
    raise HostError(
        f"no directory is short enough for a unix socket ({SOCKET_PATH_BYTES_MAX} bytes): set a shorter data_dir"
    )


def _make_private(directory: Path, owner: Owner) -> None:
    """Make `directory` with mode 0700 for `owner`, or check that it is just that."""
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        pass
    except FileNotFoundError:
        directory.mkdir(mode=0o700, parents=True)
    status = directory.lstat()
    if status.st_uid == os.geteuid() != owner.uid:
        os.chown(directory, owner.uid, owner.gid, follow_symlinks=False)
        status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner.uid:
        raise HostError(
            f"{directory} must be a directory of user {owner.name}, but belongs to "
            f"{_owner(status.st_uid, status.st_gid).name}: remove it, give it to {owner.name}, or set another data_dir"
        )
    if stat.S_IMODE(status.st_mode) & 0o077:
        directory.chmod(0o700)
