"""The checkout: takes orders from the hold to the receipt, by the table in `core.checkout`.

Whoever sees an order in a state with something left to do may drive it: the request that pays, the report of the
provider, or the task that looks after orders nobody came back for. Every step is conditional and every call to the
provider may be repeated, so two drivers do no harm; within this process there is one at a time for each order.

No row is locked while the provider is asked. What got no answer stays where it is and is asked about again: an order
never becomes "failed" because somebody stopped waiting.
"""

import uuid
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import structlog
import trio

from host.api import HttpProblem, OutcomeUnknown, ServiceUnavailable
from plugins.frontrow import box_office, problems
from plugins.frontrow.core.checkout import FINAL, event_of_loss, event_of_money, next_action
from plugins.frontrow.core.tokens import Hold
from plugins.frontrow.holding import Holding, price_of
from plugins.frontrow.holds import TAKEN
from plugins.frontrow.order_store import RETRY_S, Move, NewOrder, Order, OrderStore
from plugins.frontrow.payments import Payment, PaymentProvider, Refused
from plugins.frontrow.reports import Report
from plugins.frontrow.settings import Settings
from plugins.frontrow.venues import Venues

if TYPE_CHECKING:
    from host.api import Postgres

LOOK_INTERVAL_S: Final = 0.5
"""How often orders that somebody has to look at are looked for."""
LEASE_MAX: Final = 50
MADE_MAX: Final = 10_000
"""Orders made here and not paid yet that are remembered; of more, the oldest are looked up."""
SOON_S: Final = 1.0

_SOON: Final = "UPDATE frontrow.orders SET try_at = clock_timestamp() WHERE id = %s AND state = 'held'"
_AWAY: Final = (ServiceUnavailable, OutcomeUnknown)
_NOT_DECIDED: Final = (box_office.UNKNOWN, box_office.UNAVAILABLE)


@dataclass(slots=True)
class CheckoutTally:
    """What happened at the checkout; counts only ever grow."""

    orders: int = 0
    orders_confirmed: int = 0
    orders_lost_seats: int = 0
    """Paid, and the seats were gone: the money goes back."""
    payments_unknown: int = 0
    """Calls to the provider that got no answer."""
    reports: int = 0
    reports_repeated: int = 0


@dataclass(slots=True, eq=False)
class _Drive:
    """An order that is being driven. `has_news`: its driver looks at it once more before it leaves."""

    done: trio.Event = field(default_factory=trio.Event)
    has_news: bool = False


class Checkout:
    """Makes and drives orders. `run` must be running."""

    def __init__(
        self,
        holding: Holding,
        store: OrderStore,
        provider: PaymentProvider,
        venues: Venues,
        postgres: "Postgres",
        settings: Settings,
        log: "structlog.stdlib.BoundLogger",
    ) -> None:
        self.store = store
        self.provider = provider
        self.tally = CheckoutTally()
        self._holding = holding
        self._venues = venues
        self._postgres = postgres
        self._settings = settings
        self._log = log
        self._driving: dict[str, _Drive] = {}
        self._made: OrderedDict[str, tuple[float, Order]] = OrderedDict()
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look after orders until cancelled; what is left undone then is found by the next start, here or elsewhere."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.store.run)
            self._nursery = nursery
            task_status.started()
            while True:
                await self.look_after()
                await trio.sleep(LOOK_INTERVAL_S)

    async def open(self, hold: Hold, buyer: str, method: str, order_id: str = "") -> Order:
        """Make the order of a hold, and lengthen the hold by the time to pay: once, for a hold has one order.

        Raises:
            HttpProblem: 409 "hold-lost", 422 when there is nothing to pay.
            ServiceUnavailable, OutcomeUnknown: the database is away; asking again is safe.
        """
        event = await self._venues.house(hold.event_id)
        if event is None:
            raise problems.no_event(hold.event_id)
        price = price_of(event, hold)
        if not price:
            raise HttpProblem(422, "there is nothing to pay: book the hold", type="nothing-to-pay")
        assert event.currency is not None
        pay_s = self._settings.payment_ttl
        new = NewOrder(order_id or str(uuid.uuid4()), hold, buyer, event.currency, price, method, pay_s)
        order = await self.store.make(new)
        if order.id != new.id:
            if order.buyer != buyer:
                raise HttpProblem(409, "this hold is another buyer's order", type="hold-lost", title="Hold lost")
            return order
        self.tally.orders += 1
        margin_s = self._settings.checkout_margin
        if await self._holding.extend(hold, buyer, round((pay_s + margin_s) * 1000)) == TAKEN:
            await self.store.move(Move(order.id, "cancel", reason="hold-lost"))
            text = "the hold lapsed, and somebody else holds a seat of it now"
            raise HttpProblem(409, text, type="hold-lost", title="Hold lost")
        self._made[order.id] = trio.current_time() + order.left_ms / 1000, order
        if len(self._made) > MADE_MAX:
            self._made.popitem(last=False)
        return order

    async def pay(self, order_id: str, card: str) -> Order:
        """Pay an order and see it through; the order as it stands then. Repeated, nothing is paid twice.

        Raises:
            NoOrder: there is none.
            HttpProblem: 402 when the provider refuses the card; another one may be tried.
            ServiceUnavailable, OutcomeUnknown: the database is away; the order says later what became of it.
        """
        order = self._as_made(order_id) or await self.store.find(order_id)
        if order.state != "held":
            return await self.drive(order)
        if order.left_ms <= 0:
            return await self._expire(order)
        try:
            payment = await self.provider.authorise(order.id, order.price, order.currency, order.method, card)
        except Refused as refused:
            raise HttpProblem(402, str(refused), type="payment-declined", title="Payment declined") from None
        except OutcomeUnknown:
            self.tally.payments_unknown += 1
            await self._postgres.execute(_SOON, [order.id])
            return order
        if not payment.has_money:
            # The provider says later, by a webhook.
            return await self.store.find(order_id)
        return await self.drive(order, payment)

    async def cancel(self, order_id: str) -> Order:
        """Give up an order that is not paid; money that still comes goes back."""
        self._made.pop(order_id, None)
        order, has_moved = await self.store.move(Move(order_id, "cancel", reason="by the buyer"))
        if has_moved:
            await self._holding.let_go(order.hold, order.buyer)
        return order

    async def refund(self, order_id: str, reason: str) -> tuple[Order, bool]:
        """Give the money of a confirmed order back, and its seats on sale at once; whether this call did."""
        order, has_moved = await self.store.move(Move(order_id, "refund", reason=reason, try_s=RETRY_S))
        if has_moved:
            await self._holding.back_on_sale(order.hold)
        return await self.drive(order), has_moved

    async def take_reports(self, reports: Sequence[Report]) -> list[bool | Exception]:
        """Take note of what the provider reports, each once; for each whether it was news. Returns after the commit.

        In place of an answer there may be `NoOrder`, when the order is not ours, or `ServiceUnavailable` or
        `OutcomeUnknown`, when it is not noted: the provider will report it again.
        """
        self.tally.reports += len(reports)
        answers = await self.store.move_all([report.move() for report in reports])
        taken: list[bool | Exception] = []
        for report, answer in zip(reports, answers, strict=True):
            try:
                taken.append(answer if isinstance(answer, Exception) else await self._take_report(report, *answer))
            except _AWAY as error:
                taken.append(error)
        return taken

    async def _take_report(self, report: Report, order: Order, is_news: bool) -> bool:
        if report.has_money and not is_news:
            state_before = order.state
            order = await self._place_money(order, report.captured)
            is_news = order.state != state_before
        self.tally.reports_repeated += not is_news
        if (under_way := self._driving.get(order.id)) is not None:
            under_way.has_news = True
        elif order.state not in FINAL and order.state != "held" and self._nursery is not None:
            self._nursery.start_soon(self._drive_quietly, order.id)
        return is_news

    async def drive(self, order: Order, money: Payment | None = None) -> Order:
        """Do what is left to do for an order, as far as it goes now; the order then.

        `money` that the order does not know of yet is noted first: by the statement that claims the seats, as a rule.
        """
        if (under_way := self._driving.get(order.id)) is not None:
            await under_way.done.wait()
            order = await self.store.find(order.id)
            if order.id in self._driving:
                return order
        this = self._driving[order.id] = _Drive()
        try:
            if money is not None:
                order = await self._note(order, money)
            while True:
                while (action := next_action(order.state)) not in (None, "look"):
                    before = order.state
                    order = await self._act(order, str(action))
                    if order.state == before:
                        break
                if order.state in FINAL or not this.has_news:
                    return order
                this.has_news = False
                order = await self.store.find(order.id)
        finally:
            del self._driving[order.id]
            this.done.set()

    async def _act(self, order: Order, action: str) -> Order:
        if action == "claim":
            verdict = await self._claim(order)
            if verdict == box_office.BOOKED:
                # As the claim's own statement left it.
                return replace(order, state="claimed")
            return order if verdict in _NOT_DECIDED else await self._lose_seats(order, verdict)
        if action == "confirm":
            order, has_moved = await self.store.move(Move(order.id, "confirm"))
            self.tally.orders_confirmed += has_moved
            return order
        assert order.payment_id is not None, "money has a payment"
        payment_id = order.payment_id
        try:
            if action == "capture":
                captured = order.captured
                if captured < order.price:
                    captured = (await self.provider.capture(payment_id, order.price)).captured
                move = Move(order.id, "capture", captured=captured)
            elif action == "void":
                await self.provider.void(payment_id)
                move = Move(order.id, "voided")
            else:
                payment = await self.provider.refund(payment_id, order.captured)
                move = Move(order.id, "refunded", captured=payment.captured, refunded=payment.refunded)
        except Refused as refused:
            return await self._refused(order, action, refused)
        except OutcomeUnknown:
            self.tally.payments_unknown += 1
            return await self.store.find(order.id)
        order, has_moved = await self.store.move(move)
        self.tally.orders_confirmed += has_moved and order.state == "confirmed"
        return order

    def _as_made(self, order_id: str) -> Order | None:
        """An order that was made here and not paid yet, once, and while there is time: the first payment need not ask.

        One that another host has cancelled since is found out by the step, and its money goes back.
        """
        pay_by, order = self._made.pop(order_id, (0.0, None))
        return order if trio.current_time() < pay_by else None

    async def _claim(self, order: Order, money: Payment | None = None) -> str:
        try:
            verdict = await self._holding.office.book(order.hold, order.buyer, order.id, is_order=True, money=money)
        except ServiceUnavailable:
            return box_office.UNAVAILABLE
        if verdict == box_office.BOOKED:
            self._holding.settled(order.hold, order.buyer)
        return verdict

    async def _lose_seats(self, order: Order, why: str) -> Order:
        move = Move(order.id, event_of_loss(order.captured), reason=why, try_s=SOON_S)
        order, has_moved = await self.store.move(move)
        if has_moved:
            self.tally.orders_lost_seats += 1
            await self._holding.let_go(order.hold, order.buyer)
        return order

    async def _refused(self, order: Order, action: str, refused: Refused) -> Order:
        self._log.warning("the payment provider refuses", order=order.id, action=action, reason=refused.reason)
        if action != "capture":
            return order
        order, has_moved = await self.store.move(Move(order.id, "capture_refused", reason=refused.reason))
        if has_moved:
            await self._holding.back_on_sale(order.hold)
        return order

    async def _note(self, order: Order, money: Payment) -> Order:
        """The provider has money for an order: take the step that it means, and the claim with it where that goes."""
        name = event_of_money(order.state, money.captured)
        if name == "authorise" and await self._claim(order, money) == box_office.BOOKED:
            payment_id = order.payment_id or money.id
            captured = max(order.captured, money.captured)
            return replace(order, state="claimed", payment_id=payment_id, captured=captured)
        move = Move(order.id, name, money.authorised, money.captured, payment_id=money.id, try_s=RETRY_S)
        order, has_moved = await self.store.move(move)
        return order if has_moved else await self._place_money(order, money.captured)

    async def _place_money(self, order: Order, captured: int) -> Order:
        """The order moved on between the look and the step: what the money means to it now."""
        while (name := event_of_money(order.state, captured)) != "money":
            order, has_moved = await self.store.move(Move(order.id, name, try_s=RETRY_S))
            if has_moved:
                break
        return order

    async def _expire(self, order: Order) -> Order:
        self._made.pop(order.id, None)
        order, has_moved = await self.store.move(Move(order.id, "expire", reason="not paid in time"))
        if has_moved:
            await self._holding.let_go(order.hold, order.buyer)
        return order

    async def look_after(self) -> None:
        """Drive the orders that somebody has to look at, in tasks of their own."""
        try:
            order_ids = await self.store.lease(LEASE_MAX)
        except _AWAY as error:
            self._log.warning("orders are not looked after now", error=str(error))
            return
        assert self._nursery is not None
        for order_id in order_ids:
            self._nursery.start_soon(self._drive_quietly, order_id)

    async def _drive_quietly(self, order_id: str) -> None:
        try:
            order = await self.store.find(order_id)
            if order.state == "held":
                await self._look(order)
            else:
                await self.drive(order)
        except _AWAY as error:
            self._log.warning("an order is left for later", order=order_id, error=str(error))
        except Exception:
            # One order's fault must not end the checkout.
            self._log.exception("an order cannot be driven", order=order_id)

    async def _look(self, order: Order) -> None:
        """Ask the provider about an order that was paid, perhaps; let it go when its time is over."""
        try:
            payment = await self.provider.find(order.id)
        except OutcomeUnknown:
            # As long as nobody knows whether it was paid, its seats stay its own.
            self.tally.payments_unknown += 1
            return
        if payment is not None and payment.has_money:
            await self.drive(order, payment)
        elif order.left_ms <= 0:
            await self._expire(order)


def order_document(order: Order) -> dict[str, Any]:
    """What the API says of an order."""
    document: dict[str, Any] = {
        "id": order.id,
        "url": f"/api/frontrow/orders/{order.id}",
        "event_id": order.event_id,
        "buyer": order.buyer,
        "seats": list(order.seats),
        "area": order.area or None,
        "quantity": order.quantity,
        "price": order.price,
        "currency": order.currency,
        "state": order.state,
        "method": order.method,
        "payment_id": order.payment_id,
        "captured": order.captured,
        "refunded": order.refunded,
        "reason": order.reason,
        "pay_by": order.pay_by,
        "left_ms": max(order.left_ms, 0) if order.state == "held" else 0,
        "steps": [
            {"state": state, "at": int(at) / 1000} for state, _, at in (s.partition("@") for s in order.steps.split())
        ],
    }
    if order.state == "confirmed":
        document["booking_url"] = f"/api/frontrow/bookings/{order.id}"
    return document
