"""One plain sentence for every step of a node; `narrate` has those that are worth a line of the event list."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from plugins.raft.core import inputs, messages
from plugins.raft.core.effects import Accepted, Effects, ReadReady, Refused, Role
from plugins.raft.core.inputs import Input
from plugins.raft.core.node import Node
from plugins.raft.lab.narrate import Told, command_text


class Before(NamedTuple):
    """Where a node stood before a step."""

    role: Role = Role.FOLLOWER
    commit: int = 0


def sentence(node: Node, before: Before, event: Input, effects: Effects, lines: list[Told]) -> str:
    """What a step was. `lines` are `narrate.told` of the same step: the weightier words, if there are any."""
    text = "; ".join(line.text for line in lines) if lines else _PLAIN[type(event)](node, event, effects)
    if node.commit > before.commit and not any(line.kind == "commit" for line in lines):
        text += (
            f"; entry {node.commit} is committed" if node.role is Role.LEADER else f", committed up to {node.commit}"
        )
    return text


def started(node: Node) -> str:
    """A node started."""
    return f"n{node.id} starts from its disk, in term {node.term}, with entries up to {node.log.last_index}"


def _names(numbers: list[int]) -> str:
    return ", ".join(f"n{number}" for number in sorted(set(numbers)))


def _asked(effects: Effects, kind: type) -> list[int]:
    return [message.to for message in effects.send if type(message) is kind]


def _tick(node: Node, event: Any, effects: Effects) -> str:
    if heard := _asked(effects, messages.AppendEntries):
        return f"n{node.id} tells {_names(heard)} that it leads"
    return f"n{node.id} looked at its clock: nothing is due"


def _append(node: Node, event: Any, effects: Effects) -> str:
    leader = f"n{event.sender}"
    if event.term < node.term or node.leader != event.sender:
        return f"n{node.id} passed over entries of {leader} from term {event.term}"
    if not event.entries:
        return f"n{node.id} heard its leader, {leader}"
    first, last = event.entries[0].index, event.entries[-1].index
    what = f"entry {first}" if first == last else f"entries {first} to {last}"
    if effects.persist is None:
        return f"n{node.id} got {what} from {leader}, which it has already"
    return f"n{node.id} got {what} from {leader} and writes to its disk"


def _append_answer(node: Node, event: Any, effects: Effects) -> str:
    if node.role is not Role.LEADER or event.term < node.term:
        return f"n{node.id} passed over an answer of n{event.sender} from term {event.term}"
    if event.success:
        return f"n{node.id} knows that n{event.sender} has its log up to {event.index}"
    return f"n{node.id} goes back for n{event.sender}, whose log differs at {event.index}"


def _vote_asked(node: Node, event: Any, effects: Effects) -> str:
    what = "pre-vote" if event.pre else "vote"
    granted = any(type(message) is messages.VoteResponse and message.granted for message in effects.send)
    if granted:
        return f"n{node.id} gives n{event.sender} its {what} for term {event.term}"
    if node.vote == event.sender and node.term == event.term and not event.pre:
        return f"n{node.id} writes its vote for n{event.sender} to its disk before it gives it"
    if node.leader or event.term <= node.term:
        return f"n{node.id} does not answer n{event.sender}, which asks for its {what}"
    return f"n{node.id} is asked by n{event.sender} for its {what}"


def _vote_answer(node: Node, event: Any, effects: Effects) -> str:
    what = "pre-vote" if event.pre else "vote"
    if node.role not in (Role.PRECANDIDATE, Role.CANDIDATE):
        return f"n{node.id} no longer needs the {what} of n{event.sender}"
    return f"n{node.id} {'has' if event.granted else 'does not get'} the {what} of n{event.sender}"


def _snapshot_chunk(node: Node, event: Any, effects: Effects) -> str:
    what = "the last part" if event.done else "a part"
    return f"n{node.id} got {what} of n{event.sender}'s snapshot up to entry {event.index}"


def _persisted(node: Node, event: Any, effects: Effects) -> str:
    text = f"n{node.id}'s disk has its log up to {node.log.durable}"
    if voted := [m.to for m in effects.send if type(m) is messages.VoteResponse and m.granted]:
        return f"n{node.id}'s disk has its vote, and it gives it to {_names(voted)}"
    if asked := _asked(effects, messages.RequestVote):
        return f"n{node.id}'s disk has its new term, and it asks {_names(asked)} for their votes"
    if answered := _asked(effects, messages.AppendResponse):
        return f"{text}, and it says so to {_names(answered)}"
    return text


def _proposed(node: Node, event: Any, effects: Effects) -> str:
    what = command_text(event.items[0][1]) if event.items else "nothing"
    for answer in effects.answers:
        if type(answer) is Accepted:
            return f"n{node.id} took {what} into its log as entry {answer.index}"
        if type(answer) is Refused:
            return f"n{node.id} turned {what} away: {answer.reason}"
    return f"n{node.id} was given {what}"


def _read(node: Node, event: Any, effects: Effects) -> str:
    if any(type(answer) is ReadReady for answer in effects.answers):
        return f"n{node.id} serves a read at once"
    if asked := _asked(effects, messages.ReadIndex):
        return f"n{node.id} asks {_names(asked)} how far it must be to serve a read"
    return f"n{node.id} makes sure that it still leads before it serves a read"


_PLAIN: Final[dict[type, Callable[[Node, Any, Effects], str]]] = {
    inputs.Tick: _tick,
    inputs.Propose: _proposed,
    inputs.Read: _read,
    inputs.Persisted: _persisted,
    inputs.SnapshotTaken: lambda node, event, _: f"n{node.id} took a snapshot up to entry {event.index}",
    inputs.ChangeMembership: lambda node, event, _: f"n{node.id} was asked for other members",
    inputs.LeaveJoint: lambda node, event, _: f"n{node.id} was asked to leave the joint configuration",
    inputs.TransferLeadership: lambda node, event, _: f"n{node.id} was asked to hand over to n{event.target}",
    inputs.Campaign: lambda node, event, _: f"n{node.id} was asked to stand for election",
    inputs.ForgetLeader: lambda node, event, _: f"n{node.id} no longer counts on its leader",
    inputs.Unreachable: lambda node, event, _: f"n{node.id} cannot reach n{event.peer}",
    messages.AppendEntries: _append,
    messages.AppendResponse: _append_answer,
    messages.RequestVote: _vote_asked,
    messages.VoteResponse: _vote_answer,
    messages.InstallSnapshot: _snapshot_chunk,
    messages.SnapshotResponse: lambda node, event, _: (
        f"n{node.id} knows that n{event.sender} has {event.offset:,} bytes of its snapshot"
    ),
    messages.TimeoutNow: lambda node, event, _: f"n{node.id} was told by n{event.sender} to take over",
    messages.ReadIndex: lambda node, event, _: f"n{node.id} was asked by n{event.sender} how far a read must see",
    messages.ReadIndexResponse: lambda node, event, _: (
        f"n{node.id} was told by n{event.sender} that a read must see entry {event.index}"
        if event.index >= 0
        else f"n{node.id} was told by n{event.sender} that it cannot tell"
    ),
}
assert set(_PLAIN) == {*inputs.LocalInput.__args__, *messages.Message.__args__}
