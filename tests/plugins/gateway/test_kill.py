"""A provider's process is killed in the middle of traffic: no client gets an error that could have been avoided."""

from pathlib import Path

from benchmarks.gateway_kill import measure


def test_a_killed_provider_costs_no_answer(tmp_path: Path) -> None:
    """The command for the 30 seconds of 200 requests a second is `python -m benchmarks.gateway_kill`."""
    figures = measure(40, 3.0, tmp_path)
    assert figures["sent"] == 120
    assert (figures["failed"], figures["samples"]) == (0, [])
    assert figures["streams_silent"] == 0
    assert figures["answered"] + figures["streams_told"] == 120
    assert figures["answered_by"]["backup"] > 0
