"""Schemathesis over `/openapi.json` of a running host: every operation answers as its document says, whatever is sent.

Schemathesis draws requests from the document: examples, the edges of every schema, values that break it, and random
ones, all by a fixed seed. An answer with a status that is not documented fails, and 500 never is.
"""

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from host.testing import HostProcess

CHECKS = (
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
EXAMPLES = 4
SEED = 7
LEFT_OUT = {
    # Event streams: they do not end by themselves.
    r"/events$": "GET",
    r"/changes$": "GET",
    # Whole experiments, of seconds each, some of which kill servers. Their bodies are tested with what is hostile.
    r"^/api/frontrow/(stampede|chaos|comparisons)$": "POST",
    r"^/api/(gateway|liveboard)/proof$": "POST",
    r"^/api/raft/(failover|rules/.*)$": "POST",
}


@pytest.mark.timeout(300)
def test_every_operation_answers_as_the_document_says(unharmed: HostProcess, tmp_path: Path) -> None:
    arguments = ["--phases=examples,coverage,fuzzing", f"--max-examples={EXAMPLES}", f"--seed={SEED}"]
    arguments += [f"--checks={','.join(CHECKS)}", "--continue-on-failure", "--warnings=off", "--request-timeout=60"]
    arguments += ["--exclude-path-regex", "|".join(LEFT_OUT)]
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{unharmed.url}/openapi.json", *arguments]
    run = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, cwd=tmp_path
    )
    assert run.returncode == 0, run.stdout


def test_no_operation_documents_a_fault_of_the_program(http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    assert [path for path, item in document["paths"].items() for op in item.values() if "500" in op["responses"]] == []


def test_what_is_left_out_is_there(http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    for pattern, method in LEFT_OUT.items():
        assert any(re.search(pattern, path) and method.lower() in item for path, item in document["paths"].items())
