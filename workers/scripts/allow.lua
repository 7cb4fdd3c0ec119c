-- allow: a counter shared by all workers. ARGV: key, times, window (ms), a name for this call. Answers 1 if it may.
local key, window = Z .. 'allow:' .. ARGV[4], tonumber(ARGV[6])
redis.call('ZREMRANGEBYSCORE', key, '-inf', now - window)
if redis.call('ZCARD', key) >= tonumber(ARGV[5]) then return 0 end
redis.call('ZADD', key, now, ARGV[7])
redis.call('PEXPIRE', key, window)
return 1
