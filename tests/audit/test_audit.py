"""The audit fails on what it is there for, and says what it could not look at."""

import json
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from tests.audit import __main__ as audit
from tests.audit import licences


def installed(folder: Path, *headers: str) -> Distribution:
    folder.mkdir(exist_ok=True)
    (folder / "METADATA").write_text(
        "\n".join(("Metadata-Version: 2.4", "Name: thing", "Version: 1", *headers, "", ""))
    )
    return Distribution.at(folder)


@pytest.mark.parametrize(
    ("expression", "is_allowed"),
    [
        ("MIT", True),
        ("Apache-2.0 AND MIT", True),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", True),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only", False),
        ("MIT AND AGPL-3.0-or-later", False),
        ("(MIT", False),
        ("", False),
        ("Proprietary", False),
        ("Other/Proprietary License", False),
        ("__import__('os')", False),
    ],
)
def test_an_expression_is_allowed_when_allowed_licences_fulfil_it(expression: str, is_allowed: bool) -> None:
    assert licences.is_allowed(expression) is is_allowed


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        (["License-Expression: MIT"], ""),
        (["Classifier: License :: OSI Approved :: MIT License"], ""),
        (["License: BSD-3-Clause"], ""),
        (["Classifier: License :: OSI Approved", "Classifier: License :: OSI Approved :: BSD License"], ""),
        ([], "thing states no licence"),
        (["License-Expression: AGPL-3.0-only"], "thing has the licence 'AGPL-3.0-only', which nobody has allowed"),
        (["License: ask us"], "thing has the licence 'ask us', which nobody has allowed"),
    ],
)
def test_a_licence_that_is_unknown_or_forbidden_is_a_problem(tmp_path: Path, headers: list[str], problem: str) -> None:
    assert licences.problems([installed(tmp_path / "thing.dist-info", *headers)]) == ([problem] if problem else [])


def test_all_that_is_installed_here_may_be_used() -> None:
    assert licences.problems() == []


def test_vulnerabilities_are_told() -> None:
    flaw = {"id": "PYSEC-1", "fix_versions": ["2"], "aliases": [], "description": ""}
    report = {
        "dependencies": [{"name": "a", "version": "1", "vulns": [flaw]}, {"name": "b", "version": "1", "vulns": []}]
    }
    assert audit.read_report(json.dumps(report), "") == (["a 1: PYSEC-1, fixed in 2"], "")


def test_an_audit_that_broke_off_is_not_taken_for_a_clean_one() -> None:
    assert audit.read_report("", "trace\nConnectionError: no") == ([], "pip-audit broke off: ConnectionError: no")


def test_a_service_that_does_not_answer_is_said_loudly_and_fails_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_network(*arguments: object, **options: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(audit.socket, "create_connection", no_network)
    monkeypatch.setattr(audit, "_pins", list)
    with pytest.raises(SystemExit) as ended:
        audit.main()
    assert ended.value.code == 0
    assert "NOT RUN: known vulnerabilities were NOT looked for" in capsys.readouterr().out
