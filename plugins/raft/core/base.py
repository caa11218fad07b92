"""The state of a node that all roles share, and how effects are gathered: what leaves at once, what only when durable.

The rule about durability stands here alone. `_send` is for messages that promise nothing about this node's disk: those
of a leader to its followers (its term was made durable by the votes for it; thesis §10.2.1 lets it write its log
meanwhile), and pre-votes. `_send_when_durable` is for all that promise: votes, acknowledgements, requests for votes.
They wait for the last `Persist` handed out, so that they are also in order with one another.
"""

from collections import deque
from dataclasses import dataclass

from plugins.raft.core.configuration import Configuration, decode_configuration, encode_configuration
from plugins.raft.core.effects import Answer, Changed, Effects, Persist, Reason, Refused, Role, Status
from plugins.raft.core.log import Log
from plugins.raft.core.messages import CONFIGURATION, Entry, Message, Snapshot
from plugins.raft.core.prng import Prng
from plugins.raft.core.progress import Progress
from plugins.raft.core.settings import NEVER_US, Settings

FOLLOWER = Role.FOLLOWER
PRECANDIDATE = Role.PRECANDIDATE
CANDIDATE = Role.CANDIDATE
LEADER = Role.LEADER


@dataclass(frozen=True, slots=True)
class Durable:
    """What a node finds on its disk: all that `Persist`s made durable. Entries up to the snapshot are ignored."""

    term: int = 0
    vote: int = 0
    snapshot: Snapshot | None = None
    entries: tuple[Entry, ...] = ()

    @classmethod
    def first(cls, configuration: Configuration) -> "Durable":
        """The start of a new group: a snapshot at index 0 which holds nothing but the members."""
        return cls(snapshot=Snapshot(0, 0, encode_configuration(configuration), b""))

    @classmethod
    def empty(cls) -> "Durable":
        """The start of a node that knows nobody yet: it waits until a leader sends it the log."""
        return cls(snapshot=Snapshot(0, 0, encode_configuration(Configuration(())), b""))


class Base:
    """Fields of a node. Read them freely (`role`, `term`, `leader`, `commit`, `log`, …); only the node writes them."""

    __slots__ = (
        "_answers",
        "_campaign_token",
        "_configurations",
        "_forwarded",
        "_hard_dirty",
        "_held",
        "_incoming",
        "_install",
        "_own_ready",
        "_pending",
        "_reset",
        "_restore",
        "_sends",
        "_snapshot_dirty",
        "_status",
        "_token",
        "_transferred",
        "_uncommitted_bytes",
        "commit",
        "configuration",
        "configuration_index",
        "delivered",
        "election_deadline_us",
        "election_timeout_us",
        "heard_us",
        "id",
        "leader",
        "log",
        "now_us",
        "prng",
        "role",
        "settings",
        "snapshot",
        "term",
        "vote",
        "votes",
    )

    def __init__(self, node: int, settings: Settings, durable: Durable, prng: Prng, now_us: int) -> None:
        """A node that just started. Raises ValueError when its settings or its durable state make no sense."""
        if problems := settings.problems():
            raise ValueError("; ".join(problems))
        self.id = node
        self.settings = settings
        self.prng = prng
        self.now_us = now_us
        self.term = durable.term
        self.vote = durable.vote
        self.role = FOLLOWER
        self.leader = 0
        snapshot = durable.snapshot or Durable.empty().snapshot
        assert snapshot is not None
        self.snapshot = snapshot
        self.log = Log(snapshot.index, snapshot.term, tuple(e for e in durable.entries if e.index > snapshot.index))
        self.commit = self.delivered = snapshot.index
        self._configurations = [(snapshot.index, decode_configuration(snapshot.configuration))]
        self._configurations += [
            (e.index, decode_configuration(e.data))
            for e in durable.entries
            if e.kind == CONFIGURATION and e.index > snapshot.index
        ]
        self.configuration_index, self.configuration = self._configurations[-1]
        self.votes: dict[int, bool] = {}
        # A node does not remember whom it heard before it stopped, so it keeps the promise that it may have made then.
        self.heard_us = now_us if settings.lease_reads else now_us - settings.election_timeout_us
        self.election_timeout_us = 0
        self.election_deadline_us = 0
        self._token = 0
        self._campaign_token = 0
        self._hard_dirty = False
        self._snapshot_dirty = False
        self._reset = False
        self._held: list[Message] = []
        self._pending: deque[tuple[int, list[Message]]] = deque()
        self._sends: list[Message] = []
        self._answers: list[Answer] = []
        self._restore: Snapshot | None = snapshot if snapshot.index else None
        self._install: tuple[int, Snapshot] | None = None
        self._incoming: tuple[int, int, int, bytearray] | None = None
        self._forwarded: dict[int, int] = {}
        self._own_ready: list[tuple[int, tuple[int, ...]]] = []
        self._transferred: tuple[int, int] | None = None
        self._uncommitted_bytes = 0
        self._status = Status(self.term, FOLLOWER, 0, self.configuration_index)
        self._draw_timeout()

    # --- Effects

    @property
    def token(self) -> int:
        """That of the last `Persist` handed out; 0 before the first."""
        return self._token

    def _send_when_durable(self, message: Message) -> None:
        """Send once everything that this node decided so far is on its disk."""
        self._held.append(message)

    def _refuse(self, reason: Reason, request_ids: tuple[int, ...]) -> None:
        if request_ids:
            self._answers.append(Refused(self.leader if self.leader != self.id else 0, reason, request_ids))

    def _gather(self) -> Effects:
        """The effects of the input that was just handled."""
        log = self.log
        persist = None
        if self._hard_dirty or log.unwritten_from or self._snapshot_dirty:
            persist = self._make_persist()
        if self._held:
            self._gather_held()
        restore = self._restore
        if restore is not None:
            self._restore = None
        limit = self.commit if self.commit < log.durable else log.durable
        applied: tuple[Entry, ...] = ()
        if limit > self.delivered and self._install is None:
            applied = log.between(self.delivered + 1, limit)
            self.delivered = limit
        if self._own_ready:
            self._serve_reads()
        sends = self._sends
        if sends:
            self._sends = []
        answers: tuple[Answer, ...] = ()
        if self._answers:
            answers = tuple(self._answers)
            self._answers = []
        status = None
        last = self._status
        if (
            last[0] != self.term
            or last[1] is not self.role
            or last[2] != self.leader
            or last[3] != self.configuration_index
        ):
            status = self._status = Status(self.term, self.role, self.leader, self.configuration_index)
        return Effects(persist, tuple(sends), restore, applied, answers, status)

    def _gather_held(self) -> None:
        """Let messages that promise something wait for the last unit under way; with none, all is durable already."""
        if self._pending:
            self._pending[-1][1].extend(self._held)
        else:
            self._sends.extend(self._held)
        self._held = []

    def _make_persist(self) -> Persist:
        log = self.log
        self._token += 1
        first = log.unwritten_from
        entries = log.between(first, log.last_index) if first else ()
        log.unwritten_from = 0
        if self._hard_dirty and self.role is CANDIDATE and self.vote == self.id:
            self._campaign_token = self._token
        if self._reset:
            self._install = (self._token, self.snapshot)
        snapshot = self.snapshot if self._snapshot_dirty else None
        persist = Persist(self._token, self.term, self.vote, log.start_index, self._reset, snapshot, entries)
        self._hard_dirty = self._snapshot_dirty = self._reset = False
        log.handed_out(self._token)
        self._pending.append((self._token, []))
        return persist

    def _release(self, token: int) -> None:
        """`Persisted`: let out what waited for it."""
        pending = self._pending
        while pending and pending[0][0] <= token:
            self._sends.extend(pending.popleft()[1])
        self.log.persisted(token)
        if self._install is not None and self._install[0] <= token:
            snapshot = self._install[1]
            self._install = None
            if snapshot.index > self.delivered:
                self._restore = snapshot
                self.delivered = snapshot.index

    # --- Terms and time-outs

    def _draw_timeout(self) -> None:
        """Draw a new election time-out and start it."""
        self._redraw_timeout()
        self.election_deadline_us = self.now_us + self.election_timeout_us

    def _redraw_timeout(self) -> None:
        """Draw a new election time-out for the next start; the one under way ends when it would have."""
        base = self.settings.election_timeout_us
        self.election_timeout_us = base + self.prng.below(base)

    def _follow(self, term: int, leader: int) -> None:
        """Become a follower in `term`. The vote is forgotten only when the term is a new one (paper §5.1)."""
        if term > self.term:
            self.term = term
            self.vote = 0
            self._hard_dirty = True
            # Anew in each term: else those that once drew long ones keep them, and who leads is ever harder to replace.
            self._redraw_timeout()
        if self.role is not FOLLOWER:
            self._step_down()
            self.role = FOLLOWER
            self._draw_timeout()
        if leader != self.leader:
            self._leader_changed(leader)

    def _leader_changed(self, leader: int) -> None:
        """Count on another leader, or on none: reads that were sent to the old one get no answer."""
        self.leader = leader
        if leader and self._transferred is not None:
            target, request = self._transferred
            self._transferred = None
            if leader == target:
                self._answers.append(Changed(request))
            else:
                self._refuse("stepped-down", (request,))
        if self._forwarded:
            waiting = tuple(self._forwarded.values())
            self._forwarded.clear()
            self._refuse("no-leader", waiting)

    @property
    def _is_promised(self) -> bool:
        """Whether this node heard from its leader so lately that it gives nobody else a vote (thesis §4.2.3)."""
        if self.role is LEADER:
            return True
        return self.now_us < self.heard_us + self.settings.election_timeout_us

    @property
    def is_promotable(self) -> bool:
        """Whether this node may stand: it votes in the newest configuration, or in one that may still be in force.

        "A server that is not part of its own latest configuration should still start new elections, as it might still
        be needed until the Cnew entry is committed" (thesis §4.2.2; openraft #2091 is what happens without).
        """
        for index, configuration in reversed(self._configurations):
            if self.id in configuration.voters or self.id in configuration.outgoing:
                return True
            if index <= self.commit:
                return False
        return False

    @property
    def deadline_us(self) -> int:
        """When this node next needs a `Tick`."""
        if self.role is LEADER:
            return self._leader_deadline_us
        return self.election_deadline_us if self.is_promotable else NEVER_US

    # --- Configurations

    @property
    def configurations(self) -> tuple[tuple[int, Configuration], ...]:
        """Those that are in force or may come into force again, each with the index of its entry; the newest last."""
        return tuple(self._configurations)

    def _configuration_appended(self, index: int, configuration: Configuration) -> None:
        """A configuration is in force as soon as it is in the log, committed or not (paper §6)."""
        self._configurations.append((index, configuration))
        self.configuration_index, self.configuration = index, configuration
        self._members_changed()

    def _configurations_truncated(self, first: int) -> None:
        """Entries from `first` on are gone, and so are the configurations in them."""
        if self._configurations[-1][0] >= first:
            while self._configurations[-1][0] >= first:
                self._configurations.pop()
            self.configuration_index, self.configuration = self._configurations[-1]
            self._members_changed()

    def configuration_at(self, index: int) -> Configuration:
        """The configuration in force after the entry at `index`, which must not be older than the last snapshot."""
        return next(c for at, c in reversed(self._configurations) if at <= index)

    # --- What the roles supply

    progress: dict[int, Progress]
    _leader_deadline_us: int

    def _step_down(self) -> None:
        """Let go of what belongs to the role that ends."""
        raise NotImplementedError

    def _members_changed(self) -> None:
        """The configuration in force is another."""
        raise NotImplementedError

    def _lead(self) -> None:
        """The election is won."""
        raise NotImplementedError

    def _serve_reads(self) -> None:
        """Answer the reads for which enough has been delivered."""
        raise NotImplementedError
