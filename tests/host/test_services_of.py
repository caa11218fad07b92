"""Services that a plugin uses only under some configurations."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import trio

from host.api import PluginInfo
from host.lending import Lender
from host.plugin_run import RunSettings
from host.plugins import LoadedPlugin
from tests.host.fake_plugins import make_plugin


def optional(base: frozenset[Any] = frozenset()) -> LoadedPlugin:
    plugin = make_plugin("optional")

    def wanted(config: Any) -> frozenset[Any]:
        return frozenset({"redis"}) if config["use_redis"] else frozenset()

    info = PluginInfo("Uses Redis when told to.", services=base, services_of=wanted, migrations=Path("migrations"))
    return replace(plugin, info=info)


def test_services_are_those_of_the_info_and_of_the_configuration() -> None:
    plugin = optional(frozenset({"http"}))
    assert plugin.services({"use_redis": False}) == {"http"}
    assert plugin.services({"use_redis": True}) == {"http", "redis"}
    assert plugin.services(None) == {"http"}


async def test_lending_opens_what_the_run_settings_say() -> None:
    lender = Lender(
        lambda service: "unix:///nonexistent/redis.sock?db=0",
        acquire_timeout_s=1.0,
        response_timeout_s=1.0,
        redis_timeout_s=1.0,
    )
    plugin = optional()
    with trio.fail_after(10):
        async with lender.lend(plugin, RunSettings(services=plugin.services({"use_redis": True}))) as lent:
            assert lent.redis is not None
        async with lender.lend(plugin, RunSettings(services=plugin.services({"use_redis": False}))) as lent:
            assert lent.redis is None
        async with lender.lend(plugin, RunSettings()) as lent:
            assert lent.redis is None
