"""What the host says of itself."""

from collections.abc import Sequence
from pathlib import Path

import trio
from structlog.testing import capture_logs

from host.api import Card, Figure, Page, Task
from host.plugin_run import House, RunSettings, lend_nothing
from host.services.metrics import MetricsPage
from host.site import Site
from host.supervisor import PluginState, SupervisedConfig, Supervisor
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


async def test_a_plugin_that_is_down_keeps_its_page_and_card_and_shows_no_figures(tmp_path: Path) -> None:
    fails = trio.Event()

    async def figures() -> Sequence[Figure]:
        return [Figure("sold", 1)]

    async def run() -> None:
        await fails.wait()
        raise RuntimeError("sold out of luck")

    shop = make_plugin(
        "shop",
        tasks=lambda ctx: [Task("sell", run)],
        routes=lambda ctx: [Page("/shop", "Shop", tmp_path, nav=True)],
        quartet_card=lambda: Card("Shop", "/shop", "hard", "promise", figures),
    )
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(House(RecordedRoutes(), MetricsPage(), tmp_path, lambda s: None, lend_nothing), nursery)
        site = Site("1", supervisor)
        services = RunSettings(services=frozenset({"redis"}))
        supervisor.add(shop, SupervisedConfig(run=services, on_failure="stop"))
        await supervisor.wait_settled()
        page = {"path": "/shop", "title": "Shop", "plugin": "shop"}
        assert site.for_pages()["pages"] == [page]
        assert [len(card["figures"]) for card in (await site.overview())["cards"]] == [1]
        assert site.plugins()[0]["services"] == ["redis"]
        fails.set()
        await supervisor.wait_for(lambda: supervisor.units["shop"].state is PluginState.FAILED)
        assert site.for_pages()["pages"] == [page]
        assert [(card["state"], card["figures"]) for card in (await site.overview())["cards"]] == [("failed", [])]
        assert (site.plugins()[0]["routes"], site.mounts()) == ([], {})
        nursery.cancel_scope.cancel()
