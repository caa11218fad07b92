"""The file of measurements, and its numbers for people."""

from pathlib import Path

import pytest

from host.errors import HostError
from host.measurements import figure_text, parse_measurements, ratio_text, read_measurements
from tests.benchmarks.cases import measured, printed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (67206, "67,206"),
        (1234.5, "1,234"),
        (124.4, "124"),
        (14.83, "14.8"),
        (10, "10"),
        (8.809, "8.81"),
        (0.5, "0.50"),
        (0.0124, "0.012"),
    ],
)
def test_figures_have_as_many_digits_as_mean_something(value: float, text: str) -> None:
    assert figure_text(value) == text


@pytest.mark.parametrize(("ratio", "text"), [(1.317, "1.32×"), (31.41, "31.4×"), (157.2, "157×"), (0.25, "0.25×")])
def test_ratios_for_people(ratio: float, text: str) -> None:
    assert ratio_text(ratio) == text


async def test_a_file_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "latest.json"
    assert await read_measurements(path) is None
    found = measured(printed())
    path.write_text(found.model_dump_json())
    assert await read_measurements(path) == found


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 2}'])
def test_a_file_of_another_kind_is_refused(text: str) -> None:
    with pytest.raises(HostError, match=r"latest\.json is not a file of measurements .* run make bench"):
        parse_measurements(text, Path("latest.json"))
