-- pause: queued runs of a handler wait in the index `paused` from now on. ARGV after keep (ms): handler, audit line.
-- Answers 1, or 0 if it is paused already.
local fresh = redis.call('HSETNX', Z .. 'pauses', ARGV[5], whole(now))
if fresh == 1 then
  redis.call('LPUSH', Z .. 'audit', ARGV[6])
  redis.call('LTRIM', Z .. 'audit', 0, 9999)
end
return fresh
