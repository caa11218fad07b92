"""Where an embedded server lives.

Everything is in `data_dir` unless it cannot be. Under root the servers run as an unprivileged user (see `owner`);
when that user cannot pass through the directories above `data_dir` (a clone under /root, say), the server's home is
in `/var/lib/quartet/quartet-<hash of data_dir>` instead. No directory that Quartet did not make is ever chmodded.

    data_dir/postgres.lock      flock of the host that owns the server, with its pid, and the URL once it answers
    data_dir/postgres.log       what the server says
    home/                       mode 0700, of the server's user: data_dir/postgres, or the one in /var/lib/quartet
    home/run/                   the unix socket; in a shorter directory when its path would not fit into sockaddr_un
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from host.errors import HostError
from host.services.embedded.owner import Owner, server_user, user_of

log = logging.getLogger("quartet.embedded")

SYSTEM_HOME = Path("/var/lib/quartet")
# sizeof(sun_path) less the final NUL: 108 on Linux (unix(7)), 104 on macOS and the BSDs (sys/un.h).
SOCKET_PATH_BYTES_MAX = 107 if sys.platform == "linux" else 103
_LAST_WORDS_BYTES = 2000
_LAST_WORDS_LINES = 4
# A pid, and a URL that quotes a socket's path: a byte becomes three at most.
_LOCK_BYTES_MAX = 32 + 4 * SOCKET_PATH_BYTES_MAX


class TakenByAnotherHost(HostError):
    """The server belongs to a host that runs. `url` is where it can be reached, empty while it does not answer yet."""

    def __init__(self, message: str, url: str) -> None:
        super().__init__(message)
        self.url = url


@dataclass(frozen=True)
class Place:
    """The directories and files of one embedded server. `token` stands in its command lines, and in no other's."""

    service: str
    data_dir: Path
    home: Path
    run_dir: Path
    owner: Owner
    token: str

    @property
    def log(self) -> Path:
        """The log, beside the home and not in it: a host that is root opens no file in another user's directory."""
        return self.data_dir / f"{self.service}.log"

    def tell(self, url: str) -> None:
        """Note where the server is, for commands that run beside this host."""
        with _lock_file(self.data_dir, self.service).open("a") as file:
            file.write(f"{url}\n")

    def last_words(self) -> str:
        """The end of the log on one line, and where the log is, for an error message."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - _LAST_WORDS_BYTES))
                lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
        except OSError:
            lines = []
        return f"{' | '.join(lines[-_LAST_WORDS_LINES:]) or 'it said nothing'} — see {self.log}"

    def tidy(self) -> None:
        """Remove the socket's directory when it is not inside the home. Nothing may run any more."""
        if not self.run_dir.is_relative_to(self.home):
            with contextlib.suppress(OSError):
                self.run_dir.rmdir()


@contextlib.contextmanager
def settled(data_dir: Path, service: str, socket_name: str, *, marker: str) -> Iterator[Place]:
    """Own `service` in `data_dir` for the length of the block, with its directories made.

    `marker` is what exists in a home that is in use (`pgdata`): such a home is never passed over for an empty one.

    Raises:
        TakenByAnotherHost: one that runs owns it; the message names its pid.
        HostError: a directory cannot be made, belongs to somebody else, or holds data that the server's user cannot
            reach.
    """
    with contextlib.ExitStack() as stack:
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
            data_dir = data_dir.resolve()
            stack.enter_context(_locked(data_dir, service))
            token = "quartet-" + hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
            home, owner = _choose_home(data_dir, service, token, marker)
            _make_private(home, owner)
            run_dir = _choose_run_dir(home, service, socket_name, token, owner)
            _make_private(run_dir, owner)
        except OSError as error:
            raise HostError(f"cannot set up {service} in {data_dir}: {error}; set another data.dir") from error
        place = Place(service, data_dir, home, run_dir, owner, token)
        stack.callback(place.tidy)
        yield place


@contextlib.contextmanager
def _locked(data_dir: Path, service: str) -> Iterator[None]:
    """Hold the lock file. The kernel drops the lock with the process, so none is ever stale."""
    handle = os.open(_lock_file(data_dir, service), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder, _, url = os.read(handle, _LOCK_BYTES_MAX).decode(errors="replace").partition("\n")
            raise TakenByAnotherHost(
                f"the embedded {service} in {data_dir} belongs to the host with pid {holder or 'unknown'}, which is "
                f"running: stop that host, or set another data.dir",
                url.strip(),
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _lock_file(data_dir: Path, service: str) -> Path:
    return data_dir / f"{service}.lock"


def _choose_home(data_dir: Path, service: str, token: str, marker: str) -> tuple[Path, Owner]:
    """The home that is in use already, else one in `data_dir`, else the one in /var/lib/quartet."""
    home, system_home = data_dir / service, SYSTEM_HOME / token / service
    owner = server_user()
    if os.geteuid() != 0:
        return home, owner
    if (home / marker).exists():
        status = home.stat()
        if status.st_uid != 0:
            # Made by a host that was not root: that user's files stay that user's.
            owner = user_of(status.st_uid, status.st_gid)
        if not owner.can_reach(home):
            raise HostError(
                f"{home} holds data, but user {owner.name}, as whom the server must run, cannot pass through the "
                f"directories above it: move data.dir to where that user can reach it"
            )
        return home, owner
    if owner.can_reach(home) and not (system_home / marker).exists():
        return home, owner
    log.info("user %s, as whom %s runs, cannot reach %s: using %s", owner.name, service, data_dir, system_home)
    make_public(system_home.parent)
    (system_home.parent / "data_dir").write_text(f"{data_dir}\n")
    return system_home, owner


def _choose_run_dir(home: Path, service: str, socket_name: str, token: str, owner: Owner) -> Path:
    """The directory of the socket: in the home, or elsewhere when the path would be too long.

    A comma separates several hosts in a Postgres URL, so it cannot be in the path either.
    """
    candidates = [home / "run"]
    if os.geteuid() == 0:
        candidates.append(SYSTEM_HOME / token / f"{service}-run")
    elif runtime := os.environ.get("XDG_RUNTIME_DIR"):
        candidates.append(Path(runtime) / f"{token}-{service}")
    candidates += [Path(tempfile.gettempdir()) / f"{token}-{service}", Path("/tmp") / f"{token}-{service}"]
    for directory in candidates:
        path = os.fsencode(directory / socket_name)
        if len(path) <= SOCKET_PATH_BYTES_MAX and b"," not in path and owner.can_reach(directory):
            if directory.is_relative_to(SYSTEM_HOME):
                make_public(directory.parent)
            return directory
    raise HostError(
        f"no directory gives {service} a unix socket path of at most {SOCKET_PATH_BYTES_MAX} bytes: "
        f"set a shorter data.dir"
    )


def make_public(directory: Path) -> None:
    """Make `directory`, which is under SYSTEM_HOME, so that every user can pass through, whatever the umask."""
    for path in (*reversed(directory.parents), directory):
        if path.is_relative_to(SYSTEM_HOME):
            path.mkdir(mode=0o755, parents=True, exist_ok=True)
            path.chmod(0o755)


def _make_private(directory: Path, owner: Owner) -> None:
    """Make `directory` with mode 0700 for `owner`, or check that it is just that."""
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    status = directory.lstat()
    if status.st_uid == os.geteuid() != owner.uid:
        os.chown(directory, owner.uid, owner.gid, follow_symlinks=False)
        status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner.uid:
        raise HostError(
            f"{directory} must be a directory of user {owner.name}, but belongs to "
            f"{user_of(status.st_uid, status.st_gid).name}: run Quartet as that user, or set another data.dir"
        )
    if stat.S_IMODE(status.st_mode) & 0o077:
        directory.chmod(0o700)
