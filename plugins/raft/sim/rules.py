"""Nodes with one rule of Raft taken out, each standing for a bug that somebody had in public.

The rules are taken out by overriding methods in subclasses, here: the node that ships has no switch that could be left
on. `quartet raft rules` looks for the first seed whose run breaks a promise, and writes docs/raft-rules.md.
"""

from typing import Final, NamedTuple

from plugins.raft.core.base import CANDIDATE, LEADER, Durable
from plugins.raft.core.effects import Persist
from plugins.raft.core.inputs import Read
from plugins.raft.core.messages import AppendEntries, AppendResponse, Entry, RequestVote, VoteResponse
from plugins.raft.core.node import Node
from plugins.raft.core.prng import Prng
from plugins.raft.core.progress import Progress
from plugins.raft.core.reads import Waiting
from plugins.raft.core.settings import Settings


class CommitsOldTerms(Node):
    """Commits entries of earlier terms by counting replicas."""

    __slots__ = ()

    def _may_commit(self, index: int) -> bool:
        return True


class ForgetsVote(Node):
    """Does not write down whom it voted for."""

    __slots__ = ()

    def _make_persist(self) -> Persist:
        return super()._make_persist()._replace(vote=0)


class ForgetsTermAndVote(Node):
    """Writes down neither term nor vote: both start at 0 again."""

    __slots__ = ()

    def _make_persist(self) -> Persist:
        return super()._make_persist()._replace(term=0, vote=0)


class RepliesBeforeFsync(Node):
    """Sends votes and acknowledgements at once."""

    __slots__ = ()

    def _gather_held(self) -> None:
        self._sends.extend(self._held)
        self._held = []


class CountsItselfEarly(Node):
    """A leader counts itself before its own fsync."""

    __slots__ = ()

    def _match_of(self, node: int) -> int:
        return self.log.last_index if node == self.id else super()._match_of(node)


class VotesForAnyLog(Node):
    """Gives its vote to candidates whose log lacks entries."""

    __slots__ = ()

    def _is_up_to_date(self, last_index: int, last_term: int) -> bool:
        return True


class CountsVotesTwice(Node):
    """Counts votes without looking whose they are."""

    __slots__ = ()

    def _count_vote(self, voter: int, *, granted: bool) -> None:
        voters = self.configuration.all_voters
        if voter in self.votes:
            voter = next((other for other in voters if other not in self.votes), voter)
        super()._count_vote(voter, granted=granted)


class VotesTwice(Node):
    """Gives its vote to whoever asks, as often as it is asked."""

    __slots__ = ()

    def _grants(self, message: RequestVote) -> bool:
        return self._is_up_to_date(message.last_index, message.last_term)


class TruncatesAlways(Node):
    """Removes what follows the entries of a message, conflict or not."""

    __slots__ = ()

    def _take(self, entries: tuple[Entry, ...]) -> None:
        first = entries[0].index
        if first <= self.log.last_index:
            self.log.truncate(first)
            self._configurations_truncated(first)
        super()._take(entries)


class CommitsBeyondMatch(Node):
    """Takes the leader's commit index as its own, however far its log is known to match."""

    __slots__ = ()

    def _on_append_entries(self, message: AppendEntries) -> None:
        super()._on_append_entries(message)
        if message.term == self.term and self.role is not LEADER:
            self.commit = max(self.commit, min(message.commit, self.log.last_index))


class SkipsConsistencyCheck(Node):
    """Counts a heartbeat's answer as agreement up to what was sent ahead."""

    __slots__ = ()

    def _matched(self, peer: Progress, index: int) -> None:
        super()._matched(peer, max(index, peer.next - 1))


class CountsOldAnswers(Node):
    """Counts answers that were given to it in an earlier term."""

    __slots__ = ()

    def _on_append_response(self, message: AppendResponse) -> None:
        if message.term < self.term:
            message = message._replace(term=self.term)
        super()._on_append_response(message)


class CountsOldVotes(Node):
    """Counts votes that were given to it in an earlier term."""

    __slots__ = ()

    def _on_vote_response(self, message: VoteResponse) -> None:
        if message.term < self.term and not message.pre and self.role is CANDIDATE:
            message = message._replace(term=self.term)
        super()._on_vote_response(message)


class ReadsBeforeOwnCommit(Node):
    """Serves reads before it committed an entry of its own term."""

    __slots__ = ()

    def _has_committed_in_term(self) -> bool:
        return True

    def _has_barrier(self) -> bool:
        return super()._has_committed_in_term()


class ReadsWithoutRound(Node):
    """Serves reads because it believes to lead."""

    __slots__ = ()

    def _gather_read(self, read: Waiting) -> None:
        if self._has_committed_in_term():
            self._answer_reads([read], self.commit)
        else:
            super()._gather_read(read)


class ReusesReadRound(Node):
    """Does not begin a new round for a read: an answer that was under way confirms it."""

    __slots__ = ()

    def _begin_round(self) -> None:
        super()._begin_round()
        self._round_of_group -= 1
        self._round -= 1


class FollowersReadAlone(Node):
    """A follower serves reads from what it has."""

    __slots__ = ()

    def _on_read(self, event: Read) -> None:
        if self.role is LEADER:
            super()._on_read(event)
        else:
            self._own_ready.append((self.commit, (event.request_id,)))


class LeaseWithoutPromise(Node):
    """Reads by lease although nobody promised not to vote."""

    __slots__ = ()

    @property
    def _is_promised(self) -> bool:
        return False


class LeaseSurvivesRestart(Node):
    """Forgets at a restart that it promised its leader not to vote."""

    __slots__ = ()

    def __init__(self, node: int, settings: Settings, durable: Durable, prng: Prng, now_us: int) -> None:
        super().__init__(node, settings, durable, prng, now_us)
        self.heard_us = now_us - settings.election_timeout_us


class LeaseDuringTransfer(Node):
    """Goes on reading by lease after it told another to stand."""

    __slots__ = ()

    def _hand_over(self, peer: Progress) -> None:
        super()._hand_over(peer)
        self._handed_over = False


class ChangesWithoutBarrier(Node):
    """Changes the members before it committed an entry of its own term."""

    __slots__ = ()

    def _has_barrier(self) -> bool:
        return True


class ChangesTwiceAtOnce(Node):
    """Begins a change of members while another is under way."""

    __slots__ = ()

    def _is_change_pending(self) -> bool:
        return False


class SnapshotKeepsConflict(Node):
    """Keeps the entry at a snapshot's last index, whatever its term."""

    __slots__ = ()

    def _log_holds(self, index: int, term: int) -> bool:
        return index <= self.log.last_index


class NoSessions(Node):
    """The node is sound, but the state machine applies each copy of a command."""

    __slots__ = ()


class Rule(NamedTuple):
    """A rule: what is taken out, the nodes without it, where it stands, and who paid for it in public."""

    name: str
    without: type[Node]
    source: str
    bug: str
    url: str


RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "commit-own-term-only",
        CommitsOldTerms,
        "paper §5.4.2, Figure 8",
        "A Murphi model of 4 entries, 4 terms and 5 servers missed it; found by hand (thesis §8.1)",
        "https://github.com/ongardie/dissertation",
    ),
    Rule(
        "vote-persisted",
        ForgetsVote,
        "paper Figure 2, persistent state",
        "PySyncObj: neither term nor vote on disk",
        "https://github.com/bakwc/PySyncObj/issues/84",
    ),
    Rule(
        "term-and-vote-persisted",
        ForgetsTermAndVote,
        "paper Figure 2, persistent state",
        "PySyncObj: the term starts at 0 after a full restart, and committed data is overwritten",
        "https://github.com/bakwc/PySyncObj/issues/197",
    ),
    Rule(
        "fsync-before-reply",
        RepliesBeforeFsync,
        'paper Figure 2, "updated on stable storage before responding to RPCs"',
        "valkey: an epoch not persisted before the request for votes",
        "https://github.com/valkey-io/valkey/issues/3887",
    ),
    Rule(
        "own-fsync-before-counting",
        CountsItselfEarly,
        "thesis §10.2.1",
        "etcd-io/raft's specification checks it as CommittedIsDurableInv",
        "https://github.com/etcd-io/raft/tree/main/tla",
    ),
    Rule(
        "vote-up-to-date-only",
        VotesForAnyLog,
        "paper §5.4.1",
        "The Secret Lives of Data shows elections without it",
        "https://thesecretlivesofdata.com/raft/",
    ),
    Rule(
        "vote-once",
        VotesTwice,
        "paper §5.2",
        "hashicorp/raft: term and vote in separate writes, reported as a double vote",
        "https://github.com/hashicorp/raft/issues/661",
    ),
    Rule(
        "votes-by-identity",
        CountsVotesTwice,
        'paper §5.2, "votes from a majority of the servers"',
        "PySyncObj 0.3.14 counts votes without whose they are",
        "https://github.com/bakwc/PySyncObj",
    ),
    Rule(
        "old-votes-ignored",
        CountsOldVotes,
        "paper §5.1",
        'Students\' Guide to Raft: "term confusion"',
        "https://thesquareplanet.com/blog/students-guide-to-raft/",
    ),
    Rule(
        "old-answers-ignored",
        CountsOldAnswers,
        "paper §5.1",
        'Students\' Guide to Raft: "term confusion"',
        "https://thesquareplanet.com/blog/students-guide-to-raft/",
    ),
    Rule(
        "truncate-on-conflict-only",
        TruncatesAlways,
        "paper Figure 2, AppendEntries 3",
        "openraft: deleting everything after prev_log_id loses committed entries",
        "https://github.com/databendlabs/openraft/commit/9540c904",
    ),
    Rule(
        "commit-up-to-last-new",
        CommitsBeyondMatch,
        "paper Figure 2, AppendEntries 5",
        "Students' Guide to Raft: min(leaderCommit, index of last new entry)",
        "https://thesquareplanet.com/blog/students-guide-to-raft/",
    ),
    Rule(
        "match-from-the-message",
        SkipsConsistencyCheck,
        "paper Figure 2, matchIndex",
        "Students' Guide to Raft: matchIndex set from nextIndex",
        "https://thesquareplanet.com/blog/students-guide-to-raft/",
    ),
    Rule(
        "read-after-own-commit",
        ReadsBeforeOwnCommit,
        "thesis §6.4, step 1",
        "etcd: a new leader answered before it had committed in its term",
        "https://github.com/etcd-io/etcd/issues/7331",
    ),
    Rule(
        "read-after-round",
        ReadsWithoutRound,
        "thesis §6.4, step 2",
        "Jepsen on etcd and Consul, 2014: stale reads from a leader that was cut off",
        "https://aphyr.com/posts/316-jepsen-etcd-and-consul",
    ),
    Rule(
        "read-round-is-new",
        ReusesReadRound,
        "thesis §6.4, step 2",
        "etcd-io/raft: a repeated request id and a late heartbeat answer give a stale read",
        "https://github.com/etcd-io/raft/pull/397",
    ),
    Rule(
        "followers-ask-to-read",
        FollowersReadAlone,
        "thesis §6.4",
        "PySyncObj reads locally",
        "https://github.com/bakwc/PySyncObj",
    ),
    Rule(
        "lease-needs-promise",
        LeaseWithoutPromise,
        "thesis §6.4.1, paper §6",
        "Consul: LeaseTimeout equal to HeartbeatTimeout left a window",
        "https://gist.github.com/armon/11059431",
    ),
    Rule(
        "lease-promise-survives-restart",
        LeaseSurvivesRestart,
        "thesis §6.4.1",
        "No public bug is known to this project",
        "",
    ),
    Rule(
        "lease-ends-at-transfer",
        LeaseDuringTransfer,
        "thesis §6.4.1, §3.10",
        "openraft: lease reads went on during a transfer",
        "https://github.com/databendlabs/openraft/issues/1747",
    ),
    Rule(
        "change-after-own-commit",
        ChangesWithoutBarrier,
        "thesis §4.1 as mended in 2015",
        'Ongaro, "bug in single-server membership changes"',
        "https://groups.google.com/g/raft-dev/c/t4xj6dJTP6E",
    ),
    Rule(
        "one-change-at-a-time",
        ChangesTwiceAtOnce,
        "thesis §4.1",
        "Jepsen on RethinkDB 2.2.3: reconfiguration lost updates",
        "https://aphyr.com/posts/330-jepsen-rethinkdb-2-2-3-reconfiguration",
    ),
    Rule(
        "snapshot-drops-conflict",
        SnapshotKeepsConflict,
        "paper Figure 13, InstallSnapshot 6 and 7",
        "hashicorp/raft: InstallSnapshot keeps a conflicting entry",
        "https://github.com/hashicorp/raft/issues/697",
    ),
    Rule(
        "sessions",
        NoSessions,
        "paper §8, thesis §6.3",
        "Jepsen on Redis-Raft 1b3fbf6: among its 21 issues are doubled updates",
        "https://jepsen.io/analyses/redis-raft-1b3fbf6",
    ),
)
_BY_NAME: Final = {rule.name: rule for rule in RULES}


def rule_named(name: str) -> Rule:
    """The rule of that name. Raises ValueError, with the names there are."""
    if name not in _BY_NAME:
        raise ValueError(f"there is no rule {name!r}; there are {', '.join(_BY_NAME)}")
    return _BY_NAME[name]


def node_class(rule: str) -> type[Node]:
    """The nodes of a plan: those without `rule`, or the real ones for ""."""
    return rule_named(rule).without if rule else Node
