"""The houses that ship, put on sale in a database that has none of them yet."""

from typing import Final

from host.api import OutcomeUnknown
from plugins.frontrow.core.samples import SAMPLES
from plugins.frontrow.venue_plan import VenuePlan
from plugins.frontrow.venues import VenueExists, Venues

EVENT_NAMES: Final = {"theatre": "The Late Show", "arena": "Harbour Lights Tour"}
PLACES_PER_BUYER_MAX: Final = {"theatre": 8, "arena": 6}


async def sample_venue(venues: Venues, sample: str) -> tuple[int, VenuePlan, bool]:
    """The venue of a sample, imported if it is not there; its id, its plan, and whether it is new."""
    plan = VenuePlan.model_validate(SAMPLES[sample]())
    known = await venues.venue_named(plan.name)
    if known is not None:
        return known, plan, False
    try:
        return await venues.import_plan(plan), plan, True
    except VenueExists:
        # Another host was faster.
        known = await venues.venue_named(plan.name)
        if known is None:
            raise OutcomeUnknown(f"the venue {plan.name!r} came and went") from None
        return known, plan, False


async def put_samples_on_sale(venues: Venues) -> list[str]:
    """One event in each sample that this call imported; their names. Several hosts at once make each of them once."""
    made = []
    for sample, name in EVENT_NAMES.items():
        venue_id, plan, is_new = await sample_venue(venues, sample)
        if is_new:
            most = PLACES_PER_BUYER_MAX[sample]
            await venues.create_event(venue_id, plan, name, state="open", places_per_buyer_max=most)
            made.append(plan.name)
    return made
