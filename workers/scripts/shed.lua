-- shed: drops the bodies of finished events, oldest first. ARGV: how many. Answers how many were dropped.
local dropped = 0
for _, id in ipairs(redis.call('ZRANGE', Z .. 'final', 0, tonumber(ARGV[4]) - 1)) do
  dropped = dropped + redis.call('UNLINK', Z .. 'body:' .. id)
end
if dropped > 0 then count('bodies_shed', dropped) end
return dropped
