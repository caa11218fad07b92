"""Changes of members: one at a time, in force when appended; joint or in a single step (paper §6, thesis §4)."""

from plugins.raft.core.base import LEADER
from plugins.raft.core.configuration import Configuration, ConfigurationError, change, encode_configuration
from plugins.raft.core.effects import Changed, Reason
from plugins.raft.core.inputs import ChangeMembership, LeaveJoint
from plugins.raft.core.snapshots import Snapshots


class Membership(Snapshots):
    """How the leader changes who the members are."""

    __slots__ = ()

    def _on_change_membership(self, event: ChangeMembership) -> None:
        ids = (event.request_id,)
        reason = self._why_no_change()
        if reason is not None:
            self._refuse(reason, ids)
            return
        try:
            configuration = change(self.configuration, event.voters, event.learners, event.transition)
        except ConfigurationError:
            self._refuse("invalid-change", ids)
            return
        if configuration == self.configuration:
            self._answers.append(Changed(event.request_id))
            return
        self._append_change(configuration, event.request_id)

    def _on_leave_joint(self, event: LeaveJoint) -> None:
        ids = (event.request_id,)
        reason = self._why_no_change()
        if reason is None and not self.configuration.is_joint:
            reason = "invalid-change"
        if reason is not None:
            self._refuse(reason, ids)
            return
        self._append_change(self.configuration.left(), event.request_id)

    def _append_change(self, configuration: Configuration, request_id: int) -> None:
        index = self.log.last_index + 1
        self._change_request = (index, request_id)
        self._append_configuration(configuration, encode_configuration(configuration))

    def _why_no_change(self) -> Reason | None:
        """Why no change of members may begin now; None when it may."""
        if self.role is not LEADER:
            return "not-leader" if self.leader else "no-leader"
        if self._transfer_target:
            return "transferring"
        if self._is_change_pending():
            return "change-pending"
        if not self._has_barrier():
            return "no-commit-in-term"
        return None

    def _is_change_pending(self) -> bool:
        """Only one change may be under way, else majorities need not overlap (thesis §4.1)."""
        return self.configuration_index > self.commit

    def _has_barrier(self) -> bool:
        """A leader must have committed in its term before it changes the members.

        Else two leaders can each change a configuration that the other's majority never saw (Ongaro, "bug in
        single-server membership changes", raft-dev, 2015).
        """
        return self._has_committed_in_term()

    def _configuration_committed(self) -> None:
        """The newest configuration is committed: answer, go on from joint, or leave if one is no longer a member."""
        configuration = self.configuration
        if configuration.is_joint:
            if configuration.auto_leave:
                request = self._change_request
                left = configuration.left()
                self._append_configuration(left, encode_configuration(left))
                if request is not None:
                    self._change_request = (self.configuration_index, request[1])
                return
        elif self.id not in configuration.members:
            # "The leader steps down once it has committed the Cnew log entry" (paper §6).
            self._answer_change()
            self._follow(self.term, 0)
            return
        self._answer_change()

    def _answer_change(self) -> None:
        if self._change_request is not None and self._change_request[0] <= self.commit:
            self._answers.append(Changed(self._change_request[1]))
            self._change_request = None
