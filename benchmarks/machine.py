"""What the figures were measured on: the machine, the versions, and what else the machine did."""

import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Final

from benchmarks.fanout import PEERS
from benchmarks.gateway_rivals import FOLDER
from host.errors import HostError
from host.measurements import Machine
from host.services.embedded.binaries import find_postgres, find_redis
from host.services.embedded.owner import server_user

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = (
    *("trio", "httptools", "httpx", "psycopg", "redis", "hiredis", "pydantic", "orjson"),
    *("uvicorn", "uvloop", "hypercorn", "pysyncobj"),
)
"""Ours first, then the peers that come with the development environment."""
PROGRAMS: Final = ("wrk", "node", "chromium")
REPORTS: Final = ("docs/benchmarks.md", "web/benchmarks/latest.json")
"""What a run writes itself: they do not make the tree a changed one."""
_WATCH_S: Final = 1.0


def machine() -> Machine:
    """This machine."""
    cpus = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory_kib = [int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    return Machine(
        cpu=cpus[0] if cpus else platform.processor() or platform.machine(),
        cores=os.cpu_count() or 1,
        memory_gib=round(memory_kib[0] / 2**20, 1) if memory_kib else 0,
        kernel=f"{platform.system()} {platform.release()}",
    )


def versions() -> dict[str, str]:
    """Of everything that is measured or measures; what is not there is left out."""
    found = {"Python": platform.python_version(), "Quartet": importlib.metadata.version("quartet-host")}
    found |= {name: _distribution(name) for name in PACKAGES}
    owner = server_user()
    try:
        found["PostgreSQL"] = find_postgres(owner, None).version
        found["Redis"] = find_redis(owner).version
    except HostError:
        pass
    found |= {name: _said_by(name) for name in PROGRAMS}
    found |= {"ws": _npm(PEERS / "node_modules" / "ws")}
    found |= {"Portkey": _npm(FOLDER / "portkey" / "node_modules" / "@portkey-ai" / "gateway")}
    found |= {"LiteLLM": _in_venv(FOLDER / "litellm", "litellm")}
    return {name: version for name, version in found.items() if version}


def commit() -> str:
    """The commit that is checked out, with a plus when files of the repository are changed; "" without git."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD").strip()
        changed = _git("status", "--porcelain", "--untracked-files=no").splitlines()
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head + ("+" if [line for line in changed if line[3:] not in REPORTS] else "")


def busy_share() -> float:
    """How much of all cores is in use, watched for a second in which this process does nothing."""
    before = _jiffies()
    time.sleep(_WATCH_S)
    busy, everything = (after - then for after, then in zip(_jiffies(), before, strict=True))
    return round(busy / everything, 3) if everything else 0.0


def _jiffies() -> tuple[int, int]:
    """Time in use, and all time, of all cores together."""
    first = next(iter(_lines("/proc/stat")), "")
    spent = [int(each) for each in first.split()[1:9]]
    return sum(spent) - sum(spent[3:5]), sum(spent)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def _distribution(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _said_by(program: str) -> str:
    """The number in what a program says of its version."""
    if shutil.which(program) is None:
        return ""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=30)
    found = re.search(r"\d+\.\d[\w.]*", done.stdout + done.stderr)
    return found[0] if found else ""


def _npm(folder: Path) -> str:
    try:
        return str(json.loads((folder / "package.json").read_text())["version"])
    except (OSError, ValueError, KeyError):
        return ""


def _in_venv(folder: Path, name: str) -> str:
    for site in folder.glob("lib/python*/site-packages"):
        for found in importlib.metadata.distributions(name=name, path=[str(site)]):
            return found.version
    return ""
