-- budget: may one more call be made with a key? Time is Redis' own. Knows nothing of the ledger.
-- KEYS: see keys.py. ARGV: prefix of the key's names, class, limit, window (ms), who asks, ticket of this call, pause after a refusal (ms).
-- <class>          zset  calls of the last window by time, each "<time>-<number> <who>"
-- <class>:hold     what Retry-After said, for as long as it said
-- <class>:waits    zset  who waits, by the last time that was told to one of his
-- <class>:line:<who>  zset  his tickets, by the time that was told to each
-- refused          the key was refused a moment ago; known: that it was, until it is accepted again
-- Answers {0} if it may, {1, ms} if it is to come back, {2, ms} if the key is refused.
local P, class, limit, window = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local who, ticket, pause = ARGV[5], ARGV[6], tonumber(ARGV[7])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('SETNX', KEYS[1], '')  -- the anchor: see keys.py
local whole = function(number) return string.format('%.0f', number) end

local refused = redis.call('PTTL', P .. 'refused')
if refused > 0 then return {2, refused} end
if redis.call('EXISTS', P .. 'known') == 1 then  -- one call finds out whether it is good again
  redis.call('SET', P .. 'refused', '1', 'PX', pause)
end

local made, waits, line = P .. class, P .. class .. ':waits', P .. class .. ':line:' .. who
redis.call('ZREMRANGEBYSCORE', made, '-inf', whole(now - window))
redis.call('ZREMRANGEBYSCORE', waits, '-inf', whole(now - window))
redis.call('ZREMRANGEBYSCORE', line, '-inf', whole(now - math.min(window, 10000)))  -- who does not come back in time
local others = redis.call('ZCARD', waits) - (redis.call('ZSCORE', waits, who) and 1 or 0)
local share = math.ceil(limit / (others + 1))
local used, mine = 0, {}
for _, one in ipairs(redis.call('ZRANGE', made, 0, -1)) do
  used = used + 1
  if string.sub(one, (string.find(one, ' ', 1, true)) + 1) == who then mine[#mine + 1] = one end
end
local hold = math.max(0, redis.call('PTTL', P .. class .. ':hold'))
local told = tonumber(redis.call('ZSCORE', line, ticket) or now + 1)
local due = redis.call('ZCOUNT', line, '-inf', whole(now)) - (told <= now and 1 or 0)  -- who was told to come by now
if told <= now then due = math.min(due, redis.call('ZCOUNT', line, '-inf', '(' .. whole(told))) end
if hold == 0 and used + due < limit and #mine + due < share then
  redis.call('ZADD', made, whole(now), whole(now) .. '-' .. redis.call('INCR', P .. 'number') .. ' ' .. who)
  redis.call('PEXPIRE', made, window)
  redis.call('PEXPIRE', P .. 'number', 86400000)
  redis.call('ZREM', line, ticket)
  if redis.call('ZCARD', line) == 0 then redis.call('ZREM', waits, who) end
  return {0}
end

local frees = function(index)  -- when the call at this place of the window leaves it
  local one = redis.call('ZRANGE', made, index, index, 'WITHSCORES')
  return one[2] and math.max(1, tonumber(one[2]) + window - now) or 1
end
local wait = hold
if used >= limit then wait = math.max(wait, frees(used - limit)) end
local ahead = redis.call('ZSCORE', line, ticket) and redis.call('ZCOUNT', line, '-inf', '(' .. whole(told))
if #mine >= share then
  wait = math.max(wait, math.max(1, tonumber(redis.call('ZSCORE', made, mine[#mine - share + 1])) + window - now))
end
redis.call('ZREM', line, ticket)
wait = math.max(1, wait) + math.floor((ahead or redis.call('ZCARD', line)) / share) * window  -- behind those before
redis.call('ZADD', line, whole(now + wait), ticket)
redis.call('ZADD', waits, 'GT', whole(now + wait), who)
redis.call('PEXPIRE', line, wait + 2 * window)
redis.call('PEXPIRE', waits, wait + 2 * window)
return {1, wait}
