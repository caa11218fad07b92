-- The limits of one key, for all hosts of one Redis. The clock is Redis's own, so the hosts' clocks need not agree.
-- KEYS: 1 a hash of the two buckets, 2 what has been spent in the present period.
-- ARGV: 1 "charge" or "bill", 2 requests a minute, 3 tokens a minute (0: no limit), 4 budget in nano-dollars (-1: none),
--       5 seconds for which the spending of a period is kept (0: for ever), 6 tokens and 7 nano-dollars to bill.
-- Charging takes one request, or takes nothing and returns what is used up and for how many milliseconds.
local MINUTE_MS = 60000
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)

local function level_of(bucket, per_minute)
  local stored = redis.call('HMGET', KEYS[1], bucket, bucket .. '_at_ms')
  if not stored[1] then
    return per_minute
  end
  local elapsed_ms = math.max(0, now_ms - tonumber(stored[2]))
  return math.min(per_minute, tonumber(stored[1]) + elapsed_ms * per_minute / MINUTE_MS)
end

local function take(bucket, per_minute, amount)
  local level = level_of(bucket, per_minute) - amount
  redis.call('HSET', KEYS[1], bucket, string.format('%.6f', level), bucket .. '_at_ms', string.format('%d', now_ms))
  -- A bucket that is full again need not be remembered.
  local full_in_ms = math.ceil((per_minute - level) * MINUTE_MS / per_minute) + 1000
  if redis.call('PTTL', KEYS[1]) < full_in_ms then
    redis.call('PEXPIRE', KEYS[1], string.format('%d', full_in_ms))
  end
end

local requests, tokens, budget = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

if ARGV[1] == 'bill' then
  if tokens > 0 then
    take('tokens', tokens, tonumber(ARGV[6]))
  end
  if budget >= 0 then
    redis.call('INCRBY', KEYS[2], ARGV[7])
    if tonumber(ARGV[5]) > 0 then
      redis.call('EXPIRE', KEYS[2], ARGV[5])
    end
  end
  return {'', 0}
end

if budget >= 0 and tonumber(redis.call('GET', KEYS[2]) or 0) >= budget then
  return {'budget', 0}
end
for _, limit in ipairs({{'tokens', tokens}, {'requests', requests}}) do
  local bucket, per_minute = limit[1], limit[2]
  if per_minute > 0 then
    local missing = 1 - level_of(bucket, per_minute)
    if missing > 0 then
      return {bucket, math.ceil(missing * MINUTE_MS / per_minute)}
    end
  end
end
if requests > 0 then
  take('requests', requests, 1)
end
return {'', 0}
