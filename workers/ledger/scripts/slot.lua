-- slot: one of a handler's places among all workers. ARGV: handler, places, run. Answers 1 if the run has one now.
-- A place is taken as long as its run is running; so a dead worker's place is free once its lease ran out.
local key, run = Z .. 'slots:' .. ARGV[4], ARGV[6]
for _, other in ipairs(redis.call('SMEMBERS', key)) do
  if other ~= run and not redis.call('ZSCORE', Z .. 'running', other) then redis.call('SREM', key, other) end
end
if redis.call('SISMEMBER', key, run) == 1 then return 1 end
if redis.call('SCARD', key) >= tonumber(ARGV[5]) then return 0 end
redis.call('SADD', key, run)
return 1
