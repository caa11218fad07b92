"""What the payment provider reports by a webhook, as a step of the order that it is about."""

from dataclasses import dataclass

from plugins.frontrow.core.checkout import event_of_money
from plugins.frontrow.order_store import RETRY_S, Move


@dataclass(frozen=True, slots=True)
class Report:
    """What the provider says of a payment, by a webhook."""

    id: str
    kind: str
    payment_id: str
    order_id: str
    amount: int
    authorised: int
    captured: int
    refunded: int

    @property
    def has_money(self) -> bool:
        return self.kind in ("payment.authorised", "payment.captured")

    def move(self) -> Move:
        """The step. Most orders are held still when money comes, or well past it; the checkout places the others."""
        return Move(
            self.order_id,
            event_of_money("held", self.captured) if self.has_money else "money",
            self.authorised,
            self.captured,
            self.refunded,
            self.payment_id,
            try_s=RETRY_S,
            event=self.id,
            kind=self.kind,
            amount=self.amount,
        )
