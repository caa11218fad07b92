"""Each usual mistake is found, and a sound installation has none."""

import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from host.cli import main
from host.commands import doctor
from host.commands.doctor import (
    check_admin,
    check_certificate,
    check_data_dir,
    check_descriptors,
    check_names,
    check_plugins,
    check_port,
    check_postgres,
    check_postgres_server,
    check_python,
    check_quart_pair,
    check_redis,
    check_redis_memory,
    judge_clock,
    judge_redis_memory,
    judge_room,
    pool_connections,
)
from host.config import load_settings
from host.errors import PluginError
from host.inventory import Inventory, take_inventory
from host.secret import ServiceUrl
from host.settings import Settings


def settings_with(*sets: str) -> Settings:
    return load_settings(None, {}, sets)


def test_python_that_is_too_old_is_a_failure() -> None:
    assert check_python((3, 10, 14)).state == "failure"
    assert check_python((3, 11, 0)).state == "ok"
    assert check_python((3, 13, 1)).state == "ok"


def test_quart_pair_of_this_environment_fits_and_a_missing_one_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_quart_pair().state == "ok"

    def missing(name: str) -> str:
        raise doctor.PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "version", missing)
    assert check_quart_pair().state == "failure"


def test_port_that_is_taken_is_a_failure_and_a_free_one_is_given_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        finding = check_port(settings_with(f"server.port={taken.getsockname()[1]}"))
        assert finding.state == "failure"
        assert "another program has it" in finding.found
    assert check_port(settings_with("server.port=0")).state == "ok"
    assert check_port(settings_with("server.host=no.such.host.invalid")).state == "failure"


def test_unix_socket_needs_a_folder_to_be_in(tmp_path: Path) -> None:
    assert check_port(settings_with(f"server.host=unix:{tmp_path}/socket")).state == "ok"
    assert check_port(settings_with(f"server.host=unix:{tmp_path}/nowhere/socket")).state == "failure"


@pytest.mark.parametrize(
    ("sets", "env", "state"),
    [
        ([], {}, "ok"),
        (["server.host=0.0.0.0"], {}, "warning"),
        (["server.host=0.0.0.0"], {"QUARTET__ADMIN__TOKEN": "x"}, "ok"),
        (['server.trusted_proxies=["127.0.0.1"]'], {}, "warning"),
    ],
)
def test_site_that_others_reach_wants_an_admin_token(sets: list[str], env: dict[str, str], state: str) -> None:
    assert check_admin(load_settings(None, env, sets)).state == state


@pytest.mark.parametrize(("days", "state"), [(90, "ok"), (7, "warning"), (-1, "failure")])
def test_certificate_wants_to_be_renewed_before_its_end(tmp_path: Path, days: int, state: str) -> None:
    ends = datetime.now(UTC) + timedelta(days=days, hours=1)
    made = trustme.CA().issue_cert("quartet.example", not_before=ends - timedelta(days=99), not_after=ends)
    made.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    made.private_key_pem.write_to_path(tmp_path / "key.pem")
    sets = [f"server.certfile={tmp_path}/cert.pem", f"server.keyfile={tmp_path}/key.pem"]
    assert check_certificate(settings_with(*sets)).state == state
    # The key of another certificate.
    trustme.CA().issue_cert("quartet.example").private_key_pem.write_to_path(tmp_path / "key.pem")
    assert check_certificate(settings_with(*sets)).state == "failure"
    (tmp_path / "cert.pem").unlink()
    assert check_certificate(settings_with(*sets)).state == "failure"


def test_data_folder_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    assert check_data_dir(tmp_path / "made" / "later").state == "ok"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    assert check_data_dir(tmp_path / "file").state == "failure"
    assert check_data_dir(Path("/proc/nowhere")).state == "failure"


@pytest.mark.parametrize(
    ("sets", "state"),
    [
        ([], "ok"),
        (["server.host=0.0.0.0"], "warning"),
        (["server.host=0.0.0.0", 'server.allowed_hosts=["quartet.example"]'], "ok"),
        (["server.host=unix:/run/socket", 'server.trusted_proxies=["unix"]'], "warning"),
    ],
)
def test_site_that_others_reach_wants_its_names(sets: list[str], state: str) -> None:
    assert check_names(settings_with(*sets)).state == state


def test_data_folder_that_everybody_may_change_is_a_warning(tmp_path: Path) -> None:
    assert check_data_dir(tmp_path).state == "ok"
    tmp_path.chmod(0o777)
    assert check_data_dir(tmp_path).state == "warning"
    # A folder that is to be made in it gets permissions of its own.
    assert check_data_dir(tmp_path / "data").state == "ok"
    tmp_path.chmod(0o1777)
    assert check_data_dir(tmp_path).state == "ok"


def test_pools_of_the_enabled_plugins_are_added_up() -> None:
    sets = [f"plugins.{name}.enabled=false" for name in ("gateway", "liveboard", "raft")]
    settings = settings_with(*sets, "postgres.connections_max=7")
    assert pool_connections(take_inventory(settings, safe_mode=True), settings) == 7
    settings = settings_with(*sets, "plugins.frontrow.postgres_connections_max=9")
    assert pool_connections(take_inventory(settings, safe_mode=True), settings) == 9


def test_more_connections_than_postgres_has_room_for_are_a_warning(postgres_url: str) -> None:
    assert judge_room(40, 40).state == "ok"
    assert judge_room(41, 40).state == "warning"
    room, clock = check_postgres_server(ServiceUrl(postgres_url), 1)
    assert (room.state, clock.state) == ("ok", "ok")
    room, _ = check_postgres_server(ServiceUrl(postgres_url), 100_000)
    assert room.state == "warning"


@pytest.mark.parametrize(("skew_s", "state"), [(0.0, "ok"), (1.0, "ok"), (1.5, "warning")])
def test_clock_that_differs_from_that_of_postgres_is_a_warning(skew_s: float, state: str) -> None:
    assert judge_clock(skew_s).state == state


def test_redis_that_may_evict_is_a_warning(redis_url: str) -> None:
    assert check_redis_memory(ServiceUrl(redis_url)).state == "ok"
    assert judge_redis_memory("allkeys-lru", 0).found.endswith("should maxmemory be set")
    assert judge_redis_memory("volatile-ttl", 1 << 30).state == "warning"


@pytest.mark.parametrize(("descriptors_max", "state"), [(1024, "warning"), (10_200, "ok"), (-1, "ok")])
def test_fewer_open_files_than_connections_is_a_warning(descriptors_max: int, state: str) -> None:
    assert check_descriptors(10_000, descriptors_max).state == state


def test_plugin_that_does_not_load_is_a_failure_with_its_reason() -> None:
    error = PluginError("tide", "import", "ImportError: no module named moon", origin="quartet-tide 0.1.0")
    (finding,) = check_plugins(Inventory({}, errors={"tide": error}))
    assert finding.state == "failure"
    assert finding.found == "tide (quartet-tide 0.1.0): import: ImportError: no module named moon"
    assert finding.mend == "see quartet plugins check tide"
    (finding,) = check_plugins(Inventory({}))
    assert finding.state == "warning"


@pytest.mark.parametrize("url", ["postgresql://u:hunter2@127.0.0.1:1/d", "postgresql://u:hunter2@[x/d"])
def test_postgres_that_does_not_answer_is_a_failure_without_its_password(url: str) -> None:
    finding = check_postgres(ServiceUrl(url))
    assert finding.state == "failure"
    assert "hunter2" not in str(finding)


@pytest.mark.parametrize("url", ["redis://:hunter2@127.0.0.1:1/0", "nonsense://:hunter2@x", "redis://:hunter2@h:x/0"])
def test_redis_that_does_not_answer_is_a_failure_without_its_password(url: str) -> None:
    finding = check_redis(ServiceUrl(url))
    assert finding.state == "failure"
    assert "hunter2" not in str(finding)


def test_servers_that_answer_are_well(postgres_url: str, redis_url: str) -> None:
    assert check_postgres(ServiceUrl(postgres_url)).state == "ok"
    assert check_redis(ServiceUrl(redis_url)).state == "ok"


def test_embedded_servers_have_their_programs_here() -> None:
    assert check_postgres(ServiceUrl("embedded")).state == "ok"
    assert check_redis(ServiceUrl("embedded")).state == "ok"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[dict[str, Any]]]:
    code = main(["doctor", "--json", *words])
    findings: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return code, findings


def test_doctor_finds_nothing_on_a_sound_installation_and_every_mistake_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = ("--set", "server.port=0", "--set", f"data.dir={tmp_path}")
    code, findings = run(capsys, *sound)
    assert (code, [finding for finding in findings if finding["state"] == "failure"]) == (0, [])
    code, findings = run(capsys, *sound, "--set", "log.level=x", "--set", "redis.url=redis://127.0.0.1:1")
    assert code == 1
    assert [finding["subject"] for finding in findings if finding["state"] == "failure"] == ["configuration", "Redis"]
    code, findings = run(capsys, "--config", str(tmp_path / "nowhere.toml"))
    assert code == 1
