"""Audit what is installed: pins that fit together, licences, known vulnerabilities.

    python -m tests.audit

The first two need no network. The third asks osv.dev by pip-audit, installed into a folder of its own; where it does
not answer, that is said, and is no failure. Exit code 1: something is wrong.
"""

import json
import socket
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

from tests.audit import licences

SERVICE = "api.osv.dev"
AUDITOR = "pip-audit>=2.10,<3"
FOLDER = Path(".cache/audit")
REACH_TIMEOUT_S = 5
TIMEOUT_S = 300


def main() -> None:
    """Run all three, and say what each found."""
    found = [*_pins(), *licences.problems()]
    print(f"pins and licences: {'in order' if not found else f'{len(found)} problems'}")
    vulnerable, not_run = _vulnerabilities()
    if not_run:
        print(f"NOT RUN: known vulnerabilities were NOT looked for: {not_run}")
    else:
        print(f"known vulnerabilities: {len(vulnerable)}")
    for problem in (*found, *vulnerable):
        print(f"  {problem}")
    sys.exit(1 if found or vulnerable else 0)


def _pins() -> list[str]:
    """What `pip check` says is missing or does not fit."""
    run = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    return [] if run.returncode == 0 else run.stdout.splitlines()


def _vulnerabilities() -> tuple[list[str], str]:
    """The vulnerable distributions, or why that is not known."""
    try:
        socket.create_connection((SERVICE, 443), timeout=REACH_TIMEOUT_S).close()
    except OSError as error:
        return [], f"{SERVICE} does not answer ({error})"
    try:
        auditor = _auditor()
        command = [auditor, "--path", sysconfig.get_paths()["purelib"], "--vulnerability-service", "osv"]
        run = subprocess.run(
            [*command, "--format", "json", "--progress-spinner", "off"],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return [], str(error)
    return read_report(run.stdout, run.stderr)


def _auditor() -> str:
    """The program, installed when it is not there yet."""
    program = FOLDER / "bin" / "pip-audit"
    if not program.exists():
        venv.create(FOLDER, with_pip=True)
        install = [str(FOLDER / "bin" / "python"), "-m", "pip", "install", "--quiet", AUDITOR]
        subprocess.run(install, check=True, timeout=TIMEOUT_S, capture_output=True)
    return str(program)


def read_report(report: str, errors: str) -> tuple[list[str], str]:
    """What pip-audit's JSON says; without one it broke off, and nothing is known."""
    try:
        dependencies: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = errors.strip().splitlines()[-1:] or ["it said nothing"]
        return [], f"pip-audit broke off: {last[0][:300]}"
    return [
        f"{dependency['name']} {dependency['version']}: {flaw['id']}, fixed in {', '.join(flaw['fix_versions']) or '—'}"
        for dependency in dependencies
        for flaw in dependency.get("vulns", ())
    ], ""


if __name__ == "__main__":
    main()
