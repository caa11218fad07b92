"""The simulated payment provider: HTTP in, signed webhooks out, and every misbehaviour that real ones have.

What a payment does is told by its card: see `CARDS`. What all of them do is told by `Faults`, which the chaos buttons
set. A webhook is sent again, with growing pauses, until it is answered 2xx; it may come before the answer to the call
that caused it, twice, or out of order.
"""

import hashlib
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

import httpx
import trio
from pydantic_core import from_json, to_json

from plugins.frontrow.core.signature import HEADER, sign
from plugins.frontrow.payments import PATH
from plugins.frontrow.simulated.ledger import Entry, Ledger
from plugins.frontrow.simulated.server import serve_loopback

CARDS: Final = {
    "ok": "is good",
    "declined": "is refused",
    "slow": "takes a while",
    "late": "answers “pending”; the money comes after a while, by webhook alone",
    "lost": "is good, but the answer gets lost",
    "twice": "is good; every webhook comes twice",
    "webhook-first": "is good; the webhook comes before the answer",
    "reordered": "is good; “captured” is reported before “authorised”",
    "capture-refused": "is good until the money is to be taken",
    "capture-lost": "is good, but the answer to the capture gets lost, once",
    "refund-flaky": "is good; the first refund fails",
}
_RETRY_S: Final = 0.1
_RETRY_S_MAX: Final = 10.0
_TRIES_MAX: Final = 20
_WEBHOOKS_WAITING_MAX: Final = 10_000
_WEBHOOK_TIMEOUT_S: Final = 5.0
_EVENTS_MAX: Final = 200
"""Events in one webhook: what has happened since the one before, and `_GATHER_S` longer."""
_GATHER_S: Final = 0.05
"""As with real providers, a report comes after the answer, as a rule; and one that comes then is noted and no more."""


@dataclass(slots=True)
class Faults:
    """What all payments do, beside what their cards say. `delay_s` is added to every answer."""

    delay_s: float = 0.0
    refuse_all: bool = False
    lose_answers: bool = False
    twice: bool = False
    slow_s: float = 2.0
    late_s: float = 1.0


class SimulatedProvider:
    """One provider; `run` serves it on loopback. Restarted, it goes on with its books."""

    def __init__(self, ledger: Ledger, http: httpx.AsyncClient, secret: bytes, faults: Faults | None = None) -> None:
        self._ledger = ledger
        self._http = http
        self._secret = secret
        self.faults = faults or Faults()
        self._nursery: trio.Nursery | None = None
        self._flaky: set[str] = set()
        self._kept_back: dict[str, dict[str, Any]] = {}
        self._late: dict[str, trio.Event] = {}
        self._notify: dict[str, str] = {}
        self.notify_url = ""
        """Where reports go, unless a payment names another address."""
        self._webhooks, self._to_send = trio.open_memory_channel[tuple[str, dict[str, Any]]](_WEBHOOKS_WAITING_MAX)

    async def run(self, *, port: int = 0, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; `started` with its URL."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            bound: int = await nursery.start(lambda **kwargs: serve_loopback(self.handle, port=port, **kwargs))
            await nursery.start(self._ledger.run)
            nursery.start_soon(self._send_webhooks)
            task_status.started(f"http://127.0.0.1:{bound}")

    async def handle(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any] | None:
        """One request; see `server.Handler`."""
        path, _, query = target.partition("?")
        what = path.removeprefix(PATH).strip("/")
        if self.faults.delay_s:
            await trio.sleep(self.faults.delay_s)
        if method == "GET":
            entry = await self._ledger.of_order(dict(parse_qsl(query)).get("order_id", ""))
            return 200, {"payment": None if entry is None else entry.document(), "simulated": True}
        document = from_json(body) if body else {}
        if not what:
            answer = await self._authorise(document)
        elif what == "capture":
            answer = await self._capture(document)
        elif (entry := await self._ledger.load(str(document.get("payment_id")))) is not None:
            answer = await self._change(entry, what, document)
        else:
            return 404, {"reason": "no such payment"}
        return None if self.faults.lose_answers else answer

    async def _authorise(self, document: Mapping[str, Any]) -> tuple[int, Any] | None:
        order_id, card = str(document["order_id"]), str(document.get("card", "ok"))
        payment_id = "pay_" + hashlib.sha256(order_id.encode()).hexdigest()[:24]
        amount, currency, method = document["amount"], document["currency"], document.get("method", "card")
        entry = Entry(payment_id, order_id, amount, currency, method, card)
        if card == "slow":
            await trio.sleep(self.faults.slow_s)
        if card == "late":
            entry.state = "pending"
        elif not self.faults.refuse_all and card != "declined" and card in CARDS:
            _pay(entry)
        known = await self._ledger.open(entry)
        if known is not None:
            return 200, known.document()
        if document.get("notify_url"):
            self._notify[entry.id] = document["notify_url"]
        if entry.state == "declined":
            self._report(entry, "payment.declined", 0)
            return 402, {"reason": "the card is refused"}
        if entry.state == "pending":
            assert self._nursery is not None
            self._late[order_id] = trio.Event()
            self._nursery.start_soon(self._pay_late, entry)
            return 200, entry.document()
        await self._tell_of_money(entry, is_told_first=card == "webhook-first")
        return None if card == "lost" else (200, entry.document())

    async def _capture(self, document: Mapping[str, Any]) -> tuple[int, Any] | None:
        payment_id = str(document.get("payment_id"))
        entry = await self._ledger.capture(payment_id, int(document.get("amount", 0)))
        if entry is not None:
            self._report(entry, "payment.captured", entry.captured)
            return None if entry.card == "capture-lost" else (200, entry.document())
        entry = await self._ledger.load(payment_id)
        if entry is None:
            return 404, {"reason": "no such payment"}
        if entry.card == "capture-refused":
            return 402, {"reason": "the card is refused at the capture"}
        return (200, entry.document()) if entry.captured else (409, {"reason": f"it is {entry.state}"})

    async def _tell_of_money(self, entry: Entry, *, is_told_first: bool = False) -> None:
        kind = f"payment.{entry.state}"
        if is_told_first:
            await self._deliver(self._notify_url(entry), [self._event(entry, kind, entry.amount)])
        elif entry.card == "reordered" and entry.state == "authorised":
            self._kept_back[entry.id] = self._event(entry, kind, entry.amount)
        else:
            self._report(entry, kind, entry.amount)

    def hurry(self, order_id: str) -> None:
        """Let money that is late come now."""
        self._late[order_id].set()

    async def _pay_late(self, entry: Entry) -> None:
        with trio.move_on_after(self.faults.late_s):
            await self._late[entry.order_id].wait()
        del self._late[entry.order_id]
        _pay(entry)
        await self._ledger.save(entry)
        await self._tell_of_money(entry)

    async def _change(self, entry: Entry, what: str, document: Mapping[str, Any]) -> tuple[int, Any] | None:
        amount = int(document.get("amount", 0))
        if what == "void":
            if entry.state == "authorised":
                entry.state = "voided"
                await self._ledger.save(entry)
                self._report(entry, "payment.voided", 0)
            return (200, entry.document()) if entry.state == "voided" else (409, {"reason": f"it is {entry.state}"})
        if what == "refund":
            if entry.card == "refund-flaky" and entry.id not in self._flaky:
                self._flaky.add(entry.id)
                return 503, {"reason": "try again"}
            if entry.captured and entry.refunded < min(amount, entry.captured):
                entry.refunded = min(amount, entry.captured)
                entry.state = "refunded" if entry.refunded == entry.captured else entry.state
                await self._ledger.save(entry)
                self._report(entry, "payment.refunded", entry.refunded)
            return (200, entry.document()) if entry.refunded else (409, {"reason": f"it is {entry.state}"})
        return 404, {"reason": "no such thing to do"}

    def _notify_url(self, entry: Entry) -> str:
        return self._notify.get(entry.id, self.notify_url)

    def _event(self, entry: Entry, kind: str, amount: int) -> dict[str, Any]:
        return {
            "id": f"evt_{secrets.token_hex(12)}",
            "type": kind,
            "payment_id": entry.id,
            "order_id": entry.order_id,
            "amount": amount,
            "authorised": entry.authorised,
            "captured": entry.captured,
            "refunded": entry.refunded,
            "simulated": True,
        }

    def _report(self, entry: Entry, kind: str, amount: int) -> None:
        events = [self._event(entry, kind, amount)]
        if (earlier := self._kept_back.pop(entry.id, None)) is not None:
            events.append(earlier)
        if entry.card == "twice" or self.faults.twice:
            events *= 2
        url = self._notify_url(entry)
        if not url:
            return
        # A provider whose line is full loses reports: the checkout asks by itself as well.
        with suppress(trio.WouldBlock):
            for event in events:
                self._webhooks.send_nowait((url, event))

    async def _send_webhooks(self) -> None:
        assert self._nursery is not None
        async for url, first in self._to_send:
            events = {url: [first]}
            await trio.sleep(_GATHER_S)
            while sum(map(len, events.values())) < _EVENTS_MAX:
                try:
                    url, event = self._to_send.receive_nowait()
                except trio.WouldBlock:
                    break
                events.setdefault(url, []).append(event)
            for url, some in events.items():
                if not await self._deliver(url, some):
                    self._nursery.start_soon(self._deliver_later, url, some)

    async def _deliver_later(self, url: str, events: list[dict[str, Any]]) -> None:
        pause_s = _RETRY_S
        for _ in range(_TRIES_MAX):
            await trio.sleep(pause_s)
            if await self._deliver(url, events):
                return
            pause_s = min(pause_s * 2, _RETRY_S_MAX)

    async def _deliver(self, url: str, events: list[dict[str, Any]]) -> bool:
        body = to_json(events[0] if len(events) == 1 else {"events": events})
        headers = {"content-type": "application/json", HEADER: sign(body, self._secret, round(time.time()))}
        try:
            answer = await self._http.post(url, content=body, headers=headers, timeout=_WEBHOOK_TIMEOUT_S)
        except httpx.HTTPError:
            return False
        return answer.is_success


def _pay(entry: Entry) -> None:
    entry.authorised, entry.state = entry.amount, "authorised"
    if entry.method == "instant":
        entry.captured, entry.state = entry.amount, "captured"
