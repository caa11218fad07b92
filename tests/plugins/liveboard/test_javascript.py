"""The two cores against one another: random boards, shuffled, doubled and damaged, come out equal in both languages."""

import gzip
import json
import shutil
import subprocess
from pathlib import Path
from random import Random

import pytest

from plugins.liveboard.core.errors import CodecError
from plugins.liveboard.core.opset import OperationSet, entry_of
from plugins.liveboard.core.picture import Picture
from plugins.liveboard.simulation.authors import random_board

NODE = shutil.which("node")
BOARDS = 250
CORE_GZIPPED_BYTES_MAX = 10_000
CORE = Path(__file__).parents[3] / "web" / "liveboard" / "core"


def arrivals_of(seed: int) -> list[bytes]:
    """A board as it arrives: out of order, some twice, some damaged on the way."""
    random = Random(seed)
    arrivals = [entry.data for entry in random_board(seed, random.randint(1, 80))]
    arrivals += random.sample(arrivals, len(arrivals) // 3)
    for data in random.sample(arrivals, len(arrivals) // 4):
        damaged = bytearray(data)
        for _ in range(random.randint(1, 3)):
            damaged[random.randrange(len(damaged))] = random.choice((0, 1, 127, 128, 255, random.randrange(256)))
        # Not of the same id, or which of two came first would count.
        if damaged[1:12] != data[1:12]:
            arrivals.append(bytes(damaged))
    random.shuffle(arrivals)
    return arrivals


def in_python(arrivals: list[bytes]) -> list[object]:
    board, picture = OperationSet(), Picture()
    for data in arrivals:
        try:
            entry = entry_of(data)
        except CodecError:
            continue
        board.add(entry)
        picture.add(entry.operation)
    return [len(board), board.digest.hex(), board.root.hex(), picture.digest().hex()]


@pytest.mark.skipif(NODE is None, reason="needs Node 20 or later")
def test_javascript_comes_to_the_same_boards_as_python() -> None:
    boards = [arrivals_of(seed) for seed in range(BOARDS)]
    lines = "\n".join(json.dumps([data.hex() for data in board]) for board in boards)
    run = subprocess.run(
        [str(NODE), str(Path(__file__).with_name("replay.mjs"))],
        input=lines,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert [json.loads(line) for line in run.stdout.splitlines()] == [in_python(board) for board in boards]


def test_javascript_core_is_small_comments_and_all() -> None:
    text = b"".join(path.read_bytes() for path in sorted(CORE.glob("*.js")))
    assert len(gzip.compress(text, 9)) < CORE_GZIPPED_BYTES_MAX
