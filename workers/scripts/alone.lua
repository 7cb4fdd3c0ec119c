-- alone: a run that is ours starts in a process of its own. ARGV: run, token. Answers what its attempt needs, or nothing.
-- The mark stays with the token: should the lease end now, the run has killed its process, or that process' worker.
local run, token = ARGV[4], ARGV[5]
local key, id = unit_key(run), string.sub(run, 1, 30)
if get(key, 'token') ~= token or get(key, 'state') ~= 'running' then return nil end
redis.call('HSET', key, 'alone', token)
local body = redis.pcall('GET', Z .. 'body:' .. id)
if type(body) ~= 'string' then body = '' end
return {'claimed', '', run, tonumber(token), body, redis.call('HGETALL', event_key(id)), redis.call('HGETALL', key)}
