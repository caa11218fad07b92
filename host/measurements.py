"""What `python -m benchmarks` has measured, as the file that it writes and the page `/benchmarks` reads.

A figure stands beside its peers and floors of the same run. `ratio` says how many times better than a peer it is,
above 1 better, whichever way better is; of a floor it says how many times that it is, which nothing can beat.
"""

from pathlib import Path
from typing import Annotated, Any, Final, Literal

import trio
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from host.errors import HostError

PLACE: Final = Path("benchmarks") / "latest.json"
"""Of the file, in the folder of the site's pages."""
SYSTEMS: Final = {
    "host": "The host",
    "frontrow": "FrontRow",
    "raft": "Raft lab",
    "liveboard": "Liveboard",
    "gateway": "LLM gateway",
}
"""What is measured, in the order in which it is shown, by title."""
BUSY_SHARE_MAX: Final = 0.1
"""Of all cores, used by others before a benchmark began: above it, its figures are called noisy."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Against(_Record):
    """What a figure is held against. A floor is the same work with nothing around it; a peer is another program.

    `ratio` None: one of the two is 0.
    """

    name: str
    value: float
    ratio: float | None
    is_floor: bool = False


class Target(_Record):
    """What was to be reached, and what was. `is_met` None: what it is held against was not measured."""

    text: str
    reached: str
    is_met: bool | None


class Result(_Record):
    """One figure. `not_measured` names the peers that are not installed."""

    label: str
    value: float
    unit: str
    is_less_better: bool = False
    against: tuple[Against, ...] = ()
    not_measured: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()

    @property
    def text(self) -> str:
        """The figure with its unit, for people."""
        return f"{figure_text(self.value)} {self.unit}".strip()


class Benchmark(_Record):
    """One benchmark, run once. `busy_share` is how much of all cores others used in the second before it; it and the
    load are None for a run of which only the output was kept.

    `error` says why there are no results, or not all; `output` is the JSON object that it printed.
    """

    name: str
    system: Literal["host", "frontrow", "raft", "liveboard", "gateway"]
    title: str
    how: str
    command: str
    at: AwareDatetime
    commit: str
    took_s: float
    load_1m: float | None
    busy_share: float | None
    error: str = ""
    results: tuple[Result, ...] = ()
    output: Annotated[dict[str, Any], Field(repr=False)] = {}

    @property
    def is_noisy(self) -> bool:
        """Whether others were at work on the machine when it began."""
        return (self.busy_share or 0) > BUSY_SHARE_MAX


class Machine(_Record):
    """What it was measured on."""

    cpu: str
    cores: int
    memory_gib: float
    kernel: str


class Measurements(_Record):
    """All benchmarks, each as it was run last on this machine with these versions."""

    format: Literal[1] = 1
    machine: Machine
    versions: dict[str, str]
    benchmarks: tuple[Benchmark, ...]

    @property
    def targets(self) -> list[tuple[Benchmark, Result, Target]]:
        """Everything that was to be reached."""
        return [
            (benchmark, result, target)
            for benchmark in self.benchmarks
            for result in benchmark.results
            for target in result.targets
        ]


async def read_measurements(path: Path) -> Measurements | None:
    """The file at `path`; None when there is none.

    Raises:
        HostError: it is not what `python -m benchmarks` writes.
    """
    try:
        text = await trio.Path(path).read_text(encoding="utf-8")
    except OSError:
        return None
    return parse_measurements(text, path)


def parse_measurements(text: str, path: Path) -> Measurements:
    """What a file says. Raises as `read_measurements`."""
    try:
        return Measurements.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise HostError(f"{path} is not a file of measurements ({where}: {first['msg']}); run make bench") from None


def figure_text(value: float) -> str:
    """A number for people: thousands apart, and no more than three digits that mean something behind the point."""
    if value == 0 or abs(value) >= 1000 or value == int(value):
        return f"{value:,.0f}"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 3
    return f"{value:.{digits}f}"


def ratio_text(ratio: float | None) -> str:
    """A ratio for people: "1.32×"."""
    if ratio is None:
        return "–"
    return f"{ratio:,.0f}×" if ratio >= 100 else f"{ratio:.1f}×" if ratio >= 10 else f"{ratio:.2f}×"
