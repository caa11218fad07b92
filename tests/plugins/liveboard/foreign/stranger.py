"""A client written from docs/liveboard-protocol.md alone, with nothing of ours: it draws, and keeps digest and root.

No I/O: a WebSocket library feeds it the messages that arrive and sends what it returns.
"""

import hashlib
import secrets


def varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*data, value])


def signed(value: int) -> bytes:
    return varint(2 * value if value >= 0 else -2 * value - 1)


def block(data: bytes) -> bytes:
    return varint(len(data)) + data


class Bytes:
    """Reads from the front."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count : self.at]

    def varint(self) -> int:
        value = shift = 0
        while (byte := self.take(1)[0]) > 0x7F:
            value |= (byte & 0x7F) << shift
            shift += 7
        return value | byte << shift


class Stranger:
    """One client of a room. `strokes` are drawn when the board is there; it has what it wants at revision `until`."""

    def __init__(self, strokes: int, until: int) -> None:
        self.site = secrets.token_bytes(8)
        self.strokes = strokes
        self.until = until
        self.rev = 0
        self.lamport = 0
        self.operations: dict[tuple[int, bytes, int], bytes] = {}

    def hello(self) -> bytes:
        name, color = b"stranger", 0x0C8577
        head = b"\x01" + varint(1) + self.site + secrets.token_bytes(16)
        return head + block(b"") + block(b"") + block(name) + varint(color) + varint(0) + bytes(32)

    def take(self, message: bytes) -> list[bytes]:
        """What to send for a message that arrived."""
        frame = Bytes(message)
        kind = frame.take(1)[0]
        if kind == 130:
            rev = frame.varint()
            assert rev == self.rev + 1, f"revision {self.rev + 1} is missing"
            for _ in range(frame.varint()):
                frame.take(16)
                self._keep(frame.take(frame.varint()))
        elif kind == 131:
            assert (frame.varint(), frame.take(32)) == (self.rev, self.digest)
            return [self._offer()]
        elif kind in (133, 139):
            raise AssertionError(f"the server refused: {message!r}")
        return []

    @property
    def is_done(self) -> bool:
        return self.rev >= self.until

    @property
    def digest(self) -> bytes:
        total = sum(int.from_bytes(self._leaf(data), "big") for data in self.operations.values())
        return (total % 2**256).to_bytes(32, "big")

    @property
    def root(self) -> bytes:
        level = [self._leaf(self.operations[key]) for key in sorted(self.operations)]
        while len(level) > 1:
            pairs = [level[at : at + 2] for at in range(0, len(level), 2)]
            level = [hashlib.sha256(b"\x01" + b"".join(pair)).digest() if len(pair) == 2 else pair[0] for pair in pairs]
        return level[0]

    def _leaf(self, operation: bytes) -> bytes:
        return hashlib.sha256(b"\x00" + operation).digest()

    def _keep(self, operation: bytes) -> None:
        stamp = Bytes(operation)
        stamp.take(1)
        site, seq, lamport = stamp.take(8), stamp.varint(), stamp.varint()
        self.operations[lamport, site, seq] = operation
        self.lamport = max(self.lamport, lamport)
        self.rev += 1

    def _offer(self) -> bytes:
        operations = [self._stroke(seq) for seq in range(1, self.strokes + 1)]
        return b"\x02" + varint(len(operations)) + b"".join(map(block, operations))

    def _stroke(self, seq: int) -> bytes:
        self.lamport += 1
        style = varint(0x0C8577) + varint(32) + varint(100)
        # Three points: where it begins, a step of (80, -8), and then the same step, so no change of it.
        points = signed(8 * seq) + signed(-8 * seq) + signed(80) + signed(-8) + signed(0) + signed(0)
        return b"\x01" + self.site + varint(seq) + varint(self.lamport) + b"\x01" + style + b"\x00" + varint(3) + points
