"""A small language for scenarios over the core: one line, one step, read from the files in `scenarios/`.

A file holds scenarios: `== title`, a line `source: where the case comes from`, then steps. `#` begins a remark.

    group 1 2 3 [learners 4] [with pre_vote check_quorum lease_reads inflight_max=1 …]
    node 1 [term 6] log 1 1 4 4        what node 1 has on its disk, by the terms of its entries (before any step)
    campaign 1 · propose 1 x · read 2 r1 [lease] · transfer 1 to 2 · forget 1 · unreachable 1 peer 2 · snapshot 1
    change 1 voters 1 2 learners 3 [joint|explicit] · leave 1
    settle                              deliver and fsync until nothing happens any more; the clock stands still
    deliver 1>2 [Kind] · drop 1>2 [Kind] · repeat 1>2 Kind   those messages under way: once, never, or a copy more
    keep 1>2 [Kind] · release           a copy of them is set aside; all those copies are under way now
    wait 300                            milliseconds; deadlines and deliveries happen in their order
    tick 1                              node 1's deadline is there, whatever the clock says
    cut 1>2 · cut 1-2 · isolate 1 · split 1 2 | 3 4 5 · heal
    slow 1 · fsync 1 · fast 1           node 1's disk waits for `fsync`, which completes the oldest unit
    crash 1 · start 1                   what was not fsynced is lost
    expect 1 leads [term 2] · expect nobody leads · expect someone leads
    expect 1 role follower · expect 1 term 2 · … vote, leader, commit, last, applied (the commands), log (the terms)
    expect 1 peer 2 probe · expect 1 peer 2 match 3 · expect 1 voters 1 2 3 · expect 1 learners 4 · expect 1 joint
    expect answer x accepted|refused REASON|ready|changed|none
    expect under way 1>2 Kind 3         so many such messages
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from plugins.raft.core import inputs
from plugins.raft.core.base import Durable
from plugins.raft.core.configuration import Configuration
from plugins.raft.core.effects import Accepted, Changed, Effects, ReadReady, Refused, Role
from plugins.raft.core.inputs import Input
from plugins.raft.core.messages import COMMAND, Entry, Message
from plugins.raft.core.node import Node
from plugins.raft.core.prng import Prng
from plugins.raft.core.settings import NEVER_US, Settings
from plugins.raft.sim.disk import Disk
from plugins.raft.sim.spec import Spec

STATES = ("probe", "replicate", "snapshot")
STEPS_MAX = 20_000


class Scenario(NamedTuple):
    """One scenario of a file."""

    file: str
    title: str
    source: str
    steps: tuple[tuple[int, str], ...]


def read_scenarios(folder: Path) -> Iterator[Scenario]:
    """All scenarios of a folder, in the order of their files."""
    for path in sorted(folder.glob("*.txt")):
        title, source, steps = "", "", []
        for number, line in enumerate([*path.read_text().splitlines(), "== "], start=1):
            text = line.partition("#")[0].strip()
            if text.startswith("=="):
                if title:
                    yield Scenario(path.name, title, source, tuple(steps))
                title, source, steps = text[2:].strip(), "", []
            elif text.startswith("source:"):
                source = text[7:].strip()
            elif text:
                steps.append((number, text))


class Stage:
    """The nodes of a scenario, the messages under way, and what was answered."""

    node_class: type[Node] = Node

    def __init__(self) -> None:
        self.now = 0
        self.settings = Settings(pre_vote=False, check_quorum=False)
        self.nodes: dict[int, Node | None] = {}
        self.disks: dict[int, Disk] = {}
        self.applied: dict[int, list[str]] = {}
        self.under_way: list[Message] = []
        self.kept: list[Message] = []
        self.cuts: set[tuple[int, int]] = set()
        self.slow: set[int] = set()
        self.answers: dict[str, str] = {}
        self.names: list[str] = [""]
        self.prng = Prng(1)
        self.spec = Spec()
        self.is_begun = False

    # --- Running

    def run(self, scenario: Scenario) -> None:
        for number, text in scenario.steps:
            try:
                self.step(text)
            except Exception as error:
                raise AssertionError(f"{scenario.file}:{number}: {text}\n  {type(error).__name__}: {error}") from error

    def step(self, text: str) -> None:
        verb, *words = text.split()
        if verb not in ("group", "node") and not self.is_begun:
            self.is_begun = True
            for node in self.disks:
                self.do_start([str(node)])
        getattr(self, f"do_{verb}")(words)

    def feed(self, number: int, event: Input) -> None:
        node = self.nodes.get(number)
        if node is None:
            return
        effects = node.handle(self.now, event)
        self.spec.step(number, event, node)
        self.spec.sent(number, effects.send)
        self._execute(number, effects)

    def _execute(self, number: int, effects: Effects) -> None:
        if effects.persist is not None:
            self.disks[number].queue.append(effects.persist)
        self.under_way += [m for m in effects.send if (number, m.to) not in self.cuts]
        if effects.restore is not None:
            self.applied[number] = effects.restore.data.decode().split()
        self.applied[number] += [e.data.decode() for e in effects.apply if e.kind == COMMAND]
        for answer in effects.answers:
            word = {Accepted: "accepted", ReadReady: "ready", Changed: "changed"}.get(type(answer), "")
            if isinstance(answer, Refused):
                word = f"refused {answer.reason}"
            ids = (answer.request_id,) if isinstance(answer, Changed) else answer.request_ids
            for request in ids:
                self.answers[self.names[request]] = word

    def _request(self, name: str) -> int:
        self.names.append(name)
        self.answers.pop(name, None)
        return len(self.names) - 1

    def _fsync(self, number: int, count: int) -> None:
        disk = self.disks[number]
        disk.syncing = min(count, len(disk.queue))
        if disk.syncing:
            self.feed(number, inputs.Persisted(disk.synced()))

    def _deliver(self, message: Message) -> None:
        self.under_way.remove(message)
        if (message.sender, message.to) not in self.cuts:
            self.feed(message.to, message)

    # --- Setting the stage

    def do_group(self, words: list[str]) -> None:
        groups: dict[str, list[str]] = {"": [], "learners": [], "spare": [], "with": []}
        at = ""
        for word in words:
            if word in groups:
                at = word
            else:
                groups[at].append(word)
        voters, learners = (tuple(map(int, groups[name])) for name in ("", "learners"))
        changes: dict[str, Any] = {}
        for word in groups["with"]:
            name, _, value = word.partition("=")
            changes[name] = int(value) if value else True
        self.settings = self.settings._replace(**changes)
        for node in (*voters, *learners):
            self.disks[node] = Disk(Durable.first(Configuration(voters, (), learners)), Prng(node))
        for word in groups["spare"]:
            self.disks[int(word)] = Disk(Durable.empty(), Prng(int(word)))

    def do_node(self, words: list[str]) -> None:
        disk = self.disks[int(words[0])]
        terms = [int(word) for word in words[words.index("log") + 1 :]]
        disk.term = int(words[words.index("term") + 1]) if "term" in words else (terms or [0])[-1]
        disk.entries = [Entry(n, term, COMMAND, f"{n}.{term}".encode()) for n, term in enumerate(terms, start=1)]

    # --- What is done to nodes

    def do_start(self, words: list[str]) -> None:
        for number in map(int, words):
            disk = self.disks[number]
            node = self.nodes[number] = self.node_class(
                number, self.settings, disk.recover(), self.prng.split(), self.now
            )
            self.spec.started(number, node, disk.entries)
            self.applied[number] = []
            self.feed(number, inputs.Tick())

    def do_crash(self, words: list[str]) -> None:
        for number in map(int, words):
            self.nodes[number] = None
            self.disks[number].queue.clear()

    def do_campaign(self, words: list[str]) -> None:
        self.feed(int(words[0]), inputs.Campaign())

    def do_tick(self, words: list[str]) -> None:
        number = int(words[0])
        node = self.nodes[number]
        assert node is not None
        self.now = max(self.now, node.deadline_us)
        self.feed(number, inputs.Tick())

    def do_propose(self, words: list[str]) -> None:
        items = tuple((self._request(word), word.encode()) for word in words[1:])
        self.feed(int(words[0]), inputs.Propose(items))

    def do_read(self, words: list[str]) -> None:
        self.feed(int(words[0]), inputs.Read(self._request(words[1]), "lease" in words))

    def do_transfer(self, words: list[str]) -> None:
        self.feed(int(words[0]), inputs.TransferLeadership(self._request("transfer"), int(words[2])))

    def do_forget(self, words: list[str]) -> None:
        self.feed(int(words[0]), inputs.ForgetLeader())

    def do_unreachable(self, words: list[str]) -> None:
        self.feed(int(words[0]), inputs.Unreachable(int(words[2])))

    def do_snapshot(self, words: list[str]) -> None:
        number = int(words[0])
        node = self.nodes[number]
        assert node is not None
        self.feed(number, inputs.SnapshotTaken(node.delivered, " ".join(self.applied[number]).encode()))

    def do_change(self, words: list[str]) -> None:
        groups: dict[str, list[int]] = {"voters": [], "learners": []}
        transition, at = inputs.AUTO, ""
        for word in words[1:]:
            if word in groups:
                at = word
            elif word in ("joint", "explicit"):
                transition = inputs.JOINT if word == "joint" else inputs.JOINT_EXPLICIT
            else:
                groups[at].append(int(word))
        event = inputs.ChangeMembership(
            self._request("change"), transition, tuple(groups["voters"]), tuple(groups["learners"])
        )
        self.feed(int(words[0]), event)

    def do_leave(self, words: list[str]) -> None:
        self.feed(int(words[0]), inputs.LeaveJoint(self._request("leave")))

    # --- Network, disk, clock

    def do_settle(self, words: list[str]) -> None:
        for _ in range(STEPS_MAX):
            if self.under_way:
                self._deliver(self.under_way[0])
                continue
            disk = next((n for n, d in self.disks.items() if d.queue and n not in self.slow), None)
            if disk is None:
                return
            self._fsync(disk, len(self.disks[disk].queue))
        raise AssertionError("it does not settle")

    def do_wait(self, words: list[str]) -> None:
        until = self.now + int(words[0]) * 1000
        for _ in range(STEPS_MAX):
            self.do_settle([])
            alive = [node for node in self.nodes.values() if node is not None]
            due = min((node.deadline_us for node in alive), default=NEVER_US)
            if due > until:
                self.now = until
                return
            self.now = max(self.now, due)
            for node in alive:
                if node.deadline_us <= self.now:
                    self.feed(node.id, inputs.Tick())
        raise AssertionError("time does not pass")

    def _chosen(self, words: list[str]) -> list[Message]:
        sender, to = map(int, words[0].split(">"))
        kind = words[1] if len(words) > 1 else None
        return [
            m for m in self.under_way if (m.sender, m.to) == (sender, to) and (kind is None or type(m).__name__ == kind)
        ]

    def do_deliver(self, words: list[str]) -> None:
        chosen = self._chosen(words)
        assert chosen, "no such message is under way"
        for message in chosen:
            self._deliver(message)

    def do_drop(self, words: list[str]) -> None:
        chosen = self._chosen(words)
        assert chosen, "no such message is under way"
        for message in chosen:
            self.under_way.remove(message)

    def do_repeat(self, words: list[str]) -> None:
        self.under_way += self._chosen(words)

    def do_keep(self, words: list[str]) -> None:
        chosen = self._chosen(words)
        assert chosen, "no such message is under way"
        self.kept += chosen

    def do_release(self, words: list[str]) -> None:
        self.under_way += self.kept
        self.kept = []

    def _links(self, word: str) -> list[tuple[int, int]]:
        if ">" in word:
            a, b = map(int, word.split(">"))
            return [(a, b)]
        a, b = map(int, word.split("-"))
        return [(a, b), (b, a)]

    def do_cut(self, words: list[str]) -> None:
        for word in words:
            self.cuts.update(self._links(word))
        self.under_way = [m for m in self.under_way if (m.sender, m.to) not in self.cuts]

    def do_isolate(self, words: list[str]) -> None:
        self.do_cut([f"{word}-{other}" for word in words for other in self.disks if str(other) != word])

    def do_split(self, words: list[str]) -> None:
        at = words.index("|")
        self.do_cut([f"{a}-{b}" for a in words[:at] for b in words[at + 1 :]])

    def do_heal(self, words: list[str]) -> None:
        self.cuts.clear()

    def do_slow(self, words: list[str]) -> None:
        self.slow.add(int(words[0]))

    def do_fast(self, words: list[str]) -> None:
        self.slow.discard(int(words[0]))

    def do_fsync(self, words: list[str]) -> None:
        assert self.disks[int(words[0])].queue, "nothing waits for that disk"
        self._fsync(int(words[0]), 1)

    # --- Expectations

    def do_expect(self, words: list[str]) -> None:
        if words[0] == "answer":
            wanted = " ".join(words[2:])
            found = self.answers.get(words[1], "none")
            assert found == wanted, f"the answer is {found}"
        elif words[:2] == ["under", "way"]:
            found_count = len(self._chosen(words[2:4]))
            assert found_count == int(words[4]), f"there are {found_count}"
        elif words[0] in ("nobody", "someone"):
            leaders = [n.id for n in self.nodes.values() if n is not None and n.role is Role.LEADER]
            assert bool(leaders) == (words[0] == "someone"), f"leaders are {leaders}"
        else:
            numbers = list(self.nodes) if words[0] == "all" else [int(words[0])]
            for number in numbers:
                self._expect(number, words[1:])

    def _expect(self, number: int, words: list[str]) -> None:
        node = self.nodes[number]
        assert node is not None, "it is down"
        what, rest = words[0], words[1:]
        if what == "leads":
            assert node.role is Role.LEADER, f"{number} is {node.role.name.lower()} of term {node.term}"
            assert not rest or node.term == int(rest[1]), f"its term is {node.term}"
            return
        if what == "peer":
            peer = node.progress[int(rest[0])]
            found: Any = STATES[peer.state] if rest[1] in STATES else str(getattr(peer, rest[1]))
            wanted: Any = rest[-1]
        elif what in ("applied", "log", "voters", "learners"):
            wanted = rest
            if what == "applied":
                found = self.applied[number]
            elif what == "log":
                found = [str(node.log.term_at(n)) for n in range(node.log.start_index + 1, node.log.last_index + 1)]
            else:
                found = [str(member) for member in getattr(node.configuration, what)]
        elif what == "joint":
            found, wanted = node.configuration.is_joint, not rest
        else:
            wanted = rest[0]
            found = {
                "role": node.role.name.lower(),
                "last": str(node.log.last_index),
                "term": str(node.term),
                "vote": str(node.vote),
                "leader": str(node.leader),
                "commit": str(node.commit),
                "start": str(node.log.start_index),
                "can_stand": "yes" if node.is_promotable else "no",
            }[what]
        assert found == wanted, f"{what} of {number} is {found}"
