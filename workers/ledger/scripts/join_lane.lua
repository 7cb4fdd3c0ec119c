-- join_lane: a run whose lane was not known at its dispatch becomes the last one of it. ARGV: run, token, lane, 1 if a dead
-- letter is to stop it.
local run = ARGV[4]
local own = pick(unit_key(run), 'token', 'state')
if own.token ~= ARGV[5] or own.state ~= 'running' then return end
redis.call('HSET', unit_key(run), 'lane', ARGV[6], 'flow', 1)
if ARGV[7] == '1' then redis.call('HSET', unit_key(run), 'holds', 1) end
join_as_last(run, ARGV[6])
flush()
