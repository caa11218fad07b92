"""Does what `actions` say. Each returns a sentence; what cannot be done now is an `HttpProblem` that says why."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio

from host.api import HttpProblem, OutcomeUnknown
from plugins.raft import kv_client
from plugins.raft.core.inputs import AUTO
from plugins.raft.core.kv import Operation
from plugins.raft.lab import actions
from plugins.raft.lab.clients import LabStore
from plugins.raft.lab.cluster import NODES_MAX, Cluster
from plugins.raft.lab.narrate import Told
from plugins.raft.lab.seats import LabSeat
from plugins.raft.requests import NotTaken
from plugins.raft.shell import ShellStopped

Result = dict[str, Any]
KEYS_MAX: Final = 200
"""Keys in the lab's store; a new one beyond is refused."""


class Bucket:
    """A rate limit: `per_s` on average, `burst` at once."""

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s = per_s
        self._burst = burst
        self._level = float(burst)
        self._at = time.monotonic()

    def take(self, count: int = 1) -> None:
        """Take one, or as many as something costs; at most `burst`. Raises HttpProblem 429."""
        now = time.monotonic()
        self._level = min(self._burst, self._level + (now - self._at) * self._per_s)
        self._at = now
        count = min(count, self._burst)
        if self._level < count:
            wait = str(max(1, round((count - self._level) / self._per_s)))
            raise HttpProblem(429, "the lab is shared, and too much is asked of it", headers={"Retry-After": wait})
        self._level -= count


class Operator:
    """Carries out actions, one after the other."""

    def __init__(self, cluster: Cluster, store: LabStore, timeout_s: float) -> None:
        self.cluster = cluster
        self.last_touch_s = 0.0
        self._store = store
        self._timeout_s = timeout_s
        self._turn = trio.Lock()
        self._by_kind: dict[type, Callable[[Any], Awaitable[Result]]] = {
            actions.OnNode: self._on_node,
            actions.Partition: self._partition,
            actions.Cut: self._cut,
            actions.LinkChange: self._link,
            actions.Whole: self._whole,
            actions.Skew: self._skew,
            actions.DiskChange: self._disk,
            actions.Add: self._add,
            actions.Propose: self._propose,
            actions.Read: self._read,
            actions.Rules: self._rules,
        }

    def touch(self) -> None:
        """Somebody did something: the idle time begins anew."""
        self.last_touch_s = trio.current_time()

    async def do(self, action: Any) -> Result:
        """Carry out one action. Raises HttpProblem: 409 when it cannot be done now, 422 when it makes no sense."""
        self.touch()
        handler = self._by_kind[type(action)]
        if isinstance(action, actions.Propose | actions.Read):
            return await handler(action)
        async with self._turn:
            return await handler(action)

    # --- Nodes

    async def _on_node(self, action: actions.OnNode) -> Result:
        number = self._number(action.node)
        handler: Callable[[int], Awaitable[str]] = getattr(self, f"_{action.action}")
        return _done(await handler(number))

    async def _kill(self, number: int) -> str:
        seat = self._seat(number)
        if seat.shell is None:
            raise HttpProblem(409, f"n{number} is down already")
        self._say("fault", number, f"n{number} was killed")
        await self.cluster.stop(number, "killed")
        return f"n{number} was killed"

    async def _restart(self, number: int) -> str:
        seat = self._seat(number)
        await self.cluster.stop(number, "restarted")
        if not await self.cluster.start(number):
            raise HttpProblem(409, f"n{number} does not start: {seat.reason}")
        self._say("heal", number, f"n{number} started from its disk")
        return f"n{number} started from its disk"

    async def _pause(self, number: int) -> str:
        shell = self._running(number)
        shell.pause()
        self._say("fault", number, f"n{number} stands still")
        self.cluster.looked(number)
        await trio.lowlevel.checkpoint()
        return f"n{number} stands still"

    async def _resume(self, number: int) -> str:
        self._running(number).resume()
        self._say("heal", number, f"n{number} goes on")
        self.cluster.looked(number)
        await trio.lowlevel.checkpoint()
        return f"n{number} goes on"

    async def _campaign(self, number: int) -> str:
        self._running(number).campaign()
        await trio.lowlevel.checkpoint()
        return f"n{number} was asked to stand for election"

    async def _snapshot(self, number: int) -> str:
        self._running(number).take_snapshot()
        self._say("disk", number, f"n{number} takes a snapshot")
        await trio.lowlevel.checkpoint()
        return f"n{number} takes a snapshot"

    async def _transfer(self, number: int) -> str:
        self._running(number)
        await _told(self.cluster.leader_shell().transfer(number, self._timeout_s))
        self._say("member", number, f"the leadership was handed over to n{number}")
        return f"n{number} leads"

    async def _isolate(self, number: int) -> str:
        others = [[other for other in self.cluster.seats if other != number]]
        self._seat(number)
        await self._partition(actions.Partition(action="partition", groups=[[number], *others]))
        return f"n{number} hears nobody and is heard by nobody"

    # --- Members

    async def _add(self, action: actions.Add) -> Result:
        cluster = self.cluster
        free = [number for number in range(1, NODES_MAX + 1) if number not in cluster.seats]
        number = action.node if action.node is not None else (free[0] if free else 0)
        if not number:
            raise HttpProblem(409, f"the lab has {NODES_MAX} nodes: remove one first")
        leader = cluster.leader_shell()
        configuration = leader.node.configuration
        is_learner = number in configuration.learners
        if number in configuration.members and (action.learner or not is_learner):
            raise HttpProblem(409, f"n{number} is a member already")
        voters, learners = configuration.voters, configuration.learners
        if not is_learner:
            if number not in cluster.seats:
                cluster.make_seat(number)
            await cluster.start(number)
            self._say("member", number, f"n{number} joins, with an empty disk")
            learners = (*learners, number)
        try:
            # First as a learner: a voter with nothing yet only makes majorities harder to reach (thesis §4.2.1).
            if not is_learner:
                await _told(leader.change_members(voters, learners, self._timeout_s, AUTO))
            if not action.learner:
                await self._caught_up(number)
                learners = tuple(other for other in learners if other != number)
                await _told(leader.change_members((*voters, number), learners, self._timeout_s, AUTO))
        except HttpProblem:
            if number not in leader.node.configuration.members:
                await self._discard(number)
            raise
        return _done(f"n{number} is a {'learner' if action.learner else 'voter'} now", node=number)

    async def _caught_up(self, number: int) -> None:
        """Wait until a newcomer has what the leader had. Raises HttpProblem 503."""
        target = self.cluster.leader_shell().node.log.last_index
        with trio.move_on_after(self._timeout_s):
            while True:
                core = self._seat(number).core
                if core is not None and core.log.last_index >= target:
                    return
                await trio.sleep(0.01)
        raise HttpProblem(503, f"n{number} does not catch up; it stays a learner", headers={"Retry-After": "1"})

    async def _remove(self, number: int) -> str:
        cluster = self.cluster
        self._seat(number)
        leader = cluster.leader_shell()
        configuration = leader.node.configuration
        if number in configuration.members:
            voters = tuple(other for other in configuration.voters if other != number)
            if not voters:
                raise HttpProblem(409, "the last voter cannot be removed")
            learners = tuple(other for other in configuration.learners if other != number)
            await _told(leader.change_members(voters, learners, self._timeout_s, AUTO))
        await self._discard(number)
        self._say("member", number, f"n{number} was removed, its disk thrown away")
        return f"n{number} was removed"

    async def _discard(self, number: int) -> None:
        seat = self.cluster.seats[number]
        await self.cluster.stop(number, "removed")
        del self.cluster.seats[number]
        self.cluster.watch.removed(number)
        await trio.to_thread.run_sync(seat.wipe, limiter=self.cluster.threads)
        self.cluster.looked(number)

    # --- Links

    async def _partition(self, action: actions.Partition) -> Result:
        for group in action.groups:
            for number in group:
                self._seat(number)
        self.cluster.network.split(self.cluster.seats, action.groups)
        text = f"the network is split: {action.text()}"
        self._links_changed("fault", text)
        await trio.lowlevel.checkpoint()
        return _done(text)

    async def _cut(self, action: actions.Cut) -> Result:
        a, b = self._number(action.from_), self._number(action.to)
        if a == b:
            raise HttpProblem(422, "a link goes from one node to another")
        is_cut = action.action == "cut"
        for x, y in [(a, b), (b, a)] if action.both else [(a, b)]:
            self.cluster.network.link(x, y).is_cut = is_cut
        arrow = "↔" if action.both else "→"
        text = f"n{a} {arrow} n{b} {'is cut' if is_cut else 'passes again'}"
        self._links_changed("fault" if is_cut else "heal", text)
        await trio.lowlevel.checkpoint()
        return _done(text)

    async def _link(self, action: actions.LinkChange) -> Result:
        numbers = list(self.cluster.seats)
        sources = numbers if action.from_ is None else [self._number(action.from_)]
        targets = numbers if action.to is None else [self._number(action.to)]
        for a in sources:
            for b in targets:
                if a == b:
                    continue
                action.change(self.cluster.network.link(a, b))
        text = action.text()
        self._links_changed("fault", text)
        await trio.lowlevel.checkpoint()
        return _done(text)

    # --- Clocks and disks

    async def _skew(self, action: actions.Skew) -> Result:
        number = self._number(action.node)
        self._seat(number).clock.skew(action.permille)
        text = f"the clock of n{number} runs at {action.permille / 10:g} %"
        self._say("fault", number, text)
        self.cluster.looked(number)
        await trio.lowlevel.checkpoint()
        return _done(text)

    async def _disk(self, action: actions.DiskChange) -> Result:
        number = self._number(action.node)
        seat = self._seat(number)
        if action.state in ("torn", "flipped"):
            if seat.shell is not None:
                raise HttpProblem(409, f"n{number} runs: kill it first, then damage its disk")
            damage = seat.tear if action.state == "torn" else seat.flip
            await trio.to_thread.run_sync(damage, limiter=self.cluster.threads)
        else:
            seat.files.is_full = action.state == "full"
            seat.files.slow_s = action.slow_ms / 1000 if action.state == "slow" else 0.0
            if action.state == "ok":
                await trio.to_thread.run_sync(seat.mend, limiter=self.cluster.threads)
        text = {
            "ok": f"the disk of n{number} is well",
            "full": f"the disk of n{number} is full: its next write fails",
            "slow": f"an fsync of n{number} takes {action.slow_ms} ms longer",
            "torn": f"half a record stands at the end of the log of n{number}",
            "flipped": f"a durable bit of n{number} is wrong",
        }[action.state]
        self._say("disk", number, text)
        self.cluster.looked(number)
        return _done(text)

    # --- The whole

    async def _whole(self, action: actions.Whole) -> Result:
        if action.action == "heal":
            await self.heal()
            self._say("heal", 0, "everything was healed")
            return _done("everything was healed")
        await self._begin_anew()
        self._say("heal", 0, "a fresh cluster")
        return _done("a fresh cluster")

    async def restore(self) -> None:
        """Make the lab as it is at first: heal it, and begin anew when its members or rules are others."""
        async with self._turn:
            await self.heal()
            if self.is_broken:
                await self._begin_anew()

    async def _begin_anew(self) -> None:
        cluster = self.cluster
        await self.heal()
        for number in list(cluster.seats):
            await self._discard(number)
        cluster.core_settings = cluster.settings.core_settings()
        await cluster.start_fresh()

    async def heal(self) -> None:
        """All links, clocks and disks as usual; who stands still goes on, who is down starts."""
        cluster = self.cluster
        cluster.network.heal()
        for number, seat in list(cluster.seats.items()):
            seat.files.is_full, seat.files.slow_s = False, 0.0
            if seat.clock.permille != 1000:
                seat.clock.skew(1000)
            if seat.flipped is not None and seat.shell is None:
                await trio.to_thread.run_sync(seat.mend, limiter=cluster.threads)
            if seat.shell is not None:
                seat.shell.resume()
            else:
                await cluster.start(number)
            cluster.looked(number)
        cluster.links_changed()

    @property
    def is_broken(self) -> bool:
        """Whether anything is not as usual."""
        cluster = self.cluster
        return (
            bool(cluster.network.links)
            or cluster.core_settings != cluster.settings.core_settings()
            or set(cluster.seats) != set(range(1, cluster.settings.nodes + 1))
            or any(
                not seat.is_up or seat.files.is_full or seat.files.slow_s or seat.clock.permille != 1000
                for seat in cluster.seats.values()
            )
        )

    async def _rules(self, action: actions.Rules) -> Result:
        cluster = self.cluster
        settings = cluster.core_settings._replace(
            pre_vote=action.pre_vote, check_quorum=action.check_quorum, lease_reads=action.lease_reads
        )
        if problems := settings.problems():
            raise HttpProblem(422, "; ".join(problems))
        cluster.core_settings = settings
        for number, seat in list(cluster.seats.items()):
            if seat.shell is not None:
                await cluster.stop(number, "restarted with other rules")
                await cluster.start(number)
        words = [f"pre-vote {'on' if action.pre_vote else 'off'}"]
        words.append(f"check-quorum {'on' if action.check_quorum else 'off'}")
        words.append(f"reads by lease {'on' if action.lease_reads else 'off'}")
        text = "the nodes were restarted with " + ", ".join(words)
        self._say("fault", 0, text)
        return _done(text)

    # --- Clients

    async def _propose(self, action: actions.Propose) -> Result:
        node = None if action.node is None else self._number(action.node)
        store = self.cluster.store()
        values = store.machine.values if store is not None else {}  # type: ignore[attr-defined]
        if len(values) >= KEYS_MAX and action.key.encode() not in values:
            raise HttpProblem(409, f"the lab's store has {KEYS_MAX} keys: use one of them")
        operation = Operation("put", action.key.encode(), action.value.encode())
        answer = await self._store.write(operation, None, node)
        text = f"{action.key} = {action.value} is committed at entry {answer.index}"
        return _done(text, index=answer.index, term=answer.term, ms=answer.ms, result="ok")

    async def _read(self, action: actions.Read) -> Result:
        node = None if action.node is None else self._number(action.node)
        answer = await self._store.read(action.key.encode(), node, is_stale=False, lease=action.mode == "lease")
        value = None if kv_client.is_missing(answer) else (answer.value or b"").decode("utf-8", "replace")
        text = f"{action.key} is {value if value is not None else 'not there'}, as of entry {answer.index}"
        return _done(text, value=value, index=answer.index, term=answer.term, ms=answer.ms)

    # --- Helpers

    def _number(self, target: actions.Target) -> int:
        """The node that is meant. Raises HttpProblem."""
        if target == "leader":
            return self.cluster.leader_shell().id
        assert isinstance(target, int)
        self._seat(target)
        return target

    def _seat(self, number: int) -> LabSeat:
        seat = self.cluster.seats.get(number)
        if seat is None:
            known = ", ".join(f"n{other}" for other in sorted(self.cluster.seats))
            raise HttpProblem(422, f"there is no node {number}; there are {known}")
        return seat

    def _running(self, number: int) -> Any:
        seat = self._seat(number)
        if seat.shell is None:
            raise HttpProblem(409, f"n{number} is down: {seat.reason}")
        return seat.shell

    def _say(self, kind: str, node: int, text: str) -> None:
        core = self.cluster.seats[node].core if node in self.cluster.seats else None
        self.cluster.say(Told(kind, node, core.term if core is not None else 0, text))

    def _links_changed(self, kind: str, text: str) -> None:
        self._say(kind, 0, text)
        self.cluster.links_changed()


def _done(text: str, **more: Any) -> Result:
    return {"done": True, "text": text, **more}


async def _told(waiting: Awaitable[None]) -> None:
    try:
        await waiting
    except (NotTaken, OutcomeUnknown) as error:
        problem = kv_client.problem_of(error)
        if isinstance(error, NotTaken) and problem.status == 503:
            problem = HttpProblem(409, str(error), type=error.reason)
        raise problem from None
    except ShellStopped as error:
        # It led a moment ago; its disk failed, or somebody killed it.
        raise HttpProblem(409, str(error)) from None
