"""Reconciliation: every order beside what the payment provider has in its books, and where the two differ.

Orders with something left to do are counted as under way: what they owe is on its way, and the invariants watch it.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Final

import trio

from host.api import OutcomeUnknown
from plugins.frontrow.core.checkout import FINAL
from plugins.frontrow.operators import EXPORT_PAGE, FIRST
from plugins.frontrow.order_store import Order, OrderStore
from plugins.frontrow.payments import Payment, PaymentProvider

AT_ONCE_MAX: Final = 8
"""Questions to the provider at one time."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What the sale and the provider say of one order. Sums in the currency's smallest unit."""

    order_id: str
    state: str
    what: str
    ours: int
    theirs: int


@dataclass(slots=True)
class Reconciliation:
    """What came of it."""

    orders: int = 0
    under_way: int = 0
    differences: list[Difference] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """For printing."""
        return asdict(self)


def differences(order: Order, payment: Payment | None) -> list[Difference]:
    """Where an order that is over and its payment differ."""
    captured = 0 if payment is None else payment.captured
    refunded = 0 if payment is None else payment.refunded
    reserved = payment.authorised if payment is not None and payment.state == "authorised" else 0
    pairs = (("captured", order.captured, captured), ("refunded", order.refunded, refunded), ("reserved", 0, reserved))
    return [Difference(order.id, order.state, what, ours, theirs) for what, ours, theirs in pairs if ours != theirs]


async def reconcile(store: OrderStore, provider: PaymentProvider, event_id: int | None = None) -> Reconciliation:
    """Compare all orders, or those of one event. Changes nothing.

    Raises:
        OutcomeUnknown: the provider, or the database, gave no answer.
        ServiceUnavailable: the database is away.
    """
    found = Reconciliation()
    turns = trio.Semaphore(AT_ONCE_MAX)
    unanswered: list[OutcomeUnknown] = []

    async def compare(order: Order) -> None:
        try:
            async with turns:
                found.differences += differences(order, await provider.find(order.id))
        except OutcomeUnknown as error:
            unanswered.append(error)

    after = FIRST
    while page := await store.page(event_id, after, EXPORT_PAGE):
        found.orders += len(page)
        async with trio.open_nursery() as nursery:
            for order in page:
                if order.state in FINAL:
                    nursery.start_soon(compare, order)
                else:
                    found.under_way += 1
        if unanswered:
            raise unanswered[0]
        after = page[-1].id
    return found
