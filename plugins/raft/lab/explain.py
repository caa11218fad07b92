"""Which actions of the published specification each step of a node amounts to, live and in a replay."""

from collections.abc import Iterable

from plugins.raft.core.effects import Effects
from plugins.raft.core.inputs import Input
from plugins.raft.core.messages import AppendEntries, Message, RequestVote
from plugins.raft.core.node import Node
from plugins.raft.sim.spec import Action, Spec
from plugins.raft.sim.spec_state import Server
from plugins.raft.sim.violation import Violation


class Explainer:
    """Follows all nodes of a cluster. `text` names the actions of the last step, None when it amounts to none.

    It begins anew with every segment of a recording (`join`), so that its memory is bounded by the nodes' logs.
    """

    def __init__(self) -> None:
        self.text: str | None = None
        self._spec = Spec()

    def join(self, nodes: Iterable[Node]) -> None:
        """Go on from the nodes as they are now."""
        self._spec = Spec.joined(nodes, self._spec.committed)

    def started(self, node: Node) -> str | None:
        """A node starts from its disk. Returns what the specification has against it, None for nothing."""
        log = node.log
        entries = log.between(log.start_index + 1, log.last_index)
        denied = None
        try:
            self._spec.started(node.id, node, entries)
        except Violation as violation:
            denied = violation.detail
            self._spec.servers[node.id] = Server.of(node)
        self.text = _text(self._spec.actions)
        return denied

    def step(self, node: Node, event: Input, effects: Effects) -> str | None:
        """A node took a step. Returns what the specification has against it, None for nothing."""
        spec = self._spec
        denied = None
        try:
            spec.step(node.id, event, node)
            if effects.send:
                spec.sent(node.id, effects.send)
        except Violation as violation:
            denied = violation.detail
            spec.servers[node.id] = Server.of(node)
        self.text = _text(spec.actions + _sending(node, effects.send))
        return denied

    def removed(self, number: int) -> None:
        """A node and its disk are gone for good."""
        self._spec.servers.pop(number, None)


def _sending(node: Node, sends: tuple[Message, ...]) -> list[Action]:
    """The actions by which messages are sent; answers belong to the action that took the question."""
    found = []
    for message in sends:
        if type(message) is AppendEntries:
            found.append(Action("AppendEntries", node.id, message.to))
        elif type(message) is RequestVote and not message.pre:
            found.append(Action("RequestVote", node.id, message.to))
    return found


def _text(actions: list[Action]) -> str | None:
    """Actions with their arguments, as the specification writes them; for a set of others, one stands for all."""
    groups: dict[tuple[str, int], list[int]] = {}
    for name, node, other in actions:
        groups.setdefault((name, node), []).append(other)
    return ", ".join(f"{name}({_arguments(node, others)})" for (name, node), others in groups.items()) or None


def _arguments(node: int, others: list[int]) -> str:
    different = [str(other) for other in dict.fromkeys(others) if other]
    if not different:
        return str(node)
    return f"{node}, {different[0]}" if len(different) == 1 else f"{node}, {{{', '.join(different)}}}"
