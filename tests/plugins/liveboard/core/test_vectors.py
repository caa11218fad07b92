"""The vectors that both languages reproduce, read here by the Python core; tests/web has the JavaScript one."""

import json
from random import Random
from typing import Any

import pytest

from plugins.liveboard.core.codec import decode_operation, encode_operation
from plugins.liveboard.core.documents import document_of, operation_of
from plugins.liveboard.core.errors import CodecError
from plugins.liveboard.core.frames import decode_client_frame, decode_frame, encode_frame
from plugins.liveboard.core.opset import OperationSet, entry_of
from plugins.liveboard.core.picture import Picture
from tests.plugins.liveboard.vectors.make import FOLDER, board_values, documents, entries_of, frame_of, text_of


def vectors(name: str) -> list[Any]:
    return json.loads((FOLDER / f"{name}.json").read_text())


def test_vectors_are_what_their_maker_writes() -> None:
    for name, document in documents().items():
        assert (FOLDER / name).read_text() == text_of(document), name


@pytest.mark.parametrize("vector", vectors("operations"), ids=lambda vector: vector["operation"]["kind"])
def test_operation_is_read_and_written_as_its_vector(vector: Any) -> None:
    data = bytes.fromhex(vector["bytes"])
    operation = operation_of(vector["operation"])
    assert encode_operation(operation) == data
    assert decode_operation(data) == operation
    assert document_of(operation) == vector["operation"]
    assert entry_of(data).leaf.hex() == vector["leaf"]


@pytest.mark.parametrize("vector", vectors("malformed"), ids=lambda vector: vector["what"])
def test_malformed_bytes_are_refused(vector: Any) -> None:
    with pytest.raises(CodecError):
        decode_operation(bytes.fromhex(vector["bytes"]))


@pytest.mark.parametrize("vector", vectors("boards"), ids=lambda vector: str(len(vector["operations"])))
@pytest.mark.parametrize("seed", range(5))
def test_board_comes_out_as_its_vector_in_any_order(vector: Any, seed: int) -> None:
    entries = entries_of(vector)
    random = Random(seed)
    arrivals = [*entries, *random.sample(entries, len(entries) // 3)]
    random.shuffle(arrivals)
    replica, picture = OperationSet(), Picture()
    for entry in arrivals:
        replica.add(entry)
        picture.add(entry.operation)
    assert board_values(replica, picture) == {key: vector[key] for key in board_values(replica, picture)}


@pytest.mark.parametrize("vector", vectors("frames"), ids=lambda vector: vector["frame"]["type"])
def test_frame_is_read_and_written_as_its_vector(vector: Any) -> None:
    data = bytes.fromhex(vector["bytes"])
    assert encode_frame(frame_of(vector["frame"])) == data
    assert decode_frame(data) == frame_of(vector["frame"])
    with pytest.raises(CodecError):
        decode_frame(data[:-1])
    with pytest.raises(CodecError):
        decode_frame(data + b"\x00")
    if data[0] >= 128:
        with pytest.raises(CodecError):
            decode_client_frame(data)
