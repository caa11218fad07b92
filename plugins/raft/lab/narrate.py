"""What a step was, in a sentence: of the live cluster, and of a replay alike."""

import struct
from typing import Final, NamedTuple

from plugins.raft.core import messages
from plugins.raft.core.configuration import Configuration, ConfigurationError, decode_configuration
from plugins.raft.core.effects import Accepted, Effects, Refused, Role
from plugins.raft.core.inputs import Campaign, Input, Persisted, Propose, Read, SnapshotTaken, Tick
from plugins.raft.core.kv import decode_operation
from plugins.raft.core.messages import COMMAND, NOOP, AppendResponse, Entry, Message, VoteResponse
from plugins.raft.core.node import Node

TEXT_MAX: Final = 40
"""Characters of a command that a page gets to see."""

LETTERS: Final[dict[type, str]] = {
    messages.AppendResponse: "a",
    messages.InstallSnapshot: "S",
    messages.SnapshotResponse: "s",
    messages.TimeoutNow: "T",
    messages.ReadIndex: "R",
    messages.ReadIndexResponse: "r",
}


class Told(NamedTuple):
    """Something that happened. `kind` says what it belongs to: role, refused, commit, member, …"""

    kind: str
    node: int
    term: int
    text: str


def letter(message: Message) -> str:
    """The kind of a message in one letter; see the documents of the API."""
    kind = type(message)
    if kind is messages.AppendEntries:
        return "A" if message.entries else "H"  # type: ignore[union-attr]
    if kind is messages.RequestVote:
        return "P" if message.pre else "V"  # type: ignore[union-attr]
    if kind is messages.VoteResponse:
        return "p" if message.pre else "v"  # type: ignore[union-attr]
    return LETTERS[kind]


def is_refusal(message: Message) -> bool:
    """Whether a message says no."""
    if type(message) is AppendResponse:
        return not message.success
    return type(message) is VoteResponse and not message.granted


def command_text(data: bytes) -> str:
    """A command in words."""
    operation = decode_operation(data[16:])
    if operation is None:
        return "open a session" if len(data) == 16 and struct.unpack("<q", data[:8])[0] == 0 else "?"
    kind, key, value, _ = operation
    shown = f"{kind} {key.decode('utf-8', 'replace')}"
    if kind in ("put", "append", "swap"):
        shown += f"={value.decode('utf-8', 'replace')}"
    return shown if len(shown) <= TEXT_MAX else shown[: TEXT_MAX - 1] + "…"


def members_text(configuration: Configuration) -> str:
    """A configuration in words."""

    def names(ids: tuple[int, ...]) -> str:
        return ", ".join(f"n{node}" for node in ids) or "nobody"

    text = f"voters {names(configuration.voters)}"
    if configuration.outgoing:
        text += f" and still {names(configuration.outgoing)}"
    if configuration.learners:
        text += f"; learning {names(configuration.learners)}"
    return text


def entry_row(entry: Entry) -> tuple[int, int, str, str]:
    """An entry as a page shows it: index, term, kind, text."""
    if entry.kind == COMMAND:
        return entry.index, entry.term, "c", command_text(entry.data)
    if entry.kind == NOOP:
        return entry.index, entry.term, "n", "new term"
    try:
        return entry.index, entry.term, "m", members_text(decode_configuration(entry.data))
    except ConfigurationError:
        return entry.index, entry.term, "m", "?"


def told(node: Node, role_before: Role, event: Input, effects: Effects) -> list[Told]:
    """What is worth a line of what a step brought about."""
    lines = []
    me, term = f"n{node.id}", node.term
    if node.role is not role_before:
        lines.append(Told("role", node.id, term, _role_text(node, role_before, event)))
    for message in effects.send:
        if is_refusal(message):
            lines.append(Told("refused", node.id, term, _refusal_text(node, message, event)))
    if effects.status is not None and effects.status.configuration and _brought_members(effects):
        lines.append(Told("member", node.id, term, f"{me} goes by {members_text(node.configuration)}"))
    if effects.restore is not None and effects.restore.index:
        lines.append(Told("commit", node.id, term, f"{me} took over a snapshot up to entry {effects.restore.index}"))
    for answer in effects.answers:
        if type(answer) is Refused and answer.reason != "not-leader":
            lines.append(Told("client", node.id, term, f"{me} turned a client away: {answer.reason}"))
    return lines


def _brought_members(effects: Effects) -> bool:
    return effects.persist is not None and any(entry.kind == 2 for entry in effects.persist.entries)


def _role_text(node: Node, before: Role, event: Input) -> str:
    me = f"n{node.id}"
    if node.role is Role.LEADER:
        return f"{me} became leader of term {node.term}"
    if node.role is Role.CANDIDATE:
        return f"{me} stands for election in term {node.term}"
    if node.role is Role.PRECANDIDATE:
        why = "was asked to" if type(event) is Campaign else "heard from no leader"
        return f"{me} {why} and asks whether it would be elected"
    if before is Role.LEADER:
        if type(event) is Tick:
            return f"{me} stepped down: no majority answered it"
        return f"{me} stepped down for term {node.term}"
    return f"{me} follows again in term {node.term}"


def _refusal_text(node: Node, message: Message, event: Input) -> str:
    me, other = f"n{node.id}", f"n{message.to}"
    if type(message) is VoteResponse:
        what = "pre-vote" if message.pre else "vote"
        if type(event) is messages.RequestVote:
            if event.term < node.term:
                return f"{me} refused {other} its {what}: it is in term {node.term} already"
            log = node.log
            if (event.last_term, event.last_index) < (log.last_term, log.last_index):
                return f"{me} refused {other} its {what}: its own log is ahead"
            if node.vote and node.vote != message.to:
                return f"{me} refused {other} its {what}: n{node.vote} has it"
        return f"{me} refused {other} its {what}"
    if type(event) is messages.AppendEntries:
        if event.term < node.term:
            return f"{me} told {other} that term {event.term} is over"
        return f"{me} refused entries after {event.prev_index}: its log differs there"
    return f"{me} refused a message of {other}"


def input_text(event: Input) -> str:
    """An input in words."""
    kind = type(event)
    name = kind.__name__
    if kind is Tick:
        return "its timer"
    if kind is Propose:
        return "a client's command: " + command_text(event.items[0][1]) if event.items else "no command"  # type: ignore[union-attr]
    if kind is Persisted:
        return "its disk: written"
    if kind is Read:
        return "a client's read"
    if kind is SnapshotTaken:
        return f"a snapshot taken at {event.index}"
    sender = getattr(event, "sender", None)
    return name if sender is None else f"{name} from n{sender}"


def effects_text(effects: Effects) -> list[str]:
    """Effects in words, in the order in which they are carried out."""
    lines = []
    if effects.persist is not None:
        entries = effects.persist.entries
        what = f", entries {entries[0].index} to {entries[-1].index}" if entries else ""
        lines.append(f"write term {effects.persist.term}, vote n{effects.persist.vote}{what}")
    for message in effects.send:
        lines.append(f"send {type(message).__name__} to n{message.to}" + (" (no)" if is_refusal(message) else ""))
    if effects.restore is not None:
        lines.append(f"restore the snapshot at {effects.restore.index}")
    if effects.apply:
        lines.append(f"apply entries {effects.apply[0].index} to {effects.apply[-1].index}")
    for answer in effects.answers:
        detail = f": {answer.reason}" if type(answer) is Refused else ""
        detail = f" at {answer.index}" if type(answer) is Accepted else detail
        lines.append(f"answer a client: {type(answer).__name__.lower()}{detail}")
    return lines
