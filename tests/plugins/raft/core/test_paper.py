"""Sentences of the Raft paper (extended version, 2014), each with the behaviour that it asks for.

D. Ongaro, J. Ousterhout, "In Search of an Understandable Consensus Algorithm". The scenarios have the longer stories.
"""

from typing import TypeVar

import pytest

from plugins.raft.core.base import Durable
from plugins.raft.core.configuration import Configuration
from plugins.raft.core.effects import Accepted, Effects, Role
from plugins.raft.core.inputs import Input, Persisted, Propose, Tick
from plugins.raft.core.messages import (
    NOOP,
    AppendEntries,
    AppendResponse,
    Entry,
    Message,
    RequestVote,
    VoteResponse,
)
from plugins.raft.core.node import Node
from plugins.raft.core.prng import Prng
from plugins.raft.core.settings import Settings

M = TypeVar("M")
PLAIN = Settings(pre_vote=False, check_quorum=False)
THREE, FIVE = (1, 2, 3), (1, 2, 3, 4, 5)


class One:
    """Node 1 alone with the test, which plays the others; its disk is as quick as the test wants."""

    def __init__(
        self, members: tuple[int, ...] = THREE, terms: tuple[int, ...] = (), term: int = 0, seed: int = 1
    ) -> None:
        entries = tuple(Entry(n, t, 0, b"") for n, t in enumerate(terms, start=1))
        first = Durable.first(Configuration(members))
        self.members = members
        self.node = Node(1, PLAIN, Durable(term or max(terms, default=0), 0, first.snapshot, entries), Prng(seed), 0)
        self.sent: list[Message] = []
        self.token = 0

    def feed(self, event: Input, after_us: int = 0, *, sync: bool = True) -> Effects:
        effects = self.node.handle(self.node.now_us + after_us, event)
        self.sent += effects.send
        if effects.persist is not None:
            self.token = effects.persist.token
            if sync:
                self.feed(Persisted(self.token))
        return effects

    def take(self, kind: type[M]) -> list[M]:
        """The messages of a kind that left since the last call."""
        chosen = [m for m in self.sent if isinstance(m, kind)]
        self.sent = [m for m in self.sent if not isinstance(m, kind)]
        return chosen

    def stand(self) -> None:
        self.feed(Tick(), self.node.deadline_us - self.node.now_us)

    def lead(self) -> None:
        self.stand()
        for voter in self.members[1 : len(self.members) // 2 + 1]:
            self.feed(VoteResponse(self.node.term, voter, 1, True, False))
        assert self.node.role is Role.LEADER

    def accept_all(self, follower: int) -> None:
        """The follower takes all that the leader has."""
        self.feed(AppendResponse(self.node.term, follower, 1, True, self.node.log.last_index, 0, 0, 1))


def test_servers_start_as_followers() -> None:
    """ "When servers start up, they begin as followers." (§5.2)"""
    assert One().node.role is Role.FOLLOWER


def test_follower_without_communication_begins_an_election() -> None:
    """ "If a follower receives no communication over a period of time called the election timeout, then it assumes
    there is no viable leader and begins an election." (§5.2)"""
    one = One()
    one.feed(Tick(), one.node.deadline_us - 1)
    assert one.node.role is Role.FOLLOWER
    one.feed(Tick(), 1)
    assert one.node.role is Role.CANDIDATE


def test_election_increments_the_term_and_asks_everybody() -> None:
    """ "To begin an election, a follower increments its current term and transitions to candidate state. It then votes
    for itself and issues RequestVote RPCs in parallel to each of the other servers in the cluster." (§5.2)"""
    one = One(FIVE, term=3)
    one.stand()
    assert (one.node.term, one.node.vote) == (4, 1)
    assert [(m.to, m.term) for m in one.take(RequestVote)] == [(2, 4), (3, 4), (4, 4), (5, 4)]


def test_election_timeouts_are_chosen_at_random_from_a_fixed_interval() -> None:
    """ "To prevent split votes in the first place, election timeouts are chosen randomly from a fixed interval (e.g.,
    150–300ms)." (§5.2)"""
    drawn = [One(seed=seed).node.election_timeout_us for seed in range(300)]
    assert 150_000 <= min(drawn) < 160_000
    assert 290_000 < max(drawn) < 300_000
    assert len(set(drawn)) > 290


def test_each_election_draws_a_new_timeout() -> None:
    """ "Each candidate restarts its randomized election timeout at the start of an election." (§5.2)"""
    one = One()
    drawn = []
    for _ in range(5):
        one.stand()
        drawn.append(one.node.election_timeout_us)
    assert len(set(drawn)) == 5
    assert one.node.term == 5


def test_follower_draws_a_new_timeout_in_each_term() -> None:
    """Those that once drew long ones would keep them, while leaders, who drew short ones, die and draw anew: in the
    end it takes a quarter longer than need be to replace a leader (thesis §9.3 draws for each election)."""
    one = One()
    drawn = []
    for term in range(1, 6):
        deadline = one.node.deadline_us
        one.feed(RequestVote(term, 2, 1, 0, -1, False, False))
        # Refused, so that the timer runs on; the new time-out is for its next start.
        assert one.node.deadline_us == deadline
        drawn.append(one.node.election_timeout_us)
    assert len(set(drawn)) == 5


@pytest.mark.parametrize(
    ("members", "votes", "role"),
    [
        ((1,), {}, Role.LEADER),
        (THREE, {2: True, 3: True}, Role.LEADER),
        (THREE, {2: True}, Role.LEADER),
        (FIVE, {2: True, 3: True, 4: True, 5: True}, Role.LEADER),
        (FIVE, {2: True, 3: True, 4: True}, Role.LEADER),
        (FIVE, {2: True, 3: True}, Role.LEADER),
        (THREE, {2: False, 3: False}, Role.FOLLOWER),
        (FIVE, {2: False, 3: False, 4: False, 5: False}, Role.FOLLOWER),
        (FIVE, {2: True, 3: False, 4: False, 5: False}, Role.FOLLOWER),
        (THREE, {}, Role.CANDIDATE),
        (FIVE, {2: True}, Role.CANDIDATE),
        (FIVE, {2: False, 3: False}, Role.CANDIDATE),
        (FIVE, {}, Role.CANDIDATE),
    ],
)
def test_candidate_wins_with_a_majority(members: tuple[int, ...], votes: dict[int, bool], role: Role) -> None:
    """ "A candidate wins an election if it receives votes from a majority of the servers in the full cluster for the
    same term." (§5.2)"""
    one = One(members)
    one.stand()
    for voter, granted in votes.items():
        one.feed(VoteResponse(1, voter, 1, granted, False))
    assert one.node.role is role


def test_own_vote_counts_only_once_it_is_durable() -> None:
    """ "(Updated on stable storage before responding to RPCs)" (Figure 2)"""
    one = One()
    one.feed(Tick(), one.node.deadline_us, sync=False)
    assert one.take(RequestVote) == []
    one.feed(VoteResponse(1, 2, 1, True, False))
    assert one.node.role is Role.CANDIDATE
    one.feed(Persisted(one.token))
    assert one.node.role is Role.LEADER


@pytest.mark.parametrize(
    ("vote", "asks", "granted"), [(0, 2, True), (0, 3, True), (2, 2, True), (3, 3, True), (2, 3, False)]
)
def test_votes_first_come_first_served(vote: int, asks: int, granted: bool) -> None:
    """ "Each server will vote for at most one candidate in a given term, on a first-come-first-served basis." (§5.2)"""
    one = One()
    if vote:
        one.feed(RequestVote(1, vote, 1, 0, 0, False, False))
        one.take(VoteResponse)
    one.feed(RequestVote(1, asks, 1, 0, 0, False, False))
    assert one.take(VoteResponse) == [VoteResponse(1, 1, asks, granted, False)]


@pytest.mark.parametrize(
    ("mine", "last_term", "last_index", "granted"),
    [
        ((1,), 1, 1, True),
        ((1,), 1, 2, True),
        ((1, 1), 1, 1, False),
        ((1,), 2, 1, True),
        ((1,), 2, 2, True),
        ((1, 1), 2, 1, True),
        ((2,), 1, 1, False),
        ((2,), 1, 2, False),
        ((2, 1), 1, 1, False),
        ((1, 2), 1, 9, False),
    ],
)
def test_voter_denies_a_log_that_is_behind(
    mine: tuple[int, ...], last_term: int, last_index: int, granted: bool
) -> None:
    """ "The voter denies its vote if its own log is more up-to-date than that of the candidate. […] If the logs have
    last entries with different terms, then the log with the later term is more up-to-date. If the logs end with the
    same term, then whichever log is longer is more up-to-date." (§5.4.1)"""
    one = One(terms=mine)
    one.feed(RequestVote(5, 2, 1, last_index, last_term, False, False))
    assert [m.granted for m in one.take(VoteResponse)] == [granted]


@pytest.mark.parametrize("role", [Role.FOLLOWER, Role.CANDIDATE, Role.LEADER])
def test_larger_term_is_taken_over_and_makes_a_follower(role: Role) -> None:
    """ "If one server's current term is smaller than the other's, then it updates its current term to the larger value.
    If a candidate or leader discovers that its term is out of date, it immediately reverts to follower state."
    (§5.1)"""
    one = One()
    if role is Role.CANDIDATE:
        one.stand()
    elif role is Role.LEADER:
        one.lead()
    assert one.node.role is role
    one.feed(AppendEntries(7, 2, 1, 0, 0, 0, 1, ()))
    assert (one.node.role, one.node.term, one.node.leader) == (Role.FOLLOWER, 7, 2)


def test_stale_request_is_rejected_with_the_newer_term() -> None:
    """ "If a server receives a request with a stale term number, it rejects the request." (§5.1)"""
    one = One(term=5)
    one.feed(AppendEntries(4, 2, 1, 0, 0, 0, 1, (Entry(1, 4, 0, b""),)))
    one.feed(RequestVote(4, 3, 1, 9, 4, False, False))
    assert [(m.success, m.term) for m in one.take(AppendResponse)] == [(False, 5)]
    assert [(m.granted, m.term) for m in one.take(VoteResponse)] == [(False, 5)]
    assert one.node.log.last_index == 0


def test_candidate_gives_in_to_a_leader_of_its_term_and_not_to_one_of_the_past() -> None:
    """ "If the leader's term (included in its RPC) is at least as large as the candidate's current term, then the
    candidate recognizes the leader as legitimate and returns to follower state. If the term in the RPC is smaller
    than the candidate's current term, then the candidate rejects the RPC and continues in candidate state." (§5.2)"""
    one = One(term=3)
    one.stand()
    one.feed(AppendEntries(3, 2, 1, 0, 0, 0, 1, ()))
    assert one.node.role is Role.CANDIDATE
    one.feed(AppendEntries(4, 3, 1, 0, 0, 0, 1, ()))
    assert (one.node.role, one.node.leader) == (Role.FOLLOWER, 3)


def test_leader_sends_heartbeats_at_once_and_then_periodically() -> None:
    """ "Leaders send periodic heartbeats (AppendEntries RPCs that carry no log entries) to all followers in order to
    maintain their authority." (§5.2) "Upon election: send initial empty AppendEntries RPCs" (Figure 2), which here
    carry the entry that begins the term (§8)."""
    one = One(FIVE)
    one.lead()
    first = one.take(AppendEntries)
    assert [m.to for m in first] == [2, 3, 4, 5]
    assert all([entry.kind for entry in m.entries] == [NOOP] for m in first)
    one.feed(Tick(), PLAIN.heartbeat_us)
    assert [(m.to, m.entries) for m in one.take(AppendEntries)] == [(n, ()) for n in (2, 3, 4, 5)]


def test_command_is_appended_then_sent_in_parallel() -> None:
    """ "The leader appends the command to its log as a new entry, then issues AppendEntries RPCs in parallel to each of
    the other servers to replicate the entry." (§5.3)"""
    one = One()
    one.lead()
    one.accept_all(2)
    one.accept_all(3)
    one.take(AppendEntries)
    effects = one.feed(Propose(((9, b"x"),)))
    assert effects.answers == (Accepted(2, 1, (9,)),)
    assert [(m.to, m.prev_index, m.entries) for m in effects.send] == [
        (to, 1, (Entry(2, 1, 0, b"x"),)) for to in (2, 3)
    ]


def test_entry_is_committed_once_a_majority_has_it_and_then_applied() -> None:
    """ "A log entry is committed once the leader that created the entry has replicated it on a majority of the servers
    […]. This also commits all preceding entries in the leader's log." (§5.3)"""
    one = One(FIVE, terms=(1, 1))
    one.lead()
    one.accept_all(2)
    assert one.node.commit == 0
    one.sent.clear()
    effects = one.feed(AppendResponse(2, 3, 1, True, 3, 0, 0, 1))
    assert one.node.commit == 3
    assert [entry.index for entry in effects.apply] == [1, 2, 3]


@pytest.mark.parametrize(("terms", "acknowledged", "commit"), [((1, 2), 1, 0), ((1, 2), 2, 0), ((1, 2), 3, 3)])
def test_only_entries_of_the_current_term_are_committed_by_counting(
    terms: tuple[int, ...], acknowledged: int, commit: int
) -> None:
    """ "Only log entries from the leader's current term are committed by counting replicas; once an entry from the
    current term has been committed in this way, then all prior entries are committed indirectly because of the Log
    Matching Property." (§5.4.2)"""
    one = One(terms=terms)
    one.lead()
    one.feed(AppendResponse(3, 2, 1, True, acknowledged, 0, 0, 1))
    assert one.node.commit == commit


def test_leader_never_overwrites_its_own_entries() -> None:
    """ "A leader never overwrites or deletes entries in its log; it only appends new entries." (Figure 3)"""
    one = One()
    one.lead()
    one.feed(AppendEntries(1, 2, 1, 0, 0, 0, 1, (Entry(1, 1, 0, b"other"),)))
    assert one.node.role is Role.LEADER
    assert one.node.log.entry(1).kind == NOOP


@pytest.mark.parametrize(
    ("prev_term", "prev_index", "success", "index"),
    [(0, 0, True, 0), (1, 1, True, 1), (2, 2, True, 2), (1, 2, False, 2), (2, 1, False, 1), (3, 3, False, 3)],
)
def test_follower_refuses_entries_whose_predecessor_it_lacks(
    prev_term: int, prev_index: int, success: bool, index: int
) -> None:
    """ "If the follower does not find an entry in its log with the same index and term, then it refuses the new
    entries." (§5.3)"""
    one = One(terms=(1, 2))
    one.feed(AppendEntries(2, 2, 1, prev_index, prev_term, 0, 1, ()))
    assert [(m.success, m.index) for m in one.take(AppendResponse)] == [(success, index)]


@pytest.mark.parametrize(
    ("prev_index", "prev_term", "entries", "wanted"),
    [
        (2, 2, (3,), [1, 2, 3]),
        (1, 1, (3, 4), [1, 3, 4]),
        (0, 0, (1,), [1, 2]),
        (0, 0, (3,), [3]),
    ],
)
def test_conflicting_entries_and_those_after_them_are_deleted(
    prev_index: int, prev_term: int, entries: tuple[int, ...], wanted: list[int]
) -> None:
    """ "If an existing entry conflicts with a new one (same index but different terms), delete the existing entry and
    all that follow it." (Figure 2) An entry that does not conflict deletes nothing."""
    one = One(terms=(1, 2))
    new = tuple(Entry(prev_index + n, term, 0, b"") for n, term in enumerate(entries, start=1))
    one.feed(AppendEntries(5, 2, 1, prev_index, prev_term, 0, 1, new))
    assert [one.node.log.term_at(n) for n in range(1, one.node.log.last_index + 1)] == wanted


@pytest.mark.parametrize(("leader_commit", "commit"), [(1, 1), (2, 2), (3, 3), (9, 3)])
def test_follower_commits_up_to_the_last_new_entry(leader_commit: int, commit: int) -> None:
    """ "If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last new entry)" (Figure 2)"""
    one = One(terms=(1, 1, 1, 1, 1))
    entry = Entry(3, 1, 0, b"")
    one.feed(AppendEntries(1, 2, 1, 2, 1, leader_commit, 1, (entry,)))
    assert one.node.commit == commit


def test_election_timer_starts_anew_only_for_the_leader_or_a_vote_given() -> None:
    """ "If election timeout elapses without receiving AppendEntries RPC from current leader or granting vote to
    candidate: convert to candidate" (Figure 2)"""
    one = One(terms=(1, 1), term=2)
    deadline = one.node.deadline_us
    one.feed(RequestVote(3, 2, 1, 1, 1, False, False), 1000)
    one.feed(AppendEntries(1, 3, 1, 0, 0, 0, 1, ()), 1000)
    assert one.node.deadline_us == deadline
    one.feed(RequestVote(3, 3, 1, 2, 1, False, False), 1000)
    assert one.node.deadline_us > deadline
    deadline = one.node.deadline_us
    one.feed(AppendEntries(3, 3, 1, 9, 3, 0, 1, ()), 1000)
    assert one.node.deadline_us == deadline + 1000
