"""The simulated network: all seeds converge, a seed is the same run each time, and what is broken is found."""

import pytest

from plugins.liveboard.core.admission import Draft
from plugins.liveboard.core.opset import Added, OperationSet
from plugins.liveboard.core.picture import Picture
from plugins.liveboard.simulation import network
from plugins.liveboard.simulation.network import Host, simulate
from plugins.liveboard.simulation.soak import play, soak_page, summed

SEEDS = 200


def test_every_seed_converges_and_everything_that_can_go_wrong_has_gone_wrong() -> None:
    outcomes = [simulate(seed) for seed in range(SEEDS)]
    assert [(outcome.seed, outcome.faults) for outcome in outcomes if outcome.faults] == []
    counts = sum((outcome.counts for outcome in outcomes[1:]), outcomes[0].counts)
    for kind in ("lost", "killed", "lies", *(f"refused {name}" for name in ("GAP", "EQUIVOCATION", "SITE", "CLOCK"))):
        assert counts[kind] > 10, kind


def test_seed_is_the_same_run_each_time() -> None:
    assert simulate(42) == simulate(42)
    assert simulate(42).digest != simulate(43).digest


def broken(seeds: int = 15) -> list[str]:
    return [fault for seed in range(seeds) for fault in simulate(seed).faults]


def test_union_that_drops_what_came_late_is_found(monkeypatch) -> None:
    whole = OperationSet.add

    def forgetful(self, entry):
        if self.lamport_max > entry.operation.lamport + 5:
            return Added.KNOWN
        return whole(self, entry)

    monkeypatch.setattr(OperationSet, "add", forgetful)
    assert broken()


def test_picture_in_the_order_of_arrival_is_found(monkeypatch) -> None:
    monkeypatch.setattr("plugins.liveboard.core.picture.bisect_left", lambda items, item: len(items))
    assert any("another picture" in fault for fault in broken())


def test_host_that_acknowledges_before_it_saves_is_found(monkeypatch) -> None:
    def hasty(self, entry):
        refused = network.admit(Draft(self.board, 0), entry, network.Rules())
        if refused is None:
            self.board.add(entry)
        return refused

    monkeypatch.setattr(Host, "offer", hasty)
    assert any("lost" in fault or "never saved" in fault for fault in broken())


def test_equivocation_that_is_let_through_is_found(monkeypatch) -> None:
    real = network.admit

    def credulous(draft: Draft, entry, rules):
        refused = real(draft, entry, rules)
        return None if refused is not None and refused.reason.name == "EQUIVOCATION" else refused

    def offer(self, entry):
        self.catch_up()
        refused = network.admit(Draft(self.board, 0), entry, network.Rules())
        if refused is None:
            self.database.append(entry)
            self.catch_up()
        return refused

    monkeypatch.setattr(network, "admit", credulous)
    monkeypatch.setattr(Host, "offer", offer)
    assert any("twice" in fault for fault in broken())


def test_soak_in_parts_is_summed_and_told_with_what_broke(monkeypatch) -> None:
    whole, parts = play(3, 6), [play(3, 4), play(7, 2)]
    result = summed(parts)
    assert {name: result[name] for name in ("seeds", "converged", "operations", "events")} == {
        name: whole[name] for name in ("seeds", "converged", "operations", "events")
    }
    assert result["counts"] == dict(sorted(whole["counts"].items()))
    assert "| seeds, 3 to 8 | 6 |" in soak_page(result)
    assert "| **seeds that broke a promise** | **0** |" in soak_page(result)

    monkeypatch.setattr("plugins.liveboard.core.picture.bisect_left", lambda items, item: len(items))
    broke = summed([play(0, 6)])
    assert broke["verdict"] == "broke"
    assert f"- seed {broke['faults'][0]['seed']}: " in soak_page(broke)


@pytest.mark.parametrize("kind", [Picture, OperationSet])
def test_cores_have_no_state_between_boards(kind) -> None:
    assert kind() is not kind()
    assert simulate(9).digest == simulate(9).digest
