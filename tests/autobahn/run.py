"""Autobahn's fuzzing client against the native engine; writes `docs/autobahn.md`. `make autobahn` runs it.

Autobahn's test suite needs CPython 2.7 (found as `PYTHON27`, `python2.7` or pyenv's 2.7.x). It is installed once, by
virtualenv 20.15 (the last one that knows 2.7) and plain pip, into `.cache/autobahn`.
"""

import argparse
import collections
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "autobahn"
SUMMARY = ROOT / "docs" / "autobahn.md"
# What each round asks, and whether its echo route compresses.
ROUNDS = {
    "frames, fragmentation, UTF-8, closes, limits": (
        ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"],
        False,
    ),
    "permessage-deflate": (["12.*", "13.*"], True),
}
# Cases 12 and 13 send a thousand messages each, through Autobahn's own Python: a quarter of an hour in all.
ROUND_TIMEOUT_S = 3600
PASSED = ("OK", "NON-STRICT", "INFORMATIONAL")


def python27() -> str:
    """A CPython 2.7, or the end with a hint."""
    # Pyenv's shim of that name works only where 2.7 is the chosen version.
    pyenv = [str(path) for path in sorted(Path.home().glob(".pyenv/versions/2.7.*/bin/python2.7"))]
    for found in (os.environ.get("PYTHON27"), *pyenv, shutil.which("python2.7")):
        if found:
            return found
    sys.exit("Autobahn's test suite needs CPython 2.7: pyenv install 2.7.18, or set PYTHON27")


def install() -> Path:
    """Autobahn's `wstest`, installed when it is not there."""
    wstest = CACHE / "env" / "bin" / "wstest"
    if not wstest.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        tool = CACHE / "tool"
        subprocess.run([sys.executable, "-m", "venv", str(tool)], check=True)
        subprocess.run([str(tool / "bin" / "pip"), "install", "-q", "virtualenv<20.16"], check=True)
        subprocess.run([str(tool / "bin" / "virtualenv"), "-q", "-p", python27(), str(CACHE / "env")], check=True)
        subprocess.run([str(CACHE / "env" / "bin" / "pip"), "install", "-q", "autobahntestsuite==0.8.2"], check=True)
    return wstest


def serve(*, deflate: bool) -> None:
    """The echo route, on a free port that is printed first."""
    import trio

    from host.api import WebSocket, WebSocketPolicy
    from host.http.engine import bind, engine_named
    from host.http.limits import MIB, Limits

    async def echo(scope: Any, receive: Any, send: Any) -> None:
        scope["quartet.websocket"] = WebSocketPolicy(deflate=deflate)
        async with WebSocket(scope, receive, send) as socket:
            async for message in socket:
                await socket.send(message)

    async def run() -> None:
        sockets = bind("127.0.0.1", 0)
        print(sockets[0].getsockname()[1], flush=True)
        # Case 9 sends messages of 16 MiB.
        limits = Limits(websocket_message_bytes_max=20 * MIB)
        await engine_named("native").serve(echo, sockets, limits, drain=trio.Event())

    trio.run(run)


def fuzz(wstest: Path, number: int, cases: list[str], *, deflate: bool) -> dict[str, Any]:
    """What Autobahn says of each case."""
    command = [sys.executable, "-m", "tests.autobahn.run", "--serve", *(["--deflate"] if deflate else [])]
    reports = CACHE / f"reports-{number}"
    shutil.rmtree(reports, ignore_errors=True)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        assert server.stdout is not None
        try:
            url = f"ws://127.0.0.1:{int(server.stdout.readline())}"
            spec = {
                "outdir": str(reports),
                "servers": [{"agent": "quartet", "url": url}],
                "cases": cases,
                "exclude-cases": [],
                "exclude-agent-cases": {},
            }
            (CACHE / "spec.json").write_text(json.dumps(spec))
            with (CACHE / f"log-{number}").open("w") as log:
                run = [str(wstest), "-m", "fuzzingclient", "-s", str(CACHE / "spec.json")]
                subprocess.run(run, cwd=CACHE, stdout=log, stderr=log, check=True, timeout=ROUND_TIMEOUT_S)
        finally:
            server.kill()
    found: dict[str, Any] = json.loads((reports / "index.json").read_text())["quartet"]
    return found


def section(title: str, cases: list[str], results: dict[str, Any]) -> list[str]:
    """The part of the summary about one round."""
    counts = collections.Counter(result["behavior"] for result in results.values())
    closes = collections.Counter(result["behaviorClose"] for result in results.values())
    lines = [f"## {title[0].upper()}{title[1:]}", "", f"Cases {', '.join(cases)}: {len(results)} run.", ""]
    lines += ["| | " + " | ".join(sorted({*counts, *closes})) + " |", "| --- |" + " --- |" * len({*counts, *closes})]
    for name, counted in (("behaviour", counts), ("closing", closes)):
        lines.append(f"| {name} | " + " | ".join(str(counted[key]) for key in sorted({*counts, *closes})) + " |")
    odd = {case: result["behavior"] for case, result in results.items() if result["behavior"] != "OK"}
    if odd:
        lines += [
            "",
            "Other than OK: " + ", ".join(f"{case} ({behaviour.lower()})" for case, behaviour in odd.items()) + ".",
        ]
    return [*lines, ""]


def main() -> None:
    """Run the rounds and write the summary; the exit code says whether all passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--deflate", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(deflate=options.deflate)
        return
    wstest = install()
    lines = [
        "# Autobahn",
        "",
        "The fuzzing client of Autobahn's test suite 0.8.2 against an echo route of the native engine,",
        f"{datetime.now(UTC):%Y-%m-%d}. `make autobahn` runs it again and writes this page.",
        "",
        "OK is what the RFC asks for; NON-STRICT is Autobahn's word for what the RFC allows where another behaviour is",
        "nicer; INFORMATIONAL cases cannot fail. No case is left out.",
        "",
    ]
    failed: list[str] = []
    for number, (title, (cases, deflate)) in enumerate(ROUNDS.items(), 1):
        results = fuzz(wstest, number, cases, deflate=deflate)
        lines += section(title, cases, results)
        failed += [
            case
            for case, result in results.items()
            if result["behavior"] not in PASSED or result["behaviorClose"] not in PASSED
        ]
        print(f"{title}: {len(results)} cases", flush=True)
    SUMMARY.write_text("\n".join(lines))
    print(f"failed: {', '.join(failed)}" if failed else "all passed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
