"""Client sessions: a command that arrives twice is applied once (paper §8, thesis §6.3).

They are part of the replicated state: the same on all nodes, and in the snapshots. A client registers (its id is the
index of that entry), numbers its commands from 1, and has one under way at a time; the last result is kept for a retry.
Which sessions expire is decided by the log alone: the least recently used, once there are more than `sessions_max`.
"""

import struct
from typing import Final, Protocol

from plugins.raft.core.messages import COMMAND, Entry

_COMMAND: Final = struct.Struct("<qq")
_ITEM: Final = struct.Struct("<qqI")

REGISTERED: Final = b"="
EXPIRED: Final = b"x"
STALE: Final = b"<"
"""First byte of a result that is no result of the machine: a session was opened (its id follows, 8 bytes), the
session is not known (any more), the command is older than the last one applied."""


class Machine(Protocol):
    """What sessions wrap: `kv.KeyValue`, or anything else that is a function of its commands."""

    def apply(self, command: bytes) -> bytes: ...

    def snapshot(self) -> bytes: ...

    def restore(self, data: bytes) -> None: ...


def register_command() -> bytes:
    """The command that opens a session."""
    return _COMMAND.pack(0, 0)


def session_command(client: int, sequence: int, command: bytes) -> bytes:
    """A command of a session. Client -1 is nobody: such a command is applied as often as it arrives."""
    return _COMMAND.pack(client, sequence) + command


class Sessions:
    """A machine that knows its clients."""

    __slots__ = ("applied_index", "clients", "machine", "sessions_max")

    def __init__(self, machine: Machine, sessions_max: int = 1024) -> None:
        """`sessions_max` must be the same on all nodes."""
        self.machine = machine
        self.sessions_max = sessions_max
        self.clients: dict[int, tuple[int, bytes]] = {}
        """Client to the number and result of its last command; the least recently used comes first."""
        self.applied_index = 0

    def apply(self, entry: Entry) -> bytes:
        """Apply one committed entry; the result, b"" for entries that are not commands.

        Raises ValueError when an entry is left out or comes twice: the shell broke the order.
        """
        if entry.index != self.applied_index + 1:
            raise ValueError(f"entry {entry.index} after entry {self.applied_index}")
        self.applied_index = entry.index
        data = entry.data
        if entry.kind != COMMAND:
            return b""
        if len(data) < _COMMAND.size:
            return EXPIRED
        client, sequence = _COMMAND.unpack_from(data)
        if client == -1:
            return self.machine.apply(data[_COMMAND.size :])
        clients = self.clients
        if client == 0:
            clients[entry.index] = (0, b"")
            while len(clients) > self.sessions_max:
                del clients[next(iter(clients))]
            return REGISTERED + struct.pack("<q", entry.index)
        last = clients.pop(client, None)
        if last is None:
            return EXPIRED
        if sequence > last[0]:
            last = (sequence, self.machine.apply(data[_COMMAND.size :]))
            result = last[1]
        else:
            result = last[1] if sequence == last[0] else STALE
        clients[client] = last
        return result

    def snapshot(self) -> bytes:
        """Clients in the order of their use, then the machine."""
        parts = [struct.pack("<qI", self.applied_index, len(self.clients))]
        for client, (sequence, result) in self.clients.items():
            parts += [_ITEM.pack(client, sequence, len(result)), result]
        parts.append(self.machine.snapshot())
        return b"".join(parts)

    def restore(self, data: bytes) -> None:
        """Become what a snapshot was made of; b"" is the empty machine of a new group. Raises ValueError on damage."""
        clients: dict[int, tuple[int, bytes]] = {}
        if not data:
            self.applied_index, self.clients = 0, clients
            self.machine.restore(b"")
            return
        if len(data) < 12:
            raise ValueError("a snapshot of sessions is cut short")
        applied_index, count = struct.unpack_from("<qI", data)
        at = 12
        for _ in range(count):
            if at + _ITEM.size > len(data):
                raise ValueError("a snapshot of sessions is cut short")
            client, sequence, size = _ITEM.unpack_from(data, at)
            at += _ITEM.size
            clients[client] = (sequence, bytes(data[at : at + size]))
            at += size
        self.machine.restore(data[at:])
        self.applied_index, self.clients = applied_index, clients
