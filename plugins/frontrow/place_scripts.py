"""Counting held places in Redis: those of an area without seats, and those that one buyer holds.

A sorted set has a member `nonce:quantity` for each hold, scored by when it lapses on Redis's own clock; what has lapsed
is dropped whenever the set is looked at, so no sweeper is needed. Like everything in layer 1 it decides who waits:
whether there is a place is counted by the row in Postgres.
"""

from dataclasses import dataclass
from typing import Final

_NOW: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local mine, used, earliest, latest = nil, 0, nil, now
local members = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 1, #members, 2 do
  local nonce, quantity = string.match(members[i], '^(.*):(%d+)$')
  local score = tonumber(members[i + 1])
  latest = math.max(latest, score)
  if nonce == ARGV[1] then mine = {members[i], score}
  else
    used = used + tonumber(quantity)
    if not earliest or score < earliest then earliest = score end
  end
end
"""
# {granted, how long it lasts or until the first of the others lapses (ms), how many the others hold}
_TAKE: Final = f"""
{_NOW}
if mine then return {{1, mine[2] - now, used}} end
if used + tonumber(ARGV[2]) > tonumber(ARGV[4]) then return {{0, (earliest or now) - now, used}} end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1] .. ':' .. ARGV[2])
redis.call('PEXPIREAT', KEYS[1], math.max(latest, now + ARGV[3]))
return {{1, tonumber(ARGV[3]), used}}
"""
# 1 kept, 2 retaken. Never shortens what is left.
_KEEP: Final = f"""
{_NOW}
local wanted = now + ARGV[3]
if not mine or mine[2] < wanted then redis.call('ZADD', KEYS[1], wanted, ARGV[1] .. ':' .. ARGV[2]) end
redis.call('PEXPIREAT', KEYS[1], math.max(latest, wanted))
return mine and 1 or 2
"""
_DROP: Final = f"""
{_NOW}
return mine and redis.call('ZREM', KEYS[1], mine[1]) or 0
"""

PLACE_SCRIPTS: Final = {"take_places": _TAKE, "keep_places": _KEEP, "drop_places": _DROP}


@dataclass(frozen=True, slots=True)
class Places:
    """What came of asking for places. `left_ms`: how long they are ours, else until others' first hold lapses."""

    is_granted: bool
    left_ms: int
    held_by_others: int
