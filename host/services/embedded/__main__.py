"""Embedded servers for a process that runs no Trio: `python -m host.services.embedded [--data-dir X] [--postgres] …`.

Without --data-dir the data are in a temporary directory that is removed at the end. Prints one JSON line once they
answer, then runs until its standard input closes (so they end with whoever started it, however it ends), or until
SIGTERM or SIGINT. Exits with 1 and the reason on stderr when they cannot start.
"""

import argparse
import contextlib
import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import trio

from host.errors import HostError
from host.services.embedded import Endpoint, run_embedded_postgres, run_embedded_redis


def main() -> int:
    """Parse the arguments, run, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m host.services.embedded", description=__doc__)
    parser.add_argument("--data-dir", type=Path, help="where the data stay; left out, they go at the end")
    parser.add_argument("--postgres", action="store_true", help="Postgres alone, unless --redis is given too")
    parser.add_argument("--redis", action="store_true", help="Redis alone, unless --postgres is given too")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of Postgres")
    arguments = parser.parse_args()
    settings = dict(pair.split("=", 1) for pair in arguments.set)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(message)s")
    both = arguments.postgres == arguments.redis
    problems: list[str] = []
    try:
        with contextlib.ExitStack() as stack:
            data_dir = arguments.data_dir or stack.enter_context(_temporary_directory())
            trio.run(_run, data_dir, both or arguments.postgres, both or arguments.redis, settings)
    except* HostError as errors:
        problems = [f"error: {error}" for error in _leaves(errors)]
    print(*problems, sep="\n", end="\n" if problems else "", file=sys.stderr)  # noqa: T201
    return 1 if problems else 0


@contextlib.contextmanager
def _temporary_directory() -> Iterator[Path]:
    """One that the servers' user can reach too: under root that is another user, and TMPDIR may be root's own."""
    parent = Path("/tmp") if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="quartet-", dir=parent, ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


async def _run(data_dir: Path, with_postgres: bool, with_redis: bool, settings: dict[str, str]) -> None:
    endpoints: dict[str, Endpoint] = {}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_until_asked_to_stop, nursery.cancel_scope)
        async with trio.open_nursery() as starting:
            if with_postgres:
                starting.start_soon(_start_postgres, nursery, data_dir, settings, endpoints)
            if with_redis:
                starting.start_soon(_start_redis, nursery, data_dir, endpoints)
        line: dict[str, object] = {"pid": os.getpid()}
        for service, endpoint in endpoints.items():
            line |= {
                f"{service}_url": endpoint.url,
                f"{service}_pid": endpoint.pid(),
                f"{service}_version": endpoint.version,
                f"{service}_log": str(endpoint.log),
            }
        print(json.dumps(line), flush=True)  # noqa: T201


async def _start_postgres(
    nursery: trio.Nursery, data_dir: Path, settings: dict[str, str], endpoints: dict[str, Endpoint]
) -> None:
    async def run(*, task_status: trio.TaskStatus[Endpoint]) -> None:
        await run_embedded_postgres(data_dir, settings=settings, task_status=task_status)

    endpoints["postgres"] = await nursery.start(run)


async def _start_redis(nursery: trio.Nursery, data_dir: Path, endpoints: dict[str, Endpoint]) -> None:
    endpoints["redis"] = await nursery.start(run_embedded_redis, data_dir)


async def _until_asked_to_stop(scope: trio.CancelScope) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_until_stdin_closes, scope)
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                scope.cancel()


async def _until_stdin_closes(scope: trio.CancelScope) -> None:
    # os.read, not sys.stdin: a thread that is left inside the buffered reader would abort the interpreter's exit.
    while await trio.to_thread.run_sync(os.read, 0, 4096, abandon_on_cancel=True):
        pass
    scope.cancel()


def _leaves(group: BaseExceptionGroup[HostError]) -> list[HostError]:
    found: list[HostError] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


if __name__ == "__main__":
    sys.exit(main())
