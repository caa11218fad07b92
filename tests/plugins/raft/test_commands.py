"""The simulation on the command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


def quartet(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "host.cli", "raft", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_sim_prints_what_came_of_the_run() -> None:
    result = quartet("sim", "--seed", "7")
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert (document["link"], document["violation"]) == ("s7", "")


def test_sim_traces_each_step_with_its_actions() -> None:
    result = quartet("sim", "--seed", "7", "--steps", "300", "--trace")
    assert result.returncode == 0, result.stderr
    for action in ("Init", "Timeout(", "BecomeLeader(", "AdvanceCommitIndex("):
        assert action in result.stdout or action == "Init"


def test_sim_of_nodes_that_lack_a_rule_says_what_broke() -> None:
    result = quartet("sim", "--link", "s0.vote-once")
    assert result.returncode == 1
    assert json.loads(result.stdout)["violation"]


def test_soak_writes_its_summary(tmp_path: Path) -> None:
    page = tmp_path / "soak.md"
    result = quartet("soak", "--seeds", "3", "--report", str(page))
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["violations"] == 0
    assert "| **violations** | **0** |" in page.read_text()


def test_rules_writes_its_table(tmp_path: Path) -> None:
    page = tmp_path / "rules.md"
    result = quartet("rules", "--rule", "vote-once", "--seeds-max", "50", "--write", str(page))
    assert result.returncode == 0, result.stderr
    assert "`vote-once`" in page.read_text()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("sim", "--link", "p1.abc"), "checksum"),
        (("sim", "--rule", "nonsense"), "there is no rule"),
        (("soak", "--seeds", "-3"), "no whole number"),
        (("shrink", "--seed", "7"), "breaks no promise"),
    ],
)
def test_bad_input_is_refused_with_the_reason(words: tuple[str, ...], reason: str) -> None:
    result = quartet(*words)
    assert result.returncode == 2
    assert reason in result.stderr
    assert "Traceback" not in result.stderr
