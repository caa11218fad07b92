"""The import format refuses what is no house, and says all that is wrong with it."""

import pytest
from pydantic import ValidationError

from plugins.frontrow.venue_plan import VenuePlan


def plan(**changes):
    row = {"label": "A", "line": {"count": 3, "start": {"x": 0, "y": 1}, "end": {"x": 2, "y": 1}}}
    document = {
        "name": "Shed",
        "tiers": [{"code": "all", "name": "All", "price": 500}],
        "sections": [{"name": "S", "tier": "all", "rows": [row]}],
    }
    return document | changes


def test_line_of_seats_is_worked_out():
    places = [place for place, _ in VenuePlan.model_validate(plan()).places()]
    assert [(place.number, place.x, place.y) for place in places] == [("1", 0, 1), ("2", 1, 1), ("3", 2, 1)]


TWICE = {"label": "B", "seats": [{"number": "1", "x": 0, "y": 0}, {"number": "1", "x": 1, "y": 0}]}


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"sections": []}, "a house has seats or areas"),
        ({"sections": [{"name": "S", "tier": "gold", "rows": [TWICE]}]}, "'gold'"),
        ({"sections": [{"name": "S", "tier": "all", "rows": [TWICE]}]}, "'1' is there 2 times"),
        ({"areas": [{"name": "F", "tier": "none", "capacity": 5}]}, "'none'"),
        ({"areas": [{"name": "F", "tier": "all", "capacity": 0}]}, "capacity"),
        ({"tiers": [{"code": "all", "name": "All", "price": -1}]}, "price"),
        ({"sections": [{"name": "S", "tier": "all", "rows": [{"label": "A"}]}]}, "either seats or a line"),
        ({"currency": "Euro"}, "currency"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_is_no_house_is_refused_with_its_fault(changes, fault):
    with pytest.raises(ValidationError) as caught:
        VenuePlan.model_validate(plan(**changes))
    assert fault in str(caught.value)
