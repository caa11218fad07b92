"""The format in which a house is imported: sections, rows and seats with coordinates, tiers with prices, areas.

`VenuePlan` is the schema (its JSON Schema is served at `/api/frontrow/venue-schema`), and refuses a plan with every
fault in it at once. A row lists its seats, or says where the first and the last one are and how many there are.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints, field_validator, model_validator

from plugins.frontrow.core.house import Kind, Place
from plugins.frontrow.core.samples import FORMAT
from plugins.frontrow.models import without_nul

SEATS_MAX = 100_000
"""Seats of one house: a football stadium."""
PRICE_MAX = 10**9
_COORDINATE_MAX = 10_000.0

Name = Annotated[str, StringConstraints(min_length=1, max_length=80, strip_whitespace=True)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=20, strip_whitespace=True)]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
Metres = Annotated[float, Field(strict=True, ge=-_COORDINATE_MAX, le=_COORDINATE_MAX, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*")
    @classmethod
    def _without_nul(cls, value: Any) -> Any:
        return without_nul(value)


class Point(_Strict):
    """A place on the plan, in metres; any origin will do."""

    x: Metres = 0.0
    y: Metres = 0.0


class TierPlan(_Strict):
    """A price. `price` is in the currency's smallest unit: 9500 is 95.00 EUR."""

    code: Code
    name: Name
    price: int = Field(strict=True, ge=0, le=PRICE_MAX)


class SeatPlan(_Strict):
    """One seat. `aisle_after` parts it from the next seat of its row; `blocked` keeps it off sale at first."""

    number: Label
    x: Metres
    y: Metres
    kind: Kind = "standard"
    aisle_after: StrictBool = False
    blocked: StrictBool = False


class LinePlan(_Strict):
    """Seats in a straight line, evenly spaced, numbered from `first` on."""

    count: int = Field(strict=True, ge=1, le=500)
    first: int = Field(1, strict=True, ge=0, le=100_000)
    start: Point
    end: Point


class RowPlan(_Strict):
    """A row of its section: its `seats`, or a `line`. `tier` differs from the section's when it is given."""

    label: Label
    tier: Code | None = None
    seats: tuple[SeatPlan, ...] = Field((), max_length=500)
    line: LinePlan | None = None

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Self:
        if bool(self.seats) == (self.line is not None):
            raise ValueError("a row has either seats or a line")
        return self

    def all_seats(self) -> Iterator[SeatPlan]:
        """The seats, those of a line worked out."""
        if self.line is None:
            yield from self.seats
            return
        start, end = self.line.start, self.line.end
        for place in range(self.line.count):
            share = place / max(self.line.count - 1, 1)
            x, y = start.x + share * (end.x - start.x), start.y + share * (end.y - start.y)
            yield SeatPlan(number=str(self.line.first + place), x=round(x, 2), y=round(y, 2))


class SectionPlan(_Strict):
    """A part of the house."""

    name: Name
    tier: Code
    rows: tuple[RowPlan, ...] = Field(min_length=1, max_length=500)


class AreaPlan(_Strict):
    """An area without seats, for as many people as its capacity."""

    name: Name
    tier: Code
    capacity: int = Field(strict=True, ge=1, le=1_000_000)
    x: Metres = 0.0
    y: Metres = 0.0


class VenuePlan(_Strict):
    """A house. `stage` is what everybody wants to be near to."""

    format: Literal["frontrow-venue/1"] = FORMAT
    name: Name
    stage: Point = Point()
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] = "EUR"
    tiers: tuple[TierPlan, ...] = Field(min_length=1, max_length=100)
    sections: tuple[SectionPlan, ...] = Field((), max_length=1000)
    areas: tuple[AreaPlan, ...] = Field((), max_length=100)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        faults = [
            *_repeated("tier", [tier.code for tier in self.tiers]),
            *_repeated("section", [section.name for section in self.sections]),
            *_repeated("area", [area.name for area in self.areas]),
        ]
        tiers = {tier.code for tier in self.tiers}
        for section in self.sections:
            faults += _repeated(f"row of section {section.name!r}", [row.label for row in section.rows])
            named = {section.tier, *(row.tier for row in section.rows if row.tier)}
            faults += [
                f"section {section.name!r} names the tier {tier!r}, which is not there" for tier in named - tiers
            ]
            for row in section.rows:
                where = f"seat of section {section.name!r} row {row.label!r}"
                faults += _repeated(where, [seat.number for seat in row.seats])
        faults += [
            f"area {a.name!r} names the tier {a.tier!r}, which is not there" for a in self.areas if a.tier not in tiers
        ]
        seats = sum(row.line.count if row.line else len(row.seats) for section in self.sections for row in section.rows)
        if seats > SEATS_MAX:
            faults.append(f"{seats} seats are more than the {SEATS_MAX} of the largest house")
        if not seats and not self.areas:
            faults.append("a house has seats or areas")
        if faults:
            raise ValueError("; ".join(faults[:20]))
        return self

    def places(self) -> Iterator[tuple[Place, bool]]:
        """Each seat with whether it is blocked at first, in the order of the plan, which is that of positions."""
        for section in self.sections:
            for row in section.rows:
                tier = row.tier or section.tier
                for seat in row.all_seats():
                    place = Place(
                        section.name, row.label, seat.number, seat.x, seat.y, tier, seat.kind, seat.aisle_after
                    )
                    yield place, seat.blocked


def _repeated(what: str, names: list[str]) -> list[str]:
    return [f"{what} {name!r} is there {count} times" for name, count in Counter(names).items() if count > 1]
