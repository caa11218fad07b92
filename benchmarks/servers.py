"""Embedded Postgres and Redis of a benchmark's own, as the host starts them, and what a process costs."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def servers() -> Iterator[dict[str, Any]]:
    """Embedded Postgres and Redis of their own, as the host starts them, stopped and removed at the end."""
    directory = Path(tempfile.mkdtemp(prefix="quartet-bench-"))
    directory.chmod(0o755)
    command = [sys.executable, "-m", "host.services.embedded", "--data-dir", str(directory)]
    try:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise SystemExit("the embedded servers did not start")
            yield json.loads(line)
            process.stdin.close()
            process.wait(30)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
