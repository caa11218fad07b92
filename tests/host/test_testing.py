"""The test kit itself."""

import sys
from pathlib import Path

import pytest

from host.testing import ENGINE_VARIABLE, host_process, running_host
from tests.host.fake_plugins import install

PLUGIN = """
from pydantic import BaseModel
from host.api import PluginInfo, hookimpl

class Config(BaseModel):
    greeting: str
    stations: dict[str, list[int]]

@hookimpl
def quartet_info():
    return PluginInfo(summary="A plugin for tests.", config=Config)
"""


async def test_a_section_may_hold_whatever_a_configuration_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "station", PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    section = {"greeting": '😀 "a\\b"\x7f\n', "stations": {"north-1": [1, 2], "a b": []}}
    try:
        async with running_host({"station": section}, data_dir=tmp_path) as host:
            assert host.application.supervisor.units["station"].configured.config.model_dump() == section
    finally:
        sys.modules.pop("station_module", None)


async def test_one_variable_chooses_the_engine_of_every_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENGINE_VARIABLE, "hypercorn")
    async with running_host({}, data_dir=tmp_path) as host:
        assert host.application.settings.server.engine == "hypercorn"
        assert (await host.http.get("/livez")).status_code == 200
    async with running_host({}, data_dir=tmp_path, sets=("server.engine=native",)) as host:
        assert host.application.settings.server.engine == "native"


def test_a_wrong_engine_is_refused_by_a_host_process_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENGINE_VARIABLE, "uvicorn")
    with pytest.raises(RuntimeError, match='"hypercorn" or "native"'), host_process({}, data_dir=tmp_path):
        pass
