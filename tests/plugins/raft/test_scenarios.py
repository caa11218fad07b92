"""Every scenario in `scenarios/` ends as it says; each names the case that it is the counterpart of."""

from pathlib import Path

import pytest

from plugins.raft.sim.rules import RULES, NoSessions, Rule
from tests.plugins.raft.scenario import Scenario, Stage, read_scenarios

SCENARIOS = list(read_scenarios(Path(__file__).parent / "scenarios"))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: f"{s.file.removesuffix('.txt')}: {s.title}")
def test_scenario(scenario: Scenario) -> None:
    Stage().run(scenario)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: f"{s.file.removesuffix('.txt')}: {s.title}")
def test_scenario_names_its_source_and_expects_something(scenario: Scenario) -> None:
    assert scenario.source
    assert any(text.startswith("expect") for _, text in scenario.steps)


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.without is not NoSessions], ids=lambda rule: rule.name)
def test_node_that_lacks_a_rule_fails_a_scenario(rule: Rule) -> None:
    def fails(scenario: Scenario) -> bool:
        stage = Stage()
        stage.node_class = rule.without
        try:
            stage.run(scenario)
        except AssertionError:
            return True
        return False

    assert any(fails(scenario) for scenario in SCENARIOS)


def test_titles_are_unique() -> None:
    titles = [(s.file, s.title) for s in SCENARIOS]
    assert len(titles) == len(set(titles))


def test_failing_expectation_names_file_line_and_step() -> None:
    stage = Stage()
    with pytest.raises(AssertionError, match=r"a\.txt:2: expect 1 leads"):
        stage.run(Scenario("a.txt", "t", "s", ((1, "group 1 2 3"), (2, "expect 1 leads"))))
