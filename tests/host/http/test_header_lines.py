"""Lines of heads that come again are made once, within bounds, and are checked every time."""

import pytest

from host.http.lane.header_lines import _NAMES_MAX, _VALUES_MAX, HeaderLines
from host.http.lane.response import checked_head


def test_a_line_is_known_once_it_was_made() -> None:
    lines = HeaderLines()
    headers = [(b"X-One", b"1"), (b"x-two", b"2")]
    assert list(map(lines.get, headers)) == [None, None]
    assert [lines.make(*pair) for pair in headers] == [b"x-one: 1\r\n", b"x-two: 2\r\n"]
    assert list(map(lines.get, [*headers, (b"x-two", b"3")])) == [b"x-one: 1\r\n", b"x-two: 2\r\n", None]


def test_what_differs_every_time_is_not_kept() -> None:
    lines = HeaderLines()
    for number in range(10 * _VALUES_MAX):
        assert lines.make(b"x-request-id", b"%d" % number) == b"x-request-id: %d\r\n" % number
    assert len(lines) == _VALUES_MAX
    for number in range(10 * _NAMES_MAX):
        lines.make(b"x-%d" % number, b"1")
    assert len(lines) == _VALUES_MAX + _NAMES_MAX - 1
    lines.make(b"x-1", b"long" * 1000)
    assert lines.get((b"x-1", b"long" * 1000)) is None


def test_a_line_break_is_refused_though_its_line_is_known() -> None:
    lines = HeaderLines()
    forged = (b"x-name", b"value\r\nset-cookie: a=b")
    lines.make(*forged)
    line = lines.get(forged)
    assert line is not None
    with pytest.raises(ValueError, match="forge"):
        checked_head([line])
