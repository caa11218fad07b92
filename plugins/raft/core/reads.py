"""Linearizable reads that write nothing: ReadIndex, leases, and reads that a follower serves (thesis §6.4).

A read may be served once the state machine has all that was committed when the read came in. The leader knows what was
committed, if it has committed an entry of its own term, and if it still is the leader: it begins a round, and a quorum
that answers that round shows that nobody else led when it began. Rounds are counted by the leader, never by clients:
an answer to an earlier round can prove nothing about a later read (etcd-io/raft #397).
"""

from plugins.raft.core.base import LEADER
from plugins.raft.core.effects import ReadReady
from plugins.raft.core.inputs import Read
from plugins.raft.core.leader import Leader
from plugins.raft.core.messages import ReadIndex, ReadIndexResponse
from plugins.raft.core.quorum import joint_index

Waiting = tuple[int, int]
"""A read that waits: (0, request id) is one's own, (node, nonce) is a follower's."""


class Reads(Leader):
    """Groups of reads: one waits for its round to be answered, the next gathers meanwhile."""

    __slots__ = ("_gathering", "_round_group", "_round_index", "_round_of_group")

    def _start_reads(self) -> None:
        self._gathering: list[Waiting] = []
        self._round_group: list[Waiting] = []
        self._round_of_group = 0
        self._round_index = 0

    def _stop_reads(self) -> tuple[int, ...]:
        """Forget the reads; returns the request ids of one's own. Followers give up on theirs as the leader changes."""
        waiting = self._round_group + self._gathering
        self._round_group, self._gathering = [], []
        return tuple([request for node, request in waiting if node == 0])

    # --- The leader

    def _on_read(self, event: Read) -> None:
        if self.role is LEADER:
            if event.lease and self._may_read_by_lease():
                self._answer_reads([(0, event.request_id)], self.commit)
            else:
                self._gather_read((0, event.request_id))
        elif not self.leader:
            self._refuse("no-leader", (event.request_id,))
        else:
            if len(self._forwarded) >= self.settings.reads_max:
                # The oldest has waited longest for an answer that was lost.
                self._refuse("overloaded", (self._forwarded.pop(next(iter(self._forwarded))),))
            # Drawn by lot, so that no answer meant for this node before a restart can be taken for this one's.
            nonce = self.prng.next() >> 1
            self._forwarded[nonce] = event.request_id
            self._sends.append(ReadIndex(self.term, self.id, self.leader, nonce))

    def _on_read_index(self, message: ReadIndex) -> None:
        """A follower's read. One that believes in another term's leader is told so at once."""
        if self.role is LEADER and message.term == self.term:
            self._gather_read((message.sender, message.nonce))
        else:
            self._sends.append(ReadIndexResponse(self.term, self.id, message.sender, message.nonce, -1))

    def _may_read_by_lease(self) -> bool:
        """Whether nobody else can have been elected: a quorum still keeps its promise, and no hand-over breaks it."""
        return (
            self.settings.lease_reads
            and self._has_committed_in_term()
            and not self._handed_over
            and self.now_us < self.lease_until_us
        )

    def _has_committed_in_term(self) -> bool:
        """A new leader does not know what is committed before its first own entry is (etcd #7331, #12762)."""
        return self.commit >= self._term_start

    def _gather_read(self, read: Waiting) -> None:
        if len(self._gathering) >= self.settings.reads_max:
            if read[0] == 0:
                self._refuse("overloaded", (read[1],))
            else:
                self._sends.append(ReadIndexResponse(self.term, self.id, read[0], read[1], -1))
            return
        self._gathering.append(read)
        if not self._round_group and self._has_committed_in_term():
            self._heartbeat()

    def _reads_may_start(self, commit_before: int) -> None:
        if commit_before < self._term_start and self._gathering and self._has_committed_in_term():
            self._heartbeat()

    def _begin_round(self) -> None:
        """What is sent from here on carries a new round; the reads gathered so far belong to it."""
        self._round += 1
        if len(self._round_times) < 256:
            self._round_times.append((self._round, self.now_us))
        if self._gathering and not self._round_group and self._has_committed_in_term():
            self._round_group, self._gathering = self._gathering, []
            self._round_of_group = self._round
            self._round_index = self.commit

    def _round_of(self, node: int) -> int:
        if node == self.id:
            return self._round
        peer = self.progress.get(node)
        return peer.acked_round if peer is not None else 0

    def _round_answered(self) -> None:
        """Somebody answered a round: see what a quorum has answered."""
        if not self._round_group and not self.settings.lease_reads:
            self._round_times.clear()
            return
        configuration = self.configuration
        answered = joint_index(configuration.voters, configuration.outgoing, self._round_of)
        times = self._round_times
        while times and times[0][0] <= answered:
            self.lease_until_us = times.popleft()[1] + self.settings.lease_us
        if self._round_group and answered >= self._round_of_group:
            group, self._round_group = self._round_group, []
            self._answer_reads(group, self._round_index)
            if self._gathering:
                self._heartbeat()

    def _answer_reads(self, group: list[Waiting], index: int) -> None:
        own = []
        for node, request in group:
            if node == 0:
                own.append(request)
            else:
                self._sends.append(ReadIndexResponse(self.term, self.id, node, request, index))
        if own:
            self._own_ready.append((index, tuple(own)))

    # --- The follower, and serving

    def _on_read_index_response(self, message: ReadIndexResponse) -> None:
        request = self._forwarded.pop(message.nonce, None)
        if request is None:
            return
        if message.index < 0:
            self._refuse("no-leader", (request,))
        else:
            self._own_ready.append((message.index, (request,)))

    def _serve_reads(self) -> None:
        """Answer the reads for which enough has been delivered; called when the effects are gathered."""
        waiting = []
        for index, requests in self._own_ready:
            if index <= self.delivered:
                self._answers.append(ReadReady(index, requests))
            else:
                waiting.append((index, requests))
        self._own_ready = waiting
