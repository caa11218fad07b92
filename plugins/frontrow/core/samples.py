"""Two houses to begin with, as plans in the import format: a theatre of 400 seats and an arena of 20,000."""

from math import cos, pi, sin
from typing import Any, Final

FORMAT: Final = "frontrow-venue/1"

THEATRE_ROWS: Final = 20
THEATRE_ROW_SEATS: Final = 20
ARENA_SECTIONS: Final = 40
ARENA_ROWS: Final = 10
ARENA_ROW_SEATS: Final = 25
ARENA_FLOOR: Final = 2000

_SEAT_M: Final = 0.55
_ROW_M: Final = 0.95


def theatre() -> dict[str, Any]:
    """400 seats in twenty curved rows with an aisle in the middle; wheelchair places in the last row, two blocked."""
    return {
        "format": FORMAT,
        "name": "Little Theatre",
        "stage": {"x": 0.0, "y": 0.0},
        "currency": "EUR",
        "tiers": [
            {"code": "stalls", "name": "Stalls", "price": 7200},
            {"code": "circle", "name": "Circle", "price": 4800},
            {"code": "back", "name": "Back rows", "price": 2900},
        ],
        "sections": [
            {
                "name": "Auditorium",
                "tier": "stalls",
                "rows": [_theatre_row(number) for number in range(THEATRE_ROWS)],
            }
        ],
        "areas": [],
    }


def _theatre_row(number: int) -> dict[str, Any]:
    radius = 5.0 + number * _ROW_M
    seats = []
    for place in range(THEATRE_ROW_SEATS):
        # The aisle is as wide as two seats.
        across = (place - THEATRE_ROW_SEATS / 2 + (0.5 if place < THEATRE_ROW_SEATS / 2 else 1.5) - 0.5) * _SEAT_M
        seat: dict[str, Any] = {
            "number": str(place + 1),
            "x": round(radius * sin(across / radius), 2),
            "y": round(radius * cos(across / radius), 2),
        }
        if place == THEATRE_ROW_SEATS // 2 - 1:
            seat["aisle_after"] = True
        if number == THEATRE_ROWS - 1 and place in (0, 19):
            seat["kind"] = "accessible"
        elif number == THEATRE_ROWS - 1 and place in (1, 18):
            seat["kind"] = "companion"
        # Kept for the house's doctor.
        if number == 6 and place in (18, 19):
            seat["blocked"] = True
        seats.append(seat)
    tier = "stalls" if number < 8 else "circle" if number < 15 else "back"
    return {"label": chr(ord("A") + number), "tier": tier, "seats": seats}


def arena() -> dict[str, Any]:
    """20,000 seats in two rings of forty sections around a floor for 2,000 people without seats."""
    sections = []
    for ring, (first, height) in enumerate(((100, 0), (200, 14))):
        for number in range(ARENA_SECTIONS):
            sections.append(_arena_section(str(first + number + 1), ring, height, number))
    return {
        "format": FORMAT,
        "name": "Harbour Arena",
        "stage": {"x": 0.0, "y": -38.0},
        "currency": "EUR",
        "tiers": [
            {"code": "floor", "name": "Floor, standing", "price": 8900},
            {"code": "lower", "name": "Lower ring", "price": 9500},
            {"code": "lower-far", "name": "Lower ring, far side", "price": 7500},
            {"code": "upper", "name": "Upper ring", "price": 5500},
            {"code": "upper-far", "name": "Upper ring, far side", "price": 3900},
        ],
        "sections": sections,
        "areas": [{"name": "Floor", "tier": "floor", "capacity": ARENA_FLOOR, "x": 0.0, "y": 0.0}],
    }


def _arena_section(name: str, ring: int, height: int, number: int) -> dict[str, Any]:
    """One of forty wedges; the stage is at angle -90°, so the far side is where y is large."""
    width = 2 * pi / ARENA_SECTIONS
    begin = -pi / 2 + number * width
    is_far = sin(begin + width / 2) > 0.35
    tier = ("lower", "upper")[ring] + ("-far" if is_far else "")
    rows = []
    for row in range(ARENA_ROWS):
        across, deep = 46 + height + row * _ROW_M, 58 + height + row * _ROW_M
        seats: list[dict[str, Any]] = []
        for place in range(ARENA_ROW_SEATS):
            # Stairs between the sections take a tenth of the angle.
            angle = begin + width * (0.05 + 0.9 * (place + 0.5) / ARENA_ROW_SEATS)
            seat: dict[str, Any] = {
                "number": str(place + 1),
                "x": round(across * cos(angle), 2),
                "y": round(deep * sin(angle), 2),
            }
            if ring == 0 and row == ARENA_ROWS - 1 and number % 8 == 4 and place < 4:
                seat["kind"] = "accessible" if place % 2 == 0 else "companion"
            seats.append(seat)
        rows.append({"label": str(row + 1), "seats": seats})
    return {"name": name, "tier": tier, "rows": rows}


SAMPLES: Final = {"theatre": theatre, "arena": arena}
