-- rate: whether an attempt may start now: at most so many of its lane in any window. ARGV: lane, how many, window (ms), the
-- attempt. Answers 0 if it may, else the ms to wait: a start is planned for it, after those of others.
local starts, plans = Z .. 'rate:' .. ARGV[4], Z .. 'plans:' .. ARGV[4]
local most, window, me = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local nth_last = function(key, n) return tonumber(redis.call('ZRANGE', key, -n, -n, 'WITHSCORES')[2] or '') end
for _, key in ipairs({starts, plans}) do redis.call('ZREMRANGEBYSCORE', key, '-inf', whole(now - window)) end
if redis.call('ZSCORE', starts, me) then return 0 end  -- it has started, and found no place
local planned = tonumber(redis.call('ZSCORE', plans, me) or '')
if planned and planned > now then return whole(planned - now) end

-- A planned attempt counts starts only, a new one also planned attempts: after `most` of them a window is full.
local ahead = planned and 0 or redis.call('ZCARD', plans)
local last = ahead >= most and nth_last(plans, most) or nth_last(starts, most - ahead)
local at = last and math.max(now, last + window) or now
if at <= now then
  redis.call('ZREM', plans, me)
  redis.call('ZADD', starts, whole(now), me)
  redis.call('PEXPIRE', starts, window)
  return 0
end
redis.call('ZADD', plans, whole(at), me)
redis.call('PEXPIRE', plans, whole(at - now + window))
return whole(at - now)
