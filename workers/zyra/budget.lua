-- budget: may one more call be made with a key? Time is Redis' own. Knows nothing of the ledger.
-- KEYS: see keys.py. ARGV: prefix of the key's names, class, limit, window (ms), then what is asked and its values:
--   take who ticket pause  one call; pause (ms): of a key that was refused. Answers {0} if it may be made now,
--                          {1, ms, limit} if it is to come back, {2, ms, limit} if the key is refused
--   hold wait lowers       nobody calls for so long (ms); lowers: 1 if a 429 has disproved the limit. Answers the limit
--   read                   answers the limit as it is now
-- <class>             zset  calls of the last window by time, each "<time>-<number> <who>"
-- <class>:hold        until nobody calls
-- <class>:lowered     hash  limit and at: what a 429 has left of the limit, and when
-- <class>:next        when the next call is due if all that were allowed came evenly (GCRA's theoretical arrival time)
-- <class>:waits       zset  who waits, by the last time that was told to one of his
-- <class>:line:<who>  zset  his tickets, in the order of their first asking
-- <class>:told:<who>  zset  his tickets, by the time that was told to each
-- refused             the key was refused a moment ago; known: that it was, until it is accepted again
local P, class, believed, window, asked = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local RISE_WINDOWS = 20  -- until a limit that was lowered to nothing is whole again
local GRACE = window / 20  -- ms for which others may not pass a caller who was told to come by now
local LATE = window / 6  -- ms after which he has lost his place
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('SETNX', KEYS[1], '')  -- the anchor: see keys.py
local whole = function(number) return string.format('%.0f', number) end

local made, name = P .. class, function(suffix) return P .. class .. ':' .. suffix end
local lowered = redis.call('HMGET', name('lowered'), 'limit', 'at')
local limit = believed
if lowered[1] then  -- additive increase
  local raised = tonumber(lowered[1]) + believed / RISE_WINDOWS * math.max(0, now - tonumber(lowered[2])) / window
  limit = math.max(1, math.min(believed, math.floor(raised)))
end
if asked == 'read' then return limit end

redis.call('ZREMRANGEBYSCORE', made, '-inf', whole(now - window))
local used = redis.call('ZCARD', made)
local hold = math.max(0, redis.call('PTTL', name('hold')))
if asked == 'hold' then
  if ARGV[7] == '1' and hold == 0 then  -- multiplicative decrease, once for all calls that were under way
    limit = math.max(1, math.min(math.floor(limit / 2), math.max(math.floor(limit / 4), used - 1)))
    redis.call('HSET', name('lowered'), 'limit', whole(limit), 'at', whole(now + ARGV[6]))
    redis.call('PEXPIRE', name('lowered'), whole(ARGV[6] + window * RISE_WINDOWS))
  end
  if tonumber(ARGV[6]) > hold then redis.call('SET', name('hold'), '1', 'PX', ARGV[6]) end
  return limit
end

local who, ticket, pause = ARGV[6], ARGV[7], tonumber(ARGV[8])
local refused = redis.call('PTTL', P .. 'refused')
if refused > 0 then return {2, refused, limit} end
if redis.call('EXISTS', P .. 'known') == 1 then  -- one call finds out whether it is good again
  redis.call('SET', P .. 'refused', '1', 'PX', pause)
end

local waits, line, told = name('waits'), name('line:' .. who), name('told:' .. who)
redis.call('ZREMRANGEBYSCORE', waits, '-inf', whole(now - window))
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', told, '-inf', whole(now - LATE))) do
  redis.call('ZREM', told, gone)
  redis.call('ZREM', line, gone)
end
local others = redis.call('ZCARD', waits) - (redis.call('ZSCORE', waits, who) and 1 or 0)
local share = math.ceil(limit / (others + 1))
local mine = {}
for _, one in ipairs(redis.call('ZRANGE', made, 0, -1)) do
  if string.sub(one, (string.find(one, ' ', 1, true)) + 1) == who then mine[#mine + 1] = one end
end

local spacing = window / limit
local burst = limit < believed and 1 or math.ceil(limit / 2)  -- so many at once if nobody had to wait before
local arrival = math.max(now, tonumber(redis.call('GET', name('next')) or 0))
local ready = arrival - (burst - 1) * spacing
local time = tonumber(redis.call('ZSCORE', told, ticket) or now + 1)
local due = time > now and redis.call('ZCOUNT', told, whole(now - GRACE), whole(now)) or 0  -- who must not be passed
if hold == 0 and used + due < limit and #mine + due < share and ready + due * spacing <= now then
  redis.call('ZADD', made, whole(now), whole(now) .. '-' .. redis.call('INCR', P .. 'number') .. ' ' .. who)
  redis.call('PEXPIRE', made, window)
  redis.call('PEXPIRE', P .. 'number', 86400000)
  redis.call('SET', name('next'), whole(arrival + spacing), 'PX', whole(arrival + spacing - now + window))
  redis.call('ZREM', line, ticket)
  redis.call('ZREM', told, ticket)
  if redis.call('ZCARD', line) == 0 then redis.call('ZREM', waits, who) end
  return {0}
end

local frees = function(one)  -- when this call leaves the window
  return tonumber(string.match(one, '^%d+')) + window - now
end
local wait = math.max(hold, ready - now)
if used >= limit then
  wait = math.max(wait, frees(redis.call('ZRANGE', made, used - limit, used - limit)[1]))
end
-- Who has to wait has used up the burst: after a hold, or a full window, calls come one by one.
local paced = now + wait + (burst - 1) * spacing
if wait > 0 and paced > arrival then
  redis.call('SET', name('next'), whole(paced), 'PX', whole(paced - now + window))
end
if #mine >= share then wait = math.max(wait, frees(mine[#mine - share + 1])) end
redis.call('ZADD', line, 'NX', redis.call('INCR', P .. 'number'), ticket)
wait = math.ceil(math.max(1, wait) + math.max(due, redis.call('ZRANK', line, ticket)) * spacing * (others + 1))
redis.call('ZADD', told, whole(now + wait), ticket)
redis.call('ZADD', waits, 'GT', whole(now + wait), who)
for _, one in ipairs({line, told, waits}) do redis.call('PEXPIRE', one, whole(wait + 2 * window)) end
redis.call('PEXPIRE', P .. 'number', 86400000)
return {1, wait, limit}
