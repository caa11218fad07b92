"""The node: every input to the part that knows it. See the package's docstring for how to drive it."""

from collections.abc import Callable
from typing import Any, ClassVar

from plugins.raft.core import inputs, messages
from plugins.raft.core.base import LEADER, Durable
from plugins.raft.core.effects import Effects
from plugins.raft.core.inputs import Input, Persisted, Tick
from plugins.raft.core.membership import Membership
from plugins.raft.core.prng import Prng
from plugins.raft.core.progress import Progress
from plugins.raft.core.settings import NEVER_US, Settings


class Node(Membership):
    """One member of a group. Not for concurrent use: one task owns it."""

    __slots__ = ()

    _handlers: ClassVar[dict[type, Callable[[Any, Any], None]]] = {}

    def __init_subclass__(cls) -> None:
        """A node with other rules, as the simulation has, keeps the table of inputs but with its own methods."""
        cls._handlers = {kind: getattr(cls, handler.__name__) for kind, handler in Node._handlers.items()}

    def __init__(self, node: int, settings: Settings, durable: Durable, prng: Prng, now_us: int) -> None:
        super().__init__(node, settings, durable, prng, now_us)
        self.progress: dict[int, Progress] = {}
        self.lease_until_us = 0
        self._transfer_target = self._transfer_request = 0
        self._transfer_deadline_us = self._leader_deadline_us = NEVER_US
        self._start_reads()

    def handle(self, now_us: int, event: Input) -> Effects:
        """Take one input at `now_us` and say what is to be done.

        Raises TypeError for what is no input, AssertionError when the clock went back or the shell broke the protocol.
        """
        assert now_us >= self.now_us, "the clock went back"
        self.now_us = now_us
        handler = self._handlers.get(type(event))
        if handler is None:
            raise TypeError(f"a node takes no {type(event).__name__}")
        handler(self, event)
        return self._gather()

    def _on_tick(self, event: Tick) -> None:
        if self.role is LEADER:
            self._leader_ticked()
        elif self.now_us >= self.election_deadline_us:
            self._election_timed_out()

    def _on_persisted(self, event: Persisted) -> None:
        self._release(event.token)
        self._own_vote_is_durable(event.token)
        if self.role is LEADER:
            self._advance_commit()


Node._handlers = {
    messages.AppendEntries: Node._on_append_entries,
    messages.AppendResponse: Node._on_append_response,
    messages.RequestVote: Node._on_request_vote,
    messages.VoteResponse: Node._on_vote_response,
    messages.InstallSnapshot: Node._on_install_snapshot,
    messages.SnapshotResponse: Node._on_snapshot_response,
    messages.TimeoutNow: Node._on_timeout_now,
    messages.ReadIndex: Node._on_read_index,
    messages.ReadIndexResponse: Node._on_read_index_response,
    inputs.Tick: Node._on_tick,
    inputs.Propose: Node._on_propose,
    inputs.Read: Node._on_read,
    inputs.Persisted: Node._on_persisted,
    inputs.SnapshotTaken: Node._on_snapshot_taken,
    inputs.ChangeMembership: Node._on_change_membership,
    inputs.LeaveJoint: Node._on_leave_joint,
    inputs.TransferLeadership: Node._on_transfer,
    inputs.Campaign: Node._on_campaign,
    inputs.ForgetLeader: Node._on_forget_leader,
    inputs.Unreachable: Node._on_unreachable,
}
