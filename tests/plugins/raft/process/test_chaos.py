"""Real processes, killed at random under load, and all at once; `python -m plugins.raft.process.chaos` takes longer."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from plugins.raft.core.kv import Operation
from plugins.raft.process.chaos import Run, run_chaos, verdict_of
from plugins.raft.process.local import LocalGroup, local_group
from plugins.raft.sim.history import Seen

pytestmark = pytest.mark.timeout(120)


def ask(group: LocalGroup, number: int, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """One request to a node's HTTP; follows the redirect to the leader by itself."""
    url = group.urls[number] + path
    for _ in range(5):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"content-type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 307:
                    url = error.headers["location"]
                    continue
                return error.code, json.load(error)
        except urllib.error.URLError:
            # The leader that it was sent to is dead, and its follower does not know that yet.
            return 503, None
    raise AssertionError("redirected for ever")


def put_until_done(group: LocalGroup, number: int, value: str) -> None:
    """As a client does: a 503 says to try again, and a put may come twice."""
    until = time.monotonic() + 30
    while ask(group, number, "PUT", "/kv/colour", {"value": value})[0] != 200:
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.chaos
def test_processes_killed_at_random_lose_no_acknowledged_write(tmp_path: Path) -> None:
    found = run_chaos(tmp_path, 4, seed=1)
    assert found["verdict"] == "holds", found
    assert found["acknowledged"] > 10
    assert found["kills"] > 0


@pytest.mark.chaos
def test_store_survives_the_death_of_a_minority_and_of_all(tmp_path: Path) -> None:
    with local_group(tmp_path) as group:
        leader = group.leader()
        follower = leader % 3 + 1
        put_until_done(group, follower, "red")
        group.kill(leader)
        new = group.leader()
        assert ask(group, new, "GET", "/kv/colour")[1]["value"] == "red"
        group.kill(new)
        (last,) = group.running
        assert ask(group, last, "PUT", "/kv/colour", {"value": "lost"})[0] == 503
        group.kill(last)
        for number in group.peers:
            group.start(number)
        status, answer = ask(group, group.leader(), "GET", "/kv/colour")
        assert status == 200
        # What was not acknowledged may have happened or not; what was, has.
        assert answer["value"] in ("red", "lost")
        assert {group.stop(number) for number in list(group.running)} == {0}


def test_node_that_cannot_start_says_why(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "host.cli", "raft", "node", "--data-dir", str(tmp_path / "n1")]
    command += ["--set", f"data.dir={tmp_path}"]
    wrong = ["--id", "4", "--peers", "1=127.0.0.1:1,2=127.0.0.1:2"]
    done = subprocess.run([*command, *wrong], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "not among --peers" in done.stderr


def a_run(history: list[Seen], acknowledged: list[tuple[bytes, bytes]]) -> Run:
    return Run(history=history, acknowledged=acknowledged)


def test_acknowledged_write_that_is_gone_or_doubled_breaks_the_verdict() -> None:
    run = a_run([], [(b"k", b"<1.1>")])
    assert verdict_of(run, {b"k": b"<1.1>"})["verdict"] == "holds"
    assert verdict_of(run, {b"k": b""})["lost"] == 1
    assert verdict_of(run, {b"k": b"<1.1><1.1>"})["verdict"] == "broke"


def test_history_that_no_order_explains_breaks_the_verdict() -> None:
    append = Operation("append", b"k", b"<1.1>")
    history = [
        Seen(1, append, 0, 10, b"+<1.1>", 2),
        Seen(2, Operation("get", b"k"), 20, 30, b"-", 5),
    ]
    assert verdict_of(a_run(history, []), {})["not_linearizable"] == ["k"]
