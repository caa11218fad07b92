"""Answers to questions that mean the same, by the embeddings of a toy that another distribution installs."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.errors import HostError
from plugins.gateway.core.nearest import GROUP_ENTRIES_MAX, NearestIndex
from plugins.gateway.semantic import SemanticCache, question_of
from plugins.gateway.settings import SemanticSettings
from tests.plugins.gateway.kit import events_of, open_house, text_of
from tests.plugins.gateway.test_lifetimes import until

TOY = '''
import zlib
import trio

class Toy:
    """Words counted in 64 drawers: questions of the same words are the same to it, whatever their order."""

    async def embed(self, text):
        if "fail" in text:
            raise RuntimeError("the toy is broken")
        if "hang" in text:
            await trio.sleep_forever()
        vector = [0.0] * 64
        for word in text.lower().replace("?", "").split():
            vector[zlib.crc32(word.encode()) % 64] += 1.0
        return vector

def make():
    return Toy()
'''


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A distribution with the embedder `toy` on the path; the settings that switch it on."""
    (tmp_path / "toy_embedder.py").write_text(TOY)
    metadata = tmp_path / "toy_embedder-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-embedder\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[quartet.gateway.embedders]\ntoy = toy_embedder:make\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield {"semantic": {"embedder": "toy", "threshold": 0.9, "timeout": 10.0}}
    sys.modules.pop("toy_embedder", None)


def state_of(answer: Any) -> tuple[str, bool]:
    return answer.headers["x-quartet-cache"], "x-quartet-similarity" in answer.headers


async def test_a_question_in_other_words_is_answered_from_the_cache(tmp_path: Path, toy: dict[str, Any]) -> None:
    async with open_house(tmp_path, cache=toy) as house:
        asked = "what is the capital of France"
        first = await house.chat(asked, store=True)
        assert state_of(first) == ("miss", False)
        alike = await house.chat("The capital of france is what?", store=True)
        assert state_of(alike) == ("hit", True)
        assert float(alike.headers["x-quartet-similarity"]) == 1.0
        assert alike.json() == first.json()
        streamed = await house.chat("is what the capital of France", store=True, stream=True)
        assert state_of(streamed) == ("hit", True)
        assert text_of(events_of(streamed.text)) == asked
        assert state_of(await house.chat("what is the capital of Peru perhaps", store=True)) == ("miss", False)
        assert state_of(await house.chat(asked, store=True)) == ("hit", False)
        assert house.primary.tally.requests == 2
        await until(lambda: house.gateway.telemetry.totals["semantic_hits_total"] == 2)


async def test_all_but_the_last_question_has_to_be_equal(tmp_path: Path, toy: dict[str, Any]) -> None:
    (tmp_path / "a").write_text("key-a")
    (tmp_path / "b").write_text("key-b")
    keys = {name: {"key": {"file": str(tmp_path / name)}} for name in "ab"}
    async with open_house(tmp_path, cache=toy, virtual_keys=keys) as house:

        async def ask(text: str, key: str = "key-a", system: str = "Be brief.", **more: Any) -> str:
            messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
            body = {"model": "simulated/echo", "messages": messages, **more}
            headers = {"authorization": f"Bearer {key}"}
            answer = await house.http.post("/v1/chat/completions", json=body, headers=headers)
            return answer.headers["x-quartet-cache"]

        assert await ask("who wrote it") == "miss"
        assert await ask("it wrote who") == "hit"
        assert await ask("wrote it who", key="key-b") == "miss"
        assert await ask("wrote it who", system="Be long.") == "miss"
        assert await ask("wrote it who", temperature=0.5) == "miss"
        assert await ask("wrote it who", model="simulated-b/echo") == "miss"


async def test_an_embedder_that_fails_or_hangs_costs_no_answer(tmp_path: Path, toy: dict[str, Any]) -> None:
    toy["semantic"]["timeout"] = 0.05
    async with open_house(tmp_path, cache=toy) as house:
        for text in ("fail now", "hang now"):
            answer = await house.chat(text, store=True)
            assert (answer.status_code, state_of(answer)) == (200, ("miss", False))
        await until(lambda: house.gateway.telemetry.totals["semantic_failures_total"] == 2)


async def test_an_answer_that_is_no_longer_kept_is_asked_for_again(tmp_path: Path, toy: dict[str, Any]) -> None:
    async with open_house(tmp_path, cache=toy) as house:
        assert state_of(await house.chat("one two three", store=True)) == ("miss", False)
        house.gateway.store.memory.clear()
        assert state_of(await house.chat("three two one", store=True)) == ("miss", False)
        assert state_of(await house.chat("two one three", store=True)) == ("hit", True)


def test_an_embedder_that_is_not_there_is_said_by_name(toy: dict[str, Any]) -> None:
    with pytest.raises(HostError, match="no embedder 'other' is installed; there is toy"):
        SemanticCache(SemanticSettings(embedder="other"))


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "assistant", "content": "text"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]},
        {"messages": [{"role": "user", "content": "x"}], "tools": [{}]},
        {"messages": []},
        {"prompt": "x"},
    ],
)
def test_what_is_no_plain_question_is_left_alone(body: dict[str, Any]) -> None:
    assert question_of("chat", "t", "r", body) is None


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 400), st.integers(1, 9)), max_size=900))
def test_the_index_keeps_to_its_bounds_and_finds_what_was_added_last(
    added: list[tuple[int, int, int]],
) -> None:
    index = NearestIndex(300)
    for group, key, number in added:
        vector = [float(number), 1.0]
        index.add(b"%d" % group, b"%d" % key, vector)
        found = index.nearest(b"%d" % group, vector)
        assert found is not None
        assert found[1] == pytest.approx(1.0)
        assert len(index) <= 300


def test_the_oldest_of_a_group_goes_first_and_vectors_without_direction_are_nowhere() -> None:
    index = NearestIndex(10_000)
    for number in range(GROUP_ENTRIES_MAX + 1):
        index.add(b"g", b"%d" % number, [1.0, float(number)])
    assert len(index) == GROUP_ENTRIES_MAX
    assert index.nearest(b"g", [1.0, 0.0]) == (b"1", pytest.approx(0.7071, abs=1e-3))
    index.add(b"g", b"zero", [0.0, 0.0])
    assert index.nearest(b"g", [0.0, 0.0]) is None
    assert index.nearest(b"other", [1.0, 0.0]) is None
    assert index.nearest(b"g", [1.0, 0.0, 0.0]) is None
