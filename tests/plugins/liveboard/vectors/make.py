"""Writes the test vectors: `python -m tests.plugins.liveboard.vectors.make`. A test compares what it would write.

The vectors are a promise to other implementations. When one changes that was published, old boards become unreadable.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from plugins.liveboard.certificates import signed
from plugins.liveboard.core import frames as core_frames
from plugins.liveboard.core import operations as o
from plugins.liveboard.core.codec import encode_operation
from plugins.liveboard.core.compaction import compact
from plugins.liveboard.core.digests import leaf_hash
from plugins.liveboard.core.documents import document_of
from plugins.liveboard.core.frames import encode_frame
from plugins.liveboard.core.opset import Entry, OperationSet, entry_of
from plugins.liveboard.core.picture import Picture
from plugins.liveboard.simulation.authors import random_board, site_of

FOLDER = Path(__file__).parent
C = o.COORDINATE_MAX
A, B = site_of(0), site_of(1)
STYLE = o.Style(0x1F6F6B, 24, 100)
BOARDS = ((1, 12), (2, 60), (3, 257), (4, 400))


def hand_made() -> list[o.Operation]:
    """Operations at the edges of what can be written."""
    bodies: list[o.Body] = [
        o.Stroke("pen", STYLE, (0, 0)),
        o.Stroke("pen", STYLE, (10, -10, 12, -14, 14, -18, 15, -20)),
        o.Stroke("highlighter", o.Style(0, 1, 1), (C, -C, -C, C, C, -C), (0, 255, 0)),
        o.Stroke("pen", o.Style(0xFFFFFF, o.SIZE_MAX, 50), tuple(range(400)), tuple(range(200))),
        o.Shape("line", STYLE, 0, -C, -C, C, C),
        o.Shape("ellipse", STYLE, o.FILL_MAX, 5, 6, -7, -8),
        o.Text("text", STYLE, 0, 1, 2, 0, ""),
        o.Text("note", STYLE, 0xFFF4C4 + 1, -1, -2, C, "\ufeffGrüße 日本語 🖋️\n\u0000"),
        o.Image("image/gif", bytes(range(32)), o.IMAGE_BYTES_MAX, 0, 0, 1, C),
        o.Visibility(False, (1, 2, 9)),
        o.Visibility(True, (2,)),
        o.Erase((o.OpId(B, 1), o.OpId(B, 7), o.OpId(A, 3)), ((), ((0, 1),), ((2, 3), (6, 500)))),
        o.Move((o.OpId(A, 1),), -C, C),
        o.Restyle((o.OpId(A, 1), o.OpId(A, 128)), 0, None, None, None),
        o.Restyle((o.OpId(A, o.INTEGER_MAX),), 0xABCDEF, 8, 100, 0),
        o.Clear(()),
        o.Clear(tuple(sorted({A: 5, B: o.INTEGER_MAX}.items()))),
        o.Pruned(bytes(32)),
    ]
    numbers = [1, 127, 128, 2**31, 2**32 + 5, o.INTEGER_MAX]
    return [
        o.Operation(A, 10 + at if isinstance(body, o.Visibility) else 1 + at, numbers[at % len(numbers)], body)
        for at, body in enumerate(bodies)
    ] + [o.Operation(b"\xff" * 8, o.INTEGER_MAX, 1, bodies[0]), o.Operation(b"\x00" * 8, 1, 1, bodies[0])]


def operations() -> list[dict[str, Any]]:
    entries = [entry_of(encode_operation(operation)) for operation in hand_made()]
    return [
        {"operation": document_of(entry.operation), "bytes": entry.data.hex(), "leaf": entry.leaf.hex()}
        for entry in entries
    ]


def malformed() -> list[dict[str, str]]:
    """Bytes that no operation has, each with what is wrong about it."""
    site, tail = A.hex(), "0101"
    stroke = f"01{site}{tail}01001864" + "0001" + "0000"
    move = f"07{site}{tail}01{site}01010000"
    note = f"03{site}{tail}0100186400" + "000000"
    cases = {
        "nothing": "",
        "an unknown kind": "0a" + stroke[2:],
        "kind 0": "00" + stroke[2:],
        "cut in the site": stroke[:10],
        "cut in the points": stroke[:-2],
        "a byte too many": stroke + "00",
        "seq 0": f"01{site}0001" + stroke[22:],
        "lamport 0": f"01{site}0100" + stroke[22:],
        "a number not in its shortest form": f"01{site}810001" + stroke[22:],
        "a number of nine bytes": f"01{site}ffffffffffffffff0101" + stroke[22:],
        "lamport 2^53": f"01{site}018080808080808010" + stroke[22:],
        "an unknown tool": f"01{site}{tail}03001864" + "0001" + "0000",
        "tool 0": f"01{site}{tail}00001864" + "0001" + "0000",
        "opacity 0": f"01{site}{tail}01001800" + "0001" + "0000",
        "opacity 101": f"01{site}{tail}01001865" + "0001" + "0000",
        "size 0": f"01{site}{tail}01000064" + "0001" + "0000",
        "a colour of 25 bits": f"01{site}{tail}01808080081864" + "0001" + "0000",
        "flags 2": f"01{site}{tail}01001864" + "0201" + "0000",
        "no points": f"01{site}{tail}01001864" + "0000",
        "too many points": f"01{site}{tail}01001864" + "008140" + "0000" * 8193,
        "a point beyond the plane": f"01{site}{tail}01001864" + "0001" + "828080800800",
        "a pressure of 256": f"01{site}{tail}01001864" + "0101" + "00008004",
        "a pressure below 0": f"01{site}{tail}01001864" + "0101" + "000001",
        "text that is not UTF-8": note + "02c328",
        "half a surrogate pair": note + "03eda080",
        "an overlong letter": note + "02c080",
        "text longer than it says": note + "0561",
        "an image of no bytes": f"04{site}{tail}01" + "00" * 32 + "0000000101",
        "visible 2": f"05{site}020102" + "0101",
        "hides itself": f"05{site}020100" + "0102",
        "hides nothing": f"05{site}020100" + "00",
        "hides one twice": f"05{site}090100" + "020100",
        "no targets": f"07{site}{tail}00" + "0000",
        "a site without targets": f"07{site}{tail}01{site}00" + "0000",
        "target 0": f"07{site}{tail}01{site}0100" + "0000",
        "sites out of order": f"07{site}{tail}02{site}0101{'00' * 8}0101" + "0000",
        "a site twice": f"07{site}{tail}02{site}0101{site}0102" + "0000",
        "moved beyond the plane": move[:-4] + "828080800800",
        "a restyling of nothing": f"08{site}{tail}01{site}0101" + "00",
        "a field that is not known": f"08{site}{tail}01{site}0101" + "10",
        "ranges that touch": f"06{site}{tail}01{site}0101" + "0200010001",
        "a range of no points": f"06{site}{tail}01{site}0101" + "010000",
        "a range beyond the last point": f"06{site}{tail}01{site}0101" + "0100814000",
        "a clearing of seq 0": f"09{site}{tail}01{site}00",
        "sites seen out of order": f"09{site}{tail}02{site}01{'00' * 8}01",
        "a short hash": f"7f{site}{tail}" + "00" * 31,
        "longer than an operation may be": note + "ffff01" + "61" * 32_767,
    }
    return [{"what": what, "bytes": data} for what, data in cases.items()]


def board(seed: int, count: int) -> dict[str, Any]:
    entries = random_board(seed, count)
    replica = OperationSet(entries)
    picture = Picture()
    for entry in entries:
        picture.add(entry.operation)
    retired = {site_of(0), site_of(2)}
    before = board_values(replica, picture)
    pruned = compact(replica, replica.lamport_max, retired)
    assert (replica.digest.hex(), replica.root.hex()) == (before["digest"], before["root"])
    return {
        "operations": [entry.data.hex() for entry in entries],
        **before,
        "pruned": [entry.data.hex() for entry in pruned],
    }


def board_values(replica: OperationSet, picture: Picture) -> dict[str, Any]:
    return {
        "digest": replica.digest.hex(),
        "root": replica.root.hex(),
        "height": replica.tree.height,
        "versions": [[site.hex(), seq] for site, seq in sorted(replica.versions.items())],
        "lamport_max": replica.lamport_max,
        "order": [[entry.operation.site.hex(), entry.operation.seq] for entry in replica],
        "picture": picture.digest().hex(),
        "shown": [[shown.operation.site.hex(), shown.operation.seq] for shown in picture],
    }


def trees() -> list[dict[str, Any]]:
    """Roots of the trees over the leaves SHA-256(0x00), SHA-256(0x00 0x00), … by their number."""
    roots = []
    for count in (0, 1, 2, 3, 4, 5, 7, 8, 9, 31, 33, 100):
        leaves = [entry_leaf(number) for number in range(count)]
        tree = OperationSet().tree
        for leaf in leaves:
            tree.insert(len(tree.leaves), leaf)
        roots.append({"leaves": [leaf.hex() for leaf in leaves], "root": tree.root().hex()})
    return roots


def frames() -> list[dict[str, Any]]:
    """Every kind of frame, as JavaScript has it and as bytes."""
    site, token, digest = "9e3779b97f4a7c15", "0f" * 16, "ab" * 32
    receipt, data = "cd" * 16, operations()[0]["bytes"]
    signed = [{"receipt": receipt, "bytes": data}] * 2
    person = {"number": 268435455, "site": site, "role": 1, "color": 0x1F6F6B, "name": "Zoë"}
    move = {"person": 7, "state": "0102", "inks": ["", "ff00"]}
    documents: list[dict[str, Any]] = [
        {"type": "hello", "version": 1, "site": site, "token": token, "key": "k", "password": "", "name": "Zoë",
         "color": 0xFFFFFF, "rev": 2**40, "digest": digest},
        {"type": "offer", "operations": [data, data]},
        {"type": "restore", "operations": signed},
        {"type": "presence", "state": "00ff", "ink": ""},
        {"type": "ping", "number": o.INTEGER_MAX},
        {"type": "probe", "level": 17, "index": 65536},
        {"type": "report", "rev": 128, "digest": digest},
        {"type": "claim", "site": site, "token": token},
        {"type": "known", "versions": [[B.hex(), 3], [A.hex(), 129]]},
        {"type": "welcome", "version": 1, "role": 0, "person": 1, "rev": 300, "floor": 0, "resync": True,
         "others": False, "title": "Ours", "versions": []},
        {"type": "committed", "rev": 1, "operations": signed},
        {"type": "synced", "rev": 2, "digest": digest},
        {"type": "have", "site": site, "seq": 5},
        {"type": "refused", "site": site, "seq": 6, "reason": 5, "detail": 1 << 20},
        {"type": "people", "whole": True, "people": [person], "left": [3]},
        {"type": "moves", "moves": [move]},
        {"type": "pong", "number": 0},
        {"type": "nodes", "rev": 9, "height": 4, "root": digest, "level": 1, "index": 4, "left": digest, "right": ""},
        {"type": "reports", "reports": [{"person": 7, "rev": 9, "digest": digest}]},
        {"type": "bye", "reason": 5, "retryMs": 200, "text": "the server restarts"},
        {"type": "pruned", "floor": 4, "operations": [data]},
    ]  # fmt: skip
    return [{"frame": document, "bytes": encode_frame(frame_of(document)).hex()} for document in documents]


def certificates() -> list[dict[str, Any]]:
    """A certificate that holds, and what others make of it; `fault` is what a verifier says, "" when it holds."""
    entries = random_board(4, 12)
    whole = OperationSet(entries)
    good = {
        **signed(bytes(32), "room", len(whole), whole.digest, whole.root),
        "operations": [{"bytes": entry.data.hex(), "receipt": "00" * 16} for entry in entries],
    }
    other_key = signed(b"another room" + bytes(20), "room", len(whole), whole.digest, whole.root)
    first, *rest = good["operations"]
    operation = entries[0].operation
    flipped = {**first, "bytes": encode_operation(replace(operation, lamport=operation.lamport ^ 1 or 2)).hex()}
    faults = {
        "its digest is": {"operations": [flipped, *rest]},
        "its rev is": {"operations": rest},
        "revision 2 repeats an operation": {"operations": [first, first, *rest]},
        "revision 1 is no operation": {"operations": [{**first, "bytes": first["bytes"][:-2]}, *rest]},
        "its root is": {"root": "00" * 32},
        "it is no liveboard-certificate-1": {"format": "liveboard-certificate-2"},
        "the signature is not that of its key": {"key": other_key["key"]},
        "the signature is not that of its key ": {"room": "another"},
    }
    cut = OperationSet(entry for entry in entries if entry.operation.id != entries[0].operation.id)
    gap = {**signed(bytes(32), "room", len(cut), cut.digest, cut.root), "operations": rest}
    return [
        {"fault": "", "certificate": good},
        *({"fault": fault.strip(), "certificate": {**good, **change}} for fault, change in faults.items()),
        {"fault": "operations stand behind a gap", "certificate": gap},
    ]


_HEX = {"site", "token", "digest", "receipt", "bytes", "state", "ink", "root", "left", "right"}


def frame_of(document: dict[str, Any]) -> Any:
    """Python's frame for a document: the same fields in the same order."""
    names = {"refused": "Refused", "pruned": "PrunedFrame"}
    kind = getattr(core_frames, names.get(document["type"], document["type"].capitalize()))
    return kind(*(_value(name, value) for name, value in document.items() if name != "type"))


def _value(name: str, value: Any) -> Any:
    if name in _HEX and isinstance(value, str):
        return bytes.fromhex(value)
    if name == "people":
        return tuple(core_frames.Person(*(_value(key, each) for key, each in person.items())) for person in value)
    if name == "versions":
        return tuple((bytes.fromhex(site), seq) for site, seq in value)
    if not isinstance(value, list):
        return value
    if name in {"operations", "inks"} and all(isinstance(each, str) for each in value):
        return tuple(bytes.fromhex(each) for each in value)
    if all(isinstance(each, dict) for each in value):
        return tuple(tuple(_value(key, each) for key, each in record.items()) for record in value)
    return tuple(value)


def entry_leaf(number: int) -> bytes:
    return leaf_hash(bytes(number))


def documents() -> dict[str, Any]:
    """Every file of vectors by its name."""
    return {
        "operations.json": operations(),
        "malformed.json": malformed(),
        "trees.json": trees(),
        "frames.json": frames(),
        "certificates.json": certificates(),
        "boards.json": [board(seed, count) for seed, count in BOARDS],
    }


def entries_of(board: dict[str, Any]) -> list[Entry]:
    return [entry_of(bytes.fromhex(data)) for data in board["operations"]]


def text_of(document: Any) -> str:
    """A file as it is written: one record a line, so that a change shows."""
    return "[\n" + ",\n".join(json.dumps(each, ensure_ascii=True) for each in document) + "\n]\n"


if __name__ == "__main__":
    for name, document in documents().items():
        (FOLDER / name).write_text(text_of(document))
