"""Make a run that breaks a promise short: fewer faults, fewer clients, a quieter network, and still the same promise.

Delta debugging on the list of faults (A. Zeller, R. Hildebrandt, "Simplifying and Isolating Failure-Inducing Input",
2002), then each number of the plan is tried at its smallest. As each link draws its own luck, what is taken out leaves
the rest much as it was.
"""

from collections.abc import Callable, Iterator
from typing import Final

from plugins.raft.sim.plan import MS, Fault, Plan
from plugins.raft.sim.world import World

RUNS_MAX: Final = 600

Judge = Callable[[Plan], str]
"""The name of the promise that a plan breaks; "" when it breaks none."""


def violation_of(plan: Plan) -> str:
    """Run a plan; the name of what it breaks. The specification, which would object earlier, is left out."""
    return World(plan, spec=False).run().violation


def shrink(plan: Plan, judge: Judge = violation_of, runs_max: int = RUNS_MAX) -> Plan:
    """The smallest plan found, in at most `runs_max` runs, that breaks the same promise as `plan`.

    Raises ValueError when `plan` breaks none.
    """
    name = judge(plan)
    if not name:
        raise ValueError("the run breaks no promise: there is nothing to shrink")
    left = runs_max

    def still_fails(candidate: Plan) -> bool:
        nonlocal left
        left -= 1
        return not candidate.problems() and judge(candidate) == name

    while left > 0:
        before = plan
        plan = _fewer_faults(plan, still_fails, lambda: left > 0)
        for candidate in _simpler(plan):
            if left > 0 and candidate != plan and still_fails(candidate):
                plan = candidate
                break
        if plan == before:
            break
    return plan


def _fewer_faults(plan: Plan, still_fails: Callable[[Plan], bool], may_go_on: Callable[[], bool]) -> Plan:
    """Leave out ever smaller parts of the faults, for as long as the rest still fails."""
    faults: tuple[Fault, ...] = plan.faults
    size = len(faults)
    while size and may_go_on():
        at = 0
        while at < len(faults) and may_go_on():
            fewer = faults[:at] + faults[at + size :]
            if still_fails(plan._replace(faults=fewer)):
                faults = fewer
            else:
                at += size
        size //= 2
    return plan._replace(faults=faults)


def _simpler(plan: Plan) -> Iterator[Plan]:
    """Plans with one thing less, the most telling first."""
    end = plan.faults[-1].at_us // MS + 1 if plan.faults else 1
    for duration in (end, plan.duration_ms // 2, plan.duration_ms * 3 // 4):
        if 0 < duration < plan.duration_ms:
            yield plan._replace(duration_ms=duration)
    if plan.settle_ms:
        yield plan._replace(settle_ms=0)
        yield plan._replace(settle_ms=plan.settle_ms // 2)
    yield plan._replace(clients=0, stubborn=0)
    yield plan._replace(loss=0)
    yield plan._replace(duplicate=0)
    yield plan._replace(late=0)
    yield plan._replace(snapshot_every=0)
    yield plan._replace(stubborn=0)
    yield plan._replace(clients=max(1, plan.clients - 1))
    yield plan._replace(keys=max(1, plan.keys - 1))
