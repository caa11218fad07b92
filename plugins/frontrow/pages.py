"""What the pages show before their scripts run."""

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from host.api import HttpProblem, ServiceUnavailable
from plugins.frontrow import problems
from plugins.frontrow.checkout import order_document
from plugins.frontrow.order_store import NoOrder
from plugins.frontrow.room import Rooms
from plugins.frontrow.venues import EventHouse

if TYPE_CHECKING:
    from plugins.frontrow.service import FrontRow

_ID_DIGITS_MAX: Final = 18


class SalePages:
    """The contexts of the templates. All raise `ServiceUnavailable` without a database, but for the first page's."""

    def __init__(self, state: "FrontRow") -> None:
        self._state = state
        self._rooms = Rooms(state.ctx.postgres)

    async def front(self, params: Mapping[str, str]) -> dict[str, Any]:
        """The page /frontrow: events, runs, the newest comparison and audit. Without a database it shows none."""
        document = await self._state.run_routes.page_of_runs(params)
        try:
            events = await self._state.inventory.events()
            audits = await self._state.auditor.latest(1)
        except ServiceUnavailable:
            events, audits = [], []
        comparison = await self._state.comparison_routes.newest()
        return document | {"events": events, "comparison": comparison, "audit": audits[0] if audits else None}

    async def event(self, params: Mapping[str, str]) -> dict[str, Any]:
        """The page of an event: its prices, its areas, and whether a waiting room stands in front of it."""
        text = params["event_id"]
        is_id = text.isascii() and text.isdecimal() and len(text) <= _ID_DIGITS_MAX
        event = await self._state.venues.house(int(text)) if is_id else None
        if event is None:
            raise problems.no_event(text[:40])
        listed = {each["id"]: each for each in await self._state.inventory.events()}
        free = listed.get(event.event_id, {}).get("free")
        room = await self._rooms.room(event.event_id)
        return {
            "event": {
                "id": event.event_id,
                "name": event.name,
                "state": await self._state.venues.state_of(event.event_id),
                "currency": event.currency,
                "seats": len(event.places),
                "free": free,
                "most": event.places_per_buyer_max,
                "tiers": [{"code": code, "name": name, "price": price} for code, name, price in event.tiers],
                "seated_tiers": sorted({place.tier for place in event.places}),
                "areas": [{"id": area.id, "name": area.name, "tier": area.tier} for area in event.areas],
            },
            "has_room": room is not None,
        }

    async def order(self, params: Mapping[str, str]) -> dict[str, Any]:
        """The receipt of an order."""
        checkout = self._state.checkout
        assert checkout is not None, "pages are served once the plugin is ready"
        try:
            order = order_document(await checkout.store.find(str(uuid.UUID(params["order_id"]))))
        except (ValueError, NoOrder):
            raise HttpProblem(404, "there is no such order") from None
        event = await self._state.venues.house(order["event_id"])
        return {"order": order, "event_name": event.name if event else "", "places": places_of(event, order)}


def places_of(event: EventHouse | None, order: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What an order is of, as it stands on a ticket: seats by section, row and number, or places of an area."""
    if event is None:
        return []
    names = {code: name for code, name, _ in event.tiers}
    if order["area"] is not None:
        area = event.area(order["area"])
        tier = area.tier if area else ""
        return [
            {
                "label": f"{order['quantity']} × {area.name if area else 'places'}",
                "tier": names.get(tier, tier),
                "price": order["price"],
            }
        ]
    places = [(seat, event.places[event.position_of[seat]]) for seat in order["seats"] if seat in event.position_of]
    has_sections = len({place.section for place in event.places}) > 1
    return [
        {
            "label": (f"Section {place.section}, row" if has_sections else "Row")
            + f" {place.row}, seat {place.number}",
            "tier": names.get(place.tier, place.tier),
            "price": event.price_of_seat(seat),
        }
        for seat, place in places
    ]
