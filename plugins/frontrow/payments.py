"""The payment provider as the checkout sees it, and the one that speaks HTTP.

A provider keeps one payment for each order, and every call may be repeated: it answers with how the payment stands, and
does nothing twice. A call without an answer is `OutcomeUnknown`: ask `find`, or call again.
"""

from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import httpx
from pydantic_core import from_json, to_json

from host.api import Clocks, HostError, OutcomeUnknown, RequestTemplate, Timer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from host.api import Reply, TrioTransport

PATH: Final = "/v1/payments"
ANSWER_BYTES_MAX: Final = 64 * 1024


class Refused(HostError):
    """The provider will not do it. `reason` is its own."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the payment provider refuses: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Payment:
    """How a payment stands. Sums are totals in the currency's smallest unit."""

    id: str
    order_id: str
    amount: int
    state: str
    authorised: int
    captured: int
    refunded: int

    @property
    def has_money(self) -> bool:
        """Whether there is money to capture, or that was."""
        return self.authorised > 0 and self.state not in ("voided", "refunded")


class PaymentProvider(Protocol):
    """What a payment provider must be able to do. All of it raises `Refused` and `OutcomeUnknown`."""

    async def authorise(self, order_id: str, amount: int, currency: str, method: str, card: str) -> Payment:
        """Reserve the money, or take it at once where the method cannot wait. Answers the payment there is."""
        ...

    async def find(self, order_id: str) -> Payment | None:
        """The payment of an order, None when there is none."""
        ...

    async def capture(self, payment_id: str, amount: int) -> Payment:
        """Take what was reserved."""
        ...

    async def void(self, payment_id: str) -> Payment:
        """Give up what was reserved."""
        ...

    async def refund(self, payment_id: str, amount: int) -> Payment:
        """Give back until `amount` in all is given back."""
        ...


class HttpPaymentProvider:
    """A provider behind HTTP. It uses the transport below httpx, for it is asked twice for every seat that is sold."""

    def __init__(self, transport: "TrioTransport", url: str, timeout_s: float, notify_url: str = "") -> None:
        self._transport = transport
        self._url = url.rstrip("/") + PATH
        self._calls = {what: self._template("POST", what) for what in ("", "/capture", "/void", "/refund")}
        self._clocks = Clocks(total_s=timeout_s)
        self._notify_url = notify_url

    async def authorise(self, order_id: str, amount: int, currency: str, method: str, card: str) -> Payment:
        document = {
            "order_id": order_id,
            "amount": amount,
            "currency": currency,
            "method": method,
            "card": card,
            "notify_url": self._notify_url,
        }
        return _payment(await self._call(self._calls[""], document))

    async def find(self, order_id: str) -> Payment | None:
        document = await self._call(self._template("GET", f"?order_id={order_id}"))
        return None if document.get("payment") is None else _payment(document["payment"])

    async def capture(self, payment_id: str, amount: int) -> Payment:
        return _payment(await self._call(self._calls["/capture"], {"payment_id": payment_id, "amount": amount}))

    async def void(self, payment_id: str) -> Payment:
        return _payment(await self._call(self._calls["/void"], {"payment_id": payment_id}))

    async def refund(self, payment_id: str, amount: int) -> Payment:
        return _payment(await self._call(self._calls["/refund"], {"payment_id": payment_id, "amount": amount}))

    def _template(self, method: str, path: str) -> RequestTemplate:
        return RequestTemplate(method, httpx.URL(self._url + path), [(b"content-type", b"application/json")])

    async def _call(self, template: RequestTemplate, document: "Mapping[str, Any] | None" = None) -> dict[str, Any]:
        body = b"" if document is None else to_json(document)
        try:
            reply = await self._transport.call(template, body, Timer(self._clocks))
            content = await _content_of(reply)
        except httpx.HTTPError as error:
            raise OutcomeUnknown(f"the payment provider gave no answer: {error!r}") from error
        if reply.status >= 500:
            raise OutcomeUnknown(f"the payment provider answered {reply.status}")
        try:
            found: dict[str, Any] = from_json(content)
        except ValueError as error:
            raise OutcomeUnknown(f"the payment provider answered {reply.status} without JSON") from error
        if reply.status >= 400:
            raise Refused(str(found.get("reason", reply.status)))
        return found


async def _content_of(reply: "Reply") -> bytes:
    """All of an answer. Raises `OutcomeUnknown` for one that is larger than any can be."""
    content = b""
    async with aclosing(reply):
        async for part in reply:
            content += part
            if len(content) > ANSWER_BYTES_MAX:
                raise OutcomeUnknown("the payment provider's answer has no end")
    return content


def _payment(document: "Mapping[str, Any]") -> Payment:
    names = ("id", "order_id", "amount", "state", "authorised", "captured", "refunded")
    return Payment(*(document[name] for name in names))
