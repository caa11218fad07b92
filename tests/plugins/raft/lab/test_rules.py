"""The rules over HTTP: what there is, a search in bouts that finds what breaks, and refusals."""

import re
from pathlib import Path

import pytest

from plugins.raft.lab import rule_routes
from plugins.raft.sim.days import plan_of
from plugins.raft.sim.link import decode_link
from plugins.raft.sim.rules import RULES, rule_named
from plugins.raft.sim.world import World
from tests.plugins.raft.lab.test_routes import API, lab

DOCUMENT = Path(__file__).parents[4] / "docs" / "raft-rules.md"


async def test_the_rules_are_listed_with_who_paid_for_them(tmp_path: Path) -> None:
    async with lab(tmp_path) as host:
        found = (await host.http.get(f"{API}/rules")).json()

    assert [rule["name"] for rule in found] == [rule.name for rule in RULES]
    assert all(rule["without"] and rule["source"] and rule["bug"] for rule in found)


async def test_a_search_goes_on_from_bout_to_bout_until_a_promise_breaks(tmp_path: Path) -> None:
    async with lab(tmp_path) as host:
        url = f"{API}/rules/vote-once/search"
        first, seeds = 0, 0
        while not (bout := (await host.http.post(url, json={"first": first})).json())["found"]:
            assert bout["next"] == first + bout["tried"] > first
            first, seeds = bout["next"], seeds + bout["tried"]
            assert seeds < 1000

    assert bout["seed"] == bout["next"] - 1
    outcome = World(decode_link(bout["link"]), spec=False).run()
    assert (outcome.violation, outcome.detail) == (bout["violation"], bout["detail"])


async def test_what_is_no_rule_or_no_seed_is_refused(tmp_path: Path) -> None:
    async with lab(tmp_path, actions_per_s=0.001, actions_burst=1) as host:
        unknown = await host.http.post(f"{API}/rules/be-nice/search", json={})
        nonsense = await host.http.post(f"{API}/rules/vote-once/search", json={"first": -1})
        too_much = await host.http.post(f"{API}/rules/vote-once/search", json={})

    assert unknown.status_code == 404
    assert "vote-once" in unknown.json()["detail"]
    assert nonsense.status_code == 422
    assert too_much.status_code == 429
    assert int(too_much.headers["retry-after"]) > 0


def test_a_bout_ends_without_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = rule_named("vote-persisted")
    quiet = next(seed for seed in range(100) if not World(plan_of(seed, rule.name), spec=False).run().violation)
    monkeypatch.setattr(rule_routes, "RUNS_MAX", 1)

    bout = rule_routes.bout(rule, quiet)

    assert (bout["found"], bout["tried"], bout["next"], bout["link"]) == (False, 1, quiet + 1, None)


def test_the_table_of_the_documentation_has_every_rule() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \|", DOCUMENT.read_text(), flags=re.MULTILINE)
    assert rows == [rule.name for rule in RULES]
