"""What the host says of itself."""

from collections.abc import Sequence
from pathlib import Path

import trio
from structlog.testing import capture_logs

from host.api import Card, Figure
from host.plugin_run import House, lend_nothing
from host.services.metrics import MetricsPage
from host.site import Site
from host.supervisor import SupervisedConfig, Supervisor
from tests.host.fake_plugins import make_plugin
from tests.host.test_supervisor import RecordedRoutes


async def test_figures_that_fail_are_told_once_and_again_when_they_fail_anew(tmp_path: Path) -> None:
    is_well = False

    async def figures() -> Sequence[Figure]:
        if not is_well:
            raise RuntimeError("no figures")
        return [Figure("sold", 1)]

    def quartet_card() -> Card:
        return Card("Shop", "/shop", "hard", "promise", figures)

    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(House(RecordedRoutes(), MetricsPage(), tmp_path, lambda s: None, lend_nothing), nursery)
        site = Site("1", supervisor)
        supervisor.add(make_plugin("shop", quartet_card=quartet_card), SupervisedConfig())
        await supervisor.wait_settled()
        with capture_logs() as logs:
            for is_well in (False, False, True, False):
                shown = (await site.overview())["cards"][0]["figures"]
                assert bool(shown) is is_well
        assert [line["reason"] for line in logs] == ["RuntimeError: no figures"] * 2
        nursery.cancel_scope.cancel()
