"""A leader's side of replication: appending, sending, counting, committing (paper §5.3, §5.4.2)."""

from collections import deque

from plugins.raft.core.base import CANDIDATE, LEADER
from plugins.raft.core.configuration import Configuration
from plugins.raft.core.effects import Accepted, Changed
from plugins.raft.core.follower import Follower
from plugins.raft.core.inputs import Propose, TransferLeadership, Unreachable
from plugins.raft.core.messages import (
    COMMAND,
    CONFIGURATION,
    NOOP,
    AppendEntries,
    AppendResponse,
    Entry,
    SnapshotResponse,
    TimeoutNow,
)
from plugins.raft.core.progress import PROBE, REPLICATE, SNAPSHOT, Progress
from plugins.raft.core.quorum import joint_index
from plugins.raft.core.settings import NEVER_US


class Leader(Follower):
    """Leading a term. All fields below belong to the term that is led, and are made anew with the next."""

    __slots__ = (
        "_change_request",
        "_handed_over",
        "_heartbeat_deadline_us",
        "_leader_deadline_us",
        "_quorum_deadline_us",
        "_round",
        "_round_times",
        "_term_start",
        "_transfer_deadline_us",
        "_transfer_request",
        "_transfer_target",
        "lease_until_us",
        "progress",
    )

    def _lead(self) -> None:
        """The election is won: start the term with an entry of its own, which lets everything before it commit."""
        assert self.role is CANDIDATE
        self.role = LEADER
        self.leader = self.id
        self.votes = {}
        now = self.now_us
        self.progress = {}
        self._round = 0
        self._round_times: deque[tuple[int, int]] = deque()
        self.lease_until_us = 0
        self._transfer_target = self._transfer_request = 0
        self._transfer_deadline_us = NEVER_US
        self._handed_over = False
        self._change_request: tuple[int, int] | None = None
        self._quorum_deadline_us = now + self.settings.election_timeout_us
        self._heartbeat_deadline_us = now
        self._term_start = self.log.last_index + 1
        self._uncommitted_bytes = 0
        self._start_reads()
        self._members_changed()
        for peer in self.progress.values():
            peer.is_active = False
        self.log.append(Entry(self._term_start, self.term, NOOP, b""))
        self._heartbeat()

    def _step_down(self) -> None:
        """Leave the role; requests that wait learn that their outcome is open."""
        if self.role is not LEADER:
            self.votes = {}
            return
        waiting = self._stop_reads()
        if self._change_request is not None:
            waiting = (*waiting, self._change_request[1])
        if self._transfer_target:
            self._transferred = (self._transfer_target, self._transfer_request)
        self._change_request = None
        self._transfer_target = 0
        self.progress = {}
        self.leader = 0
        self._refuse("stepped-down", waiting)

    def _members_changed(self) -> None:
        """Keep a `Progress` for each member but oneself, in the order of their ids."""
        if self.role is not LEADER:
            return
        members = self.configuration.members
        known = self.progress
        self.progress = {
            node: known.get(node) or Progress(node, self.log.last_index + 1) for node in members if node != self.id
        }
        for node, peer in self.progress.items():
            if node not in known:
                peer.is_active = True  # a newcomer gets one time-out before it counts as silent
        if self._transfer_target and self._transfer_target not in members:
            self._end_transfer("invalid-target")
        self._set_deadline()

    # --- Time

    def _set_deadline(self) -> None:
        self._leader_deadline_us = min(
            self._heartbeat_deadline_us, self._quorum_deadline_us, self._transfer_deadline_us
        )

    def _leader_ticked(self) -> None:
        now = self.now_us
        if now >= self._transfer_deadline_us:
            self._end_transfer("stepped-down")
        if now >= self._quorum_deadline_us:
            self._quorum_deadline_us = now + self.settings.election_timeout_us
            if self.settings.check_quorum and not self._has_active_quorum():
                self._follow(self.term, 0)
                return
        if now >= self._heartbeat_deadline_us:
            self._heartbeat()
        self._set_deadline()

    def _has_active_quorum(self) -> bool:
        """Whether a quorum answered since the last time this was asked."""
        progress = self.progress

        def was_active(node: int) -> int:
            return int(node == self.id or (node in progress and progress[node].is_active))

        configuration = self.configuration
        is_there = joint_index(configuration.voters, configuration.outgoing, was_active) >= 1
        for peer in progress.values():
            peer.is_active = False
        return is_there

    def _heartbeat(self) -> None:
        """Begin a round and let everybody hear of it."""
        self._begin_round()
        self._heartbeat_deadline_us = self.now_us + self.settings.heartbeat_us
        for peer in self.progress.values():
            self._send_append(peer, is_heartbeat=True)
        self._round_answered()
        self._set_deadline()

    # --- Sending

    def _broadcast(self) -> None:
        for peer in self.progress.values():
            self._send_append(peer, is_heartbeat=False)

    def _send_append(self, peer: Progress, *, is_heartbeat: bool) -> None:
        """Send `peer` what it may get now; a heartbeat is sent even when that is nothing new."""
        log = self.log
        settings = self.settings
        state = peer.state
        if state == SNAPSHOT:
            if is_heartbeat:
                # Place 0 is equal in all logs, so this is refused by nobody and says only "I lead".
                self._sends.append(AppendEntries(self.term, self.id, peer.id, 0, 0, 0, self._round, ()))
                self._send_chunk(peer)
            return
        if state == PROBE and peer.is_paused and not is_heartbeat:
            return
        while True:
            first = peer.next
            prev_term = log.term_at(first - 1)
            if prev_term < 0:
                self._begin_snapshot(peer)
                return
            entries: tuple[Entry, ...] = ()
            may_carry = not peer.is_paused if state == PROBE else len(peer.inflight) < settings.inflight_max
            if may_carry and first <= log.last_index:
                entries = log.batch(first, settings.batch_entries_max, settings.batch_bytes_max)
            elif not is_heartbeat:
                return
            self._sends.append(
                AppendEntries(self.term, self.id, peer.id, first - 1, prev_term, self.commit, self._round, entries)
            )
            if state == PROBE:
                peer.is_paused = True
                return
            if not entries:
                return
            peer.next = first + len(entries)
            peer.inflight.append(peer.next - 1)
            if peer.next > log.last_index:
                return
            is_heartbeat = False

    def _send_commit(self) -> None:
        """Tell of a new commit index, with entries where there are any."""
        for peer in self.progress.values():
            if peer.state == REPLICATE:
                self._send_append(peer, is_heartbeat=True)

    # --- Answers

    def _answered_by(self, message: AppendResponse | SnapshotResponse) -> Progress | None:
        """The peer whose answer this leader was waiting for; of a newer term, it follows that term instead."""
        if message.term > self.term:
            self._follow(message.term, 0)
            return None
        if message.term < self.term or self.role is not LEADER:
            return None
        peer = self.progress.get(message.sender)
        if peer is not None:
            peer.is_active = True
        return peer

    def _on_append_response(self, message: AppendResponse) -> None:
        peer = self._answered_by(message)
        if peer is None:
            return
        if message.round > peer.acked_round:
            peer.acked_round = message.round
            self._round_answered()
        if message.success:
            self._matched(peer, message.index)
        else:
            self._mismatched(peer, message)

    def _matched(self, peer: Progress, index: int) -> None:
        """`peer` is known to be equal up to `index`."""
        is_news = peer.acknowledged(index)
        is_told = True
        if peer.state == PROBE:
            # Also without news: a peer that is up to date must leave the probe (etcd-io/raft, heartbeat_resp_recovers).
            if is_news or index == peer.match:
                peer.replicate()
                is_told = False
        elif (
            peer.state == SNAPSHOT
            and is_news
            and (self.log.term_at(index) >= 0 or peer.snapshot is None or index >= peer.snapshot.index)
        ):
            peer.replicate()
        if is_news:
            if index == self._transfer_match:
                self._hand_over(peer)
            if index > self.commit and self._advance_commit():
                return
        if peer.next <= self.log.last_index or not is_told:
            # A peer that just left the probe may not have heard how far is committed.
            self._send_append(peer, is_heartbeat=not is_told)

    def _mismatched(self, peer: Progress, message: AppendResponse) -> None:
        """The probe failed: go back by whole terms, on the peer's word and on one's own log (paper §5.3, end)."""
        rejected = message.index
        if peer.state == REPLICATE:
            if rejected <= peer.match:
                return  # an old refusal
            peer.probe()
        elif peer.state == PROBE:
            if rejected != peer.next - 1:
                return  # an old refusal
            hint, _ = self.log.find_conflict(message.hint_index, message.hint_term)
            peer.next = max(min(rejected, hint + 1), peer.match + 1)
            peer.is_paused = False
        else:
            return
        self._send_append(peer, is_heartbeat=False)

    def _on_unreachable(self, event: Unreachable) -> None:
        """Messages to `peer` are lost: what was sent ahead must be sent anew."""
        if self.role is LEADER and (peer := self.progress.get(event.peer)) is not None and peer.state == REPLICATE:
            peer.probe()

    # --- Committing

    def _match_of(self, node: int) -> int:
        if node == self.id:
            return self.log.durable
        peer = self.progress.get(node)
        return peer.match if peer is not None else 0

    def _may_commit(self, index: int) -> bool:
        """ "Only log entries from the leader's current term are committed by counting replicas" (paper §5.4.2)."""
        return self.log.term_at(index) == self.term

    def _advance_commit(self) -> bool:
        """Commit what a quorum has. Says whether that was more than before."""
        configuration = self.configuration
        index = joint_index(configuration.voters, configuration.outgoing, self._match_of)
        if index <= self.commit or not self._may_commit(index):
            return False
        before, self.commit = self.commit, index
        if self._uncommitted_bytes:
            self._uncommitted_bytes -= sum(len(e.data) for e in self.log.between(before + 1, index))
            self._uncommitted_bytes = max(0, self._uncommitted_bytes)
        self._reads_may_start(before)
        self._send_commit()
        if before < self.configuration_index <= index:
            self._configuration_committed()
        return True

    # --- Proposals

    def _on_propose(self, event: Propose) -> None:
        ids = tuple([item[0] for item in event.items])
        if self.role is not LEADER:
            self._refuse("not-leader" if self.leader else "no-leader", ids)
            return
        if self._transfer_target:
            self._refuse("transferring", ids)
            return
        settings = self.settings
        size = 0
        for _, data in event.items:
            size += len(data)
            if len(data) > settings.entry_bytes_max:
                self._refuse("too-large", ids)
                return
        if self._uncommitted_bytes and self._uncommitted_bytes + size > settings.uncommitted_bytes_max:
            self._refuse("overloaded", ids)
            return
        self._uncommitted_bytes += size
        log = self.log
        first = index = log.last_index + 1
        term = self.term
        for _, data in event.items:
            log.append(Entry(index, term, COMMAND, data))
            index += 1
        self._answers.append(Accepted(first, term, ids))
        self._broadcast()

    def _append_configuration(self, configuration: Configuration, data: bytes) -> None:
        index = self.log.last_index + 1
        self.log.append(Entry(index, self.term, CONFIGURATION, data))
        self._configuration_appended(index, configuration)
        self._broadcast()

    # --- Leadership transfer (thesis §3.10)

    @property
    def _transfer_match(self) -> int:
        """What the target must have before it may stand; -1 while nobody is the target."""
        return self.log.last_index if self._transfer_target else -1

    def _on_transfer(self, event: TransferLeadership) -> None:
        ids = (event.request_id,)
        if self.role is not LEADER:
            self._refuse("not-leader" if self.leader else "no-leader", ids)
        elif self._transfer_target:
            self._refuse("transferring", ids)
        elif event.target == self.id:
            self._answers.append(Changed(event.request_id))
        elif event.target not in self.configuration.voters:
            self._refuse("invalid-target", ids)
        else:
            self._transfer_target = event.target
            self._transfer_request = event.request_id
            self._transfer_deadline_us = self.now_us + self.settings.election_timeout_us
            self._set_deadline()
            peer = self.progress[event.target]
            if peer.match == self.log.last_index:
                self._hand_over(peer)
            else:
                self._send_append(peer, is_heartbeat=False)

    def _hand_over(self, peer: Progress) -> None:
        """The target is up to date: let it stand. From here on another leader may be elected past any promise."""
        if peer.id == self._transfer_target:
            self._handed_over = True
            self._sends.append(TimeoutNow(self.term, self.id, peer.id))

    def _end_transfer(self, reason: str) -> None:
        """Give up, so that proposals are taken again (hashicorp/raft #696 is what happens otherwise)."""
        assert reason in ("stepped-down", "invalid-target")
        request, self._transfer_target = self._transfer_request, 0
        self._transfer_deadline_us = NEVER_US
        self._refuse("invalid-target" if reason == "invalid-target" else "stepped-down", (request,))
        self._set_deadline()

    # --- What other parts supply

    def _start_reads(self) -> None:
        raise NotImplementedError

    def _stop_reads(self) -> tuple[int, ...]:
        raise NotImplementedError

    def _begin_round(self) -> None:
        raise NotImplementedError

    def _round_answered(self) -> None:
        raise NotImplementedError

    def _reads_may_start(self, commit_before: int) -> None:
        raise NotImplementedError

    def _begin_snapshot(self, peer: Progress) -> None:
        raise NotImplementedError

    def _send_chunk(self, peer: Progress) -> None:
        raise NotImplementedError

    def _configuration_committed(self) -> None:
        raise NotImplementedError
