"""Many runs: a soak over seeds, and the search for the first seed that catches a rule's absence."""

from collections.abc import Iterator
from typing import NamedTuple

from plugins.raft.sim.days import plan_of
from plugins.raft.sim.plan import Plan
from plugins.raft.sim.rules import Rule
from plugins.raft.sim.world import Outcome, World


class Total(NamedTuple):
    """What some runs came to. `failures` are the plans that broke a promise, with what they broke."""

    runs: int = 0
    events: int = 0
    elections: int = 0
    committed: int = 0
    operations: int = 0
    failures: tuple[tuple[Plan, Outcome], ...] = ()

    def plus(self, plan: Plan, outcome: Outcome) -> "Total":
        """With one run more."""
        return Total(
            self.runs + 1,
            self.events + outcome.events,
            self.elections + outcome.elections,
            self.committed + outcome.committed,
            self.operations + outcome.operations,
            (*self.failures, (plan, outcome)) if outcome.violation else self.failures,
        )


def soak(first: int, count: int, rule: str = "", *, spec: bool = True) -> Iterator[tuple[Plan, Outcome]]:
    """Run the seeds from `first` on; yields after each run, so that whoever asks may look around, or stop."""
    for seed in range(first, first + count):
        plan = plan_of(seed, rule)
        yield plan, World(plan, spec=spec).run()


class Found(NamedTuple):
    """How many seeds it took until a rule's absence broke a promise, and which; 0 seeds when none did."""

    rule: Rule
    seeds: int
    plan: Plan
    outcome: Outcome


def search(rule: Rule, seeds_max: int, *, spec: bool) -> Iterator[Found]:
    """Look for the first violation; yields after each run, with 0 seeds for as long as nothing was found."""
    for number, (plan, outcome) in enumerate(soak(0, seeds_max, rule.name, spec=spec), start=1):
        yield Found(rule, number if outcome.violation else 0, plan, outcome)
        if outcome.violation:
            return
