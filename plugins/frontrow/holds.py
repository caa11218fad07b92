"""Layer 1: who waits. Holds in Redis, each seat a key whose value is the owner's nonce.

One seat is one `SET NX PX`, several are one script, all or nothing. To give a hold back, or to lengthen it, compares
the nonce first, so nobody touches a hold that has passed to somebody else. Losing Redis, or anything in it, costs
fairness and never a seat: whenever it cannot be asked the answer is UNPROTECTED, and layer 2 alone decides.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import trio
from redis.exceptions import RedisError

from host.api import OutcomeUnknown, ServiceUnavailable
from plugins.frontrow.core.breaker import Breaker
from plugins.frontrow.core.tokens import SEATS_MAX, Hold
from plugins.frontrow.place_scripts import PLACE_SCRIPTS, Places
from plugins.frontrow.settings import Settings

if TYPE_CHECKING:
    from host.api import Redis

GRANTED: Final = 1
"""The seats are held for us."""
TAKEN: Final = 2
"""Somebody else holds one of the seats, or it is sold."""
UNPROTECTED: Final = 3
"""Layer 1 could not be asked: go on to layer 2 without a hold."""
KEPT: Final = 4
"""The hold was still ours, and lasts long enough to be booked."""
RETAKEN: Final = 5
"""The hold was gone, nobody else had taken it, and it is ours again."""

_SOLD: Final = "sold"
_LOOK_AT: Final = 5000
"""Keys in one MGET: about a millisecond of the server's."""

# Errors that mean "layer 1 cannot be asked": no connection, no answer, or a server that is loading, read-only or full.
_AWAY: Final = (ServiceUnavailable, OutcomeUnknown, RedisError)

_HOLD_ALL: Final = """
for _, key in ipairs(KEYS) do
  if redis.call('EXISTS', key) == 1 then return 0 end
end
for _, key in ipairs(KEYS) do
  redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
end
return 1
"""
# 1 kept, 2 retaken, 0 not ours. Never shortens what is left.
KEEP_SCRIPT: Final = """
local retaken = false
for _, key in ipairs(KEYS) do
  local owner = redis.call('GET', key)
  if not owner then retaken = true
  elseif owner ~= ARGV[1] then return 0 end
end
for _, key in ipairs(KEYS) do
  if redis.call('PTTL', key) < tonumber(ARGV[2]) then
    redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
  end
end
return retaken and 2 or 1
"""
RELEASE_SCRIPT: Final = """
local released = 0
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then released = released + redis.call('DEL', key) end
end
return released
"""
_LOOK: Final = """
local answer = {}
for _, key in ipairs(KEYS) do
  answer[#answer + 1] = redis.call('GET', key) or ''
  answer[#answer + 1] = redis.call('PTTL', key)
end
return answer
"""


@dataclass(slots=True)
class HoldTally:
    """What layer 1 answered; counts only ever grow."""

    holds_granted: int = 0
    holds_refused: int = 0
    holds_missing: int = 0
    """Requests that went on to layer 2 without a hold, because layer 1 could not be asked."""


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """A hold, and the command that asks for it. Made before it is sent, and the same however often it is."""

    hold: Hold
    command: Callable[..., Awaitable[Any]]
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class HoldState:
    """How a seat stands in layer 1: who holds it and for how much longer, in milliseconds (0 when nobody does)."""

    is_ours: bool
    is_sold: bool
    left_ms: int


class HoldDesk:
    """Grants, keeps and releases holds. Any number of tasks may use it at once.

    `namespace` keeps the keys of different databases apart. Cancelled while Redis is asked, a hold may have been
    granted all the same; it lapses by itself.
    """

    def __init__(
        self, redis: "Redis", namespace: str, settings: Settings, *, scripts: dict[str, str] | None = None
    ) -> None:
        self._redis = redis
        self._execute = redis.execute_command
        self._namespace = namespace
        self.ttl_ms = round(settings.hold_ttl * 1000)
        self._margin_ms = round(settings.checkout_margin * 1000)
        self._sold_ms = round(settings.sold_mark_ttl * 1000)
        self.breaker = Breaker(
            failures_max=settings.breaker_failures,
            pause_ms=round(settings.breaker_pause * 1000),
            pause_ms_max=round(settings.breaker_pause_max * 1000),
        )
        seats = {"hold_all": _HOLD_ALL, "keep": KEEP_SCRIPT, "release": RELEASE_SCRIPT, "look": _LOOK}
        texts = seats | PLACE_SCRIPTS | (scripts or {})
        self._scripts = {name: redis.register_script(text) for name, text in texts.items()}
        self.tally = HoldTally()

    def key(self, event_id: int, seat: int) -> str:
        """The key of a seat. The braces put all seats of an event into one slot of a Redis cluster."""
        return f"frontrow:{self._namespace}:{{{event_id}}}:{seat}"

    def request(self, hold: Hold) -> HoldRequest:
        """The command for a hold: SET NX PX for one seat, the script for several."""
        keys = self._keys(hold)
        if len(keys) == 1:
            return HoldRequest(hold, self._execute, ("SET", keys[0], hold.nonce, "NX", "PX", self.ttl_ms))
        return HoldRequest(hold, self._scripts["hold_all"], (keys, (hold.nonce, self.ttl_ms)))

    async def hold(self, request: HoldRequest) -> int:
        """Hold all seats for the hold's nonce, or none. GRANTED and UNPROTECTED go on to book, TAKEN is turned away.

        The hot path: a thousand at once come through here in some milliseconds.
        """
        breaker, tally = self.breaker, self.tally
        was_probe = False
        if breaker.state != "closed":
            if not breaker.admits(_now_ms()):
                await trio.lowlevel.checkpoint()
                tally.holds_missing += 1
                return UNPROTECTED
            was_probe = True
        try:
            reply = await request.command(*request.arguments)
        except _AWAY:
            breaker.failed(_now_ms(), was_probe=was_probe)
            tally.holds_missing += 1
            return UNPROTECTED
        if breaker.failures:
            breaker.succeeded(was_probe=was_probe)
        if reply:
            tally.holds_granted += 1
            return GRANTED
        tally.holds_refused += 1
        return TAKEN

    async def keep(self, hold: Hold) -> int:
        """Make sure that the hold is ours for as long as a booking takes. KEPT, RETAKEN, TAKEN or UNPROTECTED.

        A hold that expired or got lost is taken again if the seats are still free: to come late is no reason to lose
        a seat that nobody wants. If one of them has passed to somebody else, the hold is over.
        """
        return await self.extend(hold, self._margin_ms)

    async def extend(self, hold: Hold, ttl_ms: int) -> int:
        """Make the hold last at least `ttl_ms` from now on; see `keep`."""
        if hold.area:
            reply = await self._ask("keep_places", hold, hold.nonce, hold.quantity, ttl_ms)
        else:
            reply = await self._ask("keep", hold, hold.nonce, ttl_ms)
        return {None: UNPROTECTED, 0: TAKEN, 1: KEPT, 2: RETAKEN}[reply]

    async def release(self, hold: Hold) -> int:
        """Give the seats back that are still held under this nonce. How many those were; 0 when Redis is away."""
        script = "drop_places" if hold.area else "release"
        return await self._ask(script, hold, hold.nonce) or 0

    async def take_places(self, key: str, nonce: str, quantity: int, room: int, ttl_ms: int) -> Places | None:
        """Hold `quantity` of the `room` places that `key` counts (an area's, or those that a buyer may have).

        Repeated under the same nonce it is the same hold. None when Redis is away.
        """
        reply = await self._call(self._scripts["take_places"], [key], (nonce, quantity, ttl_ms, room))
        return None if reply is None else Places(bool(reply[0]), int(reply[1]), int(reply[2]))

    async def drop_places(self, key: str, nonce: str) -> None:
        """Give places back that were held under a nonce."""
        await self._call(self._scripts["drop_places"], [key], (nonce,))

    async def extend_places(self, key: str, nonce: str, quantity: int, ttl_ms: int) -> None:
        """Make places that are counted under `key` last at least `ttl_ms` from now on."""
        await self._call(self._scripts["keep_places"], [key], (nonce, quantity, ttl_ms))

    def area_key(self, event_id: int, area_id: int) -> str:
        """The key that counts the places held in an area."""
        return f"frontrow:{self._namespace}:{{{event_id}}}:area:{area_id}"

    def buyer_key(self, event_id: int, buyer: str) -> str:
        """The key that counts the places that a buyer holds."""
        return f"frontrow:{self._namespace}:{{{event_id}}}:buyer:{buyer}"

    async def look(self, hold: Hold) -> list[HoldState] | None:
        """How each seat of a hold stands, seen by its owner. None when Redis is away."""
        reply = await self._ask("look", hold)
        if reply is None:
            return None
        owners = [owner.decode() if isinstance(owner, bytes) else owner for owner in reply[::2]]
        return [
            HoldState(owner == hold.nonce, owner == _SOLD, max(left_ms, 0))
            for owner, left_ms in zip(owners, reply[1::2], strict=True)
        ]

    async def held_among(self, event_id: int, seats: Sequence[int]) -> list[bool]:
        """For each seat whether somebody holds it; nobody does when Redis is away. Asks for thousands at a time."""
        held: list[bool] = []
        for start in range(0, len(seats), _LOOK_AT):
            some = seats[start : start + _LOOK_AT]
            reply = await self._call(self._execute, "MGET", *(self.key(event_id, seat) for seat in some))
            held += [False] * len(some) if reply is None else [value is not None for value in reply]
        return held

    async def unmark_sold(self, event_id: int, seats: Sequence[int]) -> None:
        """Tell layer 1 that seats which were sold are for sale again."""
        for start in range(0, len(seats), SEATS_MAX):
            some = tuple(sorted(seats[start : start + SEATS_MAX]))
            await self._call(self._scripts["release"], [self.key(event_id, seat) for seat in some], (_SOLD,))

    async def mark_sold(self, event_id: int, seats: Sequence[int]) -> None:
        """Tell layer 1, after the commit, that these seats are sold, so that it turns buyers away for good.

        Only ever a hint: when it is lost, the next buyer gets a hold and hears "sold" from layer 2.
        """
        unit = self._redis.pipeline(transaction=False)
        for seat in seats:
            unit.execute_command("SET", self.key(event_id, seat), _SOLD, "PX", self._sold_ms)
        await self._call(unit.execute)

    async def remember(self, name: str, value: str, ttl_ms: int) -> str | None:
        """Keep `value` under `name` unless something is there; what is there then. None when Redis is away."""
        key = f"frontrow:{self._namespace}:key:{name}"
        if await self._call(self._execute, "SET", key, value, "NX", "PX", ttl_ms):
            return value
        found = await self._call(self._execute, "GET", key)
        return found.decode() if isinstance(found, bytes) else found

    async def ping(self) -> None:
        """Ask Redis for a sign of life, past the breaker. Raises whatever keeps it from answering."""
        await self._execute("PING")

    def _keys(self, hold: Hold) -> list[str]:
        if hold.area:
            return [self.area_key(hold.event_id, hold.area)]
        return [self.key(hold.event_id, seat) for seat in hold.seats]

    async def _ask(self, script: str, hold: Hold, *arguments: Any) -> Any:
        return await self._call(self._scripts[script], self._keys(hold), arguments)

    async def _call(self, command: Any, *arguments: Any) -> Any:
        """The reply, or None when the breaker is open or Redis gives no answer."""
        breaker = self.breaker
        was_probe = breaker.state != "closed"
        if was_probe and not breaker.admits(_now_ms()):
            await trio.lowlevel.checkpoint()
            return None
        try:
            reply = await command(*arguments)
        except _AWAY:
            breaker.failed(_now_ms(), was_probe=was_probe)
            return None
        breaker.succeeded(was_probe=was_probe)
        return reply


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
