"""Faults with a name: one press each, and how long nobody led is measured.

Sources: the 3|2 split is the paper's §5; the partial network of five is H. Howard's ("Raft does not guarantee liveness
in the face of network faults", 2020, after Cloudflare's outage); the bridge is openraft #2080; Figure 8 is the paper's.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import trio

from host.api import HttpProblem
from plugins.raft import kv_client
from plugins.raft.core.effects import Role
from plugins.raft.core.kv import Operation
from plugins.raft.lab import actions
from plugins.raft.lab.cluster import Cluster
from plugins.raft.lab.narrate import Told
from plugins.raft.lab.operate import Operator

WATCHED_S: Final = 6.0
"""How long a topology's leaderless time is measured."""
STEP_TIMEOUT_S: Final = 1.5


@dataclass(frozen=True, slots=True)
class Topology:
    """One of them. `question` and `answers` are for who wants to guess first."""

    name: str
    title: str
    text: str
    question: str
    answers: tuple[str, ...]


TOPOLOGIES: Final = (
    Topology(
        "split-3-2",
        "Three against two",
        "The leader is left with one other node; three are on the other side.",
        "Which side goes on?",
        ("the side with the leader", "the side with three", "both", "neither"),
    ),
    Topology(
        "minority-leader",
        "A leader in the minority",
        "The leader is alone. What it is asked to write is never committed; the others elect a new one.",
        "What becomes of a write at the old leader?",
        ("it is committed", "it is refused or unknown", "it overwrites the others"),
    ),
    Topology(
        "howard",
        "Howard's partial network",
        "Links 1–2, 2–3, 1–3, 2–4 and 3–5 pass, no others: plain Raft may never get a stable leader here.",
        "Will there be a leader, and stay one?",
        ("yes", "only with pre-vote and check-quorum", "no"),
    ),
    Topology(
        "bridge",
        "A bridge",
        "The leader reaches only one node, and that one reaches everybody: heartbeats to the bridge must not "
        "keep a leader that no majority hears.",
        "Who leads in the end?",
        ("the old leader", "the bridge or a node behind it", "nobody"),
    ),
    Topology(
        "one-way",
        "One way only",
        "The leader is heard by all and hears nobody.",
        "How long does it go on leading?",
        ("for ever", "until it notices that no majority answers"),
    ),
    Topology(
        "figure-8",
        "Figure 8",
        "An entry of an old term reaches a majority, its leader dies, and another could overwrite it: only entries of "
        "a leader's own term are committed by counting.",
        "Is an entry on a majority committed?",
        ("yes", "only with an entry of the leader's own term behind it"),
    ),
)
BY_NAME: Final = {topology.name: topology for topology in TOPOLOGIES}
FIGURE_8_TRIES: Final = 5
HOWARD_LINKS: Final = ((1, 2), (2, 3), (1, 3), (2, 4), (3, 5))


class _Missed(Exception):
    """A step did not come about."""


class Player:
    """Plays one topology at a time."""

    def __init__(self, cluster: Cluster, operator: Operator) -> None:
        self._cluster = cluster
        self._operator = operator
        self._scope: trio.CancelScope | None = None

    async def play(self, name: str, nursery: trio.Nursery) -> dict[str, Any]:
        """Set a topology up; its measurement goes on in `nursery`. Raises HttpProblem 422 or 409."""
        topology = BY_NAME.get(name)
        if topology is None:
            raise HttpProblem(422, f"there is no topology {name!r}; there are {', '.join(BY_NAME)}")
        self._operator.touch()
        if self._scope is not None:
            self._scope.cancel(reason="another topology was chosen")
        await self._operator.heal()
        if set(self._cluster.seats) != {1, 2, 3, 4, 5}:
            raise HttpProblem(409, "topologies are for nodes 1 to 5: reset the lab first")
        with trio.move_on_after(STEP_TIMEOUT_S):
            await self._cluster.led.wait()
        if not self._cluster.leader:
            raise HttpProblem(409, "nobody leads yet: try again in a moment")
        await nursery.start(self._run, topology)
        return {"done": True, "text": topology.text, "scenario": self._cluster.story}

    async def _run(self, topology: Topology, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        cluster = self._cluster
        before_us = cluster.leaderless_total_us
        story: dict[str, Any] = {
            "name": topology.name,
            "title": topology.title,
            "step": topology.text,
            "since": cluster.now_ms(),
            "leaderless_ms": 0,
            "elections": 0,
            "done": False,
        }
        elections = cluster.elections
        cluster.story = dict(story)

        def measured() -> dict[str, Any]:
            since = cluster.leaderless_since_us
            open_us = cluster.now_us() - since if since is not None else 0
            return {
                "leaderless_ms": (cluster.leaderless_total_us - before_us + open_us) // 1000,
                "elections": cluster.elections - elections,
            }

        def tell(text: str) -> None:
            story["step"] = text
            cluster.story = story | measured()
            cluster.say(Told("scenario", 0, 0, text))

        with trio.CancelScope() as scope:
            self._scope = scope
            set_up: Callable[[Callable[[str], None]], Awaitable[None]] = getattr(
                self, "_" + topology.name.replace("-", "_")
            )
            try:
                if topology.name == "figure-8":
                    task_status.started()
                    await set_up(tell)
                else:
                    await set_up(tell)
                    task_status.started()
                until = trio.current_time() + WATCHED_S
                while trio.current_time() < until:
                    await trio.sleep(0.25)
                    cluster.story = story | measured()
                found = measured()
                leads = f"n{cluster.leader} leads" if cluster.leader else "nobody leads"
                text = f"{leads}; {found['elections']} elections, {found['leaderless_ms']} ms without a leader"
                story["done"] = True
                tell(text)
            except (HttpProblem, _Missed) as problem:
                story["done"] = True
                tell(f"given up: {problem}")
        if self._scope is scope:
            self._scope = None

    # --- The shapes

    def _only(self, pairs: tuple[tuple[int, int], ...]) -> None:
        """Cut all links but these, which pass in both directions."""
        network = self._cluster.network
        for a in range(1, 6):
            for b in range(1, 6):
                if a != b:
                    network.link(a, b).is_cut = (a, b) not in pairs and (b, a) not in pairs
        self._cluster.links_changed()

    def _leader_and_others(self) -> tuple[int, list[int]]:
        leader = self._cluster.leader_shell().id
        return leader, [number for number in range(1, 6) if number != leader]

    async def _split(self, *groups: list[int]) -> None:
        await self._operator.do(actions.Partition(action="partition", groups=list(groups)))

    async def _split_3_2(self, tell: Callable[[str], None]) -> None:
        leader, others = self._leader_and_others()
        await self._split([leader, others[0]], others[1:])
        tell(f"n{leader} and n{others[0]} against the other three")

    async def _minority_leader(self, tell: Callable[[str], None]) -> None:
        leader, others = self._leader_and_others()
        await self._split([leader], others)
        tell(f"n{leader} is alone")

    async def _one_way(self, tell: Callable[[str], None]) -> None:
        leader, others = self._leader_and_others()
        for number in others:
            self._cluster.network.link(number, leader).is_cut = True
        self._cluster.links_changed()
        tell(f"n{leader} is heard and hears nobody")
        await trio.lowlevel.checkpoint()

    async def _bridge(self, tell: Callable[[str], None]) -> None:
        leader, others = self._leader_and_others()
        bridge = others[0]
        pairs = tuple((a, b) for a in others for b in others if a < b)
        self._only(((leader, bridge), *pairs))
        tell(f"n{leader} reaches only n{bridge}, which reaches everybody")
        await trio.lowlevel.checkpoint()

    async def _howard(self, tell: Callable[[str], None]) -> None:
        await self._lead(4)
        self._only(HOWARD_LINKS)
        tell("links 1–2, 2–3, 1–3, 2–4 and 3–5 pass; n4 led")

    async def _figure_8(self, tell: Callable[[str], None]) -> None:
        """Its steps depend on who stands first, so that a try may miss; then it begins again."""
        for _ in range(FIGURE_8_TRIES):
            try:
                await self._figure_8_once(tell)
                return
            except _Missed:
                await self._operator.heal()
                await self._until(lambda: self._cluster.leader != 0)
        raise HttpProblem(409, "the elections came out otherwise too often")

    async def _figure_8_once(self, tell: Callable[[str], None]) -> None:
        """(a) S1 leads and reaches S2 only; (b) S1 dies, S5 leads and reaches nobody; (c) S1 is back and leads."""
        operator, network = self._operator, self._cluster.network
        await self._lead(1)
        for number in (3, 4):
            # They are not to stand before n5 does.
            self._skew(number, 500)
        await self._split([1, 2], [3], [4], [5])
        tell("(a) n1 leads and its newest entry reaches only n2")
        self._write_at(1, "figure-8", "a")
        await self._until(lambda: self._last(2) == self._last(1))
        await operator.do(actions.OnNode(action="kill", node=1))
        tell("(b) n1 died; n5 is elected by n3 and n4, which have not seen the entry")
        await self._split([2], [3, 4, 5])
        for voter in (3, 4):
            # So slow that n5 can be cut off after the votes were given, and before it knows.
            network.link(voter, 5).delay_us = 20_000
        await self._until(lambda: self._voted(3, 5) or self._voted(4, 5), campaign=5)
        network.link(5, 3).is_cut = network.link(5, 4).is_cut = True
        self._cluster.links_changed()
        await self._until(lambda: self._role(5) is Role.LEADER)
        self._write_at(5, "figure-8", "b")
        await trio.sleep(0.05)
        await operator.do(actions.OnNode(action="kill", node=5))
        self._skew(3, 1000)
        self._skew(4, 1000)
        await operator.do(actions.OnNode(action="restart", node=1))
        await self._split([1, 2, 3], [4], [5])
        tell("(c) n5 died; n1 is back, and its old entry goes to n3 with one of its new term")
        await self._until(lambda: self._cluster.leader in (1, 2), campaign=1)
        await self._until(lambda: self._last(3) == self._last(self._cluster.leader or 1))
        await operator.do(actions.OnNode(action="restart", node=5))
        tell("(e) both are on a majority now, and committed: n5 comes back, and can no longer win")
        await self._split([1], [2, 3, 4, 5])
        await self._until(lambda: self._cluster.leader in (2, 3, 4, 5), campaign=5)
        if self._cluster.leader == 5:
            raise _Missed
        tell(f"n1 is cut off; n{self._cluster.leader} leads, which has the entry; n5 was refused")

    # --- Steps of Figure 8

    async def _lead(self, number: int) -> None:
        """Make a node the leader. Raises HttpProblem."""
        if self._cluster.leader != number:
            await self._operator.do(actions.OnNode(action="transfer", node=number))

    def _skew(self, number: int, permille: int) -> None:
        self._cluster.seats[number].clock.skew(permille)
        self._cluster.looked(number)

    def _campaign(self, number: int) -> None:
        shell = self._cluster.seats[number].shell
        if shell is not None:
            shell.campaign()

    def _voted(self, number: int, candidate: int) -> bool:
        core = self._cluster.seats[number].core
        return core is not None and core.vote == candidate and core.term > 0 and core.leader != candidate

    def _role(self, number: int) -> Role | None:
        core = self._cluster.seats[number].core
        return core.role if core is not None else None

    def _write_at(self, number: int, key: str, value: str) -> None:
        """Give a node a command that nobody waits for."""
        shell = self._cluster.seats[number].shell
        if shell is not None:
            command = kv_client.command_of(Operation("put", key.encode(), value.encode()), None)
            shell.submit(command, lambda tag, fate, index, result, leader: None, 0)

    def _last(self, number: int) -> int:
        core = self._cluster.seats[number].core
        return core.log.last_index if core is not None else -1

    async def _until(self, holds: Callable[[], bool], campaign: int = 0) -> None:
        """Wait until something holds; meanwhile a node may be told to stand. Raises _Missed when it takes too long."""
        turns = 0
        with trio.move_on_after(STEP_TIMEOUT_S):
            while not holds():
                if campaign and turns % 50 == 0:
                    self._campaign(campaign)
                turns += 1
                await trio.sleep(0.002)
            return
        raise _Missed
