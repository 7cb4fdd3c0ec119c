-- shed: drops the bodies of finished events, oldest first. ARGV: how many. Answers how many were dropped.
-- Where the last call ended is kept, so that each goes on from there; at the end it begins anew.
local cursor = Z .. 'shed'
local from = redis.call('GET', cursor) or '-inf'
local found = redis.call('ZRANGE', Z .. 'final', from, '+inf', 'BYSCORE', 'LIMIT', 0, tonumber(ARGV[4]), 'WITHSCORES')
local dropped = 0
for i = 1, #found, 2 do dropped = dropped + redis.call('UNLINK', Z .. 'body:' .. found[i]) end
if #found == 0 then
  redis.call('DEL', cursor)
else
  redis.call('SET', cursor, (dropped == 0 and '(' or '') .. found[#found])
end
if dropped > 0 then count('bodies_shed', dropped) end
flush()
return dropped
