"""The lab's nodes, and all that is noted of them: recorded, watched, drawn and counted."""

import secrets
import shutil
import statistics
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import trio
from pydantic_core import to_json

from host.api import HttpProblem
from plugins.raft.clock import now_us
from plugins.raft.core.base import Durable
from plugins.raft.core.configuration import Configuration
from plugins.raft.core.effects import Effects, Role
from plugins.raft.core.inputs import Input
from plugins.raft.core.messages import Message
from plugins.raft.core.node import Node
from plugins.raft.core.sessions import Sessions
from plugins.raft.core.settings import Settings as CoreSettings
from plugins.raft.lab.feed import Feed
from plugins.raft.lab.history import History
from plugins.raft.lab.links import Link
from plugins.raft.lab.narrate import Told, told
from plugins.raft.lab.network import Network
from plugins.raft.lab.picture import Look, Picture, deadline_ms
from plugins.raft.lab.recording import BOOT, MARK, STOP, Recorder, Seat, Step, encode_boot
from plugins.raft.lab.seats import LabSeat, open_seat
from plugins.raft.lab.sentences import Before, sentence, started
from plugins.raft.lab.watch import Watch
from plugins.raft.settings import Settings
from plugins.raft.shell import Shell

NODES_MAX: Final = 7
FAILOVERS_KEPT: Final = 1000


class Cluster:
    """Five nodes and what lies between them. `run` first, then everything else, on one loop."""

    def __init__(self, settings: Settings, folder: Path, threads: trio.CapacityLimiter) -> None:
        self.settings = settings
        self.core_settings: CoreSettings = settings.core_settings()
        self.folder = folder
        self.threads = threads
        self.usual = Link(delay_us=round(settings.link_delay * 1e6), jitter_us=round(settings.link_jitter * 1e6))
        self.network = Network(self.usual, secrets.randbits(64))
        self.network.deliver = self._deliver
        self.network.sent = self._sent
        self.seats: dict[int, LabSeat] = {}
        self.watch = Watch()
        self.history = History()
        self.recorder = Recorder(settings.record)
        self.story: dict[str, Any] | None = None
        self.epoch = secrets.token_hex(4)
        self.elections = 0
        self.leaderless_since_us: int | None = None
        self.leaderless_total_us = 0
        self.failovers: deque[float] = deque(maxlen=FAILOVERS_KEPT)
        self.failover_count = 0
        self.heals_at_us: int | None = None
        self.led = trio.Event()
        """Set while a leader leads a majority."""
        self._start_us = 0
        self._takes: list[int] = []
        self._leader = 0
        self._generation = 0
        self.picture = Picture(self)
        self.feed = Feed(self.epoch, self._frame, self.document)
        self._nursery: trio.Nursery | None = None

    # --- Running

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run a fresh cluster until cancelled; ready once a leader leads it, or could not be elected for long."""
        self._start_us = now_us()
        await trio.to_thread.run_sync(self._wipe)
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self.network.run)
            nursery.start_soon(self.feed.run)
            await self.start_fresh()
            with trio.move_on_after(5):
                await self.led.wait()
            task_status.started()

    def _wipe(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    async def start_fresh(self) -> None:
        """Begin with new nodes that know nothing; the old ones must be gone."""
        group = Configuration(tuple(range(1, self.settings.nodes + 1)))
        self.watch, self.history = Watch(), History()
        self._mark({"fresh": True})
        self.elections, self.failover_count = 0, 0
        self.failovers.clear()
        self.leaderless_total_us, self.leaderless_since_us = 0, self.now_us()
        for number in group.voters:
            self.make_seat(number)
            await self.start(number, Durable.first(group))

    def make_seat(self, number: int) -> LabSeat:
        """A place for a node, with an empty disk of its own."""
        self._generation += 1
        seat = LabSeat(number, self.folder / f"n{number}-{self._generation}", self._ended)
        self.seats[number] = seat
        return seat

    async def start(self, number: int, durable: Durable | None = None) -> bool:
        """Start a node from its disk, which begins with `durable` when it is empty. Says whether it runs."""
        seat = self.seats[number]
        if seat.shell is not None:
            return True
        opened = await open_seat(seat, durable or Durable.empty(), self.threads)
        if opened is None or seat.shell is not None:
            self._looked(number)
            return seat.shell is not None
        storage, found = opened
        seed = secrets.randbits(63)
        self._record_if_due()
        shell = seat.sit(
            storage, found, self.core_settings, self.network, self, seed, self.settings.snapshot_every, self.threads
        )
        node = shell.node
        data = encode_boot(found, seed, self.core_settings)
        self.recorder.add(Step(BOOT, self.now_us(), number, node.now_us, data), None)
        self.watch.started(node)
        if self.feed.is_watched:
            self._tell_step(number, started(node))
        self._looked(number)
        assert self._nursery is not None
        await self._nursery.start(seat.run)
        return True

    async def stop(self, number: int, reason: str) -> None:
        """Stop a node as a crash does."""
        await self.seats[number].stop(reason)

    def _ended(self, seat: LabSeat) -> None:
        if self.seats.get(seat.number) is seat:
            self.watch.stopped(seat.number)
        self.recorder.add(Step(STOP, self.now_us(), seat.number, 0, b""), None)
        self._looked(seat.number)
        self._update_led()

    # --- What the nodes do

    def fed(self, node: Node, now_us: int, event: Input, effects: Effects) -> None:
        """A node took a step: record it, look at it, draw it."""
        seat = self.seats[node.id]
        takes, self._takes = tuple(self._takes), []
        at_us = self.now_us()
        self.recorder.fed(at_us, node.id, now_us, event, effects, takes)
        shell = seat.shell
        results = shell.results if shell is not None else []
        if effects.apply:
            self.history.applied(effects.apply)
        for name, detail in self.watch.check(node, event, effects, results):
            self.say(Told("check", node.id, node.term, f"{name} is broken: {detail}"))
        lines = told(node, seat.before.role, event, effects)
        for line in lines:
            self.picture.event(line, self.watch.explainer.text)
        if self.feed.is_watched:
            self._tell_step(node.id, sentence(node, seat.before, event, effects, lines))
        before, seat.before = seat.before, Before(node.role, node.commit)
        if node.role is not before.role or effects.status is not None:
            if node.role is Role.LEADER and before.role is not Role.LEADER:
                self.elections += 1
            self._update_led()
        self._record_if_due()

    def _tell_step(self, number: int, text: str) -> None:
        self.picture.step(self.recorder.steps, number, self.watch.explainer.text, text)

    def _sent(self, message: Message, takes_us: int, is_double: bool) -> None:
        if not is_double:
            self._takes.append(takes_us)
        self.picture.message(message, self.now_us(), takes_us, is_double=is_double)

    def _deliver(self, message: Message) -> None:
        seat = self.seats.get(message.to)
        if seat is not None and seat.shell is not None:
            seat.shell.receive(message)

    def _record_if_due(self) -> None:
        if self.recorder.is_due(self.now_us()):
            self.begin_segment()

    def begin_segment(self) -> None:
        """Begin a segment of the recording with all nodes as they are."""
        seats = self._recorded_seats()
        self.recorder.begin(self.now_us(), seats, self._recorded_scene())
        self.watch.explainer.join(seat.core for seat in seats.values() if seat.core is not None)

    def _recorded_seats(self) -> dict[int, Seat]:
        return {
            number: Seat(seat.core, seat.shell.machine if seat.shell else None, seat.shell is not None)
            for number, seat in self.seats.items()
        }

    def _recorded_scene(self) -> dict[str, Any]:
        looks = {str(number): look.fields() for number, look in self.looks().items()}
        clocks = {str(number): seat.clock.read() for number, seat in self.seats.items()}
        return {"looks": looks, "links": self.links(), "cluster": self.cluster(), "clocks": clocks}

    # --- Who leads

    @property
    def leader(self) -> int:
        """Who leads a majority now; 0 when nobody does."""
        return self._leader

    def leader_shell(self) -> Shell:
        """The leader. Raises HttpProblem 503 when nobody leads."""
        seat = self.seats.get(self._leader)
        if seat is None or seat.shell is None:
            raise HttpProblem(503, "nobody leads a majority now: heal the lab, or wait", headers={"Retry-After": "1"})
        return seat.shell

    def _update_led(self) -> None:
        """See who leads a majority after a change of roles, links or nodes, and how long nobody did."""
        leader = self._find_leader()
        now = self.now_us()
        if leader and self.leaderless_since_us is not None:
            took_us = now - self.leaderless_since_us
            self.leaderless_since_us = None
            self.leaderless_total_us += took_us
            if self.elections > 1:
                self.failovers.append(took_us / 1000)
                self.failover_count += 1
        elif not leader and self.leaderless_since_us is None:
            self.leaderless_since_us = now
        self._leader = leader
        if leader:
            self.led.set()
        elif self.led.is_set():
            self.led = trio.Event()

    def _find_leader(self) -> int:
        best, best_term = 0, -1
        for number, seat in self.seats.items():
            core = seat.core
            if not seat.is_up or core is None or core.role is not Role.LEADER or core.term <= best_term:
                continue
            groups = (core.configuration.voters, core.configuration.outgoing)
            if all(self._reaches_most(number, group) for group in groups):
                best, best_term = number, core.term
        return best

    def _reaches_most(self, number: int, group: tuple[int, ...]) -> bool:
        passes = self.network.passes

        def answers(other: int) -> bool:
            if other == number:
                return True
            seat = self.seats.get(other)
            return seat is not None and seat.is_up and passes(number, other) and passes(other, number)

        return not group or sum(map(answers, group)) * 2 > len(group)

    # --- Faults, noted

    def say(self, line: Told) -> None:
        """A line for the page that no step of a node tells, and for replays."""
        self.picture.event(line)
        self._mark({"event": list(line)})

    def links_changed(self) -> None:
        """Links were changed: who leads may be another."""
        self.network.tidy()
        self._mark({"links": self.links()})
        self._update_led()

    def looked(self, number: int) -> None:
        """Something about a node but its core changed: paused, clock, disk."""
        self._looked(number)
        self._update_led()

    def _looked(self, number: int) -> None:
        look = self.looks().get(number)
        self._mark({"node": number, "look": None if look is None else look.fields()})

    def _mark(self, document: dict[str, Any]) -> None:
        self._record_if_due()
        self.recorder.add(Step(MARK, self.now_us(), 0, 0, to_json(document)), None)

    # --- What a page sees (`picture.Scene`)

    def now_us(self) -> int:
        """Microseconds since the lab started."""
        return now_us() - self._start_us

    def now_ms(self) -> int:
        """Milliseconds since the lab started."""
        return self.now_us() // 1000

    def looks(self) -> Mapping[int, Look]:
        """The nodes."""
        found = {}
        for number, seat in sorted(self.seats.items()):
            shell, files = seat.shell, seat.files
            state = "paused" if shell is not None and shell.is_paused else seat.state
            end = None
            if seat.core is not None and shell is not None:
                end = deadline_ms(seat.core, (seat.clock.true_us(seat.core.deadline_us) - self._start_us) // 1000)
            disk = "full" if files.is_full else "slow" if files.slow_s else "ok"
            slow_ms = round(files.slow_s * 1000)
            found[number] = Look(state, seat.core, end, seat.clock.permille, disk, slow_ms, seat.reason)
        return found

    def cluster(self) -> dict[str, Any]:
        """What is true of all nodes together."""
        core = self._newest()
        since = self.leaderless_since_us
        settings, history = self.core_settings, self.history
        configuration = core.configuration if core is not None else Configuration(())
        return {
            "leader": self._leader,
            "led": self._leader != 0,
            "term": max((seat.core.term for seat in self.seats.values() if seat.core is not None), default=0),
            "commit": self.watch.newest_commit,
            "voters": configuration.voters,
            "outgoing": configuration.outgoing,
            "learners": configuration.learners,
            "elections": self.elections,
            "survived": max(0, self.elections - 1) if not self.watch.found else 0,
            "leaderless_since": None if since is None else since // 1000,
            "leaderless_total_ms": self.leaderless_total_us // 1000,
            "failover_ms": round(self.failovers[-1]) if self.failovers else None,
            "failover_p50_ms": round(statistics.median(self.failovers)) if self.failovers else None,
            "failovers": self.failover_count,
            "acknowledged": history.acknowledged,
            "lost": history.lost,
            "viewers": self.feed.viewers,
            "heals_at": None if self.heals_at_us is None else self.heals_at_us // 1000,
            "pre_vote": settings.pre_vote,
            "check_quorum": settings.check_quorum,
            "lease_reads": settings.lease_reads,
            "election_timeout_ms": settings.election_timeout_us // 1000,
            "heartbeat_ms": settings.heartbeat_us // 1000,
        }

    def _newest(self) -> Node | None:
        """The node that knows most: the leader, or who has applied most."""
        cores = [seat.core for seat in self.seats.values() if seat.core is not None]
        if self._leader and (core := self.seats[self._leader].core) is not None:
            return core
        return max(cores, key=lambda core: (core.delivered, core.term), default=None)

    def links(self) -> dict[str, dict[str, Any]]:
        """The links that are not as usual."""
        return self.network.document()

    def store(self) -> Sessions | None:
        """The store as far as anybody running has applied it."""
        shells = [seat.shell for seat in self.seats.values() if seat.shell is not None]
        return max((shell.machine for shell in shells), key=lambda machine: machine.applied_index, default=None)

    def checks(self) -> dict[str, Any]:
        """The invariants and linearizability."""
        history = self.history
        verdict = "holds" if history.verdict == "ok" else "broke" if history.verdict == "illegal" else "unknown"
        if self.watch.found or history.lost:
            verdict = "broke"
        return {"verdict": verdict, "invariants": self.watch.document(), "linearizable": history.document()}

    def scenario(self) -> dict[str, Any] | None:
        """The topology that is being played."""
        return self.story

    def document(self) -> dict[str, Any]:
        """The state document."""
        head = {"id": self.feed.last_id, "epoch": self.epoch, "at": _unix_s(), "hash": self.recorder.hash.hex()[:16]}
        return head | self.picture.state()

    def _frame(self, with_checks: bool) -> dict[str, Any] | None:
        delta = self.picture.delta()
        if with_checks and (checks := self.picture.checks_delta()) is not None:
            delta = (delta or {"t": self.now_ms()}) | {"k": checks}
        return delta


def _unix_s() -> float:
    return round(time.time(), 3)
