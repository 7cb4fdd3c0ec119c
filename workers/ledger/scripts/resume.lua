-- resume: ends a pause, and queues the runs that waited. ARGV after keep (ms): handler, its part of a run's id, how many,
-- audit line. Answers 1 if it was paused, and how many runs it queued; to be called again while that is as many as asked.
local handler, suffix, most = ARGV[5], ARGV[6], tonumber(ARGV[7])
local was = redis.call('HDEL', Z .. 'pauses', handler)
if was == 1 then
  redis.call('LPUSH', Z .. 'audit', ARGV[8])
  redis.call('LTRIM', Z .. 'audit', 0, 9999)
end
local queued, at = 0, 0
repeat
  local units = redis.call('ZRANGE', Z .. 'paused', at, at + 999)
  for _, unit in ipairs(units) do
    if queued < most and string.sub(unit, 32) == suffix then
      requeue(unit, 'queued')
      queued = queued + 1
    end
  end
  at = at + 1000
until #units < 1000 or queued >= most
flush()
return {was, queued}
