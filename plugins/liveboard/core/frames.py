"""The messages between a client and the server, one binary WebSocket message each; see docs/liveboard-protocol.md.

A frame is a byte that says its type, then its fields in the order of its class, in the grammar of `octets`. What a
client sends has a type below 128. `web/liveboard/client/frames.js` is the same in JavaScript.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from plugins.liveboard.core.codec import read_versions, write_versions
from plugins.liveboard.core.errors import CodecError
from plugins.liveboard.core.octets import Reader, Writer
from plugins.liveboard.core.operations import COLOR_MAX, HASH_BYTES, OPERATION_BYTES_MAX, SITE_BYTES

PROTOCOL_VERSION: Final = 1
TOKEN_BYTES: Final = 16
RECEIPT_BYTES: Final = 16
KEY_BYTES_MAX: Final = 128
NAME_BYTES_MAX: Final = 96
STATE_BYTES_MAX: Final = 128
INK_BYTES_MAX: Final = 4096
FRAME_OPERATIONS_MAX: Final = 4096
VERSIONS_SITES_MAX: Final = 4096
PEOPLE_MAX: Final = 10_000

VIEW, EDIT = 0, 1


@dataclass(frozen=True, slots=True)
class Hello:
    """The first frame: who comes, by which key, and what is known already (`rev` and the digest there; 0 is nothing).

    `token` is a secret that the client draws with its site: nobody else can write for that site.
    """

    version: int
    site: bytes
    token: bytes
    key: str
    password: str
    name: str
    color: int
    rev: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Offer:
    """Operations of one's own sites, each as its bytes, in the order of their seq."""

    operations: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Restore:
    """Operations of others that the server has lost, each with the receipt it once gave for them."""

    operations: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Presence:
    """Where one is (`state`) and what one is drawing (`ink`): bytes that the server passes on and does not read."""

    state: bytes
    ink: bytes


@dataclass(frozen=True, slots=True)
class Ping:
    """A sign of life. The answer is the same number."""

    number: int


@dataclass(frozen=True, slots=True)
class Probe:
    """Asks for the children of a node of the server's hash tree; level 0 asks for its height and root alone."""

    level: int
    index: int


@dataclass(frozen=True, slots=True)
class Report:
    """What the client has now: the digest of its operations at `rev`."""

    rev: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """One more site that this client may write for: an earlier page's, whose operations were not all acknowledged."""

    site: bytes
    token: bytes


@dataclass(frozen=True, slots=True)
class Known:
    """The version vector of a client that was told to `resync`."""

    versions: tuple[tuple[bytes, int], ...]


@dataclass(frozen=True, slots=True)
class Welcome:
    """The answer to `Hello`. `person` is the client's number in `People` and `Moves`.

    With `resync`, what the client has is not a beginning of the board: it sends `Known`, gets what it lacks (under
    revision 0, since the revisions are not consecutive), and sends what the server's `versions` lack.
    """

    version: int
    role: int
    person: int
    rev: int
    floor: int
    resync: bool
    others: bool
    title: str
    versions: tuple[tuple[bytes, int], ...]


@dataclass(frozen=True, slots=True)
class Committed:
    """Operations that are saved, each with its receipt; the first has revision `rev`, the others follow without a gap.

    For its author this is the acknowledgement. Everybody gets the same bytes.
    """

    rev: int
    operations: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Synced:
    """All up to `rev` has been sent; the digest of the board there."""

    rev: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Have:
    """The site's operations up to `seq` are saved already: the answer to what was sent twice."""

    site: bytes
    seq: int


@dataclass(frozen=True, slots=True)
class Refused:
    """An operation that was not taken, and why; see `errors.Refusal`."""

    site: bytes
    seq: int
    reason: int
    detail: int


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in the room."""

    number: int
    site: bytes
    role: int
    color: int
    name: str


@dataclass(frozen=True, slots=True)
class People:
    """Who is in the room: the whole list, or who came; `left` are the numbers of those who went."""

    whole: bool
    people: tuple[Person, ...]
    left: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Moves:
    """What has changed since the last tick: (person, state, inks) of those who moved. An empty state is none new."""

    moves: tuple[tuple[int, bytes, tuple[bytes, ...]], ...]


@dataclass(frozen=True, slots=True)
class Pong:
    number: int


@dataclass(frozen=True, slots=True)
class Nodes:
    """The answer to `Probe`: the tree at `rev`, and the children asked for; empty where there is none."""

    rev: int
    height: int
    root: bytes
    level: int
    index: int
    left: bytes
    right: bytes


@dataclass(frozen=True, slots=True)
class Reports:
    """What everybody in the room has: (person, rev, digest)."""

    reports: tuple[tuple[int, int, bytes], ...]


@dataclass(frozen=True, slots=True)
class Bye:
    """The last frame before the socket closes: why, after how long to come back (0: not by itself), and in words."""

    reason: int
    retry_ms: int
    text: str


@dataclass(frozen=True, slots=True)
class PrunedFrame:
    """Operations whose bodies compaction has dropped, each as its pruned bytes, and the new floor."""

    floor: int
    operations: tuple[bytes, ...]


class ByeReason:
    """Why a socket is closed; 4000 + this is the close code."""

    PROTOCOL = 1
    NO_ACCESS = 2
    PASSWORD = 3
    FULL = 4
    RESTART = 5
    TAKEN_OVER = 6
    SITE_TAKEN = 7
    SILENT = 8
    RESYNC = 9
    UNAVAILABLE = 10
    NO_ROOM = 11


Pair = tuple[Callable[[Writer, Any], None], Callable[[Reader], Any]]


def _fixed(length: int) -> Pair:
    return lambda w, value: w.raw(value, length), lambda r: r.raw(length)


def _block(bytes_max: int) -> Pair:
    return lambda w, value: w.block(value), lambda r: r.block(bytes_max, "a block")


def _text(bytes_max: int) -> Pair:
    return lambda w, value: w.text(value), lambda r: r.text(bytes_max, "a text")


def _many(pair: Pair, count_max: int) -> Pair:
    def write(w: Writer, values: Iterable[Any]) -> None:
        values = tuple(values)
        w.varint(len(values))
        for value in values:
            pair[0](w, value)

    def read(r: Reader) -> tuple[Any, ...]:
        return tuple(pair[1](r) for _ in range(r.varint(0, count_max, "a count")))

    return write, read


def _record(make: Callable[..., Any], *pairs: Pair) -> Pair:
    def write(w: Writer, values: Iterable[Any]) -> None:
        for pair, value in zip(pairs, values, strict=True):
            pair[0](w, value)

    return write, lambda r: make(*(pair[1](r) for pair in pairs))


def _tuple(*pairs: Pair) -> Pair:
    return _record(lambda *values: values, *pairs)


def _read_flag(r: Reader) -> bool:
    return r.varint(0, 1, "a flag") == 1


_INTEGER: Final[Pair] = (lambda w, value: w.varint(value), lambda r: r.varint())
_COLOR: Final[Pair] = (lambda w, value: w.varint(value), lambda r: r.varint(0, COLOR_MAX, "a colour"))
_FLAG: Final[Pair] = (lambda w, value: w.varint(1 if value else 0), _read_flag)
_SITE, _TOKEN, _HASH, _RECEIPT = (_fixed(n) for n in (SITE_BYTES, TOKEN_BYTES, HASH_BYTES, RECEIPT_BYTES))
_OPERATION: Final = _block(OPERATION_BYTES_MAX)
_OPTIONAL_HASH: Final = _block(HASH_BYTES)
_VERSIONS: Final[Pair] = (write_versions, lambda r: read_versions(r, VERSIONS_SITES_MAX))
_SIGNED_OPERATIONS: Final = _many(_tuple(_RECEIPT, _OPERATION), FRAME_OPERATIONS_MAX)
_PERSON_PAIRS: Final = (_INTEGER, _SITE, _INTEGER, _COLOR, _text(NAME_BYTES_MAX))


def _write_person(w: Writer, person: Person) -> None:
    values = (person.number, person.site, person.role, person.color, person.name)
    for pair, value in zip(_PERSON_PAIRS, values, strict=True):
        pair[0](w, value)


_PERSON: Final[Pair] = (_write_person, _record(Person, *_PERSON_PAIRS)[1])
MOVE: Final = _tuple(_INTEGER, _block(STATE_BYTES_MAX), _many(_block(INK_BYTES_MAX), 64))

Frame = (
    Hello | Offer | Restore | Presence | Ping | Probe | Report | Claim | Known
    | Welcome | Committed | Synced | Have | Refused | People | Moves | Pong | Nodes | Reports | Bye | PrunedFrame
)  # fmt: skip

_TYPES: Final[dict[int, tuple[type, tuple[Pair, ...]]]] = {
    1: (Hello, (_INTEGER, _SITE, _TOKEN, _text(KEY_BYTES_MAX), _text(KEY_BYTES_MAX), _text(NAME_BYTES_MAX), _COLOR,
                _INTEGER, _HASH)),
    2: (Offer, (_many(_OPERATION, FRAME_OPERATIONS_MAX),)),
    3: (Restore, (_SIGNED_OPERATIONS,)),
    4: (Presence, (_block(STATE_BYTES_MAX), _block(INK_BYTES_MAX))),
    5: (Ping, (_INTEGER,)),
    6: (Probe, (_INTEGER, _INTEGER)),
    7: (Report, (_INTEGER, _HASH)),
    8: (Claim, (_SITE, _TOKEN)),
    9: (Known, (_VERSIONS,)),
    129: (Welcome, (_INTEGER, _INTEGER, _INTEGER, _INTEGER, _INTEGER, _FLAG, _FLAG, _text(NAME_BYTES_MAX), _VERSIONS)),
    130: (Committed, (_INTEGER, _SIGNED_OPERATIONS)),
    131: (Synced, (_INTEGER, _HASH)),
    132: (Have, (_SITE, _INTEGER)),
    133: (Refused, (_SITE, _INTEGER, _INTEGER, _INTEGER)),
    134: (People, (_FLAG, _many(_PERSON, PEOPLE_MAX), _many(_INTEGER, PEOPLE_MAX))),
    135: (Moves, (_many(MOVE, PEOPLE_MAX),)),
    136: (Pong, (_INTEGER,)),
    137: (Nodes, (_INTEGER, _INTEGER, _HASH, _INTEGER, _INTEGER, _OPTIONAL_HASH, _OPTIONAL_HASH)),
    138: (Reports, (_many(_tuple(_INTEGER, _INTEGER, _HASH), PEOPLE_MAX),)),
    139: (Bye, (_INTEGER, _INTEGER, _text(KEY_BYTES_MAX * 2))),
    140: (PrunedFrame, (_INTEGER, _many(_OPERATION, FRAME_OPERATIONS_MAX))),
}  # fmt: skip
_NUMBERS: Final = {kind: number for number, (kind, _) in _TYPES.items()}
_FIRST_OF_SERVER: Final = 128


def encode_frame(frame: Frame) -> bytes:
    """The bytes of a frame. Raises `CodecError` when a field is of the wrong type or out of its range."""
    number = _NUMBERS[type(frame)]
    writer = Writer()
    writer.byte(number)
    for name, pair in zip(type(frame).__slots__, _TYPES[number][1], strict=True):
        pair[0](writer, getattr(frame, name))
    return bytes(writer.data)


def decode_client_frame(data: bytes) -> Any:
    """What a client sent. Raises `CodecError` when it is no frame, or one of the server's."""
    if data and data[0] >= _FIRST_OF_SERVER:
        raise CodecError(f"frame {data[0]} is the server's")
    return decode_frame(data)


def decode_frame(data: bytes) -> Any:
    """The frame that these bytes are. Raises `CodecError` when they are none."""
    reader = Reader(data)
    known = _TYPES.get(reader.byte())
    if known is None:
        raise CodecError(f"frame {data[0]} is not known")
    kind, pairs = known
    frame = kind(*(pair[1](reader) for pair in pairs))
    reader.finish()
    return frame


def committed_bytes(rev: int, operations: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A `Committed` frame from (receipt, operation), without checking what comes from the board itself."""
    writer = Writer()
    data = writer.data
    operations = tuple(operations)
    data.append(_NUMBERS[Committed])
    writer.varint(rev)
    writer.varint(len(operations))
    for receipt, operation in operations:
        data += receipt
        writer.varint(len(operation))
        data += operation
    return bytes(data)


def move_bytes(person: int, state: bytes, inks: Iterable[bytes]) -> bytes:
    """One person's part of a `Moves` frame."""
    writer = Writer()
    MOVE[0](writer, (person, state, tuple(inks)))
    return bytes(writer.data)


def moves_bytes(moves: list[bytes]) -> bytes:
    """A `Moves` frame of such parts."""
    writer = Writer()
    writer.byte(_NUMBERS[Moves])
    writer.varint(len(moves))
    return bytes(writer.data) + b"".join(moves)
