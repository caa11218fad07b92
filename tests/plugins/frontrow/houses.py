"""A small house for the tests: two rows of six, one seat kept back, a wheelchair place, and a floor for five."""

from itertools import accumulate

PLAN = {
    "format": "frontrow-venue/1",
    "name": "Test house",
    "stage": {"x": 2.5, "y": 0},
    "tiers": [
        {"code": "gold", "name": "Gold", "price": 5000},
        {"code": "tin", "name": "Tin", "price": 1500},
        {"code": "floor", "name": "Floor", "price": 1000},
    ],
    "sections": [
        {
            "name": "Main",
            "tier": "gold",
            "rows": [
                {"label": "A", "line": {"count": 6, "start": {"x": 0, "y": 1}, "end": {"x": 5, "y": 1}}},
                {
                    "label": "B",
                    "tier": "tin",
                    "seats": [
                        {"number": str(n + 1), "x": n, "y": 2, "blocked": n == 5, "kind": kind}
                        for n, kind in enumerate(["accessible", "companion", *["standard"] * 4])
                    ],
                },
            ],
        }
    ],
    "areas": [{"name": "Floor", "tier": "floor", "capacity": 5}],
}


async def open_house(client, *, most=None, name="Gala", plan=PLAN):
    """Import the house and open its sale; the event's id, its seats' ids and its area's id."""
    venue = await client.post("/api/frontrow/venues", json=plan | {"name": name})
    assert venue.status_code == 201, venue.text
    body = {"name": name, "venue_id": venue.json()["id"], "places_per_buyer_max": most}
    event = await client.post("/api/frontrow/events", json=body)
    assert event.status_code == 201, event.text
    event_id = event.json()["id"]
    seat_map = (await client.get(f"/api/frontrow/events/{event_id}/map")).json()
    rows = [row for section in seat_map["sections"] for row in section["rows"]]
    seats = [seat for row in rows for seat in accumulate(row["ids"])]
    return event_id, seats, seat_map["areas"][0]["id"]


async def hold(client, event_id, *seats, area=None, quantity=0, buyer="ann", key=None):
    body = {"event_id": event_id, "seats": list(seats), "buyer": buyer}
    if area is not None:
        body |= {"area": area, "quantity": quantity}
    return await client.post("/api/frontrow/holds", json=body, headers={"idempotency-key": key} if key else {})
