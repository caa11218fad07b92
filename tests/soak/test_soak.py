"""A short soak, and that what it looks for is found."""

import pytest

from tests.soak.__main__ import run
from tests.soak.health import Idle, Sample, slope_mib_per_min
from tests.soak.report import page_of
from tests.soak.run import Plan

SECONDS = 12
SEED = 1


@pytest.mark.chaos
@pytest.mark.timeout(600)
# Who leaves in the middle of an answer leaves httpx's generators to the collector. The host is another process.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_every_promise_holds_while_everything_is_broken() -> None:
    outcome = run(Plan(SECONDS, kills=1), SEED)
    assert outcome.problems == []
    assert outcome.kills == 1
    for name in ("orders confirmed", "strokes", "streams whole", "commands of the lab", "boards compared"):
        assert outcome.counts.get(name), f"nothing was checked: {name}"
    assert "every promise held" in page_of(outcome)


def test_the_slope_is_that_of_most_samples() -> None:
    flat = [Sample(float(at), 1, 100.0 + (at == 7) * 50) for at in range(60)]
    assert slope_mib_per_min(flat) == 0
    assert slope_mib_per_min([Sample(float(at), 1, 100 + at / 60) for at in range(60)]) == pytest.approx(1)


def test_what_is_left_over_is_told() -> None:
    before = Idle(tasks=10, files=20, connections=1)
    assert Idle(10, 15, 1).exceeds(before) == []
    assert Idle(11, 20, 1).exceeds(before) == ["tasks: 11 now, 10 before"]
