"""Who is where: the latest of everybody, told once per tick to all in one frame. Nothing of it is kept.

The bytes of a state and of ink (the points of a stroke in hand) are the clients' business. Of a state only the latest
counts; ink adds up until the next tick, within a bound.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from plugins.liveboard.core.frames import (
    INK_BYTES_MAX,
    People,
    Person,
    Presence,
    encode_frame,
    move_bytes,
    moves_bytes,
)

INKS_MAX: Final = 16
"""Pieces of ink of one client within a tick; older ones are dropped, and the stroke itself comes when it is done."""


@dataclass(slots=True)
class Present:
    """One client of this host in a room. `rev` and `digest` are as it reported them last."""

    person: Person
    heard_at: float
    state: bytes = b""
    inks: list[bytes] = field(default_factory=list)
    has_moved: bool = False
    rev: int = 0
    digest: bytes = bytes(32)


@dataclass(slots=True)
class Elsewhere:
    """Those in the same room on another host, as it told last."""

    heard_at: float
    people: tuple[Person, ...] = ()
    reports: tuple[tuple[int, int, bytes], ...] = ()
    states: dict[int, bytes] = field(default_factory=dict)


class PresenceBoard:
    """Everybody in a room, on this host and elsewhere."""

    def __init__(self) -> None:
        self.here: dict[int, Present] = {}
        self.elsewhere: dict[bytes, Elsewhere] = {}
        self.has_moved = False
        self.people_changed = False
        self.reports_changed = False
        # Those of whom everybody was told, by number.
        self._told: dict[int, Person] = {}
        # Parts of a frame from other hosts, since the last tick.
        self._arrived: dict[int, bytes] = {}

    def enter(self, person: Person, now: float) -> Present:
        present = self.here[person.number] = Present(person, now)
        self.people_changed = True
        return present

    def hear(self, present: Present, now: float) -> None:
        """Take note of a sign of life; somebody who was thought gone is back."""
        present.heard_at = now
        if present.person.number not in self.here:
            self.here[present.person.number] = present
            self.people_changed = self.reports_changed = True

    def leave(self, number: int) -> None:
        if self.here.pop(number, None) is not None:
            self.people_changed = self.reports_changed = True

    def move(self, present: Present, frame: Presence) -> None:
        """Take up what a client says of itself."""
        if frame.state:
            present.state = frame.state
        if frame.ink:
            present.inks.append(frame.ink)
            del present.inks[:-INKS_MAX]
            while sum(map(len, present.inks)) > INK_BYTES_MAX:
                del present.inks[0]
        present.has_moved = self.has_moved = True

    def report(self, present: Present, rev: int, digest: bytes) -> None:
        if (present.rev, present.digest) != (rev, digest):
            present.rev, present.digest = rev, digest
            self.reports_changed = True

    def moved_here(self) -> list[tuple[int, bytes]]:
        """Parts of the next frame from those here who moved, who then count as told."""
        parts = []
        for number, present in self.here.items():
            if present.has_moved:
                parts.append((number, move_bytes(number, present.state, present.inks)))
                present.has_moved = False
                present.inks = []
        self.has_moved = False
        return parts

    def arrived(self, host: bytes, number: int, part: bytes, state: bytes) -> None:
        """Take up the part of somebody on another host; the latest counts."""
        self._arrived[number] = part
        if host in self.elsewhere and state:
            self.elsewhere[host].states[number] = state
        self.has_moved = True

    def take_arrived(self) -> list[bytes]:
        parts = list(self._arrived.values())
        self._arrived.clear()
        return parts

    def whole(self) -> bytes:
        """A frame with everybody's latest state."""
        parts = [move_bytes(number, each.state, ()) for number, each in self.here.items() if each.state]
        for host in self.elsewhere.values():
            parts += [move_bytes(number, state, ()) for number, state in host.states.items()]
        return moves_bytes(parts)

    def people(self) -> list[Person]:
        """Everybody, those here first."""
        people = [present.person for present in self.here.values()]
        for host in self.elsewhere.values():
            people += host.people
        return people

    def whole_people(self) -> bytes:
        """A frame that lists everybody."""
        return encode_frame(People(True, tuple(self.people()), ()))

    def people_news(self) -> bytes:
        """A frame of who has come or changed, and who has left, since the last such frame."""
        now = {person.number: person for person in self.people()}
        came = tuple(person for number, person in now.items() if self._told.get(number) != person)
        left = tuple(number for number in self._told if number not in now)
        self._told = now
        return encode_frame(People(False, came, left))

    def reports_here(self) -> list[tuple[int, int, bytes]]:
        return [(number, each.rev, each.digest) for number, each in self.here.items()]

    def reports(self) -> Iterable[tuple[int, int, bytes]]:
        yield from self.reports_here()
        for host in self.elsewhere.values():
            yield from host.reports

    def forget_silent(self, now: float, ttl_s: float) -> None:
        """Forget other hosts that have said nothing for so long."""
        silent = [host for host, each in self.elsewhere.items() if now - each.heard_at > ttl_s]
        for host in silent:
            del self.elsewhere[host]
            self.people_changed = self.reports_changed = True
