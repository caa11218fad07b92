"""The form of the logs, and what must never be in them."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from host.colour import wants_colour
from host.services.logs import configure_logging


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def crash() -> None:
    token = "not-for-the-logs"
    raise RuntimeError(f"a token of {len(token)} letters")


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_logged_exception_shows_no_local_variables(form: str) -> None:
    out = io.StringIO()
    configure_logging(form, stream=out)  # type: ignore[arg-type]
    try:
        crash()
    except RuntimeError:
        structlog.get_logger("quartet.test").exception("it crashed")
        logging.getLogger("a.library").exception("and through the standard library")
    assert "a token of 16 letters" in out.getvalue()
    assert "not-for-the-logs" not in out.getvalue().replace('token = "not-for-the-logs"', "")


def test_json_lines_carry_what_was_bound_and_come_from_libraries_too() -> None:
    out = io.StringIO()
    configure_logging("json", stream=out)
    with structlog.contextvars.bound_contextvars(plugin="frontrow"):
        structlog.get_logger("quartet.test").warning("low on seats", left=3)
        logging.getLogger("a.library").warning("from %s", "outside")
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["low on seats", "from outside"]
    assert lines[0]["left"] == 3
    assert {line["plugin"] for line in lines} == {"frontrow"}


def test_the_level_holds_for_everybody() -> None:
    out = io.StringIO()
    configure_logging("json", "warning", stream=out)
    structlog.get_logger("quartet.test").info("quiet")
    logging.getLogger("a.library").info("quiet too")
    assert out.getvalue() == ""


def test_colour_is_for_terminals_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert not wants_colour(io.StringIO())
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert wants_colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_colour(io.StringIO())
