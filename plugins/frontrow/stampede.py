"""The stampede: buyers parked at a gate, a gun, and one verdict each, through the box office that customers use.

Every buyer is a Trio task of its own. All are spawned and parked before the gun; the clock runs from the gun to the
last verdict. A buyer asks for a hold on the seat that its seed made it want; turned away, it looks at the map and tries
the next seat that nobody was told is taken; with a hold it books at once. Nobody leaves while the map shows a free
seat, so as many are sold as there are buyers or seats. Those turned away come back, for `ROUNDS_MAX` rounds in all,
when a holder could not book and gave a seat back: a failed winner leaves no seat unsold that somebody wants.

The seed decides who wants which seat, and in which order the gun releases the buyers. Trio runs a batch forwards or
backwards on purpose, so the order in which they get through is in the history, not in the seed.
"""

import gc
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Final

import trio

from host.api import ServiceUnavailable
from plugins.frontrow import box_office
from plugins.frontrow.box_office import BoxOffice, new_nonce
from plugins.frontrow.core import outcome
from plugins.frontrow.core.arrivals import arrival_order, first_choices
from plugins.frontrow.core.crowd_map import CrowdMap
from plugins.frontrow.core.history import History
from plugins.frontrow.core.tokens import Hold
from plugins.frontrow.gate import Gate
from plugins.frontrow.holds import GRANTED, TAKEN, HoldRequest
from plugins.frontrow.run_store import NewRun

ROUNDS_MAX: Final = 3
SPAWN_BATCH: Final = 500
"""Tasks spawned, and buyers made, between two checkpoints: the host stays responsive while a large crowd gathers."""

_OUTCOME_OF: Final = {
    box_office.BOOKED: outcome.BOOKED,
    box_office.SOLD: outcome.SOLD,
    box_office.GONE: outcome.HELD,
    box_office.UNKNOWN: outcome.UNKNOWN,
    box_office.UNAVAILABLE: outcome.UNAVAILABLE,
}

_now_ns = time.perf_counter_ns


class Stampede:
    """One stampede on an event of its own. `history` may be read while it runs. Not used twice."""

    def __init__(self, office: BoxOffice, new_run: NewRun, wave_size: int, leaving: int = 0) -> None:
        """`leaving` winners, the first ones, are gone between the commit and its answer: they never hear of it."""
        self.new_run = new_run
        self.history = History(new_run.buyers)
        self.order = arrival_order(new_run.seed, new_run.buyers)
        self._wanted = first_choices(new_run.seed, new_run.buyers, len(new_run.seat_ids))
        self._office = office
        self._holds = office.holds
        self.holds_missing = 0
        self._leaving = leaving
        self._wave_size = wave_size
        self._map = CrowdMap(len(new_run.seat_ids))
        self._requests: list[HoldRequest] = []

    async def run(self) -> None:
        """Gather the crowd, fire, and return after the last verdict.

        Cancelled, the buyers stop where they are: those without a verdict stay WAITING, those who asked layer 2
        and heard nothing stay HOLDING; `give_up` says what that means.
        """
        await self._gather()
        buyers: Iterable[int] = self.order
        for _ in range(ROUNDS_MAX):
            await self._round(buyers)
            sent_away = set(self.history.buyers_at(outcome.HELD, outcome.UNAVAILABLE))
            if not self._map.free_count or not sent_away:
                return
            buyers = [buyer for buyer in self.order if buyer in sent_away]

    def give_up(self) -> None:
        """Close the history of a run that was cut short: who had not asked layer 2 certainly has no seat."""
        history, now_ns = self.history, _now_ns()
        for buyer in history.buyers_at(outcome.WAITING, outcome.HOLDING):
            is_asked = buyer in history.bookings
            history.outcomes[buyer] = outcome.UNKNOWN if is_asked else outcome.UNAVAILABLE
            history.decided_ns[buyer] = now_ns

    async def _gather(self) -> None:
        """Make what each buyer brings along, its mark and the request for the seat that it wants most, and warm up."""
        event_id, seat_ids = self.new_run.event_id, self.new_run.seat_ids
        with suppress(ServiceUnavailable):
            await self._office.claims.warm_up(min(len(seat_ids), self._office.settings.claims_max))
        for buyer, wanted in enumerate(self._wanted):
            self._requests.append(self._holds.request(Hold(event_id, (seat_ids[wanted],), new_nonce())))
            if buyer % SPAWN_BATCH == 0:
                await trio.lowlevel.checkpoint()

    async def _round(self, buyers: Iterable[int]) -> None:
        """Let these buyers rush the gate, in this order."""
        queue = list(buyers)
        for buyer in queue:
            self.history.outcomes[buyer] = outcome.WAITING
        # A task takes its buyer when it first runs, so that they line up in the order of arrival however Trio starts
        # them.
        arrivals = iter(queue)
        gate = Gate()
        async with trio.open_nursery() as nursery:
            for spawned in range(len(queue)):
                nursery.start_soon(self._buyer, arrivals, gate)
                if spawned % SPAWN_BATCH == 0:
                    await trio.lowlevel.checkpoint()
            while len(gate) < len(queue):
                await trio.lowlevel.checkpoint()
            # What is alive now outlives the run: a collection in the middle need not look at it.
            gc.freeze()
            try:
                await self._fire(gate)
            finally:
                gc.unfreeze()

    async def _fire(self, gate: Gate) -> None:
        if not self.history.gun_ns:
            self.history.gun_ns = _now_ns()
        gate.let_go(self._wave_size)
        while gate:
            await trio.lowlevel.checkpoint()
            gate.let_go(self._wave_size)

    async def _buyer(self, arrivals: Iterator[int], gate: Gate) -> None:
        # All that can be looked up before the gun is: the lines after it run a thousand times in some milliseconds.
        buyer = next(arrivals)
        history, crowd_map, ask = self.history, self._map, self._holds.hold
        outcomes, decided_ns = history.outcomes, history.decided_ns
        request, wanted = self._requests[buyer], self._wanted[buyer]
        history.seat[buyer] = seat = wanted
        await gate.wait()
        if not history.invoked_ns[buyer]:
            history.invoked_ns[buyer] = _now_ns()
        else:
            history.retries[buyer] += 1
        while True:
            verdict = await ask(request)
            if not crowd_map.is_taken[seat]:
                crowd_map.take(seat)
            if verdict == TAKEN:
                heard = outcome.HELD
            else:
                heard = await self._book(buyer, request.hold, seat, had_hold=verdict == GRANTED)
                if heard not in outcome.REJECTED:
                    break
            if not crowd_map.free_count:
                break
            seat = crowd_map.next_free(wanted)
            history.seat[buyer] = seat
            history.retries[buyer] += 1
            request = self._holds.request(replace(request.hold, seats=(self.new_run.seat_ids[seat],)))
        outcomes[buyer] = heard
        decided_ns[buyer] = _now_ns()

    async def _book(self, buyer: int, hold: Hold, seat: int, *, had_hold: bool) -> int:
        history = self.history
        history.outcomes[buyer] = outcome.HOLDING
        self.holds_missing += not had_hold
        booking_id = str(uuid.uuid4())
        history.bookings[buyer] = booking_id
        try:
            verdict = await self._office.book(hold, f"buyer-{buyer}", booking_id, had_hold=had_hold)
        except ServiceUnavailable:
            verdict = box_office.UNAVAILABLE
        if verdict == box_office.BOOKED and self._leaving:
            self._leaving -= 1
            verdict = box_office.UNKNOWN
        if verdict not in (box_office.BOOKED, box_office.UNKNOWN):
            # Certainly no booking of this id: the next attempt has another.
            del history.bookings[buyer]
        if verdict == box_office.UNAVAILABLE:
            await self._holds.release(hold)
            self._map.give_back(seat)
        return _OUTCOME_OF[verdict]
