"""The examples as a stranger has them: installed as distributions, tested by their own tests, and run side by side."""

from pathlib import Path

import httpx
import pytest

from tests.host.scratch import Scratch, make_scratch

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ("webhook-inbox", "scheduler")

CONFIG = """\
[server]
port = 0
[postgres]
url = "{postgres_url}"
[data]
dir = "{data}"
[plugins]
frontrow.enabled = false
gateway.enabled = false
liveboard.enabled = false
raft.enabled = false
webhook_inbox.enabled = true
scheduler.enabled = true
"""


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Scratch:
    """An environment with both examples."""
    scratch = make_scratch(tmp_path_factory.mktemp("examples"))
    for name in NAMES:
        scratch.install(EXAMPLES / name)
    return scratch


@pytest.mark.parametrize("name", NAMES)
def test_example_passes_its_own_tests(scratch: Scratch, name: str) -> None:
    tests = scratch.pytest(EXAMPLES / name)
    assert tests.returncode == 0, tests.stdout + tests.stderr
    # A suite that skips itself would pass, too.
    assert " passed" in tests.stdout
    assert "skipped" not in tests.stdout


@pytest.mark.parametrize("name", NAMES)
def test_example_imports_nothing_of_the_host_but_its_api_and_its_test_kit(name: str) -> None:
    for path in (EXAMPLES / name).rglob("*.py"):
        for line in path.read_text().splitlines():
            if line.lstrip().startswith(("from host", "import host", "from plugins", "import plugins")):
                assert line.split()[1] in ("host.api", "host.testing"), f"{path}: {line}"


def test_examples_run_side_by_side_and_a_job_calls_a_hook(scratch: Scratch, postgres_url: str) -> None:
    scratch.config.write_text(CONFIG.format(postgres_url=postgres_url, data=scratch.folder / "data"))
    for name in ("webhook_inbox", "scheduler"):
        check = scratch.quartet("plugins", "check", name, "--config", str(scratch.config))
        assert check.returncode == 0, check.stdout + check.stderr
    with scratch.host() as host, httpx.Client(base_url=host.url, timeout=30) as client:
        job = {"cron": "@daily", "action": {"kind": "notify", "channel": "morning"}}
        assert client.put("/api/scheduler/jobs/morning", json=job).status_code == 200
        assert client.post("/api/scheduler/jobs/morning/run").json()["state"] == "done"
        assert client.post("/hooks/shop", json={"order": 7}).status_code == 202
        assert client.get("/readyz?verbose").status_code == 200
        metrics = client.get("/metrics").text
        assert "webhook_inbox_received_total 1.0" in metrics
        assert 'scheduler_runs_total{state="done"} 1.0' in metrics
        for page in ("/webhooks", "/scheduler"):
            assert client.get(page, headers={"accept": "text/html"}).status_code == 200
        assert host.stop() == 0
    listed = scratch.quartet("scheduler", "list", "--config", str(scratch.config))
    assert listed.stdout.startswith("morning "), listed.stdout + listed.stderr
