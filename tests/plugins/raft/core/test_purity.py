"""What makes a run repeatable: the core has no float, no hash order, no outside, and its randomness is its own."""

import ast
from pathlib import Path

import pytest

from plugins.raft import core, sim
from plugins.raft.core.base import Durable
from plugins.raft.core.configuration import Configuration
from plugins.raft.core.effects import Effects
from plugins.raft.core.inputs import Tick
from plugins.raft.core.node import Node
from plugins.raft.core.prng import Prng
from plugins.raft.core.settings import Settings

CORE = sorted(Path(core.__file__).parent.glob("*.py"))
SIM = sorted(Path(sim.__file__).parent.glob("*.py"))
OURS = "plugins.raft.core"
ALLOWED = {"collections", "collections.abc", "dataclasses", "enum", "struct", "typing"}


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.name)
def test_core_imports_itself_and_plain_types_only(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        assert all(name in ALLOWED or name.startswith(OURS) for name in names), names


@pytest.mark.parametrize(
    "path", [p for p in CORE + SIM if p.name != "reports.py"], ids=lambda p: f"{p.parent.name}/{p.name}"
)
def test_no_float_no_true_division_no_hash(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), ast.dump(node)
        assert not isinstance(node, ast.Div), f"{path.name} divides with /"
        is_read = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        assert not (is_read and node.id in ("float", "hash", "id", "round")), ast.dump(node)


def test_prng_is_splitmix64() -> None:
    """The first numbers of the published C code for seed 1234567."""
    prng = Prng(1234567)
    wanted = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert [prng.next() for _ in wanted] == wanted


def test_same_inputs_give_the_same_effects() -> None:
    def effects() -> list[Effects]:
        durable = Durable.first(Configuration((1, 2, 3)))
        node = Node(1, Settings(), durable, Prng(9), 0)
        return [node.handle(node.deadline_us, Tick()) for _ in range(5)]

    assert effects() == effects()


def test_clock_that_goes_back_is_noticed() -> None:
    node = Node(1, Settings(), Durable.first(Configuration((1,))), Prng(9), 1000)
    with pytest.raises(AssertionError, match="the clock went back"):
        node.handle(999, Tick())


def test_what_is_no_input_is_refused() -> None:
    node = Node(1, Settings(), Durable.first(Configuration((1,))), Prng(9), 0)
    with pytest.raises(TypeError, match="takes no int"):
        node.handle(0, 3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"heartbeat_us": 150_000}, "heartbeat_us must be less"),
        ({"lease_reads": True, "check_quorum": False}, "lease_reads need check_quorum"),
        ({"inflight_max": 0}, "inflight_max must be at least 1"),
        ({"clock_drift_permille": 1000}, "from 0 to 999"),
        ({"snapshot_trailing_entries": -1}, "must not be negative"),
    ],
)
def test_settings_that_do_not_fit_are_refused(change: dict[str, int], words: str) -> None:
    settings = Settings()._replace(**change)
    with pytest.raises(ValueError, match=words):
        Node(1, settings, Durable.empty(), Prng(1), 0)
    assert Settings().problems() == []
