"""Elections: pre-vote, vote, and the promise to a leader that is still heard (paper §5.2, §5.4.1; thesis §9.6, §4.2.3).

An election time-out first asks for pre-votes, which change nobody's term. Only a majority of them leads to a real
election, whose requests leave once the new term and the vote for oneself are durable; one's own vote counts only then.
"""

from plugins.raft.core.base import CANDIDATE, FOLLOWER, LEADER, PRECANDIDATE, Base
from plugins.raft.core.inputs import Campaign, ForgetLeader
from plugins.raft.core.messages import RequestVote, TimeoutNow, VoteResponse
from plugins.raft.core.quorum import joint_vote


class Elections(Base):
    """How a node becomes leader, and whom it lets become one."""

    __slots__ = ()

    def _election_timed_out(self) -> None:
        """Stand for election, if this node may."""
        if not self.is_promotable:
            self._draw_timeout()
            return
        self._stand(pre=self.settings.pre_vote, transfer=False)

    def _stand(self, *, pre: bool, transfer: bool) -> None:
        """Ask all voters, oneself included when one is a voter, for their pre-vote or their vote."""
        if self.leader:
            self._leader_changed(0)
        self.votes = {}
        self._draw_timeout()
        if pre:
            self.role = PRECANDIDATE
            term = self.term + 1
        else:
            self.role = CANDIDATE
            self.term = term = self.term + 1
            self.vote = self.id
            self._hard_dirty = True
        log = self.log
        for voter in self.configuration.all_voters:
            if voter == self.id:
                continue
            request = RequestVote(term, self.id, voter, log.last_index, log.last_term, pre, transfer)
            if pre:
                self._sends.append(request)
            else:
                self._send_when_durable(request)
        if pre:
            self._count_vote(self.id, granted=True)

    def _own_vote_is_durable(self, token: int) -> None:
        """`Persisted`: a candidate may now count on itself."""
        if self.role is CANDIDATE and self.id not in self.votes and self._campaign_token <= token:
            self._count_vote(self.id, granted=True)

    def _count_vote(self, voter: int, *, granted: bool) -> None:
        """Note one answer; the first of each voter counts, however often the network repeats it."""
        self.votes.setdefault(voter, granted)
        configuration = self.configuration
        result = joint_vote(configuration.voters, configuration.outgoing, self.votes)
        if result == "won":
            if self.role is PRECANDIDATE:
                self._stand(pre=False, transfer=False)
            else:
                self._lead()
        elif result == "lost":
            self._follow(self.term, 0)

    def _on_request_vote(self, message: RequestVote) -> None:
        term, candidate = message.term, message.sender
        if term > self.term:
            if (message.pre or self.settings.check_quorum) and not message.transfer and self._is_promised:
                return  # "the server does not update its term or grant its vote" (paper §6)
            if not message.pre:
                self._follow(term, 0)
        elif term < self.term:
            # A node behind a partition learns the term from this (etcd #8243), although the vote itself is refused.
            self._sends.append(VoteResponse(self.term, self.id, candidate, False, message.pre))
            return
        grants = self._grants(message)
        if message.pre:
            answer = VoteResponse(term if grants else self.term, self.id, candidate, grants, True)
            self._sends.append(answer)
            return
        if grants and self.vote != candidate:
            self.vote = candidate
            self._hard_dirty = True
        if grants:
            self.election_deadline_us = self.now_us + self.election_timeout_us
        self._send_when_durable(VoteResponse(self.term, self.id, candidate, grants, False))

    def _grants(self, message: RequestVote) -> bool:
        """One vote a term, first come first served, and only for a log that lacks nothing committed (§5.2, §5.4.1)."""
        if message.pre and message.term > self.term:
            is_free = True
        else:
            is_free = self.vote == message.sender or (self.vote == 0 and self.leader == 0)
        return is_free and self._is_up_to_date(message.last_index, message.last_term)

    def _is_up_to_date(self, last_index: int, last_term: int) -> bool:
        """Whether such a log is at least as up-to-date as this node's: by last term, then by length (paper §5.4.1)."""
        log = self.log
        return last_term > log.last_term or (last_term == log.last_term and last_index >= log.last_index)

    def _on_vote_response(self, message: VoteResponse) -> None:
        if message.pre and message.granted:
            if self.role is PRECANDIDATE and message.term == self.term + 1:
                self._count_vote(message.sender, granted=True)
            return
        if message.term > self.term:
            self._follow(message.term, 0)
        elif message.pre:
            # The voter's term may be lower than ours; we are still the pre-candidate that it refused, or not any more.
            if self.role is PRECANDIDATE:
                self._count_vote(message.sender, granted=False)
        elif message.term == self.term and self.role is CANDIDATE:
            self._count_vote(message.sender, granted=message.granted)

    def _on_timeout_now(self, message: TimeoutNow) -> None:
        """The leader hands over: stand at once, without pre-vote, and past the promise made to that leader."""
        if message.term < self.term:
            return
        if message.term > self.term:
            self._follow(message.term, message.sender)
        if self.role is FOLLOWER and self.is_promotable:
            self._stand(pre=False, transfer=True)

    def _on_campaign(self, event: Campaign) -> None:
        """`Campaign`. A promise given to a leader that may read by its lease is kept even then."""
        if self.role is LEADER or (self.settings.lease_reads and self._is_promised):
            return
        self._election_timed_out()

    def _on_forget_leader(self, event: ForgetLeader) -> None:
        """`ForgetLeader`: the time-out goes on as it was."""
        if self.role is FOLLOWER and self.leader and not self.settings.lease_reads:
            self._leader_changed(0)
            self.heard_us = self.now_us - self.settings.election_timeout_us
