"""What a test needs of the machine. Without it, it is skipped aloud; in CI, where nothing may be left out, it fails."""

import os
import shutil
from typing import NoReturn

import pytest


def needed(program: str, how: str) -> None:
    """The program is on this machine; `how` says what installs it."""
    if shutil.which(program) is None:
        missing(f"there is no {program} on this machine: {how}")


def missing(reason: str) -> NoReturn:
    """End the test, for what `reason` names is not there."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(f"NOT RUN: {reason}")
