"""What a page shows: the whole as one document, and what changed since the last look.

The live lab and a replay are looked at in the same way, through `Scene`. See the API's documents for the fields.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from plugins.raft.core.kv import KeyValue
from plugins.raft.core.messages import AppendEntries, Message
from plugins.raft.core.node import Node
from plugins.raft.core.sessions import Sessions
from plugins.raft.core.settings import NEVER_US
from plugins.raft.lab.narrate import Told, entry_row, is_refusal, letter

LOG_ROWS: Final = 24
"""Entries of each log that a page gets."""
MESSAGES_MAX: Final = 24
"""Messages in one frame; the others are counted."""
STEPS_MAX: Final = 16
"""Steps in one frame, likewise."""
EVENTS_MAX: Final = 50
KEYS_MAX: Final = 200
ROLES: Final = ("follower", "precandidate", "candidate", "leader")


@dataclass(slots=True)
class Look:
    """A node as the picture needs it. `deadline_ms` is on the lab's clock, None when no timer runs."""

    state: str
    core: Node | None
    deadline_ms: int | None = None
    clock: int = 1000
    disk: str = "ok"
    disk_slow_ms: int = 0
    reason: str = ""

    def fields(self) -> dict[str, Any]:
        """What a page and a recording say of it beyond its core."""
        return {
            "state": self.state,
            "clock": self.clock,
            "disk": self.disk,
            "disk_slow_ms": self.disk_slow_ms,
            "reason": self.reason,
        }


class Scene(Protocol):
    """What is looked at."""

    def now_ms(self) -> int: ...

    def looks(self) -> Mapping[int, Look]: ...

    def cluster(self) -> dict[str, Any]: ...

    def links(self) -> dict[str, dict[str, Any]]: ...

    def store(self) -> Sessions | None: ...

    def checks(self) -> dict[str, Any]: ...

    def scenario(self) -> dict[str, Any] | None: ...


@dataclass(slots=True)
class _Seen:
    """What a page knows already."""

    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    logs: dict[str, tuple[int, int]] = field(default_factory=dict)
    cluster: dict[str, Any] = field(default_factory=dict)
    links: dict[str, dict[str, Any]] = field(default_factory=dict)
    store: dict[str, str] = field(default_factory=dict)
    store_index: int = -1
    checks: dict[str, Any] = field(default_factory=dict)
    scenario: dict[str, Any] | None = None


class Picture:
    """One line of frames: `state` gives all, `delta` what changed since the last `delta`."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._seen = _Seen()
        self._messages: list[tuple[Any, ...]] = []
        self._skipped = 0
        self._steps: list[tuple[int, int, str | None, str]] = []
        self._steps_skipped = 0
        self._new_events: list[dict[str, Any]] = []
        self.events: deque[dict[str, Any]] = deque(maxlen=EVENTS_MAX)
        self._event_id = 0

    def message(self, message: Message, at_us: int, takes_us: int, *, is_double: bool) -> None:
        """A message was sent."""
        if len(self._messages) >= MESSAGES_MAX:
            self._skipped += 1
            return
        entries = len(message.entries) if type(message) is AppendEntries else 0
        flag = 1 if is_refusal(message) else 2 if is_double else 0
        takes = -1 if takes_us < 0 else takes_us // 1000
        self._messages.append(
            (letter(message), message.sender, message.to, at_us // 1000, takes, flag, entries, message.term)
        )

    def step(self, number: int, node: int, action: str | None, text: str) -> None:
        """A node took a step: its number, the actions of the specification that it amounts to, and a sentence."""
        if len(self._steps) >= STEPS_MAX:
            self._steps_skipped += 1
            return
        self._steps.append((number, node, action, text))

    def event(self, told: Told, action: str | None = None) -> None:
        """Something is worth a line; `action` as for `step`."""
        self._event_id += 1
        line = {"id": self._event_id, "t": self._scene.now_ms(), **told._asdict(), "action": action}
        self.events.append(line)
        self._new_events.append(line)
        del self._new_events[:-EVENTS_MAX]

    def state(self) -> dict[str, Any]:
        """Everything."""
        scene = self._scene
        nodes = {}
        for number, look in scene.looks().items():
            nodes[str(number)] = fields_of(look) | {"log": log_of(look.core, 0)}
        return {
            "t": scene.now_ms(),
            "cluster": scene.cluster(),
            "nodes": nodes,
            "links": scene.links(),
            "kv": values_of(scene.store()),
            "checks": scene.checks(),
            "scenario": scene.scenario(),
            "events": list(self.events),
        }

    def delta(self) -> dict[str, Any] | None:
        """What changed since the last call; None when nothing did."""
        scene, seen = self._scene, self._seen
        found: dict[str, Any] = {}
        nodes = self._changed_nodes(scene.looks())
        if nodes:
            found["n"] = nodes
        cluster = scene.cluster()
        if changed := {key: value for key, value in cluster.items() if seen.cluster.get(key, _NEVER) != value}:
            seen.cluster = cluster
            found["c"] = changed
        links = scene.links()
        if links != seen.links:
            gone: dict[str, Any] = {key: None for key in seen.links if key not in links}
            found["l"] = gone | {key: link for key, link in links.items() if seen.links.get(key) != link}
            seen.links = links
        store = scene.store()
        if store is not None and store.applied_index != seen.store_index:
            values = values_of(store)
            missing: dict[str, str | None] = {key: None for key in seen.store if key not in values}
            if news := missing | {key: value for key, value in values.items() if seen.store.get(key) != value}:
                found["kv"] = news
            seen.store, seen.store_index = values, store.applied_index
        if (scenario := scene.scenario()) != seen.scenario:
            found["s"] = seen.scenario = scenario
        if self._messages:
            found["m"], self._messages = self._messages, []
        if self._skipped:
            found["skipped"], self._skipped = self._skipped, 0
        if self._steps:
            found["st"], self._steps = self._steps, []
        if self._steps_skipped:
            found["steps_skipped"], self._steps_skipped = self._steps_skipped, 0
        if self._new_events:
            found["e"], self._new_events = self._new_events, []
        return {"t": scene.now_ms(), **found} if found else None

    def checks_delta(self) -> dict[str, Any] | None:
        """The checks, when they changed; they count every step, so this is asked once a second."""
        checks = self._scene.checks()
        if checks == self._seen.checks:
            return None
        self._seen.checks = checks
        return checks

    def _changed_nodes(self, looks: Mapping[int, Look]) -> dict[str, dict[str, Any]]:
        seen = self._seen
        found: dict[str, dict[str, Any]] = {}
        for number, look in looks.items():
            key = str(number)
            now = fields_of(look)
            before = seen.nodes.get(key)
            if before != now:
                found[key] = now if before is None else {k: v for k, v in now.items() if before.get(k, _NEVER) != v}
                seen.nodes[key] = now
            if look.core is not None and (rows := self._changed_log(key, look.core)) is not None:
                found.setdefault(key, {})["log"] = rows
        for key in [key for key in seen.nodes if int(key) not in looks]:
            del seen.nodes[key]
            seen.logs.pop(key, None)
            found[key] = {"state": "gone"}
        return found

    def _changed_log(self, key: str, core: Node) -> list[Any] | None:
        """From where on the log is another, and what stands there now."""
        log = core.log
        index, term = self._seen.logs.get(key, (0, -1))
        if (index, term) == (log.last_index, log.last_term):
            return None
        self._seen.logs[key] = (log.last_index, log.last_term)
        if index <= log.last_index and log.term_at(index) == term:
            first = index + 1
        else:
            first = max(log.start_index + 1, log.last_index - LOG_ROWS + 1)
        return [first, log_of(core, first)]


_NEVER: Final = object()


def fields_of(look: Look) -> dict[str, Any]:
    """A node's fields but for its log."""
    core = look.core
    shell = look.fields()
    if core is None:
        return shell | {"role": "follower", "member": "none", "term": 0, "vote": 0, "leader": 0, "commit": 0,
                        "applied": 0, "last": 0, "durable": 0, "snapshot": 0, "first": 1, "deadline": None,
                        "timeout": None}  # fmt: skip
    is_running = look.state in ("up", "paused")
    has_timer = is_running and look.deadline_ms is not None
    return shell | {
        "role": ROLES[core.role] if is_running else "follower",
        "member": member_of(core),
        "term": core.term,
        "vote": core.vote,
        "leader": core.leader if is_running else 0,
        "commit": core.commit,
        "applied": core.delivered,
        "last": core.log.last_index,
        "durable": core.log.durable,
        "snapshot": core.snapshot.index,
        "first": core.log.start_index + 1,
        "deadline": look.deadline_ms if has_timer else None,
        "timeout": core.election_timeout_us // 1000 if has_timer else None,
    }


def member_of(core: Node) -> str:
    """What a node is in the newest configuration that it knows."""
    configuration = core.configuration
    if core.id in configuration.voters:
        return "voter"
    if core.id in configuration.outgoing:
        return "outgoing"
    return "learner" if core.id in configuration.learners else "none"


def log_of(core: Node | None, first: int) -> list[tuple[int, int, str, str]]:
    """The newest entries from `first` on."""
    if core is None:
        return []
    log = core.log
    start = max(first, log.start_index + 1, log.last_index - LOG_ROWS + 1)
    return [entry_row(entry) for entry in log.between(start, log.last_index)]


def values_of(store: Sessions | None) -> dict[str, str]:
    """The store as text, within its limit."""
    if store is None:
        return {}
    machine = store.machine
    assert isinstance(machine, KeyValue)
    values: dict[str, str] = {}
    for key, value in machine.values.items():
        if len(values) >= KEYS_MAX:
            break
        values[key.decode("utf-8", "replace")] = value[:200].decode("utf-8", "replace")
    return values


def deadline_ms(core: Node, lab_ms: int) -> int | None:
    """An election timer's end on the lab's clock, `lab_ms`; None for leaders and nodes that do not stand."""
    return None if core.role == 3 or core.deadline_us >= NEVER_US else lab_ms
