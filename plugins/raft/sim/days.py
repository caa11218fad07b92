"""Kinds of bad days: how a plan is drawn from a seed.

Faults that are drawn evenly seldom meet in the way that a certain mistake needs, so each seed first draws a kind of
day, whose faults come in the combinations that public bugs had. `mixed` days draw evenly.
"""

from collections.abc import Callable
from typing import Final

from plugins.raft.core.prng import Prng
from plugins.raft.sim.plan import FAULTS_MAX, MS, Fault, FaultKind, Plan

K = FaultKind


def plan_of(seed: int, rule: str = "") -> Plan:
    """The plan that is drawn from a seed; its faults are in the order of time."""
    prng = Prng(seed * 2 + 1)
    day = DAYS[prng.below(len(DAYS))]
    nodes = (3, 3, 5, 5, 5, 4)[prng.below(6)]
    plan = Plan(
        seed=seed,
        nodes=nodes,
        voters=nodes,
        duration_ms=600 + prng.below(1400),
        clients=1 + prng.below(4),
        keys=1 + prng.below(4),
        think_ms=5 + prng.below(60),
        loss=(0, 0, 10, 50, 150)[prng.below(5)],
        duplicate=(0, 0, 20, 100)[prng.below(4)],
        late=(0, 0, 20, 100)[prng.below(4)],
        delay_max_us=(500, 4000, 4000, 20_000)[prng.below(4)],
        late_max_us=(50_000, 200_000, 1_000_000)[prng.below(3)],
        fsync_max_us=(200, 3000, 3000, 20_000)[prng.below(4)],
        snapshot_every=(0, 0, 8, 25)[prng.below(4)],
        batch=(1, 2, 16, 16)[prng.below(4)],
        window=(1, 2, 8, 8)[prng.below(4)],
        trailing=(0, 4)[prng.below(2)],
        stubborn=prng.below(3),
        pre_vote=not prng.chance(150),
        check_quorum=not prng.chance(100),
        lease_reads=prng.chance(400),
        rule=rule,
    )
    plan, faults = day(plan, prng)
    plan = plan._replace(lease_reads=plan.lease_reads and plan.check_quorum)
    return plan._replace(faults=tuple(sorted(faults)[:FAULTS_MAX]))


def mixed(plan: Plan, prng: Prng) -> tuple[Plan, list[Fault]]:
    """Anything may happen. At most a minority of the voters has a disk that is damaged for good."""
    faults: list[Fault] = []
    may_be_damaged = (plan.voters - 1) // 2
    for _ in range(prng.below(16)):
        for fault in _trouble(plan, prng, prng.below(plan.duration_ms) * MS):
            if fault.kind == K.BIT_FLIP:
                if not may_be_damaged:
                    continue
                may_be_damaged -= 1
            faults.append(fault)
    return plan, faults


def _trouble(plan: Plan, prng: Prng, at: int) -> list[Fault]:
    """One trouble: what goes wrong, and often what mends it a while later."""
    node = prng.below(plan.nodes + 1)
    other = 1 + prng.below(plan.nodes)
    later = at + (20 + prng.below(400)) * MS
    dice = prng.below(100)
    if dice < 28:
        return [Fault(at, K.CRASH, node), *_restarts(plan, prng, at)]
    if dice < 34:
        return [Fault(at + prng.below(10) * MS, K.CRASH, n) for n in _all(plan)] + _restarts(plan, prng, at)
    if dice < 54:
        return [Fault(at, K.SPLIT, _set(plan, prng)), Fault(later, K.HEAL)]
    if dice < 64:
        return [Fault(at, K.CUT, node, other), Fault(later, K.HEAL)]
    if dice < 70:
        return [Fault(at, K.PAUSE, node, 10 + prng.below(500))]
    if dice < 75:
        return [Fault(at, K.SKEW, node, 960 + prng.below(81))]
    if dice < 79:
        return [Fault(at, K.DISK_FULL, other), Fault(later, K.DISK_FREE, other)]
    if dice < 81:
        return [Fault(at, K.BIT_FLIP, other), Fault(at + MS, K.CRASH, other)]
    if dice < 85:
        return [Fault(at, K.SNAPSHOT, other)]
    if dice < 91:
        return [Fault(at, K.TRANSFER, other)]
    if dice < 94:
        return [Fault(at, K.CAMPAIGN, other)]
    if dice < 97:
        return [Fault(at, K.LOSSY, prng.below(400)), Fault(later, K.LOSSY, plan.loss)]
    return [Fault(at, K.SLOW_DISK, other, 5 + prng.below(200)), Fault(later, K.SLOW_DISK, other, 0)]


def figure_8(plan: Plan, prng: Prng) -> tuple[Plan, list[Fault]]:
    """Leaders crash just after they took a command, over and over (paper Figure 8; MIT 6.5840 Figure8)."""
    plan = plan._replace(batch=1 + prng.below(2), duration_ms=2500, voters=5, nodes=5, think_ms=40)
    faults = []
    at = 300 * MS
    while at < 2400 * MS:
        faults += [Fault(at + n * prng.below(3) * MS, K.PROPOSE, 0, n) for n in range(1 + prng.below(3))]
        crash = at + prng.below(12) * MS
        faults.append(Fault(crash, K.CRASH, 0))
        if prng.chance(300):
            faults.append(Fault(at, K.SPLIT, _set(plan, prng)))
            faults.append(Fault(at + (50 + prng.below(300)) * MS, K.HEAL))
        faults += [Fault(crash + (10 + prng.below(400)) * MS, K.RESTART, n) for n in _all(plan) if prng.chance(400)]
        at += (60 + prng.below(300)) * MS
    return plan, faults


def figure_8_exactly(plan: Plan, prng: Prng) -> tuple[Plan, list[Fault]]:
    """The five steps of the paper's Figure 8, with the roles drawn anew each time and the moments left to luck."""
    plan = plan._replace(batch=1, duration_ms=2400, voters=5, nodes=5, think_ms=300, clients=1, snapshot_every=0)
    plan = plan._replace(pre_vote=False, check_quorum=False, delay_max_us=15_000, fsync_max_us=500, loss=0, late=0)
    faults = []
    for at in range(320 * MS, 2000 * MS, 450 * MS):
        order = _shuffled(plan, prng)
        s1, s2, s5 = order[0], order[1], order[4]
        faults += [Fault(at, K.CAMPAIGN, s1)]
        # (a) S1 leads and gives an entry to S2 only. (b) It crashes; S5 is elected and keeps its entry for itself.
        cut_off = [n for n in order if n not in (s1, s2)]
        faults += [Fault(at + 70 * MS, K.CUT, s1, n) for n in cut_off]
        faults += [Fault(at + 71 * MS, K.PROPOSE, s1, 1), Fault(at + 100 * MS, K.CRASH, s1)]
        faults += [Fault(at + 100 * MS, K.HEAL), Fault(at + 101 * MS, K.CAMPAIGN, s5)]
        faults += [Fault(at + 104 * MS, K.CUT, s5, n) for n in order if n != s5]
        # (c) S5 crashes, S1 comes back, leads, and gives its entry to a third. (d) It crashes, and S5 comes back.
        faults += [Fault(at + 150 * MS, K.CRASH, s5), Fault(at + 150 * MS, K.HEAL), Fault(at + 150 * MS, K.RESTART, s1)]
        faults += [Fault(at + n * MS, K.CAMPAIGN, s1) for n in (152, 190)]
        # The third's disk is slow, so that its answer for the old entry comes after S1's own entry was cut off from it.
        others = order[2:4]
        cut = at + 228 * MS + prng.below(30 * MS)
        faults += [Fault(at + 212 * MS, K.SLOW_DISK, n, 40) for n in others]
        faults += [Fault(cut, K.CUT, s1, n) for n in others]
        crash = at + 300 * MS
        faults += [Fault(crash, K.SLOW_DISK, n, 0) for n in others]
        faults += [Fault(crash, K.CRASH, s1), Fault(crash, K.HEAL), Fault(crash, K.RESTART, s5)]
        faults += [Fault(crash + n * MS, K.CAMPAIGN, s5) for n in (10, 50)]
        faults += [Fault(crash + 100 * MS, K.RESTART, n) for n in order]
    return plan, faults


def duels(plan: Plan, prng: Prng) -> tuple[Plan, list[Fault]]:
    """Two stand at the same moment, and the voters restart in the middle (paper Figure 2, persistent state)."""
    plan = plan._replace(pre_vote=False, check_quorum=False, fsync_max_us=300, think_ms=60)
    faults = []
    at = 250 * MS
    while at < plan.duration_ms * MS:
        for node in _all(plan):
            if prng.chance(500):
                faults.append(Fault(at + prng.below(6) * MS, K.CAMPAIGN, node))
            if prng.chance(400):
                crash = at + prng.below(8 * MS)
                faults.append(Fault(crash, K.CRASH, node))
                faults.append(Fault(crash + prng.below(3 * MS), K.RESTART, node))
        if prng.chance(500):
            faults.append(Fault(at, K.SPLIT, _set(plan, prng)))
            faults.append(Fault(at + (5 + prng.below(30)) * MS, K.HEAL))
        at += (30 + prng.below(200)) * MS
    return plan, [*faults, *_restarts(plan, prng, at)]


def old_leaders(plan: Plan, prng: Prng) -> tuple[Plan, list[Fault]]:
    """Leaders are cut off or stand still while clients go on reading from them (Jepsen on etcd and Consul, 2014)."""
    clients = plan.voters + 2
    plan = plan._replace(
        clients=clients, stubborn=plan.voters, keys=1, think_ms=4 + prng.below(10), late=plan.late or 50
    )
    plan = plan._replace(check_quorum=prng.chance(500), lease_reads=prng.chance(500), duration_ms=1500)
    faults = []
    at = 300 * MS
    while at < 1400 * MS:
        later = at + (200 + prng.below(400)) * MS
        other = 1 + prng.below(plan.nodes)
        dice = prng.below(4)
        if dice == 0:
            faults += [Fault(at, K.PAUSE, 0, 150 + prng.below(400))]
        elif dice == 1:
            faults += [Fault(at, K.SPLIT, _set(plan, prng)), Fault(later, K.HEAL)]
        elif dice == 2:
            # Nobody hears the leader, but it hears the others; or the other way round.
            faults += [Fault(at, K.CUT, *((0, n) if prng.chance(800) else (n, 0))) for n in _all(plan)]
            faults += [Fault(later, K.HEAL)]
        else:
            faults += [Fault(at, K.TRANSFER, other), *_isolate_leader(plan, at + prng.below(6 * MS))]
            faults += [Fault(later, K.HEAL)]
        at = later + prng.below(100) * MS
    return plan, [*faults, *_restarts(plan, prng, at)]


def leases(plan: Plan, prng: Prng) -> tuple[Plan, list[Fault]]:
    """The leader is cut off, and others stand at once, some of them just restarted: its lease still runs."""
    plan = plan._replace(
        voters=3 + prng.below(2), check_quorum=True, lease_reads=True, duration_ms=1500, loss=0, late=0
    )
    plan = plan._replace(
        nodes=plan.voters, clients=plan.voters + 3, stubborn=plan.voters, keys=1, think_ms=6 + prng.below(12)
    )
    plan = plan._replace(delay_max_us=500 + prng.below(2000), fsync_max_us=300)
    faults = []
    at = 350 * MS
    while at < 1300 * MS:
        other = 1 + prng.below(plan.nodes)
        if prng.chance(400):
            faults += [Fault(at, K.TRANSFER, other), *_isolate_leader(plan, at + 200 + prng.below(4 * MS))]
            later = at + 150 * MS
        else:
            faults += _isolate_leader(plan, at)
            if prng.chance(600):
                faults += _restarts_soon(plan, prng, at + 1)
            order = 5 + prng.below(10)
            faults += [Fault(at + (order + 8 * n) * MS, K.CAMPAIGN, (other + n) % plan.nodes + 1) for n in _all(plan)]
            later = at + 150 * MS
        faults.append(Fault(later, K.HEAL))
        at = later + (100 + prng.below(150)) * MS
    return plan, [*faults, *_restarts(plan, prng, at)]


def _isolate_leader(plan: Plan, at: int) -> list[Fault]:
    return [fault for n in _all(plan) for fault in (Fault(at, K.CUT, 0, n), Fault(at, K.CUT, n, 0))]


def _restarts_soon(plan: Plan, prng: Prng, at: int) -> list[Fault]:
    """Crash all but the leader, and start them again at once."""
    faults = []
    for node in _all(plan):
        crash = at + prng.below(3 * MS)
        faults += [Fault(crash, K.CRASH_FOLLOWER, node), Fault(crash + prng.below(2 * MS), K.RESTART, node)]
    return faults


def members(plan: Plan, prng: Prng) -> tuple[Plan, list[Fault]]:
    """Members come and go while leaders are cut off in the middle of it (Jepsen on RethinkDB 2.2.3)."""
    voters = (2, 3, 4, 4, 5)[prng.below(5)]
    plan = plan._replace(voters=voters, nodes=voters + 1 + prng.below(2), duration_ms=2000, batch=16)
    faults = []
    group = (1 << (voters + 1)) - 2
    at = 300 * MS
    while at < 1900 * MS:
        for _ in range(1 + prng.below(3)):
            group = _next_group(plan, prng, group)
            kind = K.CHANGE_JOINT if prng.chance(300) else K.CHANGE
            faults.append(Fault(at + prng.below(30) * MS, kind, group))
        cut = at + prng.below(40) * MS
        later = cut + (50 + prng.below(500)) * MS
        dice = prng.below(5)
        if dice == 0:
            faults += [Fault(cut, K.CRASH, 0), *_restarts(plan, prng, cut)]
        elif dice == 1:
            faults += [Fault(cut, K.SPLIT, _set(plan, prng)), Fault(later, K.HEAL)]
        elif dice == 2:
            node = 1 + prng.below(plan.nodes)
            faults += [Fault(at - 1, K.SPLIT, 1 << node), Fault(later, K.HEAL)]
        elif dice == 3:
            faults += [Fault(at - 1, K.SPLIT, _set(plan, prng)), Fault(cut, K.CAMPAIGN, 1 + prng.below(plan.nodes))]
            faults += [Fault(later, K.HEAL)]
        else:
            faults += [Fault(cut, K.TRANSFER, 1 + prng.below(plan.nodes))]
        at += (60 + prng.below(400)) * MS
    return plan, faults


def single_steps(plan: Plan, prng: Prng) -> tuple[Plan, list[Fault]]:
    """One leader adds a node, the next one removes another, and neither hears of it (raft-dev, 2015)."""
    plan = plan._replace(voters=4, nodes=5 + prng.below(2), duration_ms=2000, think_ms=200, clients=2, loss=0, batch=16)
    plan = plan._replace(pre_vote=False, check_quorum=False, delay_max_us=500, fsync_max_us=200, late=0)
    faults = []
    at = 350 * MS
    while at < 1900 * MS:
        old = 1 + prng.below(4)
        if prng.chance(500):
            faults += [Fault(at, K.CUT, *pair) for n in range(1, 5) if n != old for pair in ((old, n), (n, old))]
            faults += [Fault(at - 20 * MS, K.CAMPAIGN, old), Fault(at + 1, K.ADD, 5)]
            new = 1 + prng.below(4)
            faults += [Fault(at + 10 * MS, K.CAMPAIGN, new)]
            away = 1 + prng.below(4)
            faults += [Fault(at + 10 * MS + 600 + prng.below(800), K.CUT, new, away)]
            faults += [Fault(at + 12 * MS + prng.below(3 * MS), K.REMOVE, old)]
            meet = at + 25 * MS
            faults += [Fault(meet, K.HEAL), Fault(meet + 1, K.SPLIT, 1 << old | 1 << away | 1 << 5)]
            faults += [Fault(meet + n * 6 * MS, K.CAMPAIGN, old) for n in (1, 2)]
            faults += [Fault(meet + 20 * MS, K.PROPOSE, 0, 1)]
        else:
            mask = _set(plan, prng)
            outside = [n for n in _all(plan) if not mask >> n & 1]
            faults.append(Fault(at, K.SPLIT, mask))
            faults += [Fault(at + (1 + n) * 100, K.REMOVE, outside[n % len(outside)]) for n in range(len(outside))]
            faults += [Fault(at + 2 * MS + n * 40 * MS, K.CAMPAIGN, n) for n in outside]
        later = at + (60 + prng.below(300)) * MS
        faults.append(Fault(later, K.HEAL))
        at = later + (60 + prng.below(100)) * MS
    return plan, faults


def _next_group(plan: Plan, prng: Prng, group: int) -> int:
    """Often one node more or less, sometimes any other group; never fewer than two."""
    changed = group ^ (1 << (1 + prng.below(plan.nodes))) if prng.chance(800) else _set(plan, prng)
    return changed if changed.bit_count() >= 2 else group


def divergence(plan: Plan, prng: Prng) -> tuple[Plan, list[Fault]]:
    """A leader that is cut off takes commands that lead nowhere, while the others go on and take snapshots."""
    plan = plan._replace(snapshot_every=2 + prng.below(8), trailing=0, duration_ms=2000, think_ms=10 + prng.below(40))
    plan = plan._replace(check_quorum=prng.chance(300))
    faults = []
    at = 300 * MS
    while at < 1900 * MS:
        count = 1 + prng.below(30)
        if prng.chance(500):
            faults += _isolate_leader(plan, at)
            faults += [Fault(at + 1 + n, K.PROPOSE, 0, n) for n in range(count)]
        else:
            faults += [Fault(at, K.SPLIT, _set(plan, prng))]
            faults += [Fault(at + 1 + n, K.PROPOSE, 1 + prng.below(plan.nodes), n) for n in range(count)]
        later = at + (200 + prng.below(500)) * MS
        faults.append(Fault(later, K.HEAL))
        if prng.chance(300):
            faults += [Fault(later, K.CRASH, 0), *_restarts(plan, prng, later)]
        at = later + (50 + prng.below(200)) * MS
    return plan, faults


def late_answers(plan: Plan, prng: Prng) -> tuple[Plan, list[Fault]]:
    """A leader comes back while answers to its earlier term are on their way (Students' Guide, "term confusion")."""
    plan = plan._replace(voters=5, nodes=5, duration_ms=2000, clients=1, think_ms=100, snapshot_every=0, batch=16)
    plan = plan._replace(pre_vote=False, check_quorum=False, loss=0, late=300, late_max_us=400_000)
    plan = plan._replace(window=8, duplicate=0, delay_max_us=500, fsync_max_us=200)
    faults = []
    at = 300 * MS
    while at < 1600 * MS:
        order = _shuffled(plan, prng)
        first, second = order[0], order[2]
        # The first leader gives its entries to one follower only; the second, who lacks them, has them cut off there.
        alone = at + 30 * MS
        faults += [Fault(at, K.CAMPAIGN, first)]
        faults += [Fault(alone, K.CUT, first, n) for n in order[2:]]
        faults += [Fault(alone + (1 + n) * MS, K.PROPOSE, first, n) for n in range(12)]
        faults += [Fault(alone + n * MS, K.CAMPAIGN, second) for n in (20, 40)]
        faults += [Fault(alone + 22 * MS, K.HEAL)]
        # The first leads again and reaches the second only: with an old answer taken for new, that is a majority.
        back = alone + (60 + prng.below(20)) * MS
        cut = back + (22 + prng.below(6)) * MS
        faults += [Fault(back + n * MS, K.CAMPAIGN, first) for n in (0, 20)]
        faults += [Fault(cut, K.CUT, first, n) for n in order[1:] if n != second]
        faults += [Fault(cut + n * MS, K.PROPOSE, first, n) for n in range(1, 16)]
        faults += [Fault(cut + (60 + prng.below(120)) * MS, K.HEAL)]
        at = cut + (200 + prng.below(100)) * MS
    return plan, faults


def _all(plan: Plan) -> range:
    return range(1, plan.nodes + 1)


def _shuffled(plan: Plan, prng: Prng) -> list[int]:
    """All nodes, in any order."""
    order = list(_all(plan))
    for place in range(len(order) - 1, 0, -1):
        other = prng.below(place + 1)
        order[place], order[other] = order[other], order[place]
    return order


def _set(plan: Plan, prng: Prng) -> int:
    """Any set of nodes but none and all."""
    return (1 + prng.below((1 << plan.nodes) - 2)) << 1 if plan.nodes > 1 else 2


def _restarts(plan: Plan, prng: Prng, at: int) -> list[Fault]:
    """Everybody who is down comes back, each in its own time."""
    return [Fault(at + (5 + prng.below(300)) * MS, K.RESTART, n) for n in _all(plan)]


Day = Callable[[Plan, Prng], tuple[Plan, list[Fault]]]
DAYS: Final[tuple[Day, ...]] = (
    mixed,
    mixed,
    mixed,
    figure_8,
    figure_8_exactly,
    duels,
    old_leaders,
    leases,
    members,
    single_steps,
    divergence,
    late_answers,
)
