"""A follower's side of replication: the consistency check, and what it says when it fails (paper §5.3)."""

from plugins.raft.core.base import FOLLOWER, LEADER
from plugins.raft.core.configuration import decode_configuration
from plugins.raft.core.election import Elections
from plugins.raft.core.messages import CONFIGURATION, AppendEntries, AppendResponse, Entry


class Follower(Elections):
    """Taking entries from a leader."""

    __slots__ = ()

    def _hear(self, term: int, leader: int) -> bool:
        """A leader of `term` speaks. False when it is one of the past, or nobody whom this node could follow.

        Its term decides, not its log: a candidate gives in and the timer starts anew even if the check then fails
        (redpanda #30817, d-engine #340).
        """
        if term != self.term:
            if term < self.term:
                return False
            self._follow(term, leader)
        elif self.role is not FOLLOWER:
            if self.role is LEADER:
                return False
            self._follow(term, leader)
        if self.leader != leader:
            self._leader_changed(leader)
        self.heard_us = now = self.now_us
        self.election_deadline_us = now + self.election_timeout_us
        return True

    def _on_append_entries(self, message: AppendEntries) -> None:
        term, sender, _, prev, prev_term, leader_commit, round_, entries = message
        if not self._hear(term, sender):
            if term < self.term:
                # Its sender learns that there is a newer term, even if it never hears of an election.
                self._sends.append(AppendResponse(self.term, self.id, sender, False, prev, 0, 0, 0))
            return
        log = self.log
        if prev < self.commit:
            # What is committed is equal everywhere: say so rather than compare with what may be compacted here
            # (RedisLabs/raft #49, openraft 71a290cd).
            response = AppendResponse(term, self.id, sender, True, self.commit, 0, 0, round_)
        elif prev <= log.last_index and log.term_at(prev) == prev_term:
            last = prev
            if entries:
                last += len(entries)
                self._take(entries)
            # "min(leaderCommit, index of last new entry)": beyond it this log may not be the leader's (Fig. 2).
            commit = leader_commit if leader_commit < last else last
            if commit > self.commit:
                self.commit = commit
            response = AppendResponse(term, self.id, sender, True, last, 0, 0, round_)
        else:
            hint, hint_term = log.find_conflict(prev, prev_term)
            response = AppendResponse(term, self.id, sender, False, prev, hint, hint_term, round_)
        self._held.append(response)

    def _take(self, entries: tuple[Entry, ...]) -> None:
        """Put a leader's entries into the log, and their configurations into force."""
        first = self.log.merge(entries)
        if not first:
            return
        assert first > self.commit, "a leader's entries contradict what is committed"
        self._configurations_truncated(first)
        for entry in entries:
            if entry.kind == CONFIGURATION and entry.index >= first:
                self._configuration_appended(entry.index, decode_configuration(entry.data))
