-- slot: one of a lane's places among all workers. ARGV: lane, places, run. Answers 1 if the run has one now.
-- A run keeps its place while it is running, and while it is queued again because its process or its lease was lost: what
-- it has done is not recorded yet.
local KEEPS = {running = true, queued = true}
local key, run = Z .. 'slots:' .. ARGV[4], ARGV[6]
for _, other in ipairs(redis.call('SMEMBERS', key)) do
  if not KEEPS[get(unit_key(other), 'state') or ''] then redis.call('SREM', key, other) end
end
if redis.call('SISMEMBER', key, run) == 1 then return 1 end
if redis.call('SCARD', key) >= tonumber(ARGV[5]) then return 0 end
redis.call('SADD', key, run)
return 1
