"""One benchmark as a process: its last object, its failure, its time, and what it leaves behind."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import running
from benchmarks.machine import commit, machine, versions
from benchmarks.running import execute, last_object
from host.measurements import Benchmark, Machine, parse_measurements
from tests.benchmarks.cases import ENTRY, measured, printed


def python(code: str, tmp_path: Path, limit_s: float = 60) -> running.Ended:
    return execute([sys.executable, "-c", code], limit_s, tmp_path / "log")


def test_the_object_of_the_last_line_is_the_output(tmp_path: Path) -> None:
    ended = python("print('round 1'); print('{\"rate\": 3}')", tmp_path)
    assert (ended.output, ended.error) == ({"rate": 3}, "")


def test_a_benchmark_that_fails_says_so_and_what_it_printed_counts(tmp_path: Path) -> None:
    ended = python("""print('{"failures": ["too slow", "one lost"], "rate": 3}'); raise SystemExit(1)""", tmp_path)
    assert ended.output["rate"] == 3
    assert ended.error == "it ended with 1: too slow; one lost"


@pytest.mark.parametrize(("code", "error"), [("print('no')", "no"), ("1/0", "ZeroDivisionError"), ("", "said nothing")])
def test_a_benchmark_without_an_object_says_what_it_said(code: str, error: str, tmp_path: Path) -> None:
    ended = python(code, tmp_path)
    assert ended.output == {}
    assert error in ended.error


def test_a_benchmark_that_overruns_is_ended(tmp_path: Path) -> None:
    assert python("import time; time.sleep(600)", tmp_path, limit_s=0.2).error.startswith("it took longer than 0.2 s")


def test_what_a_benchmark_has_started_ends_with_it(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    child = "import signal, time; signal.signal(2, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    code = (
        f"import os, subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=-1);"
        f"child.stdout.readline(); open({str(pids)!r} + '.new', 'w').write(str(child.pid));"
        f"os.rename({str(pids)!r} + '.new', {str(pids)!r}); child.wait()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, stderr=subprocess.DEVNULL)
    until(pids.exists)
    running.end(process)
    assert process.returncode is not None
    until(lambda: not _is_running(int(pids.read_text())))


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_only_an_object_on_the_last_line_counts() -> None:
    assert last_object('{"a": 1}\n{"b": 2}') == {"b": 2}
    assert last_object('{"a": 1}\nbye') is None
    assert last_object("[1]") is None


def test_a_failure_hides_no_other_and_both_files_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = list(command.CATALOGUE[:3])
    monkeypatch.setattr(command, "run", _run_all_but(entries[0].name))
    assert command.measure(entries, None, is_quick=False, folder=tmp_path) is False
    told = capsys.readouterr().out
    assert f"{entries[0].name} ... FAILED after 61 s: it broke" in told
    path = tmp_path / "web/benchmarks/latest.json"
    found = parse_measurements(path.read_text(), path)
    assert [each.name for each in found.benchmarks] == [each.name for each in entries]
    assert [bool(each.error) for each in found.benchmarks] == [True, False, False]
    assert "**FAILED**: it broke" in (tmp_path / "docs/benchmarks.md").read_text()


def test_what_is_not_measured_again_stays_unless_the_machine_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = command.CATALOGUE[:2]
    here = measured(printed())
    monkeypatch.setattr(command, "run", _run_all_but(""))
    monkeypatch.setattr(command, "machine", lambda: here.machine)
    monkeypatch.setattr(command, "versions", lambda: here.versions)
    known = here.model_copy(
        update={"benchmarks": (here.benchmarks[0].model_copy(update={"name": first.name, "title": "kept"}),)}
    )
    path = tmp_path / "web/benchmarks/latest.json"
    assert command.measure([second], known, is_quick=False, folder=tmp_path) is True
    assert [each.title for each in parse_measurements(path.read_text(), path).benchmarks] == ["kept", ENTRY.title]
    elsewhere = known.model_copy(update={"machine": Machine(cpu="other", cores=64, memory_gib=1, kernel="x")})
    command.measure([second], elsewhere, is_quick=False, folder=tmp_path)
    assert [each.name for each in parse_measurements(path.read_text(), path).benchmarks] == [second.name]


def test_a_run_is_read_again_by_the_catalogue_of_today(monkeypatch: pytest.MonkeyPatch) -> None:
    known = measured(printed())
    gone = known.benchmarks[0].model_copy(update={"name": "gone"})
    monkeypatch.setattr(command, "CATALOGUE", (replace(ENTRY, title="Another", measures=ENTRY.measures[:1]),))
    (found,) = command.reread(known.model_copy(update={"benchmarks": (gone, *known.benchmarks)})).benchmarks
    assert (found.title, [result.label for result in found.results]) == ("Another", ["deliveries"])
    assert (found.at, found.output) == (known.benchmarks[0].at, printed())


def test_a_peer_installed_since_leaves_what_is_known_and_another_version_does_not() -> None:
    known = measured(printed())
    assert command.is_same_place(known, known.model_copy(update={"versions": {"Python": "3.11.7", "LiteLLM": "1"}}))
    assert not command.is_same_place(known, known.model_copy(update={"versions": {"Python": "3.12.1"}}))


def _run_all_but(broken: str) -> object:
    def run(entry: object, *, is_quick: bool) -> Benchmark:
        name = entry.name  # type: ignore[attr-defined]
        error = "it broke" if name == broken else ""
        return measured({} if error else printed(), error=error).benchmarks[0].model_copy(update={"name": name})

    return run


def test_a_run_records_when_and_on_what(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(running, "LOGS", tmp_path)
    monkeypatch.setattr("benchmarks.machine._WATCH_S", 0.05)
    monkeypatch.setattr(running, "execute", lambda words, limit_s, log: running.Ended(printed(), ""))
    found = running.run(ENTRY)
    assert found.command == "python -m benchmarks.fanout"
    assert 0 <= found.busy_share <= 1
    assert found.error == ""
    assert len(found.results) == 3
    assert found.commit == commit()


def test_the_machine_and_the_versions_are_known() -> None:
    here = machine()
    assert here.cores == os.cpu_count()
    assert here.cpu
    assert here.kernel.split()[0] == os.uname().sysname
    assert {"Python", "Quartet", "trio", "PostgreSQL", "Redis", "uvicorn"} <= set(versions())
