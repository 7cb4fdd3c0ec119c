-- allow: a counter shared by all workers. ARGV: key, times, window (ms), who asks. Answers 1 if it may; who was
-- counted within the window may again, and is counted once.
local key, window = Z .. 'allow:' .. ARGV[4], tonumber(ARGV[6])
redis.call('ZREMRANGEBYSCORE', key, '-inf', now - window)
if redis.call('ZSCORE', key, ARGV[7]) then return 1 end
if redis.call('ZCARD', key) >= tonumber(ARGV[5]) then return 0 end
redis.call('ZADD', key, now, ARGV[7])
redis.call('PEXPIRE', key, window)
return 1
