"""A room on this host: its board, its clients, and the tasks that save, tell and prune."""

import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, Final

import trio

from host.api import OutcomeUnknown, ServiceUnavailable
from plugins.liveboard.board_log import BoardLog
from plugins.liveboard.commits import Committer, WentBack
from plugins.liveboard.core.admission import Rules
from plugins.liveboard.core.compaction import prunable, pruned, stable_floor
from plugins.liveboard.core.frames import (
    ByeReason,
    Moves,
    People,
    Person,
    PrunedFrame,
    Reports,
    decode_frame,
    encode_frame,
    move_bytes,
    moves_bytes,
)
from plugins.liveboard.core.opset import OperationSet, entry_of
from plugins.liveboard.fanout import Fanout, Goodbye, Outlet
from plugins.liveboard.presence import Elsewhere, PresenceBoard, Present
from plugins.liveboard.settings import Settings
from plugins.liveboard.store import RoomRow, Store

PERSON_NUMBERS: Final = 1 << 28
"""Numbers of people are drawn by lot, so that hosts need not agree: four bytes, and a clash is as good as never."""
CLOSE_BASE: Final = 4000
REV, MOVES, WHO = b"r", b"p", b"w"
"""What hosts tell one another of a room."""

Publish = Callable[[str, bytes, bytes], None]


class Room:
    """One room. `run` is its task; everything else is called from the tasks of its clients and never waits."""

    def __init__(
        self, row: RoomRow, store: Store, settings: Settings, publish: Publish, host: bytes, logger: Any
    ) -> None:
        self.row = row
        self.settings = settings
        self.host = host
        self.log = BoardLog(row.id, row.secret)
        self.fanout = Fanout(self.log, chunk_bytes=settings.chunk_bytes, frames_kept=settings.frames_kept)
        self.presence = PresenceBoard()
        self.fanout.slots["moves"].whole = self.presence.whole
        self.fanout.slots["people"].whole = self.presence.whole_people
        self.idle_since: float | None = None
        self.is_closed = False
        self.sessions: set[Any] = set()
        self.counts = Counter(checks_passed=0, checks_failed=0, joined=0, resumed=0, resynced=0, presence_dropped=0)
        self.scope = trio.CancelScope()
        self._store = store
        self._publish = publish
        self._logger = logger
        self._moved = trio.Event()
        self.committer = Committer(
            row.id, self.log, store, settings, self._on_saved, self._rules(), logger, self._crowd
        )

    @property
    def id(self) -> str:
        return self.row.id

    async def load(self) -> None:
        """Read the board from the database. Raises `ServiceUnavailable`."""
        await self.committer.catch_up()

    async def run(self) -> None:
        """Serve the room until it is closed. What goes wrong ends this room alone, whose clients are told to come
        back."""
        try:
            with self.scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.committer.run)
                    nursery.start_soon(self._tell_moves)
                    nursery.start_soon(self._tell_people)
                    nursery.start_soon(self._watch_sessions)
                    nursery.start_soon(self._compact_regularly)
        except* WentBack as group:
            self._logger.error("a board lost revisions in the database", room=self.id, error=str(group.exceptions[0]))
            self.close(ByeReason.RESYNC, "the board has fewer revisions than before", retry_ms=100)
        except* Exception:
            self._logger.exception("a room failed", room=self.id)
            self.close(ByeReason.UNAVAILABLE, "the room met a fault of the program", retry_ms=2000)

    def close(self, reason: int, text: str, *, retry_ms: int) -> None:
        """Say goodbye to everybody here."""
        self.is_closed = True
        goodbye = Goodbye(reason, text, retry_ms)
        for outlet in self.fanout.outlets:
            outlet.bye(goodbye)
        self.scope.cancel(reason=text)

    def enter(self, outlet: Outlet, site: bytes, role: int, color: int, name: str, now: float) -> Present:
        """Let a client in."""
        number = secrets.randbelow(PERSON_NUMBERS) + 1
        while number in self.presence.here:
            number = secrets.randbelow(PERSON_NUMBERS) + 1
        self.fanout.outlets.add(outlet)
        self.idle_since = None
        return self.presence.enter(Person(number, site, role, color, name), now)

    def leave(self, outlet: Outlet, present: Present, now: float) -> None:
        """Let a client out."""
        self.fanout.outlets.discard(outlet)
        self.presence.leave(present.person.number)
        if not self.fanout.outlets:
            self.idle_since = now

    def moved(self) -> None:
        """Somebody here or elsewhere has moved: tell it at the next tick."""
        self._moved.set()

    def check(self, rev: int, digest: bytes) -> None:
        """Compare what a client has with the board at that revision."""
        if rev <= self.log.rev:
            if self.log.digest_at(rev) == digest:
                self.counts["checks_passed"] += 1
            else:
                self.counts["checks_failed"] += 1
                self._logger.error("a client's board differs", room=self.id, rev=rev)

    def hear(self, sender: bytes, kind: bytes, payload: bytes, now: float) -> None:
        """Take up what another host tells of this room; raises `CodecError` for what is none."""
        if kind == MOVES:
            frame = decode_frame(payload)
            assert isinstance(frame, Moves)
            for number, state, inks in frame.moves:
                self.presence.arrived(sender, number, move_bytes(number, state, inks), state)
            self.moved()
        elif kind == WHO:
            people, reports = (decode_frame(part) for part in _halves(payload))
            before = self.presence.elsewhere.get(sender)
            states = before.states if before else {}
            numbers = {person.number for person in people.people}
            kept = {number: state for number, state in states.items() if number in numbers}
            self.presence.elsewhere[sender] = Elsewhere(now, people.people, reports.reports, kept)
            if before is None or before.people != people.people:
                self.presence.people_changed = True
            if before is None or before.reports != reports.reports:
                self.presence.reports_changed = True

    async def compact(self) -> int:
        """Retire sites long gone and prune what they removed; returns how many bodies were dropped."""
        connected = {site for session in self.sessions for site in session.sites}
        await self._store.touch_sites(self.id, list(connected))
        retired = await self._store.retire_sites(self.id, self.settings.site_ttl)
        if not retired:
            return 0
        rev = self.log.rev
        whole = OperationSet([entry_of(self.log.entry(at + 1).data) for at in range(rev)])
        floor = max(self.row.floor, stable_floor(whole, retired))
        entries = [pruned(entry) for entry in prunable(whole, floor, retired)]
        await self._store.prune(self.id, floor, entries)
        self.row = replace(self.row, floor=floor)
        self.committer.rules = replace(self._rules(), retired=frozenset(retired))
        self.log.replace(entries)
        self.fanout.forget_frames()
        if entries:
            frame = encode_frame(PrunedFrame(floor, tuple(entry.data for entry in entries[:4096])))
            for outlet in self.fanout.outlets:
                outlet.control(frame)
        return len(entries)

    def tally(self) -> Counter[str]:
        """What this room has come to on this host."""
        return Counter(asdict(self.committer.counts) | asdict(self.fanout.deliveries) | self.counts)

    def _rules(self) -> Rules:
        settings = self.settings
        return Rules(
            settings.operations_max,
            settings.board_bytes_max,
            settings.sites_max,
            settings.lamport_jump_max,
            self.row.floor,
        )

    def _on_saved(self, first: int, is_ours: bool) -> None:
        self.fanout.committed(first, is_ours)
        if is_ours:
            self._publish(self.id, REV, self.log.rev.to_bytes(8, "big"))

    async def _tell_moves(self) -> None:
        settings = self.settings
        while True:
            await self._moved.wait()
            self._moved = trio.Event()
            here = self.presence.moved_here()
            elsewhere = self.presence.take_arrived()
            parts = [part for _, part in here]
            if parts:
                self._publish(self.id, MOVES, moves_bytes(parts))
            if parts or elsewhere:
                self.fanout.slots["moves"].tell(moves_bytes(parts + elsewhere))
                self.fanout.wake_all()
            await trio.sleep(settings.presence_interval * self._crowd())

    async def _tell_people(self) -> None:
        """Tell who is there and what each has, when it has changed; other hosts are told now and then in any case."""
        settings, presence, slots = self.settings, self.presence, self.fanout.slots
        told_at = -1.0
        while True:
            now = trio.current_time()
            presence.forget_silent(now, settings.presence_ttl)
            has_changed = presence.people_changed or presence.reports_changed
            if presence.people_changed:
                slots["people"].tell(presence.people_news())
            if presence.reports_changed:
                slots["reports"].tell(encode_frame(Reports(tuple(presence.reports()))))
            presence.people_changed = presence.reports_changed = False
            if has_changed:
                self.fanout.wake_all()
            if has_changed or now - told_at > settings.presence_ttl / 3:
                told_at = now
                self._publish(self.id, WHO, self._who())
            await trio.sleep(settings.people_interval * self._crowd())

    def _crowd(self) -> float:
        """How much less often things are told than in a small room: what each client gets a second is bounded."""
        return max(1.0, len(self.fanout.outlets) / self.settings.presence_people)

    async def _watch_sessions(self) -> None:
        settings = self.settings
        interval_s = min(1.0, settings.silence_max / 4, settings.send_stall / 4, settings.presence_ttl / 2)
        while True:
            await trio.sleep(interval_s)
            for session in self.sessions:
                session.watch(trio.current_time())

    def _who(self) -> bytes:
        people = tuple(each.person for each in self.presence.here.values())
        first = encode_frame(People(True, people, ()))
        return len(first).to_bytes(4, "big") + first + encode_frame(Reports(tuple(self.presence.reports_here())))

    async def _compact_regularly(self) -> None:
        while True:
            await trio.sleep(self.settings.compact_interval)
            try:
                await self.compact()
            except (ServiceUnavailable, OutcomeUnknown) as error:
                self._logger.warning("a board was not pruned", room=self.id, error=str(error))


def _halves(payload: bytes) -> tuple[bytes, bytes]:
    length = int.from_bytes(payload[:4], "big")
    return payload[4 : 4 + length], payload[4 + length :]
