"""Which actions of the published specification each step of a node amounts to, live and in a replay."""

from collections.abc import Iterable

from plugins.raft.core.effects import Effects
from plugins.raft.core.inputs import Input
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
        self.text = _text(spec.actions)
        return denied

    def removed(self, number: int) -> None:
        """A node and its disk are gone for good."""
        self._spec.servers.pop(number, None)


def _text(actions: list[Action]) -> str | None:
    """Actions with their arguments, as the specification writes them; one that comes many times stands once."""
    counts: dict[Action, int] = {}
    for action in actions:
        counts[action] = counts.get(action, 0) + 1
    return ", ".join(_one(action, count) for action, count in counts.items()) or None


def _one(action: Action, count: int) -> str:
    arguments = f"{action.node}, {action.other}" if action.other else f"{action.node}"
    return f"{action.name}({arguments})" + (f" × {count}" if count > 1 else "")
