"""Certificates are checked without the server, in Python and by Node, and what is not as it says is found."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from plugins.liveboard.certificates import CertificateError, verify
from tests.plugins.liveboard.vectors.make import FOLDER

NODE = shutil.which("node")
VERIFIER = Path(__file__).parents[3] / "web" / "liveboard" / "verify.mjs"
VECTORS = json.loads((FOLDER / "certificates.json").read_text())
GOOD = VECTORS[0]["certificate"]
OTHER_KEY = "00" * 32


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["fault"] or "holds")
def test_certificate_is_judged_as_its_vector(vector) -> None:
    if vector["fault"]:
        with pytest.raises(CertificateError, match=vector["fault"]):
            verify(vector["certificate"])
    else:
        found = verify(vector["certificate"], GOOD["key"])
        assert {name: GOOD[name] for name in ("room", "rev", "digest", "root", "key")}.items() <= found.items()


@pytest.mark.parametrize("name", ["signature", "key", "room", "digest", "root", "operations"])
def test_certificate_without_a_part_does_not_hold(name) -> None:
    with pytest.raises(CertificateError):
        verify({key: value for key, value in GOOD.items() if key != name})


def test_certificate_of_another_key_does_not_hold() -> None:
    with pytest.raises(CertificateError, match="signed with the key"):
        verify(GOOD, OTHER_KEY)


@pytest.mark.skipif(NODE is None, reason="needs Node 20 or later")
def test_node_comes_to_the_same_as_python(tmp_path) -> None:
    file = tmp_path / "board.json"
    file.write_text(json.dumps(GOOD))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(NODE), str(VERIFIER), str(file), *arguments], capture_output=True, text=True, timeout=60, check=False
        )

    holds, other = run(), run(OTHER_KEY)
    assert json.loads(holds.stdout) == verify(GOOD) | {"signature": "valid"}
    assert (holds.returncode, other.returncode) == (0, 1)
    assert other.stdout.startswith("does not hold: it is signed with the key")
