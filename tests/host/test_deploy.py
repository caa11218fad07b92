"""The files of deploy/: what they name is there."""

import json
import re
import tomllib
from pathlib import Path

import httpx

from host.config import load_settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
METRIC = re.compile(r"\b(?:quartet|frontrow|raft|liveboard|gateway)_[a-z_]+")


def exported(host_url: str) -> set[str]:
    """The names of the samples and families on a running host's /metrics."""
    names = set()
    for line in httpx.get(f"{host_url}/metrics", timeout=30).text.splitlines():
        names.add(line.split()[2] if line.startswith("#") else re.split(r"[{ ]", line)[0])
    return names


def test_every_metric_of_the_dashboard_and_the_alerts_is_exported(host_url: str) -> None:
    known = exported(host_url)
    for file, at_least in (("grafana.json", 20), ("alerts.yml", 10)):
        named = set(METRIC.findall((DEPLOY / file).read_text()))
        assert len(named) >= at_least, file
        assert named <= known, f"{file}: {sorted(named - known)}"


def test_dashboard_has_panels_that_do_not_cover_each_other() -> None:
    panels = json.loads((DEPLOY / "grafana.json").read_text())["panels"]
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_unit_gives_the_host_the_time_and_the_files_that_it_needs() -> None:
    unit = (DEPLOY / "quartet.service").read_text()
    settings = load_settings(None, {}, ())
    stop_s = int(re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)[0])
    files = int(re.findall(r"^LimitNOFILE=(\d+)$", unit, re.MULTILINE)[0])
    assert stop_s > settings.server.limits.grace_s + 20
    assert files > settings.server.limits.connections_max + 200
    # A proxy in the service's group can open a socket in the runtime folder, and nobody else.
    assert "\nUMask=0007\n" in unit


def test_container_copies_all_that_the_wheel_is_made_of() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {"pyproject.toml", "LICENSE", project["project"]["readme"], *wheel["packages"], *wheel["force-include"]}
    copied = re.findall(r"^COPY (?!--from)(.*) /source\S*$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    assert set(" ".join(copied).split()) == needed


def test_container_sets_keys_that_exist() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    variables = dict(item.split("=", 1) for item in re.findall(r"QUARTET__\w+=\S+", text))
    assert variables
    settings = load_settings(None, variables, ())
    assert settings.server.host == "0.0.0.0"
    # The container's own check asks at this port.
    assert f"127.0.0.1:{settings.server.port}/livez" in text
